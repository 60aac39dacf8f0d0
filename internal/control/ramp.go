package control

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

// ramp brings traffic back as one for the whole fleet: limit is the sum of calls
// a second that all replicas together let through. It grows while answers come
// back well, finds the capacity of a callee that is not whole yet by its
// goodput, and stays just under it (algorithms.md, section 1; BBR's max filter
// of goodput, CUBIC's plateau and growth, Vegas' latency against a base).
type ramp struct {
	limit     float64
	peak      float64       // goodput over a second, max-filtered: what the callee is known to carry
	capacity  float64       // that peak under congestion, 0 if there was none
	congested time.Duration // since when, 0 if not
	last      time.Duration // when it was last congested
	stepped   time.Duration
	streak    int     // small steps above the plateau
	adopted   float64 // share that a former owner had let through, until demand is known
}

func (t *target) startRamp(now time.Duration, why string) {
	d := t.flow.demand(now, true)
	t.ramp = ramp{stepped: now}
	t.ramp.limit = max(0.2*d, d/(2+(now-t.outage).Seconds()), minLimit)
	t.setLimit(now, why)
}

// setLimit admits limit's share of the demand, under a new generation.
func (t *target) setLimit(now time.Duration, why string) {
	share := min(1, t.ramp.limit/t.flow.demand(now, true))
	t.set(now, breaker.Closed, "ramp", share, fmt.Sprintf("%s; letting %.0f %% through, at most %.0f calls/s in all", why, 100*share, t.ramp.limit))
}

// climb is called every rampTick while the phase is ramp. It reports whether
// anything changed.
func (t *target) climb(now time.Duration, s *policy.Settings, rng *rand.Rand) bool {
	r := &t.ramp
	demand := t.flow.demand(now, true)
	if r.adopted > 0 {
		r.limit, r.adopted = max(minLimit, r.adopted*demand), 0
	}
	recent := t.flow.span(now, 800*time.Millisecond, 0)
	answers := float64(recent.ok + recent.failed)
	goodput := float64(t.flow.span(now, 1100*time.Millisecond, 100*time.Millisecond).good)
	r.peak = max(goodput, r.peak*peakDecay)

	if answers >= 2 && t.relapsed(&recent, s) {
		if goodput > 0.25*min(r.limit, demand) && r.limit > minLimit {
			// Part of it works: a limit, not an opening.
			r.capacity, r.congested, r.last, r.streak = r.peak, now, now, 0
			r.limit = max(minLimit, 0.4*r.capacity)
			r.stepped = now
			t.setLimit(now, fmt.Sprintf("%d of %d calls failed while %.0f calls/s went well", recent.failed, recent.ok+recent.failed, goodput))
			return true
		}
		t.open(now, s, rng, fmt.Sprintf("relapse: %d of %d calls failed on the way back", recent.failed, recent.ok+recent.failed))
		return true
	}

	if q, ts, known := t.queue(&recent, s); known && (q > 0.3 || ts > 0.08) {
		if r.congested == 0 || now-r.last > time.Second {
			r.congested = now
		}
		if now-r.congested > 800*time.Millisecond+s.CallTimeout {
			r.peak *= 0.93 // it carries less than it did
		}
		r.capacity = max(r.peak, minLimit)
		r.last, r.streak = now, 0
		cut := min(1, max(0.4, 1-(q-0.2)))
		if ts > 0.3 {
			cut = min(cut, 0.5)
		}
		r.limit = max(minLimit, r.capacity*cut)
		r.stepped = now
		t.setLimit(now, fmt.Sprintf("at its capacity of about %.0f calls/s: %.0f %% overloaded answers", r.capacity, 100*ts))
		return true
	}

	if answers < max(2, min(20, r.limit/10)) || 100*float64(recent.failed) >= openAbove(s)*answers {
		return t.follow(demand)
	}
	if now-r.stepped < max(rampTick, t.calm*3/2+rampTick) {
		return false
	}
	r.stepped = now
	if r.limit >= 1.3*demand && now-r.last > cleanClose && now-t.since > 0 {
		t.set(now, breaker.Closed, "", 1, fmt.Sprintf("recovered: open for %s, back to full traffic in %s", short(t.since-t.outage), short(now-t.since)))
		return true
	}
	r.limit = r.next(now, demand)
	t.setLimit(now, "answers come back well")
	return true
}

// next is the limit after a good step.
func (r *ramp) next(now time.Duration, demand float64) float64 {
	if r.capacity > 0 && (now-r.last > forgetCapacity || r.limit > 1.3*r.capacity) {
		r.capacity = 0
	}
	grown := 3 * r.limit
	switch plateau := 0.92 * r.capacity; {
	case r.capacity == 0:
		grown = min(grown, max(r.limit, 3*r.peak))
	case r.limit < plateau:
		grown = min(grown, plateau)
	default:
		grown = min(r.limit*(1+0.015*math.Pow(1.3, float64(r.streak))), max(r.limit, 1.25*r.peak))
		r.streak++
	}
	return min(grown, max(minLimit, 3*demand))
}

// follow keeps the sum when the demand moves, without a new generation.
func (t *target) follow(demand float64) bool {
	share := min(1, t.ramp.limit/demand)
	if math.Abs(share-t.gate.Share) <= 0.1*t.gate.Share {
		return false
	}
	t.gate.Share = share
	return true
}

// relapsed reports whether the answers of this generation fail as those of the
// outage did.
func (t *target) relapsed(c *current, s *policy.Settings) bool {
	n := c.ok + c.failed
	return int(n) >= min(s.Breaker.MinimumNumberOfCalls, 20) && 100*float64(c.failed) >= openAbove(s)*float64(n)
}

// openAbove is the failure rate in percent that is too much.
func openAbove(s *policy.Settings) float64 {
	if s.Breaker.FailureRateThreshold > 0 {
		return s.Breaker.FailureRateThreshold
	}
	return 50
}

// queue says how full the room between calm latency and the callers' time-out
// is (0–1), and the share of answers that a queue spoils.
func (t *target) queue(c *current, s *policy.Settings) (fill, spoilt float64, known bool) {
	n := c.ok + c.failed
	if n < 10 {
		return 0, 0, false
	}
	spoilt = float64(c.overload()) / float64(n)
	if s.CallTimeout > 0 && c.good >= 3 && t.calm > 0 && s.CallTimeout > t.calm {
		fill = float64(c.latency/time.Duration(c.good)-t.calm) / float64(s.CallTimeout-t.calm)
	}
	return max(0, fill), spoilt, true
}

// learn follows the latency of a calm target, 2 % per quarter of a second.
func (t *target) learn(now time.Duration) {
	c := t.flow.span(now, 1100*time.Millisecond, 100*time.Millisecond)
	if c.good < 3 || c.failed > 0 {
		return
	}
	mean := c.latency / time.Duration(c.good)
	if t.calm == 0 {
		t.calm = mean
		return
	}
	t.calm += (mean - t.calm) / 50
}
