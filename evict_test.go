package switchgear_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/policy"
)

// limited is a manager of few breakers, and what it logs.
func limited(t *testing.T, most int, options ...switchgear.Option) (*switchgear.Manager, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	m, err := switchgear.New(switchgear.Config{
		Service: "checkout", MaxBreakers: most, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m, &log
}

func callee(i int) switchgear.Key { return switchgear.Key{Callee: fmt.Sprint("callee-", i)} }

func TestIdleBreakersAreGivenUpAndOpenOnesNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := limited(t, 100, byRate())
		for i := range 10 {
			_, _ = switchgear.Do(t.Context(), m.Breaker(callee(i)), work)
		}
		open := m.Breaker(switchgear.Key{Callee: "open"})
		for range 20 {
			_, _ = switchgear.Do(t.Context(), open, fail)
		}
		busy := m.Breaker(switchgear.Key{Callee: "busy"})
		for range 30 * 60 {
			_, _ = switchgear.Do(t.Context(), busy, work)
			time.Sleep(time.Second)
		}
		if s := m.Stats(); s.Evicted != 10 || s.Breakers != 2 {
			t.Errorf("%+v: want the ten idle ones given up, the open and the busy one kept", s)
		}
		if open.State() != switchgear.Open || m.Breaker(open.Key()) != open {
			t.Error("the open one is gone")
		}
	})
}

func TestABreakerThatIsHeldIsFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := limited(t, 100)
		held := m.Breaker(callee(0))
		_, _ = switchgear.Do(t.Context(), held, work)
		busy := m.Breaker(callee(1))
		for range 30 * 60 {
			_, _ = switchgear.Do(t.Context(), busy, work)
			time.Sleep(time.Second)
		}
		if m.Stats().Evicted != 1 {
			t.Fatal("nothing was given up: nothing is shown")
		}
		policies, err := policy.Decode([]byte(`[{"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":"seven"},"spec":{"consecutiveFailures":7}}]`))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.SetPolicies(policies); err != nil {
			t.Fatal(err)
		}
		if n := held.Circuit().Settings().Breaker.ConsecutiveFailures; n != 7 {
			t.Errorf("consecutiveFailures %d: a breaker that is held hears of policies", n)
		}
		if m.Breaker(callee(0)) != held {
			t.Error("a key has two breakers")
		}
	})
}

func TestKeysBeyondTheLimitShareABreaker(t *testing.T) {
	m, log := limited(t, 8)
	for i := range 100 {
		m.Breaker(callee(i))
	}
	s := m.Stats()
	if s.Breakers != 9 || s.Overflowed != 92 {
		t.Errorf("%+v: want 8 and the one that others share, 92 turned to it", s)
	}
	if m.Breaker(callee(99)).Key().Callee != "other" {
		t.Error("a key beyond the limit has a breaker of its own")
	}
	if n := strings.Count(log.String(), "too many breakers"); n != 1 {
		t.Errorf("logged %d times: want once\n%s", n, log)
	}
}

func TestAtTheLimitIdleBreakersMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := limited(t, 8)
		for i := range 8 {
			_, _ = switchgear.Do(t.Context(), m.Breaker(callee(i)), work)
		}
		time.Sleep(time.Minute)
		if k := m.Breaker(callee(8)).Key(); k != callee(8) {
			t.Errorf("got %v although others have been idle for a minute", k)
		}
	})
}

// A million keys that callers chose, each called once, leave no more than the
// limit behind.
func TestAMillionHostileKeysStayBounded(t *testing.T) {
	m, _ := limited(t, 1000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 1_000_000 {
		b := m.Breaker(callee(i))
		if p, err := b.Acquire(); err == nil {
			p.Done(switchgear.Outcome{})
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("grown by %d MB: want under 16", grown>>20)
	}
	if n := m.Stats().Breakers; n > 1001 {
		t.Errorf("%d breakers: want 1001 at most", n)
	}
}

func TestCircuitsOfTheConfigAreThereFromTheStart(t *testing.T) {
	m, err := switchgear.New(switchgear.Config{Service: "checkout", Circuits: []switchgear.Key{callee(1), callee(2)}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if n := m.Stats().Breakers; n != 2 {
		t.Errorf("%d breakers: want 2", n)
	}
	if _, err := switchgear.New(switchgear.Config{Service: "checkout", Circuits: []switchgear.Key{{Callee: "a\nb"}}}); err == nil {
		t.Error("a key that names no circuit is taken")
	}
	if _, err := switchgear.New(switchgear.Config{Service: "checkout", MaxBreakers: -1}); err == nil {
		t.Error("a negative limit is taken")
	}
}

// Look-ups run without a lock while breakers are made, evicted and found again.
func TestOneBreakerAKeyWhileOthersComeAndGo(t *testing.T) {
	m, _ := limited(t, 64)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				k := callee((i*7 + g) % 100)
				b := m.Breaker(k)
				if got := b.Key(); got != k && got.Callee != "other" {
					t.Errorf("asked for %v, got %v", k, got)
					return
				}
				if i%50 == 0 {
					runtime.GC()
				}
			}
		})
	}
	wg.Wait()
}
