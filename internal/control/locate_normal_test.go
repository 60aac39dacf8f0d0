package control

import (
	"fmt"
	"testing"
	"time"
)

func TestNormalIsLearntAndFrozenWhileAVerdictStands(t *testing.T) {
	f := newFleet(3)
	past := func() count { return f.callees[cart].past.of("") }
	good := func(seconds int) {
		for range seconds {
			for i := range 3 {
				f.reports(i, 49, 1)
			}
			f.pass(time.Second)
		}
	}
	good(100)
	was := past()
	if was.n < 60*150 && was.n < pastCap || was.n > pastCap || was.k/was.n < 0.019 || was.k/was.n > 0.021 {
		t.Fatalf("learnt %v of 2 %% failures", was)
	}
	f.outage(3)
	f.pass(3 * pastTurn)
	if got := past(); got != was {
		t.Errorf("an outage of %v is learnt: %v, was %v", f.state(), got, was)
	}
}

func TestNormalOfTooManyRoutesIsBounded(t *testing.T) {
	var h history
	for i := range 3 * maxPastRoutes {
		h.add(fmt.Sprint("/", i), count{10, 1})
	}
	h.turn(pastTurn)
	h.turn(2 * pastTurn)
	if len(h.routes) > maxPastRoutes+1 {
		t.Errorf("%d routes are kept", len(h.routes))
	}
	if other := h.of("/never seen"); other.n != pastCap {
		t.Errorf("a route beyond the bound has a past of %v, want that of the rest", other)
	}
}

func TestNormalFades(t *testing.T) {
	p := past{}
	for range 100 {
		p.learn(count{1000, 500})
	}
	for range 100 {
		p.learn(count{1000, 0})
	}
	if p.learnt.n > pastCap || p.learnt.k > 1e-3 {
		t.Errorf("after 100,000 good calls %v is known", p.learnt)
	}
}
