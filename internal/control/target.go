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

// target is what control opens and brings back as one: a circuit, one instance
// of it, or one replica's end of it. Its way is
//
//	closed → open → half_open (probes out) → closed, phase ramp → closed
//	closed → closed, phase limited → closed, where a queue is what fails
//
// INVARIANT: the generation rises with each change of verdict, and only answers
// given under the current one move it.
type target struct {
	generations *uint64 // the mind's counter: a generation is used once
	gate        fleet.Gate
	since       time.Duration // of the state or phase
	flow        flow
	blind       bool      // what it rejects is not counted as its own
	rate        float64   // failure rate in percent that opened it
	override    *override // of an operator, above the gate

	outage   time.Duration // when this outage began
	tripped  time.Duration // when it last opened
	trials   int           // failed trials in it
	due      time.Duration // the end of the wait
	trial    trial         // of explicit settings
	tau      time.Duration // between probes, of automatic ones
	asked    time.Duration // when probes were offered that nobody has answered, 0 if none
	byTurns  bool
	probed   struct{ ok, n float64 } // answers to the outage's earlier probes
	pressed  bool                    // it opened out of a queue
	ramp     ramp
	looked   time.Duration // when it was last led
	news     bool          // answers have come since
	hotUntil time.Duration // after closing
	calm     time.Duration // latency in calm: the mean of good answers, slowly followed
}

func newTarget(now time.Duration, generations *uint64, s *policy.Settings) *target {
	return &target{generations: generations, gate: fleet.Gate{Share: 1}, since: now, tripped: math.MinInt64 / 2, flow: flow{fast: quickly(s.OpenAbove / 100), slow: steadily(s.OpenAbove / 100), force: 1}}
}

// calmly reports whether the target needs nothing.
func (t *target) calmly() bool { return t.gate.State == breaker.Closed && t.gate.Phase == "" }

// hot reports whether every answer is wanted at once.
func (t *target) hot(now time.Duration) bool { return !t.calmly() || now < t.hotUntil }

// set changes the verdict.
func (t *target) set(now time.Duration, s breaker.State, phase string, share float64, why string) {
	if s != t.gate.State || phase != t.gate.Phase {
		t.since = now
	}
	*t.generations++
	t.gate = fleet.Gate{State: s, Phase: phase, Share: share, Generation: *t.generations, Reason: why}
	t.admit(share)
	t.flow.forget()
}

// admit changes the share that is let through.
func (t *target) admit(share float64) {
	t.gate.Share = share
	if !t.blind {
		t.flow.force = share
	}
}

// open begins an outage, or goes back to it after a failed trial or a relapse.
func (t *target) open(now time.Duration, s *policy.Settings, rng *rand.Rand, why string) {
	if t.calmly() {
		t.outage, t.trials = now, 0
		t.probed.ok, t.probed.n = 0, 0
	} else {
		t.trials++
	}
	t.pressed = now-t.ramp.last < 3*time.Second && t.ramp.last > 0
	t.tripped = now
	if s.Automatic() {
		t.due, t.asked, t.byTurns = now+firstProbe, 0, false
		t.tau = t.spacing(now)
		t.set(now, breaker.Open, "", 0, fmt.Sprintf("%s; a probe each %s in the whole fleet", why, short(t.tau)))
		return
	}
	wait := s.Breaker.Wait.Duration(now-t.outage, t.trials, rng.Float64())
	if t.gate.State == breaker.HalfOpen {
		// The wait is between probes: one that hangs has waited already.
		wait = max(0, wait-(now-t.trial.failed))
	}
	t.due = now + wait
	t.trial = trial{}
	t.set(now, breaker.Open, "", 0, fmt.Sprintf("%s; next probes in %s", why, short(wait)))
}

// adopt goes on with what a replica was told by a daemon that is gone.
func (t *target) adopt(now time.Duration, g fleet.Gate) {
	if g.Generation <= t.gate.Generation {
		return
	}
	t.gate, t.since = g, now
	t.admit(g.Share)
	t.flow.forget()
	switch {
	case g.State != breaker.Closed:
		t.gate.State = breaker.Open
		t.outage = now
		t.ask(now + settleIn)
	case g.Phase != "":
		t.ramp = ramp{adopted: g.Share, stepped: now}
	}
}

// learn follows the latency of a calm target, 2 % per quarter of a second.
func (t *target) learn(now time.Duration) {
	c := t.flow.span(now, 1100*time.Millisecond, 100*time.Millisecond)
	if c.good < 3 || c.bad > c.good/4 {
		return
	}
	mean := c.latency / time.Duration(c.good)
	t.ramp.own = min(t.ramp.own, mean)
	if t.calm == 0 {
		t.calm = mean
		return
	}
	t.calm += (mean - t.calm) / 50
}

// short prints a duration as people say it.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= 10*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}
