package fleet

import (
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

// own is a word of own control.
func own(counter uint64, g Gate) Directive {
	d := said(counter, g)
	d.Epoch.Incarnation, d.Epoch.Daemon = 0, "own"
	return d
}

func TestOwnControlDecidesOnlyWhereTheFleetDoesNot(t *testing.T) {
	p := newProcess(t)
	p.Govern()
	c := p.guard()
	p.call(c, breaker.Outcome{})
	p.pass(BucketWidth)
	p.Sample(p.now)
	p.ObeyOwn(p.now, own(1, Gate{State: breaker.Open, Generation: 1, Reason: "own"}))
	if s := c.Breaker.State(); s != breaker.Open {
		t.Fatalf("%v: nobody else decides", s)
	}
	p.Obey(p.now, said(1, Gate{Share: 1, Generation: 2, Reason: "the fleet"}))
	p.ObeyOwn(p.now, own(2, Gate{State: breaker.Open, Generation: 3}))
	if s := c.Breaker.State(); s != breaker.Closed {
		t.Errorf("%v: the fleet says closed", s)
	}
	if _, from, _ := p.OwnReport(p.now + CalmInterval); len(from) > 0 {
		t.Errorf("own control is told %+v while the fleet decides", from)
	}
	if byFleet, byOwn := p.Led(p.now); byFleet != 1 || byOwn != 0 {
		t.Errorf("the fleet decides for %d, own control for %d: want 1, 0", byFleet, byOwn)
	}
}

func TestOwnControlGoesOnFromTheFleetsLastWord(t *testing.T) {
	p := newProcess(t)
	p.Govern()
	c := p.guard()
	p.call(c, breaker.Outcome{})
	d := said(1, Gate{State: breaker.Open, Generation: 7, Reason: "the fleet"})
	d.TTL = 10 * time.Second
	p.Obey(p.now, d)
	for end := p.now + d.TTL; p.now < end-BucketWidth; {
		if _, from, _ := p.OwnReport(p.now); len(from) > 0 {
			t.Fatalf("handed over %v before its end", end-p.now)
		}
		p.pass(BucketWidth)
		p.Sample(p.now)
	}
	rep, from, ok := p.OwnReport(p.now)
	if !ok || len(from) != 1 || from[0].Generation != 7 || from[0].TTL > BucketWidth {
		t.Fatalf("handed over %+v: want the fleet's word in its last step", from)
	}
	if len(rep.Circuits) != 1 || rep.Circuits[0].Generation != 7 {
		t.Errorf("report %+v: want the circuit, under the word that it still obeys", rep)
	}
	p.ObeyOwn(p.now, own(1, Gate{State: breaker.Open, Generation: 7, Reason: "goes on"}))
	p.pass(5 * time.Second)
	p.Sample(p.now)
	if v := c.Breaker.View(); v.State != breaker.Open || v.Why != "goes on" {
		t.Errorf("%v (%s): want open without a break", v.State, v.Why)
	}
}

func TestAWordThatOnlyShowsLeavesTheDecisionHere(t *testing.T) {
	p := newProcess(t)
	p.Govern()
	c := p.guard()
	p.call(c, breaker.Outcome{})
	p.Obey(p.now, said(1, Gate{State: breaker.Open, Generation: 2, Reason: "the fleet"}))
	shown := said(2, Gate{Share: 1, Generation: 3})
	shown.Enforce = false
	p.Obey(p.now, shown)
	_, from, _ := p.OwnReport(p.now)
	if len(from) != 1 || from[0].State != breaker.Open {
		t.Fatalf("own control goes on from %+v: want the last word that acted", from)
	}
	p.ObeyOwn(p.now, own(1, Gate{State: breaker.HalfOpen, Share: 1, Generation: 4}))
	if s := c.Breaker.State(); s != breaker.HalfOpen {
		t.Errorf("%v: want own control's word", s)
	}
}

func TestThresholdsTakeTheDecisionFromOwnControl(t *testing.T) {
	p := newProcess(t)
	p.Govern()
	c := p.guard()
	p.call(c, breaker.Outcome{})
	p.Sample(p.now)
	p.ObeyOwn(p.now, own(1, Gate{State: breaker.Open, Generation: 1}))
	s := policy.Default()
	s.Breaker.AloneOnly, s.Breaker.FailureRateThreshold = false, 40
	c.Update(&s)
	for range 3 {
		p.pass(BucketWidth)
		p.Sample(p.now)
	}
	if _, from, ok := p.OwnReport(p.now); ok || len(from) > 0 {
		t.Error("own control still hears of a circuit with thresholds")
	}
	p.pass(2 * time.Second)
	p.call(c, breaker.Outcome{})
	if s := c.Breaker.State(); s == breaker.Open {
		t.Errorf("%v: its own wait is over", s)
	}
}

func TestWithoutALinkACalmCircuitSleeps(t *testing.T) {
	p := newProcess(t)
	p.Govern()
	c := p.guard()
	for range 10 {
		p.call(c, breaker.Outcome{})
		p.pass(BucketWidth)
		p.Sample(p.now)
	}
	p.ObeyOwn(p.now, own(1, Gate{Share: 1, Generation: 1}))
	for range 2 * int(keepEvidence/BucketWidth) {
		p.pass(BucketWidth)
		p.Sample(p.now)
	}
	if !p.Idle() {
		t.Error("a circuit that nobody calls keeps its process awake")
	}
}

func TestACalmWordYieldsWhereTheLinkIsLost(t *testing.T) {
	for name, state := range map[string]breaker.State{"calm": breaker.Closed, "open": breaker.Open} {
		t.Run(name, func(t *testing.T) {
			p := newProcess(t)
			p.Govern()
			c := p.guard()
			p.call(c, breaker.Outcome{})
			p.Obey(p.now, said(1, Gate{State: state, Share: 1, Generation: 2}))
			p.Linked(p.now, false)
			p.pass(deafAfter - BucketWidth)
			p.Sample(p.now)
			if byFleet, _ := p.Led(p.now); byFleet != 1 {
				t.Error("a link may be lost for a moment")
			}
			p.pass(2 * BucketWidth)
			p.Sample(p.now)
			byFleet, byOwn := p.Led(p.now)
			if calm := state == breaker.Closed; calm != (byOwn == 1) || calm == (byFleet == 1) {
				t.Errorf("the fleet decides for %d, own control for %d", byFleet, byOwn)
			}
		})
	}
}

func TestInstancesAreHeldNoMoreThanTheirCircuit(t *testing.T) {
	p := newProcess(t)
	c := p.guard()
	x := c.Instance("a")
	p.Obey(p.now, Directive{
		Circuit: edge, Epoch: Epoch{Incarnation: 1, Counter: 1}, TTL: time.Minute, Enforce: true, Gate: Gate{Share: 1},
		Parts: []Part{{Instance: "a", Gate: Gate{State: breaker.Open, Generation: 2}}},
	})
	if _, err := x.Acquire(); err == nil {
		t.Fatal("an open instance takes calls: nothing is shown")
	}
	for _, m := range []breaker.Mode{breaker.MetricsOnly, breaker.Off} {
		s := policy.Default()
		s.Breaker.Mode = m
		c.Update(&s)
		for _, name := range []string{"a", "made later"} {
			if _, err := c.Instance(name).Acquire(); err != nil {
				t.Errorf("%v, instance %s: %v", m, name, err)
			}
		}
	}
}
