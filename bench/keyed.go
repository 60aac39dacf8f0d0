package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/policy"
)

// keyedWork is the look-up of a key and the call, together.
const keyedWork = "keyed"

// keyedCallees are looked up by turns.
const keyedCallees = 64

func keyedKeys() []switchgear.Key {
	keys := make([]switchgear.Key, keyedCallees)
	for i := range keys {
		keys[i] = switchgear.Key{Callee: fmt.Sprintf("callee-%d", i), Namespace: "shop"}
	}
	return keys
}

// keyed looks a breaker up by its key for each call, and makes the call.
func keyed(m *switchgear.Manager) func(n int) {
	keys := keyedKeys()
	return func(n int) {
		for i := range n {
			p, err := m.Breaker(keys[i%keyedCallees]).Acquire()
			if err == nil {
				p.Done(switchgear.Outcome{})
			}
		}
	}
}

// bareMap looks the same keys up in a sync.Map, and makes no call: the least that
// a table of breakers costs.
func bareMap(string) *subject {
	keys := keyedKeys()
	var table sync.Map
	for i := range keys {
		table.Store(keys[i], &keys[i])
	}
	return &subject{run: func(n int) {
		for i := range n {
			if _, ok := table.Load(keys[i%keyedCallees]); !ok {
				panic("a key is gone")
			}
		}
	}}
}

// firstCall is the time in µs from a key to the end of its first call, with so many
// policies.
func firstCall(policies int) (float64, error) {
	var document strings.Builder
	document.WriteByte('[')
	for i := range policies {
		if i > 0 {
			document.WriteByte(',')
		}
		fmt.Fprintf(&document, `{"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":"p%d"},"spec":{"selector":{"callee":"callee-%d*"},"openAbove":%d}}`, i, i, 30+i%40)
	}
	document.WriteByte(']')
	set, err := policy.Decode([]byte(document.String()))
	if err != nil {
		return 0, err
	}
	m, err := switchgear.New(switchgear.Config{Service: "bench"})
	if err != nil {
		return 0, err
	}
	defer func() { _ = m.Close() }()
	if err := m.SetPolicies(set); err != nil {
		return 0, err
	}
	const calls = 500
	keys := make([]switchgear.Key, calls)
	for i := range keys {
		keys[i] = switchgear.Key{Callee: fmt.Sprintf("callee-%d", 2*i)}
	}
	start := time.Now()
	for _, k := range keys {
		if _, err := switchgear.Do(context.Background(), m.Breaker(k), goodCtx); err != nil {
			return 0, err
		}
	}
	return float64(time.Since(start).Microseconds()) / calls, nil
}

// million is the flag with which bench runs itself to weigh a million breakers.
const million = "-million"

// weight of a million idle breakers in a process of their own.
type weight struct {
	Heap float64 `json:"heap"` // bytes that they add
	RSS  float64 `json:"rss"`  // of the whole process
}

// weigh asks a process of its own, so that nothing else is weighed with them.
func weigh() (w weight, err error) {
	self, err := os.Executable()
	if err != nil {
		return w, err
	}
	out, err := exec.CommandContext(ctx, self, million).Output()
	if err != nil {
		return w, fmt.Errorf("weigh a million breakers: %w", err)
	}
	return w, json.Unmarshal(out, &w)
}

// weighed is what that process does.
func weighed() (w weight, err error) {
	const n = 1_000_000
	before := live()
	m, err := switchgear.New(switchgear.Config{Service: "bench", MaxBreakers: n})
	if err != nil {
		return w, err
	}
	for i := range n {
		m.Breaker(switchgear.Key{Callee: "callee-" + strconv.Itoa(i)})
	}
	w.Heap = float64(live() - before)
	if got := m.Stats().Breakers; got != n {
		return w, fmt.Errorf("%d breakers: want %d", got, n)
	}
	if w.RSS, err = residentBytes(); err != nil {
		return w, err
	}
	runtime.KeepAlive(m)
	return w, m.Close()
}

// residentBytes reads what the kernel says of this process.
func residentBytes() (float64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("resident memory is read on Linux only: %w", err)
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/self/statm: %q", text)
	}
	pages, err := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize()), err
}
