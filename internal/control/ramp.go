package control

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// ramp brings traffic back as one for the whole fleet, and holds it back where a
// queue is what fails: limit is the sum of calls a second that all replicas
// together let through. It grows while answers come back well, finds the
// capacity of a callee by its goodput, and stays just under it (algorithms.md,
// section 1; BBR's max filter of goodput, CUBIC's plateau and growth, Vegas'
// latency against a base).
type ramp struct {
	limit    float64
	capacity float64       // goodput that the callee is known to carry, 0 if not known
	proven   bool          // it was seen under congestion, not only on the way up
	seen     time.Duration // when capacity was last learnt
	began    time.Duration // when the present congestion began
	filled   float64       // how full the queue was then
	last     time.Duration // when it was last congested
	stepped  time.Duration
	streak   int           // small steps above the plateau
	own      time.Duration // latency that is the callee's own at a trickle, not a queue's
	fresh    bool          // no step has been taken yet
	slow     bool          // it is no queue: the limit lets go
	vain     time.Duration // when much of what it did was last in vain: its goodput says little of then
	visible  time.Duration // since when answers tell of it
	waiting  float64       // calls in the queue, as far as is known
	adopted  float64       // share that a former owner had let through, until demand is known
}

// startRamp begins the way back after a probe that answered well.
func (t *target) startRamp(now time.Duration, why string) {
	d := t.flow.demand(now, true)
	old := t.ramp
	t.ramp = ramp{stepped: now, fresh: true}
	t.ramp.limit = max(0.2*d, d/(2+(now-t.outage).Seconds()), minLimit)
	if t.tau > 0 {
		t.ramp.limit = max(t.ramp.limit, 2/t.tau.Seconds())
	}
	if t.pressed && now-t.tripped < 5*time.Second {
		t.ramp.capacity, t.ramp.last, t.ramp.seen = old.capacity, old.last, old.seen
		t.ramp.limit = max(t.ramp.limit, 0.5*old.capacity)
	}
	t.setLimit(now, why)
}

// limitNow holds a closed target to what its callee carries.
func (t *target) limitNow(now time.Duration, q queue, timeout time.Duration) {
	carried := t.flow.goodput(now, 300*time.Millisecond)
	if !q.refused() {
		carried = max(carried, t.flow.goodput(now, time.Second))
	}
	carried = max(carried, minLimit)
	t.outage = now
	t.ramp = ramp{capacity: carried, seen: now, began: now, filled: q.fill, last: now, stepped: now, own: t.ramp.own}
	t.estimate(now, q, timeout, t.flow.demand(now, false))
	t.ramp.limit = max(minLimit, carried*t.room(q, timeout))
	t.set(now, breaker.Closed, "limited", 1, "")
	t.admit(t.share(now))
	t.gate.Reason = fmt.Sprintf("%s; letting %.0f calls/s through in all, %.0f %%", q, t.ramp.limit, 100*t.gate.Share)
}

// setLimit admits limit's share of the demand, under a new generation.
func (t *target) setLimit(now time.Duration, why string) {
	phase := t.gate.Phase
	if t.gate.State != breaker.Closed || phase == "" {
		phase = "ramp"
	}
	share := t.share(now)
	t.set(now, breaker.Closed, phase, share, fmt.Sprintf("%s; letting %.0f %% through, at most %.0f calls/s in all", why, 100*share, t.ramp.limit))
}

func (t *target) share(now time.Duration) float64 {
	return min(1, t.ramp.limit/t.flow.demand(now, true))
}

// climb is called every rampTick while there is a limit.
func (t *target) climb(now time.Duration, s *policy.Settings, timeout time.Duration, rng *rand.Rand) {
	r := &t.ramp
	demand := t.flow.demand(now, true)
	if r.adopted > 0 {
		r.limit, r.adopted = max(minLimit, r.adopted*demand), 0
	}
	if all := t.flow.span(now, now-t.since+time.Second, -time.Second); t.relapsed(&all, s) {
		t.relapse(now, s, demand, &all, rng)
		return
	}
	q := t.queue(now, 15, timeout)
	if q.latency > 0 {
		r.own = min(r.own, q.latency)
	}
	if q.full() && (r.slow || r.stubborn(now, q, timeout)) {
		// Cutting does not help: it is no queue.
		r.own = max(r.own, t.calm)
		r.own += (q.latency - r.own) * 3 / 10
		r.slow = true
	} else if q.full() && r.fresh && !t.pressed && r.limit <= 0.55*demand && q.spoilt < 0.6 && !q.refused() {
		r.own = max(t.calm, q.latency)
	} else if q.full() {
		if now-r.stepped < rampTick {
			return
		}
		t.cut(now, q, timeout, demand)
		return
	}
	since := t.flow.span(now, now-r.stepped, -time.Second)
	answers := since.ok + since.failed
	if answers < max(2, min(20, r.limit/10)) || since.failed > 0.6*answers {
		t.follow(now)
		return
	}
	if now-r.stepped < max(rampTick, t.calm*3/2+rampTick) || t.unanswered(now) {
		t.follow(now)
		return
	}
	if r.limit >= 1.3*demand && now-r.last > cleanClose {
		t.set(now, breaker.Closed, "", 1, fmt.Sprintf("recovered after %s; back to full traffic in %s", short(now-t.outage), short(now-t.since)))
		t.hotUntil = now + hotAfterClose
		return
	}
	if r.fresh && since.good >= 3 && !t.pressed {
		r.own = max(t.calm, since.latency/time.Duration(since.good))
	}
	r.fresh = false
	r.stepped = now
	r.limit = r.next(now, demand, t.flow.goodput(now, time.Duration(min(max(20/r.limit, 0.3), 1.5)*float64(time.Second))))
	t.gate.Reason = fmt.Sprintf("answers come back well; letting at most %.0f calls/s through in all", r.limit)
	t.follow(now)
}

// unanswered reports that many of the calls let through since the last step have
// not come to an end: they may hang. How many there were is told by how many were
// not, since shares are exact.
func (t *target) unanswered(now time.Duration) bool {
	f := t.gate.Share
	if f >= 1 || f <= 0 {
		return false
	}
	since := t.flow.span(now, now-t.ramp.stepped-wayOut, -time.Second)
	return float64(since.good+since.bad) < 0.6*since.rejected*f/(1-f)-2
}

// cut holds the sum to what is carried, less the more the queue is full.
func (t *target) cut(now time.Duration, q queue, timeout time.Duration, demand float64) {
	r := &t.ramp
	good := t.flow.goodput(now, 400*time.Millisecond)
	if now-r.last > 350*time.Millisecond {
		r.began, r.filled, r.slow = now, 0, false
		if r.capacity > 0 && r.limit < 1.5*r.capacity {
			r.proven = true
		}
	}
	if now-r.seen > forgetCapacity {
		r.capacity, r.proven = 0, false
	}
	if q.latency > 0 {
		r.filled = max(r.filled, q.fill)
	}
	if q.spoilt >= 0.15 {
		r.vain = now
	}
	switch long := now-r.began > 300*time.Millisecond; {
	case r.capacity == 0:
		r.capacity = good
	case long && (q.refused() || q.spoilt < 0.15):
		// Calls wait or are refused: it is busy, and what goes well is all it carries.
		if !r.proven {
			r.capacity = min(r.capacity, t.flow.goodput(now, 300*time.Millisecond))
		}
		if good > r.capacity || q.refused() || r.waiting > 0.1*r.capacity && now-r.vain > 600*time.Millisecond {
			r.capacity += (good - r.capacity) * 15 / 100
		}
	default:
		switch {
		case good < 0.1*min(r.limit, demand) && now-r.began > time.Second+2*timeout:
			r.capacity *= 0.9 // nothing gets through any more
			r.proven = false
		case now-r.began > 800*time.Millisecond+timeout && good > 0.3*min(r.limit, demand):
			r.capacity *= 0.93 // it carries less than it did
		}
		r.capacity = max(r.capacity, good)
	}
	r.proven = r.proven || good > 0 && now-r.began > 500*time.Millisecond
	r.seen, r.last, r.streak = now, now, 0
	t.estimate(now, q, timeout, demand)
	r.limit = max(minLimit, r.capacity*t.room(q, timeout))
	r.stepped = now
	t.setLimit(now, fmt.Sprintf("at its capacity of about %.0f calls/s: %s", r.capacity, q))
}

// estimate follows the callee's queue. What answers tell is how long it was when
// they were let in; how long it is now is told by what was let in since (Little's
// law), and, while all time out and tell nothing, by what comes and what can go.
func (t *target) estimate(now time.Duration, q queue, timeout time.Duration, demand float64) {
	r := &t.ramp
	since := func(d time.Duration) (let float64) {
		t.flow.each(now, max(d, 0), 0, func(s *current) { let += demand * s.force * fleet.BucketWidth.Seconds() })
		return let
	}
	if q.latency > 0 && q.spoilt < 0.5 {
		r.waiting = since(q.latency - q.base)
		return
	}
	r.waiting = max(0, r.waiting+(demand*t.flow.force-r.capacity)*rampTick.Seconds())
	if q.spoilt > 0.8 {
		r.waiting = max(r.waiting, since(timeout-q.base)) // those let in a time-out ago met a queue as long as that
	}
}

// room is the share of the capacity that lets the queue drain.
func (t *target) room(q queue, timeout time.Duration) float64 {
	if q.refused() && q.fill < 0.3 {
		return 0.98
	}
	fill := q.fill
	if patience := timeout - q.base; t.ramp.capacity > 0 && patience > 0 {
		fill = t.ramp.waiting / t.ramp.capacity / patience.Seconds()
	}
	least := 0.4
	if fill > 0.9 {
		least = 0.1
	}
	return min(0.93, max(least, 1.05-fill))
}

// stubborn reports that the callee is as slow as before although it has got less
// for longer than a queue would take to show it: then it is no queue.
func (r *ramp) stubborn(now time.Duration, q queue, timeout time.Duration) bool {
	if q.spoilt > 0.85 || q.refused() || now-r.last > 350*time.Millisecond {
		r.visible = now
	}
	return now-r.visible > 500*time.Millisecond+timeout && now-r.began > time.Second+timeout && q.fill > 0.5*r.filled
}

// next is the limit after a good step.
func (r *ramp) next(now time.Duration, demand, good float64) float64 {
	if r.proven && r.limit > 1.3*r.capacity {
		r.proven = false
	}
	lately := r.capacity > 0 && now-r.last < forgetCapacity && !r.slow
	grown := 4 * r.limit
	if lately && r.proven {
		if plateau := 0.92 * r.capacity; r.limit < plateau {
			grown = min(grown, plateau+1e-3)
		} else {
			grown = min(grown, r.limit*(1+0.015*math.Pow(1.3, float64(r.streak))))
			r.streak++
		}
	}
	if lately && r.limit > 0.5*r.capacity {
		room := 1.25
		if !r.proven {
			room = 2
		}
		grown = min(grown, max(r.limit, room*good))
	}
	return min(grown, max(minLimit, 3*demand))
}

// follow keeps the sum when limit or demand move, without a new generation.
func (t *target) follow(now time.Duration) {
	if share := t.share(now); math.Abs(share-t.gate.Share) > 0.03*t.gate.Share {
		t.admit(share)
	}
}

// relapsed reports whether the answers of this generation fail as those of the
// outage did.
func (t *target) relapsed(c *current, s *policy.Settings) bool {
	if !t.flow.othersFail() {
		return false
	}
	if s.Automatic() {
		e := t.flow.sums()
		return e.fast >= rampAlarm || e.slow >= steadyAlarm(0)
	}
	n := c.ok + c.failed
	return n >= float64(min(s.Breaker.MinimumNumberOfCalls, 20)) && 100*c.failed >= openAbove(s)*n
}

// relapse opens again, or only cuts where part of the calls go well.
func (t *target) relapse(now time.Duration, s *policy.Settings, demand float64, c *current, rng *rand.Rand) {
	r := &t.ramp
	good := t.flow.goodput(now, 500*time.Millisecond)
	if good > 0.25*min(r.limit, demand) && r.limit > minLimit && 2*c.overload > c.bad && 4*c.good > c.good+c.bad {
		r.capacity = max(r.capacity, t.flow.goodput(now, 400*time.Millisecond))
		r.proven, r.seen, r.began, r.last, r.streak, r.stepped = true, now, now, now, 0, now
		r.limit = max(minLimit, 0.4*r.capacity)
		t.setLimit(now, fmt.Sprintf("%d of %d calls failed while %.0f calls/s went well", c.spoilt, c.calls, good))
		return
	}
	t.open(now, s, rng, fmt.Sprintf("relapse: %d of %d calls failed on the way back", c.spoilt, c.calls))
}
