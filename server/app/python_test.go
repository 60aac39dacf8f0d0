package app

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/link"
)

// told is a line of examples/python/example.py.
type told struct {
	Succeeded, Failed, Rejected int
	State, By, Why              string
	Linked                      bool
}

// interpreter prepares python3 in the example's folder.
func interpreter(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program, err := exec.LookPath("python3")
	if err != nil {
		t.Fatalf("%v: the Python example is tested with python3: apt-get install python3", err)
	}
	cmd := exec.CommandContext(t.Context(), program, append([]string{"-B"}, args...)...)
	cmd.Dir = filepath.Join("..", "..", "examples", "python")
	return cmd
}

func TestTheRulesOfPythonsBreaker(t *testing.T) {
	if out, err := interpreter(t, "-m", "unittest").CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// python runs the example and gives its lines.
func python(t *testing.T, args ...string) <-chan told {
	t.Helper()
	cmd := interpreter(t, append([]string{"example.py"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, ended := make(chan told, 1000), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			var l told
			if err := json.Unmarshal(s.Bytes(), &l); err != nil {
				t.Logf("python: %s", s.Text())
				continue
			}
			lines <- l
		}
	}()
	t.Cleanup(func() { // the test's context has ended it
		<-ended
		_ = cmd.Wait()
	})
	return lines
}

func until(t *testing.T, what string, lines <-chan told, ok func(told) bool) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	var last told
	for {
		select {
		case l, more := <-lines:
			if !more {
				t.Fatalf("python ended before: %s; last it said %+v", what, last)
			}
			if last = l; ok(l) {
				return
			}
		case <-timeout:
			t.Fatalf("not within 30 s: %s; last python said %+v", what, last)
		}
	}
}

func answering(t *testing.T, status int32) string {
	t.Helper()
	always := new(atomic.Int32)
	always.Store(status)
	return serving(t, always)
}

func serving(t *testing.T, status *atomic.Int32) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	t.Cleanup(s.Close)
	return s.URL
}

func billing(t *testing.T, a *App, n int) (breakers []*switchgear.Breaker) {
	t.Helper()
	for i := range n {
		m := manager(t, "billing", fmt.Sprintf("billing-%d", i))
		l, err := link.Connect(m, "http://"+a.Address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		breakers = append(breakers, m.Breaker(switchgear.Key{Callee: "ledger"}))
	}
	return breakers
}

func call(b *switchgear.Breaker, o switchgear.Outcome) {
	if p, err := b.Acquire(); err == nil {
		p.Done(o)
	}
}

// keepFailing makes 200 calls a second that fail.
func keepFailing(ctx context.Context, b *switchgear.Breaker) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			call(b, switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.ServerError})
		}
	}
}

// Its own calls succeed, so that no rule of its own opens.
func TestACircuitThatTheFleetOpenedStopsPythonsCalls(t *testing.T) {
	a, stop := running(t, nil)
	breakers := billing(t, a, 3)
	lines := python(t, answering(t, http.StatusOK), "--daemon", "http://"+a.Address(), "--rate", "10", "--every", "0.3")
	until(t, "its calls go through", lines, func(l told) bool { return l.Succeeded > 0 && l.Linked && l.State == "STATE_CLOSED" })
	eventually(t, "three replicas and Python attached", func() bool { return a.gateway.attached() == 4 })
	ctx, cancel := context.WithCancel(t.Context())
	var failing sync.WaitGroup
	defer failing.Wait()
	defer cancel()
	for _, b := range breakers {
		failing.Go(func() { keepFailing(ctx, b) })
	}
	until(t, "its calls are rejected by the fleet's word", lines, func(l told) bool {
		return l.By == "fleet" && l.State != "STATE_CLOSED" && l.Rejected > 0 && l.Why != ""
	})
	stop()
	until(t, "the word stands without the daemon", lines, func(l told) bool { return !l.Linked && l.By == "fleet" })
}

func TestFailuresThatPythonSeesOpenTheFleetsCircuitAndItsProbesCloseIt(t *testing.T) {
	a, _ := running(t, nil)
	b := billing(t, a, 1)[0]
	call(b, switchgear.Outcome{Verdict: breaker.Success, Latency: time.Millisecond})
	var status atomic.Int32
	status.Store(http.StatusInternalServerError)
	url := serving(t, &status)
	var pythons []<-chan told
	for range 3 {
		pythons = append(pythons, python(t, url, "--daemon", "http://"+a.Address(), "--rate", "40", "--every", "0.3"))
	}
	eventually(t, "open in the replica that saw none of it", func() bool { return b.State() != breaker.Closed })
	for _, lines := range pythons {
		until(t, "open in Python too", lines, func(l told) bool { return l.State != "STATE_CLOSED" && l.Rejected > 0 })
	}
	// Only Python calls: its probes, by the leases that it is given, find the cure.
	status.Store(http.StatusOK)
	eventually(t, "closed in the replica that has not probed", func() bool { return b.State() == breaker.Closed })
	for _, lines := range pythons {
		until(t, "all of Python's calls go through again", lines, func(l told) bool { return l.State == "STATE_CLOSED" && l.Rejected == 0 && l.Succeeded > 0 })
	}
}

func TestWithoutADaemonPythonIsProtectedByItself(t *testing.T) {
	lines := python(t, answering(t, http.StatusInternalServerError), "--daemon", "http://127.0.0.1:1", "--rate", "100", "--every", "0.3")
	until(t, "its own rule opens", lines, func(l told) bool { return !l.Linked && l.By == "itself" && l.State == "STATE_OPEN" && l.Rejected > 0 })
}
