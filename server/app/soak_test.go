package app

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/link"
)

var soak = flag.Duration("soak", 3*time.Second, "how long TestSoakLeaksNothing goes on")

// reading is what the process holds after a round, with the daemon down.
type reading struct {
	goroutines int
	heap       uint64
}

// Rounds of calls, of replicas that come and go by stream and by poll, and of the
// daemon's restart: nothing may grow with their number. make soak goes on for
// longer.
func TestSoakLeaksNothing(t *testing.T) {
	dir, address := t.TempDir(), ""
	var calls atomic.Int64
	calling, end := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	defer callers.Wait()
	defer end()
	var links []*link.Link
	var readings []reading
	for began := time.Now(); time.Since(began) < *soak || len(readings) < 4; {
		a, stop := round(t, dir, cmp.Or(address, "127.0.0.1:0"))
		if address == "" {
			address = a.Address()
			for i := range 3 {
				m := manager(t, "web", fmt.Sprintf("web-%d", i))
				links = append(links, linked(t, m, address))
				callers.Go(func() { keepCalling(calling, m, &calls) })
			}
		}
		eventually(t, "all attached", func() bool { return a.gateway.attached() >= 3 })
		guest, err := switchgear.New(switchgear.Config{Service: "web", Replica: fmt.Sprintf("guest-%d", len(readings))})
		if err != nil {
			t.Fatal(err)
		}
		l, err := link.Connect(guest, "http://"+address, link.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			call(guest.Breaker(switchgear.Key{Callee: fmt.Sprintf("callee-%d", i)}), switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.Timeout})
		}
		for i := range 5 {
			if status, answer := ask(t, a, fmt.Sprintf(`{%s}`, helloJSON(fmt.Sprintf("poller-%d-%d", len(readings), i)))); status != 200 {
				t.Fatal(answer)
			}
		}
		eventually(t, "all are here", func() bool { return a.gateway.attached() == 3+1+5 })
		before := calls.Load()
		eventually(t, "calls go on", func() bool { return calls.Load() > before+2000 })
		_ = l.Close()
		_ = guest.Close()
		stop()
		readings = append(readings, measured())
		last := readings[len(readings)-1]
		if *soak > time.Minute {
			t.Logf("round %d: %d calls, %d goroutines, heap %d KB", len(readings), calls.Load(), last.goroutines, last.heap>>10)
		}
	}
	third := max(len(readings)/3, 2)
	first, last := middle(readings[:third]), middle(readings[len(readings)-third:])
	lost := uint64(0)
	for _, l := range links {
		lost += l.Stats().Lost
	}
	t.Logf("%d rounds, %d calls, %d circuit reports lost: %d to %d goroutines, heap %d to %d KB", len(readings), calls.Load(), lost, first.goroutines, last.goroutines, first.heap>>10, last.heap>>10)
	if last.goroutines > first.goroutines+10 {
		t.Errorf("%d goroutines after the first rounds, %d after the last", first.goroutines, last.goroutines)
	}
	if last.heap > first.heap+first.heap/4+2<<20 {
		t.Errorf("heap of %d KB after the first rounds, %d KB after the last", first.heap>>10, last.heap>>10)
	}
}

// round runs a daemon as running does, and leaves nothing behind in the test.
func round(t *testing.T, dir, address string) (*App, func()) {
	t.Helper()
	a, err := New(Config{Listen: address, Dev: true, Data: dir, Name: "d1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	return a, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func linked(t *testing.T, m *switchgear.Manager, address string) *link.Link {
	t.Helper()
	l, err := link.Connect(m, "http://"+address, link.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// keepCalling makes bursts of calls to three callees, one of which fails by turns.
func keepCalling(ctx context.Context, m *switchgear.Manager, calls *atomic.Int64) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := int64(0); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for i := range 3 {
			o := switchgear.Outcome{Verdict: breaker.Success, Latency: time.Millisecond}
			if i == 0 && n/500%2 == 0 {
				o = switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.ServerError}
			}
			call(m.Breaker(switchgear.Key{Callee: fmt.Sprintf("callee-%d", i)}), o)
			calls.Add(1)
		}
	}
}

func measured() reading {
	runtime.GC()
	runtime.GC() // what the first one's finalizers and pools let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return reading{runtime.NumGoroutine(), m.HeapAlloc}
}

// middle is the median of each.
func middle(rs []reading) reading {
	var goroutines []int
	var heaps []uint64
	for _, r := range rs {
		goroutines, heaps = append(goroutines, r.goroutines), append(heaps, r.heap)
	}
	slices.Sort(goroutines)
	slices.Sort(heaps)
	return reading{goroutines[len(rs)/2], heaps[len(rs)/2]}
}
