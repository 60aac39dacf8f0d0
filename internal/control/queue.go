package control

import (
	"fmt"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// queue is how full a callee's queue is, told by latency between what it is in
// calm and the callers' time-out, and by what a queue or a quota spoils.
type queue struct {
	known   bool
	fill    float64 // of the room between calm latency and time-out, 0–1
	spoilt  float64 // share of time-outs and push-back
	pushed  float64 // share of push-back alone: the callee says so itself
	shed    float64 // share of that and of what gateways refuse, while part of the calls go well
	latency time.Duration
	base    time.Duration // what latency is without a queue
}

// queue looks at the newest answers, if there are so many within a second.
func (t *target) queue(now time.Duration, answers uint32, timeout time.Duration) (q queue) {
	c := t.flow.newest(now, answers)
	n := c.good + c.bad
	if n < answers {
		return q
	}
	q.known = true
	q.spoilt = float64(c.overload) / float64(n)
	q.pushed = float64(c.pushed) / float64(n)
	if 4*c.good > n {
		q.shed = float64(c.shed) / float64(n)
	}
	if t.calm == 0 || timeout <= t.calm {
		return q
	}
	q.base = min(max(t.calm, t.ramp.own), timeout*8/10)
	switch {
	case c.good >= 3:
		q.latency = c.latency / time.Duration(c.good)
		q.fill = max(0, float64(q.latency-q.base)/float64(timeout-q.base))
	case t.ramp.last > 0 && now-t.ramp.last < 2*time.Second && 2*c.overload > c.bad:
		q.fill = 1
	}
	return q
}

// filling reports a queue that grows: calls take longer and longer while as many
// as before go well. Of a callee that is just slow few do, until all take as long.
func (t *target) filling(now time.Duration, q queue, timeout time.Duration) bool {
	const (
		step  = 250 * time.Millisecond
		while = 2 * time.Second
	)
	if !q.known || q.fill <= 0.25 {
		return false
	}
	before := t.queue(now-step, 20, timeout)
	usual := float64(t.flow.span(now, while+step, step).good) / while.Seconds()
	return before.known && q.fill > before.fill+0.08 && t.flow.goodput(now, 300*time.Millisecond) > 0.7*usual
}

// full reports congestion. Time-outs alone are none: a hang is not a queue.
func (q queue) full() bool {
	return q.known && (q.fill > 0.3 || q.spoilt > 0.08 && q.fill > 0.12 || q.refused())
}

// refused reports that the callee pushes back.
func (q queue) refused() bool { return max(q.pushed, q.shed) > 0.08 }

// sudden is full for a target without a limit: it takes more to get one.
func (q queue) sudden() bool {
	return q.known && (q.fill > 0.7 || q.spoilt >= 0.02 && q.fill > 0.3 || q.spoilt > 0.08 && q.fill > 0.12 || q.pushed > 0.08)
}

func (q queue) String() string {
	if q.refused() {
		return fmt.Sprintf("the callee refuses %.0f %% as too many", 100*max(q.pushed, q.shed))
	}
	return fmt.Sprintf("its queue fills %.0f %% of the callers' patience, %.0f %% overloaded answers", 100*q.fill, 100*q.spoilt)
}

// overloadKinds are the failures that a queue or a quota brings.
func overloadKinds(kinds *[breaker.Kinds]uint32) uint32 {
	return kinds[breaker.Timeout] + kinds[breaker.RateLimited] + kinds[breaker.Gateway]
}
