package fleet

import (
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

var (
	web  = policy.Service{Namespace: "t", Name: "web"}
	cart = policy.Service{Namespace: "t", Name: "cart"}
	edge = policy.Circuit{Caller: web, Callee: cart}
)

// process is a replica whose time is turned by hand.
type process struct {
	*Replica
	t     *testing.T
	now   time.Duration
	clock *breaker.Clock

	guarded []*Circuit
}

// shell is the process as its replica sees it.
type shell process

func (*shell) Rejected(_ *Circuit, _ string, r breaker.Rejection) error { return r.Reason.Err() }
func (*shell) Changed(*Circuit, string, breaker.Transition)             {}
func (*shell) Due()                                                     {}
func (p *shell) Find(id policy.Circuit) *Circuit {
	for _, c := range p.guarded {
		if c.ID == id {
			return c
		}
	}
	return nil
}

func newProcess(t *testing.T) *process {
	t.Helper()
	p := &process{t: t, now: time.Second}
	p.clock = breaker.NewClock(func() time.Duration { return p.now })
	p.Replica = NewReplica(ReplicaID{Service: web, Name: "web-1", Incarnation: 1}, p.clock, 1, (*shell)(p))
	p.Hello(p.now, "test")
	return p
}

func (p *process) pass(d time.Duration) {
	p.now += d
	p.clock.Advance(p.now)
}

func (p *process) guard() *Circuit {
	s := policy.Default()
	c := p.Guard(edge, &s)
	p.guarded = append(p.guarded, c)
	return c
}

func (p *process) call(c *Circuit, o breaker.Outcome) (permitted bool) {
	permit, err := c.Breaker.Acquire()
	if err != nil {
		return false
	}
	permit.Done(o)
	return true
}

var failure = breaker.Outcome{Verdict: breaker.Failure, Kind: breaker.Timeout}

// report that must be due now.
func (p *process) report() Report {
	p.t.Helper()
	r, ok := p.Report(p.now)
	if !ok {
		p.t.Fatal("nothing to report")
	}
	return r
}

func said(counter uint64, g Gate) Directive {
	return Directive{Circuit: edge, Epoch: Epoch{Incarnation: 1, Counter: counter, Daemon: "d"}, TTL: time.Minute, Enforce: true, Gate: g}
}

func TestCalmReportsOnceASecondAndIdleOnesNever(t *testing.T) {
	p := newProcess(t)
	if _, ok := p.Report(p.now); ok {
		t.Error("a replica without circuits reports")
	}
	c := p.guard()
	p.call(c, breaker.Outcome{})
	first := p.Due(p.now)
	if wait := first - p.now; wait <= 0 || wait > CalmInterval {
		t.Errorf("first report due in %v: want within %v", wait, CalmInterval)
	}
	p.pass(first - p.now)
	r := p.report()
	if len(r.Circuits) != 1 || r.Circuits[0].Settings == nil || r.Circuits[0].Cells[0].Buckets[0].Succeeded != 1 {
		t.Errorf("report %+v: want one success, with settings the first time", r)
	}
	if next := p.Due(p.now) - p.now; next != CalmInterval {
		t.Errorf("next report due in %v: want %v", next, CalmInterval)
	}
	p.pass(forgetIdle + time.Second)
	p.Sample(p.now)
	if !p.Idle() {
		t.Error("a circuit that nobody calls is still active")
	}
}

func TestFailuresAreUrgent(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	p.call(c, breaker.Outcome{})
	p.pass(p.Due(p.now) - p.now)
	p.report()
	p.pass(300 * time.Millisecond)
	p.call(c, failure)
	if wait := p.Due(p.now) - p.now; wait != UrgentGather {
		t.Errorf("after a failure a report is due in %v: want %v", wait, UrgentGather)
	}
	p.pass(UrgentGather)
	r := p.report()
	got := r.Circuits[0].Cells[0].Buckets[0]
	if got.Failed != 1 || got.Kinds[breaker.Timeout] != 1 || got.Offered != 1 {
		t.Errorf("bucket %+v: want one time-out", got)
	}
	p.call(c, failure)
	if wait := p.Due(p.now) - p.now; wait != UrgentInterval {
		t.Errorf("the next urgent report is due in %v: want %v", wait, UrgentInterval)
	}
}

func TestAgesAreCountedFromTheSendersClock(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	p.call(c, breaker.Outcome{})
	p.Sample(p.now)
	p.pass(700 * time.Millisecond)
	p.call(c, breaker.Outcome{})
	p.Sample(p.now)
	p.pass(200 * time.Millisecond)
	b := p.report().Circuits[0].Cells[0].Buckets
	if len(b) != 2 || b[0].Age != 900*time.Millisecond || b[1].Age != 200*time.Millisecond {
		t.Errorf("buckets %+v: want ages of 900 and 200 ms", b)
	}
}

func TestEvidenceThatWaitsIsFoldedNotLost(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	for range 200 {
		p.call(c, breaker.Outcome{})
		p.pass(BucketWidth)
		p.Sample(p.now)
	}
	total, buckets := uint32(0), p.report().Circuits[0].Cells[0].Buckets
	for _, b := range buckets {
		total += b.Succeeded
	}
	if total != 200 || len(buckets) > maxPending {
		t.Errorf("%d calls in %d buckets: want 200 in at most %d", total, len(buckets), maxPending)
	}
}

func TestLabelledCallsAreCountedOnce(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	labelled := c.Tally("/pay", "10.0.0.1:80")
	for i := range 10 {
		permit, err := c.Breaker.Acquire()
		if err != nil {
			t.Fatal(err)
		}
		if counted := permit.Done(breaker.Outcome{}); counted && i < 6 {
			labelled.Add(breaker.Outcome{}, time.Millisecond)
		}
	}
	counts := map[string]uint32{}
	for _, x := range p.report().Circuits[0].Cells {
		for _, b := range x.Buckets {
			counts[x.Route+"@"+x.Instance] += b.Succeeded
		}
	}
	if counts["/pay@10.0.0.1:80"] != 6 || counts["@"] != 4 || len(counts) != 2 {
		t.Errorf("counts %v: want 6 labelled and 4 not", counts)
	}
}

func TestNewerDirectivesWin(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	p.Obey(p.now, said(5, Gate{State: breaker.Open, Generation: 3, Reason: "five"}))
	p.Obey(p.now, said(4, Gate{Share: 1, Generation: 4, Reason: "four"}))
	if c.Breaker.View().State != breaker.Open {
		t.Error("an older directive was obeyed")
	}
	p.Obey(p.now, said(6, Gate{Share: 1, Generation: 4, Reason: "six"}))
	if c.Breaker.View().State != breaker.Closed {
		t.Error("a newer directive was ignored")
	}
}

func TestDirectivesEndWithTheirTime(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	p.Obey(p.now, said(1, Gate{State: breaker.Open, Generation: 1}))
	p.pass(59 * time.Second)
	p.Sample(p.now)
	if p.call(c, breaker.Outcome{}) {
		t.Error("a call was let through before the directive's time was over")
	}
	p.pass(20 * time.Second) // its end, and the breaker's own wait
	p.Sample(p.now)
	p.pass(20 * time.Second)
	if !p.call(c, breaker.Outcome{}) {
		t.Error("no probe of the breaker's own after the directive's time was over")
	}
}

func TestShownDirectivesAreNotObeyed(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	d := said(1, Gate{State: breaker.Open, Generation: 1})
	d.Enforce = false
	p.Obey(p.now, d)
	if !p.call(c, breaker.Outcome{}) {
		t.Error("a directive that is only shown stopped a call")
	}
}

func TestALeaseIsOneProbeHoweverOftenItIsHeard(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	d := said(1, Gate{State: breaker.HalfOpen, Generation: 1})
	d.Leases = []Lease{{Token: 9, TTL: time.Second}}
	p.Obey(p.now, d)
	d.Epoch.Counter++
	p.Obey(p.now, d)
	if !p.call(c, breaker.Outcome{}) || p.call(c, breaker.Outcome{}) {
		t.Error("one lease let through none or two calls")
	}
	a := p.report().Answers
	if len(a) != 1 || a[0].Token != 9 || !a[0].Used || a[0].Verdict != breaker.Success {
		t.Errorf("answers %+v: want one, good", a)
	}
}

func TestAnUnusedLeaseComesBack(t *testing.T) {
	p := newProcess(t)
	p.guard()
	d := said(1, Gate{State: breaker.HalfOpen, Generation: 1})
	d.Leases = []Lease{{Token: 9, TTL: time.Second}}
	p.Obey(p.now, d)
	p.pass(1100 * time.Millisecond)
	p.Sample(p.now)
	if a := p.report().Answers; len(a) != 1 || a[0].Used {
		t.Errorf("answers %+v: want the lease back, unused", a)
	}
}

func TestADirectiveWaitsForItsCircuit(t *testing.T) {
	p := newProcess(t)
	p.Obey(p.now, said(1, Gate{State: breaker.Open, Generation: 1}))
	p.pass(time.Second)
	c := p.guard()
	p.Sample(p.now)
	if p.call(c, breaker.Outcome{}) {
		t.Error("a new circuit does not obey what was said before its first call")
	}
	stranger := said(2, Gate{State: breaker.Open, Generation: 1})
	stranger.Circuit.Caller.Name = "someone-else"
	p.Obey(p.now, stranger)
	if len(p.early) != 0 {
		t.Error("a directive for another service's circuit was kept")
	}
	for i := range 2 * maxEarly {
		d := said(uint64(i), Gate{})
		d.Circuit.Callee.Name = string(rune('a'+i%26)) + string(rune('0'+i/26%10)) + string(rune('A'+i/260))
		p.Obey(p.now, d)
	}
	if len(p.early) > maxEarly {
		t.Errorf("%d directives wait for circuits: want at most %d", len(p.early), maxEarly)
	}
}

func TestHelloTellsWhatIsHeldWithTheTimeThatIsLeft(t *testing.T) {
	p := newProcess(t)
	p.guard()
	p.Obey(p.now, said(7, Gate{State: breaker.Open, Generation: 3, Reason: "why"}))
	p.pass(20 * time.Second)
	h := p.Hello(p.now, "v")
	if len(h.Held) != 1 || h.Held[0].TTL != 40*time.Second || h.Held[0].Reason != "why" || h.Held[0].Epoch.Counter != 7 {
		t.Errorf("hello %+v: want the directive with 40 s left", h)
	}
}

func TestTheLastReportIsFinal(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	p.call(c, breaker.Outcome{})
	if r := p.Final(p.now); !r.Final || r.Circuits[0].Cells[0].Buckets[0].Succeeded != 1 {
		t.Errorf("final report %+v: want all that was counted", r)
	}
	if r := p.Final(p.now); !r.Final || r.Sequence != 2 {
		t.Errorf("second final report %+v: want it, though empty", r)
	}
}

func TestLabelsAreBounded(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	for i := range 2 * maxLabels {
		name := string(rune('a'+i%26)) + string(rune('0'+i/26%10)) + string(rune('A'+i/260))
		tally, instance := c.Tally(name, ""), c.Instance(name)
		if over := i >= maxLabels; (tally == nil) != over || (instance == nil) != over {
			t.Fatalf("label %d: tally %v, instance %v", i, tally != nil, instance != nil)
		}
	}
}

// Wake lets a shell sleep: what time brings is due then, and not before.
func TestWakeIsWhenTimeBringsSomething(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	wake := func() time.Duration { p.Sample(p.now); return p.Wake() }
	p.call(c, breaker.Outcome{})
	if at := wake(); at < time.Hour {
		t.Errorf("a calm circuit is due at %v", at)
	}
	p.Obey(p.now, said(1, Gate{Share: 1, Generation: 1}))
	if at := wake() - p.now; at != time.Minute {
		t.Errorf("with a directive it is due in %v: want its end, a minute", at)
	}
	d := said(2, Gate{State: breaker.HalfOpen, Generation: 2})
	d.Leases = []Lease{{Token: 1, TTL: time.Second}}
	p.Obey(p.now, d)
	if at := wake() - p.now; at != time.Second {
		t.Errorf("with a lease it is due in %v: want its end, a second", at)
	}
	d = said(3, Gate{Share: 1, Generation: 3})
	d.Parts = []Part{{Instance: "a:1", Gate: Gate{State: breaker.HalfOpen, Generation: 4}}}
	d.Leases = []Lease{{Token: 2, Instance: "a:1", TTL: 2 * time.Second}}
	p.Obey(p.now, d)
	if at := wake() - p.now; at != 2*time.Second {
		t.Errorf("with a lease of a part it is due in %v: want its end, two seconds", at)
	}
}
