package breaker

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Each trap here is one that a published breaker fell into.

// recorder is an owner that calls back, as owners may.
type recorder struct {
	mu       sync.Mutex
	changes  []Transition
	active   int
	failed   int
	answers  []string
	callback func(*Breaker)
}

func (r *recorder) Rejected(_ *Breaker, x Rejection) error { return &NotPermittedError{x} }
func (r *recorder) Changed(b *Breaker, t Transition) {
	r.mu.Lock()
	r.changes = append(r.changes, t)
	r.mu.Unlock()
	if r.callback != nil {
		r.callback(b)
	}
}
func (r *recorder) Active(*Breaker) { r.mu.Lock(); r.active++; r.mu.Unlock() }
func (r *recorder) Failed(*Breaker) { r.mu.Lock(); r.failed++; r.mu.Unlock() }
func (r *recorder) Answered(_ *Breaker, token uint64, used bool, o Outcome) {
	r.mu.Lock()
	r.answers = append(r.answers, fmt.Sprint(token, used, o.Verdict))
	r.mu.Unlock()
}

// Hystrix#236: a dashboard that asks whether it is open stops recovery.
func TestReadingIsPure(t *testing.T) {
	trace := func(read func(*manual)) string {
		r := &recorder{}
		s := simple()
		s.Ramp = Ramp{StepPercents: []float64{30, 60}}
		s.Wait.JitterRatio = 0.5
		m := start(t, s, r)
		out := ""
		for i := range 4000 {
			read(m)
			m.pass(time.Duration(i%7) * 3 * time.Millisecond)
			p, err := m.Acquire()
			read(m)
			if err != nil {
				out += "-"
				continue
			}
			o := Outcome{}
			if i/500%2 == 1 {
				o.Verdict = Failure
			}
			out += fmt.Sprint(p.Done(o))
		}
		return out + fmt.Sprint(r.changes, r.active)
	}
	quiet := trace(func(*manual) {})
	read := trace(func(m *manual) {
		_, _, _, _ = m.View(), m.Snapshot(), m.State(), m.Settings()
		_, _ = m.Counts(), m.Totals()
	})
	if quiet != read {
		t.Error("readers change what happens")
	}
}

// Counts is for who reports: it asks to hear of the next failure. Totals is not.
func TestTotalsCountTheSameAndAskForNothing(t *testing.T) {
	r := &recorder{}
	m := start(t, simple(), r)
	m.calls(8, Success)
	m.calls(1, Failure)
	if m.Totals() != m.Counts() {
		t.Errorf("totals %+v, counts %+v", m.Totals(), m.Counts())
	}
	m.calls(1, Failure)
	told := r.failed
	m.Totals()
	m.calls(1, Failure)
	if r.failed != told {
		t.Errorf("told of %d failures after %d: Totals asked for more", r.failed, told)
	}
}

// failsafe-go, denoland/std#7306, gofiber/contrib#2350.
func TestLateSuccessDoesNotClose(t *testing.T) {
	m := start(t, simple(), nil)
	late := make([]Permit, 3)
	for i := range late {
		late[i] = m.acquire()
	}
	m.calls(10, Failure)
	if late[0].Done(Outcome{}) {
		t.Error("late in open: counted")
	}
	m.pass(time.Second)
	p := m.acquire()
	if late[1].Done(Outcome{}) {
		t.Error("late in half open: counted")
	}
	m.is(HalfOpen)
	p.Done(Outcome{})
	if late[2].Done(Outcome{Verdict: Failure}) {
		t.Error("late in closed: counted")
	}
	if n := m.Counts(); n.LateSucceeded != 2 || n.LateFailed != 1 || m.View().Window.Calls != 0 {
		t.Errorf("%+v", n)
	}
}

// resilience4j#903, #935: six days half open.
func TestLostProbeDoesNotStayHalfOpen(t *testing.T) {
	s := simple()
	s.MaxWaitDurationInHalfOpenState = time.Second
	m := start(t, s, nil)
	m.calls(10, Failure)
	m.pass(time.Second)
	lost := m.acquire()
	m.rejects(ReasonHalfOpen)
	m.pass(time.Second)
	p := m.acquire()
	if lost.Done(Outcome{Verdict: Failure}) || !p.Done(Outcome{}) {
		t.Error("the lost probe decides nothing, the second one does")
	}
	m.is(Closed)
}

// eapache lets 100 calls through at a limit of 1, rubyist 2.
func TestHalfOpenNeverExceedsPermits(t *testing.T) {
	s := simple()
	s.PermittedNumberOfCallsInHalfOpenState = 3
	m := start(t, s, nil)
	m.calls(10, Failure)
	m.pass(time.Second)
	var through atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := m.Acquire(); err == nil {
				through.Add(1)
			}
		})
	}
	wg.Wait()
	if through.Load() != 3 {
		t.Errorf("%d calls, want 3", through.Load())
	}
}

func TestConcurrencyLimitIsExact(t *testing.T) {
	s := simple()
	s.MaxConcurrentCalls = 5
	m := start(t, s, nil)
	var now, most, rejected atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 2000 {
				p, err := m.Acquire()
				if err != nil {
					rejected.Add(1)
					continue
				}
				n := now.Add(1)
				for o := most.Load(); n > o && !most.CompareAndSwap(o, n); o = most.Load() {
				}
				now.Add(-1)
				p.Release()
			}
		})
	}
	wg.Wait()
	n := m.Counts()
	if most.Load() > 5 || n.Rejected[ReasonConcurrency] != uint64(rejected.Load()) || n.Released+uint64(rejected.Load()) != 32000 || m.View().InFlight != 0 {
		t.Errorf("at most %d at once; %+v", most.Load(), n)
	}
}

// go-zero#5551, r4j#1062, cerberus#2900: own rejections are no failures.
func TestOwnRejectionsAreNoEvidence(t *testing.T) {
	s := simple()
	s.MaxConcurrentCalls = 1
	m := start(t, s, nil)
	p := m.acquire()
	for range 1000 {
		m.rejects(ReasonConcurrency)
	}
	p.Done(Outcome{})
	if w := m.View().Window; w.Calls != 1 || w.Failed != 0 {
		t.Errorf("%+v", w)
	}
}

// cockroach#35433, smg#2565: cancels neither open, nor close, nor break a streak.
func TestIgnoredMovesNothing(t *testing.T) {
	s := simple()
	s.ConsecutiveFailures = 3
	m := start(t, s, nil)
	m.calls(2, Failure)
	m.calls(50, Ignored)
	m.calls(50, Inherited)
	if w := m.View().Window; w != (Window{Calls: 2, Failed: 2, Consecutive: 2}) {
		t.Errorf("%+v", w)
	}
	m.calls(1, Failure)
	m.is(Open)
	m.pass(time.Second)
	m.calls(5, Ignored)
	m.is(HalfOpen)
	if n := m.Counts(); n.Ignored != 55 || n.Inherited != 50 {
		t.Errorf("%+v", n)
	}
}

// A policy change that makes a new breaker loses what the old one knew.
func TestUpdateKeepsStateAndCounts(t *testing.T) {
	m := start(t, simple(), nil)
	m.calls(4, Failure)
	s := simple().WithDefaults()
	s.FailureRateThreshold = 80
	m.Update(&s)
	if w := m.View(); w.Window.Failed != 4 || w.Generation != 1 {
		t.Errorf("%+v", w)
	}
	m.calls(6, Failure)
	m.is(Open)
	before := m.View()
	m.Update(&s)
	if after := m.View(); after != before {
		t.Errorf("%+v, before %+v", after, before)
	}
}

// gobreaker: a query within the callback deadlocks; failsafe-go resumes in
// another state.
func TestOwnerMayCallTheBreaker(t *testing.T) {
	r := &recorder{}
	r.callback = func(b *Breaker) {
		_ = b.View()
		if p, err := b.Acquire(); err == nil {
			p.Done(Outcome{})
		}
		if b.View().Transitions < 20 {
			b.SetMode(Mode(b.View().Transitions%2), "from the callback")
		}
	}
	m := start(t, simple(), r)
	m.calls(10, Failure)
	if len(r.changes) != 20 {
		t.Fatalf("%d changes", len(r.changes))
	}
	for i, c := range r.changes[1:] {
		if before := r.changes[i]; c.From != before.To || c.FromMode != before.ToMode || c.Generation <= before.Generation {
			t.Errorf("change %d %+v after %+v", i+1, c, before)
		}
	}
}

func TestOwnerThatPanicsIsToldAgain(t *testing.T) {
	r := &recorder{}
	r.callback = func(*Breaker) { panic("owner") }
	m := start(t, simple(), r)
	func() {
		defer func() { _ = recover() }()
		m.calls(10, Failure)
	}()
	r.callback = nil
	m.is(Open)
	m.pass(time.Second)
	m.calls(1, Success)
	if len(r.changes) != 3 {
		t.Errorf("%d changes", len(r.changes))
	}
}

func TestChangesComeInOrderUnderConcurrency(t *testing.T) {
	r := &recorder{}
	m := start(t, simple(), r)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 300 {
				if (g+i)%3 == 0 {
					m.SetMode(Mode((g+i)%4), "")
				}
				if p, err := m.Acquire(); err == nil {
					p.Done(Outcome{Verdict: Verdict(i % 2)})
				}
			}
		})
	}
	wg.Wait()
	for i, c := range r.changes[1:] {
		if before := r.changes[i]; c.From != before.To || c.FromMode != before.ToMode || c.Generation <= before.Generation {
			t.Fatalf("change %d %+v after %+v", i+1, c, before)
		}
	}
	if v := m.View(); int(v.Transitions) != len(r.changes) {
		t.Errorf("%d transitions, told of %d", v.Transitions, len(r.changes))
	}
}

// Hystrix#1647: all replicas come back at once.
func TestJitterAndPhaseDifferBySeed(t *testing.T) {
	waits, firsts := map[time.Duration]bool{}, map[int]bool{}
	for seed := range uint64(50) {
		s := simple()
		s.Wait.JitterRatio = 0.5
		s = s.WithDefaults()
		now := time.Hour
		b := New(&s, Options{Clock: NewClock(func() time.Duration { return now }), Seed: seed})
		b.Direct(Direction{Share: 0.1, Generation: 1, Until: now + time.Minute})
		for i := range 11 {
			if p, err := b.Acquire(); err == nil {
				firsts[i] = true
				p.Release()
				break
			}
		}
		b.Direct(Direction{Share: 1, Generation: 2, Until: now + time.Minute})
		for b.View().State == Closed {
			p, _ := b.Acquire()
			p.Done(Outcome{Verdict: Failure})
		}
		b.Direct(Direction{State: Open, Generation: 3, Until: now + 1})
		now += 2
		b.Expire(now)
		wait := b.View().Until - now
		if wait < 499*time.Millisecond || wait > 1501*time.Millisecond {
			t.Errorf("wait %v", wait)
		}
		waits[wait] = true
	}
	if len(waits) < 45 || len(firsts) < 6 {
		t.Errorf("%d waits, %d phases of 50 seeds", len(waits), len(firsts))
	}
}

func TestShareIsExactUnderConcurrency(t *testing.T) {
	m := start(t, simple(), nil)
	m.Direct(Direction{Share: 0.25, Generation: 1, Until: m.now + time.Minute})
	var through atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if p, err := m.Acquire(); err == nil {
					through.Add(1)
					p.Done(Outcome{})
				}
			}
		})
	}
	wg.Wait()
	if n := through.Load(); n != 2000 {
		t.Errorf("%d of 8000 admitted, want 2000", n)
	}
}

// A panic or a forgotten outcome must free what the permit occupied.
func TestReleaseFreesAProbe(t *testing.T) {
	m := start(t, simple(), nil)
	m.calls(10, Failure)
	m.pass(time.Second)
	func() {
		defer func() { _ = recover() }()
		p := m.acquire()
		defer p.Release()
		panic("call")
	}()
	m.calls(1, Success)
	m.is(Closed)
}

func TestCopiedProbePermitCountsOnce(t *testing.T) {
	s := simple()
	s.PermittedNumberOfCallsInHalfOpenState = 2
	m := start(t, s, nil)
	m.calls(10, Failure)
	m.pass(time.Second)
	p := m.acquire()
	q := p
	if !p.Done(Outcome{}) || q.Done(Outcome{}) {
		t.Error("a probe's copy counted")
	}
	m.is(HalfOpen)
}

// Late outcomes of many goroutines while the state changes: each is counted once.
func TestNothingLostOrTwiceAcrossTransitions(t *testing.T) {
	m := start(t, simple(), nil)
	var counted, late, rejected, ended atomic.Uint64
	var wg, flips sync.WaitGroup
	stop := make(chan struct{})
	flips.Go(func() {
		for g := uint64(1); ; g++ {
			select {
			case <-stop:
				return
			default:
				m.Direct(Direction{State: State(g % 3), Share: 0.7, Generation: g, Until: math.MaxInt64})
			}
		}
	})
	for g := range 8 {
		wg.Go(func() {
			for i := range 20_000 {
				p, err := m.Acquire()
				if err != nil {
					rejected.Add(1)
					continue
				}
				v := Success
				if (g+i)%5 == 0 {
					v = Failure
				}
				if p.Done(Outcome{Verdict: v, Latency: 1}) {
					counted.Add(1)
				} else {
					late.Add(1)
				}
				ended.Add(1)
			}
		})
	}
	wg.Wait()
	close(stop)
	flips.Wait()
	n := m.Counts()
	sum := uint64(0)
	for _, r := range n.Rejected {
		sum += r
	}
	if n.Succeeded+n.Failed != counted.Load() || n.LateSucceeded+n.LateFailed != late.Load() || sum != rejected.Load() || n.Permitted != ended.Load() || n.Latency != time.Duration(n.Succeeded) {
		t.Errorf("counted %d, late %d, rejected %d; %+v", counted.Load(), late.Load(), rejected.Load(), n)
	}
}

func TestSlowRuleFinerThanTheClock(t *testing.T) {
	s := Settings{SlowCallRateThreshold: 100, SlowCallDurationThreshold: 2 * time.Millisecond, MinimumNumberOfCalls: 2}
	m := start(t, s, nil)
	for range 2 {
		p := m.acquire()
		m.now += 2 * time.Millisecond // the coarse cell stands still
		p.Done(Outcome{})
	}
	m.is(Open)
}

func TestParkedClockIsExactAndWakes(t *testing.T) {
	s := simple().WithDefaults()
	now, woken := time.Second, 0
	clock := NewClock(func() time.Duration { return now }).OnWake(func() { woken++ })
	b := New(&s, Options{Clock: clock})
	p, _ := b.Acquire()
	now += time.Second
	p.Done(Outcome{})
	if n := b.Counts(); woken != 1 || n.Latency != time.Second || !clock.Parked() {
		t.Errorf("woken %d, %+v", woken, n)
	}
	clock.Advance(now)
	if q, _ := b.Acquire(); clock.Parked() || woken != 1 || q.start != now {
		t.Error("an advanced clock is read")
	}
}

func TestOwnerHearsOfActivityAndFailuresOnce(t *testing.T) {
	r := &recorder{}
	s := simple()
	s.FailureRateThreshold = 100
	m := start(t, s, r)
	m.calls(20, Success)
	m.calls(20, Failure)
	if r.active != 1 || r.failed != 1 {
		t.Errorf("active %d, failed %d", r.active, r.failed)
	}
	m.Counts()
	m.calls(5, Failure)
	m.pass(time.Second)
	m.calls(5, Success)
	if r.active != 2 || r.failed != 2 {
		t.Errorf("active %d, failed %d", r.active, r.failed)
	}
}

func TestStrategyOpens(t *testing.T) {
	s := Settings{Strategy: func(w Window) (bool, string) { return w.Failed > 2, fmt.Sprint(w.Failed, " failed") }}
	m := start(t, s, nil)
	m.calls(2, Failure)
	m.is(Closed)
	m.calls(1, Failure)
	m.is(Open)
	if why := m.View().Why; why != "3 failed" {
		t.Errorf("why %q", why)
	}
}
