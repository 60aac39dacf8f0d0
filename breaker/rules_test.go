package breaker

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestUnknownValuesAreSafe(t *testing.T) {
	m := start(t, simple(), nil)
	p := m.acquire()
	if !p.Done(Outcome{Verdict: 77, Kind: 200, Latency: -5, Attempt: 255}) {
		t.Error("not counted")
	}
	if n := m.Counts(); n.Failed != 1 || n.Kinds[NoKind] != 1 || n.RetriedFailed != 1 {
		t.Errorf("%+v", n)
	}
	m.Direct(Direction{State: 9, Share: math.NaN(), Generation: 1, Until: m.now + 1})
	m.is(Closed)
	m.SetMode(9, "")
	var zero Permit
	zero.Release()
	if zero.Done(Outcome{}) || m.View().Mode != Enforce {
		t.Error("a zero permit counts")
	}
}

func TestErrorsAreTyped(t *testing.T) {
	m := start(t, simple(), nil)
	m.calls(10, Failure)
	_, err := m.Acquire()
	e, ok := errors.AsType[*NotPermittedError](err)
	if !ok || e.Reason != ReasonOpen || e.RetryAfter != time.Second || e.State != Open || !errors.Is(err, ErrNotPermitted) || !errors.Is(err, ErrOpen) || errors.Is(err, ErrForced) {
		t.Errorf("%#v", err)
	}
	if _, again := m.Acquire(); again != err {
		t.Error("a rejection is made once per refresh")
	}
	m.pass(refresh)
	if _, again := m.Acquire(); again == err {
		t.Error("retry after is as old as the first rejection")
	}
}

// A busy breaker counts in other cells, and opens at the same call.
func TestBusyBreakerOpensAtTheSameCall(t *testing.T) {
	for _, busy := range []bool{false, true} {
		m := start(t, simple(), nil)
		if busy {
			m.open().widen()
		}
		m.calls(3000, Success)
		m.pass(5 * time.Second)
		m.calls(1500, Success)
		m.pass(5 * time.Second) // the first 3000 have left the window
		m.calls(1499, Failure)
		m.is(Closed)
		m.calls(1, Failure)
		m.is(Open)
		if n := m.Counts(); n.Succeeded != 4500 || n.Failed != 1500 || n.Kinds[NoKind] != 1500 {
			t.Errorf("busy %v: %+v", busy, n)
		}
	}
}

func TestTallyCountsEachOutcomeOnce(t *testing.T) {
	var tally Tally
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				tally.Add(Outcome{Verdict: Verdict(i % 4), Kind: ServerError, Attempt: uint8(i % 8 / 4)}, time.Millisecond)
			}
		})
	}
	wg.Wait()
	n := tally.Counts()
	if n.Succeeded != 1000 || n.Failed != 1000 || n.Ignored != 1000 || n.Inherited != 1000 || n.Latency != time.Second || n.Permitted != 4000 {
		t.Errorf("%+v", n)
	}
}

func TestSnapshotRestoresWithinBounds(t *testing.T) {
	m := start(t, simple(), nil)
	m.Restore(Snapshot{State: Open, Wait: 1 << 60, Age: -5, OutageAge: -1, FailedTrials: -3, Why: "before"})
	m.is(Open)
	if v := m.View(); v.Until-m.now > 10*time.Second || v.Why != "before" {
		t.Errorf("%+v", v)
	}
	n := start(t, simple(), nil)
	n.Restore(Snapshot{State: Closed, Share: 0.25})
	if v := n.View(); v.State != Closed || v.Share > 0.25 || v.Share < 0.1 {
		t.Errorf("%+v", v)
	}
	n.calls(0, Success)
	n.pass(10 * time.Second)
	n.Acquire()
	n.Acquire()
	if v := n.View(); v.Share != 1 {
		t.Errorf("%+v", v)
	}
}

// The same, once the new generation counts without the lock again.
func TestLateSuccessIsLateWithoutTheLock(t *testing.T) {
	for _, busy := range []bool{false, true} {
		m := start(t, simple(), nil)
		if busy {
			m.open().widen()
		}
		late := m.acquire()
		m.calls(10, Failure)
		m.pass(time.Second)
		m.calls(10, Success)
		if late.Done(Outcome{}) {
			t.Errorf("busy %v: counted", busy)
		}
		if n, w := m.Counts(), m.View().Window; n.LateSucceeded != 1 || n.Succeeded != 10 || w.Calls != 9 {
			t.Errorf("busy %v: %+v, window %+v", busy, n, w)
		}
	}
}

func TestShadowCallsAreNoEvidence(t *testing.T) {
	s := simple()
	s.Mode = MetricsOnly
	m := start(t, s, nil)
	m.calls(10, Failure)
	m.is(Open)
	for i := range 4 {
		p := m.acquire()
		if !p.Shadow() || p.Done(Outcome{Verdict: Verdict(i % 2)}) {
			t.Error("a shadow call counted")
		}
	}
	if n := m.Counts(); n.Failed != 10 || n.Succeeded != 0 || n.Shadow != 4 || n.ShadowFailed != 2 || n.Permitted != 14 {
		t.Errorf("%+v", n)
	}
}

func TestChangesFromWithinChangedComeAfterIt(t *testing.T) {
	var m *manual
	var got []uint64
	m = start(t, simple(), orderly(func(b *Breaker, tr Transition) {
		if tr.Generation < 10 {
			b.SetMode(Mode((tr.Generation+1)%2), "")
		}
		got = append(got, tr.Generation)
	}))
	m.calls(10, Failure)
	if len(got) < 8 || !slices.IsSorted(got) {
		t.Errorf("generations %v", got)
	}
}

// orderly is an owner that hears of changes only.
type orderly func(*Breaker, Transition)

func (orderly) Rejected(_ *Breaker, x Rejection) error   { return &NotPermittedError{x} }
func (f orderly) Changed(b *Breaker, t Transition)       { f(b, t) }
func (orderly) Active(*Breaker)                          {}
func (orderly) Failed(*Breaker)                          {}
func (orderly) Answered(*Breaker, uint64, bool, Outcome) {}

func TestModeKeepsTheWindow(t *testing.T) {
	m := start(t, simple(), nil)
	m.calls(3, Success)
	m.calls(4, Failure)
	m.SetMode(MetricsOnly, "watch")
	m.SetMode(Enforce, "act")
	if w := m.View().Window; w.Calls != 7 || w.Failed != 4 {
		t.Errorf("%+v", w)
	}
	m.calls(3, Failure)
	m.is(Open)
	m.SetMode(Off, "stop")
	m.calls(30, Failure)
	m.ClearMode()
	if v := m.View(); v.State != Open || v.Window.Calls != 0 {
		t.Errorf("%+v", v)
	}
}

func TestStrategyThatPanicsLeavesTheBreakerWhole(t *testing.T) {
	bad := true
	s := Settings{ConsecutiveFailures: 3, Strategy: func(Window) (bool, string) {
		if bad {
			panic("strategy")
		}
		return false, ""
	}}
	m := start(t, s, nil)
	func() {
		defer func() { _ = recover() }()
		m.calls(1, Failure)
	}()
	bad = false
	m.calls(2, Failure)
	m.is(Open)
}

func TestReadsBeforeTheFirstCall(t *testing.T) {
	m := start(t, simple(), nil)
	if m.Counts() != (Counts{}) || m.View().Window != (Window{}) || m.View().Share != 1 || m.Snapshot() != (Snapshot{Share: 1}) {
		t.Error("something is there already")
	}
	m.Expire(m.now)
	if m.core.Load() != nil {
		t.Error("reading allocates what calls need")
	}
}

func TestDefaultsAreValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	bad := Settings{FailureRateThreshold: 150, WindowSize: 10, ConsecutiveFailures: -1}.WithDefaults()
	err := bad.Validate()
	for _, field := range []string{"failureRateThreshold", "consecutiveFailures", "minimumNumberOfCalls"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v: want %s", err, field)
		}
	}
}

func TestWordsRoundTrip(t *testing.T) {
	type word interface {
		MarshalText() ([]byte, error)
		String() string
	}
	check := func(w word, back func([]byte) error) {
		t.Helper()
		text, err := w.MarshalText()
		if err != nil || back(text) != nil || string(text) != w.String() || strings.Contains(w.String(), "unknown") {
			t.Errorf("%v: %q, %v", w, text, err)
		}
		if back([]byte("nonsense")) == nil {
			t.Errorf("%T reads nonsense", w)
		}
	}
	for i := range uint8(3) {
		s, w := State(i), WaitShape(i)
		check(s, s.UnmarshalText)
		check(w, w.UnmarshalText)
	}
	for i := range uint8(4) {
		m := Mode(i)
		check(m, m.UnmarshalText)
	}
	for r := range reasons {
		check(r, r.UnmarshalText)
	}
	for k := range Kinds {
		check(k, k.UnmarshalText)
	}
	if State(9).String() != "unknown(9)" {
		t.Error("an unknown state has no word")
	}
}

func TestDirectedHalfOpenAdmitsItsShare(t *testing.T) {
	for _, share := range []float64{0, 0.5, 1} {
		m := start(t, simple(), nil)
		m.Direct(Direction{State: HalfOpen, Share: share, Generation: 1, Until: m.now + time.Minute})
		through := 0
		for range 100 {
			if p, err := m.Acquire(); err == nil {
				through++
				p.Done(Outcome{Verdict: Failure})
			} else if !errors.Is(err, ErrHalfOpen) {
				t.Fatal(err)
			}
		}
		if m.is(HalfOpen); through != int(100*share) {
			t.Errorf("%d of 100 at a share of %v", through, share)
		}
		// Afterwards it probes by itself.
		m.pass(time.Minute)
		m.calls(1, Success)
		m.is(Closed)
	}
}

func TestAShareOfProbesEndsSoonerThanTheWord(t *testing.T) {
	m := start(t, simple(), nil)
	word := func() {
		m.Direct(Direction{State: HalfOpen, Share: 1, Generation: 1, Until: m.now + time.Minute, Probing: m.now + 5*time.Second})
	}
	word()
	m.pass(4 * time.Second)
	word() // renewed, under the same generation
	m.pass(4 * time.Second)
	m.calls(1, Failure)
	m.is(HalfOpen)
	m.pass(time.Second)
	if due := m.Due(); due > m.now {
		t.Errorf("the end of the probes is due in %v, want now", due-m.now)
	}
	m.Expire(m.now)
	m.is(Open)
	if _, err := m.Acquire(); !errors.Is(err, ErrOpen) {
		t.Errorf("%v after the last word for probes: want none let out", err)
	}
	word() // control is back, and says what it said
	m.is(HalfOpen)
	m.calls(1, Failure)
	m.pass(5 * time.Second)
	m.Expire(m.now)
	m.is(Open)
	m.pass(55 * time.Second) // the word's own end: half open it was, and an own trial begins
	m.Expire(m.now)
	m.is(HalfOpen)
	m.calls(1, Success)
	m.is(Closed)
}
