package control

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// steady is a target with so many calls a second, all answered after the latency.
func steady(t *testing.T, rate uint32, latency time.Duration) (*target, time.Duration) {
	t.Helper()
	var generations uint64
	s := policy.Default()
	x := newTarget(0, &generations, &s)
	for i := range 60 {
		b := fleet.Bucket{Counts: fleet.Counts{Offered: rate / 10, Succeeded: rate / 10, Latency: time.Duration(rate/10) * latency}}
		at := time.Duration(i) * fleet.BucketWidth
		x.flow.offer(at, &b, time.Second, latency, 1)
		apply(x, at, &b, true, 1)
	}
	return x, 6 * time.Second
}

func TestDemandIsWhatIsOffered(t *testing.T) {
	for _, rate := range []uint32{10, 50, 100, 1000, 10_000} {
		x, now := steady(t, rate, 5*time.Millisecond)
		for _, hot := range []bool{true, false} {
			if d := x.flow.demand(now, hot); math.Abs(d/float64(rate)-1) > 0.05 {
				t.Errorf("%d calls/s, hot %v: %.1f", rate, hot, d)
			}
		}
	}
}

func TestUnderALimitDemandIsToldByWhatIsRejected(t *testing.T) {
	for _, share := range []float64{0, 0.1, 0.5, 0.8} {
		x, now := steady(t, 100, 5*time.Millisecond)
		x.admit(share)
		for i := range 20 {
			at := now + time.Duration(i)*fleet.BucketWidth
			rejected := uint32(math.Round(10 * (1 - share)))
			b := fleet.Bucket{Counts: fleet.Counts{Offered: 10, Rejected: rejected}} // those let in queue, and are not told
			x.flow.offer(at, &b, time.Second, 0, 1)
		}
		if d := x.flow.demand(now+2*time.Second, true); math.Abs(d-100) > 10 {
			t.Errorf("%.0f %% let through: %.1f, of 100 calls/s", 100*share, d)
		}
	}
}

func TestProbesGetRarerWithAgeAndComeOftenerWithDemand(t *testing.T) {
	last := time.Duration(0)
	for _, age := range []time.Duration{0, time.Second, 10 * time.Second, time.Minute, time.Hour} {
		x, now := steady(t, 100, time.Millisecond)
		x.outage = now - age
		if tau := x.spacing(now); tau <= last {
			t.Errorf("%v old: %v apart, %v before", age, tau, last)
		} else {
			last = tau
		}
	}
	last = time.Hour
	for _, rate := range []uint32{10, 50, 100, 1000} {
		x, now := steady(t, rate, time.Millisecond)
		x.outage = now - 10*time.Second
		if tau := x.spacing(now); tau >= last {
			t.Errorf("%d calls/s: %v apart, %v with less", rate, tau, last)
		} else {
			last = tau
		}
	}
}

func TestOffersToWhatHangsEnd(t *testing.T) {
	x, now := steady(t, 10, time.Millisecond)
	s := policy.Default()
	x.open(now, &s, rand.New(rand.NewPCG(1, 1)), "all hang")
	out := 0
	for end := now + time.Minute; now < end; now += urgentInterval {
		x.search(now)
		if x.gate.State == breaker.HalfOpen && x.byTurns {
			out++
		}
		if now%fleet.BucketWidth == 0 {
			b := fleet.Bucket{Counts: fleet.Counts{Offered: 1, Rejected: uint32(math.Round(1 - x.gate.Share))}}
			x.flow.offer(now, &b, 10*time.Second, 0, 1)
		}
	}
	if share := float64(out) * urgentInterval.Seconds() / 60; share == 0 || share > 0.5 {
		t.Errorf("probes may go out %.0f %% of the time while none comes back", 100*share)
	}
}

func TestARampNeverLetsMoreThroughThanItsLimit(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 4))
		r := ramp{limit: 5 + 500*rng.Float64(), fresh: true}
		if rng.IntN(2) == 0 {
			r.capacity, r.proven = 20+300*rng.Float64(), rng.IntN(2) == 0
			r.last = 10 * time.Second
		}
		demand, carries := 50+1000*rng.Float64(), 20+400*rng.Float64()
		for now := 10 * time.Second; now < 30*time.Second; now += rampTick {
			before := r
			good := min(r.limit, demand, carries)
			next := r.next(now, demand, good)
			switch {
			case next > max(minLimit, 3*demand):
				t.Fatalf("seed %d: %.0f, thrice the demand of %.0f", seed, next, demand)
			case next > 4*before.limit:
				t.Fatalf("seed %d: from %.0f to %.0f in a step", seed, before.limit, next)
			case r.proven && before.limit < 0.92*r.capacity && next > 0.92*r.capacity+0.01:
				t.Fatalf("seed %d: from %.0f to %.0f, past the plateau under %.0f", seed, before.limit, next, r.capacity)
			case next < min(before.limit, 3*demand):
				t.Fatalf("seed %d: a good step lowers %.0f to %.0f", seed, before.limit, next)
			}
			r.limit = next
		}
	}
}

func TestTheShareIsTheLimitOverTheDemand(t *testing.T) {
	x, now := steady(t, 200, 5*time.Millisecond)
	for _, limit := range []float64{5, 20, 100, 190, 1000} {
		x.ramp.limit = limit
		if got, d := x.share(now), x.flow.demand(now, true); got*d > limit+1e-9 || got > 1 {
			t.Errorf("limit %.0f, %.0f calls/s: %.3f let through", limit, d, got)
		}
	}
}

func TestSlowAsBeforeIsNoQueueOnceAQueueWouldHaveShown(t *testing.T) {
	const timeout = time.Second
	r := ramp{began: 10 * time.Second, last: 10 * time.Second, visible: 10 * time.Second, filled: 0.6}
	q := queue{known: true, fill: 0.6, latency: 600 * time.Millisecond}
	when := time.Duration(0)
	for now := 10 * time.Second; now < 20*time.Second; now += rampTick {
		r.last = now
		if r.stubborn(now, q, timeout) {
			when = now - r.began
			break
		}
	}
	if when <= time.Second+timeout || when > 2*time.Second+timeout {
		t.Errorf("let go after %v", when)
	}
	drains := q
	drains.fill = 0.25
	if r.stubborn(r.last+rampTick, drains, timeout) {
		t.Error("a queue that drains is taken for none")
	}
}

func TestWhatFullMeans(t *testing.T) {
	for _, c := range []struct {
		why          string
		q            queue
		full, sudden bool
	}{
		{"nothing known", queue{fill: 1, spoilt: 1, pushed: 1}, false, false},
		{"time-outs alone: a hang", queue{known: true, spoilt: 0.9}, false, false},
		{"calls wait, and some too long", queue{known: true, spoilt: 0.1, fill: 0.15}, true, true},
		{"calls wait", queue{known: true, fill: 0.4}, true, false},
		{"calls wait, and time-outs begin", queue{known: true, fill: 0.4, spoilt: 0.02}, true, true},
		{"calls wait nearly as long as callers do", queue{known: true, fill: 0.75}, true, true},
		{"the callee refuses", queue{known: true, spoilt: 0.1, pushed: 0.1}, true, true},
		{"slower", queue{known: true, fill: 0.2}, false, false},
	} {
		q := c.q
		if q.pushed > 0 && !q.known {
			q.pushed = 0
		}
		if q.full() != c.full || q.sudden() != c.sudden {
			t.Errorf("%s: full %v, sudden %v", c.why, q.full(), q.sudden())
		}
	}
}

func TestWhatOneObserverSaysIsCapped(t *testing.T) {
	for _, c := range []struct {
		n, all    float64
		observers int
	}{{1000, 2000, 3}, {1e9, 1e9 + 300, 5}, {60, 100, 3}, {50, 50, 10}, {1e6, 1e6 + 10, 2}} {
		heard := c.n * observerWeight(c.n, c.all, c.observers)
		most := max(observerFloor, observerShare*(c.all-c.n))
		if c.observers >= 3 && heard > most+1e-6 || c.observers < 3 && heard != c.n || heard < min(c.n, observerFloor)-1e-6 {
			t.Errorf("%+v: %.1f are heard, at most %.1f", c, heard, most)
		}
	}
}
