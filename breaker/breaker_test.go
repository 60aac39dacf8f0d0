package breaker

import (
	"errors"
	"sync"
	"testing"
	"time"
)

// manual is a clock that a test sets, and a breaker on it.
type manual struct {
	*Breaker
	t     *testing.T
	now   time.Duration
	clock *Clock
}

func start(t *testing.T, s Settings, o Owner) *manual {
	t.Helper()
	s = s.WithDefaults()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	m := &manual{t: t, now: time.Hour}
	m.clock = NewClock(func() time.Duration { return m.now })
	m.clock.Advance(m.now)
	m.Breaker = New(&s, Options{Clock: m.clock, Seed: 1, Owner: o})
	return m
}

func (m *manual) pass(d time.Duration) {
	m.now += d
	m.clock.Advance(m.now)
}

func (m *manual) acquire() Permit {
	m.t.Helper()
	p, err := m.Acquire()
	if err != nil {
		m.t.Fatalf("not permitted: %v", err)
	}
	return p
}

func (m *manual) calls(n int, v Verdict) {
	m.t.Helper()
	for range n {
		p := m.acquire()
		p.Done(Outcome{Verdict: v})
	}
}

func (m *manual) rejects(reason Reason) {
	m.t.Helper()
	_, err := m.Acquire()
	if !errors.Is(err, reason.Err()) || !errors.Is(err, ErrNotPermitted) {
		m.t.Fatalf("error %v, want reason %v", err, reason)
	}
}

func (m *manual) is(s State) {
	m.t.Helper()
	if v := m.View(); v.State != s {
		m.t.Fatalf("state %v (%s), want %v", v.State, v.Why, s)
	}
}

// simple opens at half of ten calls, waits a second without jitter, probes once.
func simple() Settings {
	return Settings{
		FailureRateThreshold: 50, MinimumNumberOfCalls: 10,
		Wait:                                  Wait{Shape: WaitFixed, Base: time.Second},
		PermittedNumberOfCallsInHalfOpenState: 1,
	}
}

func TestOpensHalfOpensAndCloses(t *testing.T) {
	m := start(t, simple(), nil)
	m.calls(5, Success)
	m.calls(4, Failure)
	m.is(Closed)
	m.calls(1, Failure)
	m.is(Open)
	m.rejects(ReasonOpen)
	m.pass(time.Second)
	p := m.acquire()
	m.is(HalfOpen)
	m.rejects(ReasonHalfOpen)
	if !p.Done(Outcome{}) || p.Done(Outcome{}) {
		t.Error("a probe counts once")
	}
	m.is(Closed)
	n := m.Counts()
	if n.Succeeded != 6 || n.Failed != 5 || n.Permitted != 11 || n.Rejected[ReasonOpen] != 1 || n.Rejected[ReasonHalfOpen] != 1 {
		t.Errorf("counts %+v", n)
	}
}

func TestNothingLostUnderConcurrency(t *testing.T) {
	s := simple()
	s.MinimumNumberOfCalls = 1_000_000
	m := start(t, s, nil)
	var wg sync.WaitGroup
	const each = 20_000
	for g := range 8 {
		wg.Go(func() {
			for i := range each {
				p, err := m.Acquire()
				if err != nil {
					t.Error(err)
					return
				}
				o := Outcome{Latency: time.Millisecond}
				if (i+g)%10 == 0 {
					o.Verdict = Failure
				}
				p.Done(o)
			}
		})
	}
	wg.Wait()
	n := m.Counts()
	if n.Succeeded != 8*each*9/10 || n.Failed != 8*each/10 || n.Latency != time.Duration(n.Succeeded)*time.Millisecond {
		t.Errorf("counts %+v", n)
	}
	if w := m.View().Window; w.Calls != 8*each || w.Failed != 8*each/10 {
		t.Errorf("window %+v", w)
	}
}

func TestCallPathDoesNotAllocate(t *testing.T) {
	m := start(t, simple(), nil)
	o := Outcome{}
	check := func(name string, f func()) {
		t.Helper()
		for range 3000 {
			f()
		}
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations a call", name, n)
		}
	}
	call := func() {
		p, err := m.Acquire()
		defer p.Release()
		if err == nil {
			p.Done(o)
		}
	}
	check("closed", call)
	o.Verdict = Failure
	for m.View().State == Closed {
		call()
	}
	check("open", call)
}
