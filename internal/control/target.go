package control

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// target is what control opens and brings back as one: a circuit, one instance
// of it, or one replica's end of it. Its way is
//
//	closed → open → half_open (leases out) → closed, phase ramp → closed
//
// INVARIANT: the generation rises with each change of verdict, and only answers
// given under the current one move it.
type target struct {
	generations *uint64 // the mind's counter: a generation is used once
	gate        fleet.Gate
	since       time.Duration // of the state or phase
	flow        flow
	rate        float64   // failure rate in percent that opened it
	override    *override // of an operator, above the gate

	outage   time.Duration // when this outage began
	trials   int           // failed trials in it
	due      time.Duration // the end of the wait
	trial    trial
	ramp     ramp
	climbed  time.Duration // when the ramp was last looked at
	hotUntil time.Duration // after closing
	calm     time.Duration // latency in calm: the mean of good answers, slowly followed
}

// trial is one round of probes.
type trial struct {
	leases    []lease
	good, bad int
}

// lease is one probe's leave, and who holds it.
type lease struct {
	token   uint64
	to      fleet.ReplicaID
	expires time.Duration
}

func newTarget(now time.Duration, generations *uint64) *target {
	return &target{generations: generations, gate: fleet.Gate{Share: 1}, since: now}
}

// calmly reports whether the target needs nothing.
func (t *target) calmly() bool { return t.gate.State == breaker.Closed && t.gate.Phase == "" }

func (t *target) set(now time.Duration, s breaker.State, phase string, share float64, why string) {
	if s != t.gate.State || phase != t.gate.Phase {
		t.since = now
	}
	*t.generations++
	t.gate = fleet.Gate{State: s, Phase: phase, Share: share, Generation: *t.generations, Reason: why}
	t.flow.forget()
}

// open begins an outage, or goes back to it after a failed trial or a relapse.
func (t *target) open(now time.Duration, s *policy.Settings, rng *rand.Rand, why string) {
	if t.calmly() {
		t.outage, t.trials = now, 0
	} else {
		t.trials++
	}
	wait := s.Breaker.Wait.Duration(now-t.outage, t.trials, rng.Float64())
	t.due = now + wait
	t.trial = trial{}
	t.set(now, breaker.Open, "", 0, fmt.Sprintf("%s; next probes in %s", why, short(wait)))
}

// probe begins a trial.
func (t *target) probe(now time.Duration, s *policy.Settings) {
	t.trial = trial{}
	t.set(now, breaker.HalfOpen, "", 0, fmt.Sprintf("open for %s, now probing with %d calls in the whole fleet",
		short(now-t.outage), s.Breaker.PermittedNumberOfCallsInHalfOpenState))
}

// missing are the probes of a trial that nobody has leave for: not given yet, or
// given to one that did not answer in time.
func (t *target) missing(now time.Duration, s *policy.Settings) int {
	if t.gate.State != breaker.HalfOpen {
		return 0
	}
	kept := t.trial.leases[:0]
	for _, l := range t.trial.leases {
		if l.expires > now {
			kept = append(kept, l)
		}
	}
	t.trial.leases = kept
	return s.Breaker.PermittedNumberOfCallsInHalfOpenState - len(kept) - t.trial.good - t.trial.bad
}

// withdraw takes back the leases of a replica that is gone.
func (t *target) withdraw(from fleet.ReplicaID) {
	kept := t.trial.leases[:0]
	for _, l := range t.trial.leases {
		if l.to != from {
			kept = append(kept, l)
		}
	}
	t.trial.leases = kept
}

// answer takes what became of a probe and reports whether the lease was this
// target's.
func (t *target) answer(a fleet.Answer) bool {
	for i, l := range t.trial.leases {
		if l.token != a.Token {
			continue
		}
		t.trial.leases = append(t.trial.leases[:i], t.trial.leases[i+1:]...)
		switch {
		case !a.Used || a.Verdict == breaker.Ignored || a.Verdict == breaker.Inherited:
			// Nothing was learnt: the probe is given again.
		case a.Verdict == breaker.Failure:
			t.trial.bad++
		default:
			t.trial.good++
		}
		return true
	}
	return false
}

// verdict ends a trial as soon as its outcome can't change.
func (t *target) verdict(now time.Duration, s *policy.Settings, rng *rand.Rand) {
	probes := s.Breaker.PermittedNumberOfCallsInHalfOpenState
	answered := t.trial.good + t.trial.bad
	switch {
	case t.trial.bad > 0 && 100*float64(t.trial.bad) >= openAbove(s)*float64(probes):
		t.open(now, s, rng, fmt.Sprintf("still failing: %d of %d probes failed, open for %s", t.trial.bad, answered, short(now-t.outage)))
	case answered >= probes:
		t.startRamp(now, fmt.Sprintf("%d of %d probes answered well after %s", t.trial.good, probes, short(now-t.outage)))
	}
}

// short prints a duration as people say it.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= 10*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}

// adopt goes on with what a replica was told by a daemon that is gone.
func (t *target) adopt(now time.Duration, g fleet.Gate) {
	if g.Generation <= t.gate.Generation {
		return
	}
	t.gate, t.since = g, now
	switch {
	case g.State != breaker.Closed:
		t.gate.State = breaker.Open
		t.outage, t.due = now, now
	case g.Phase != "":
		t.ramp = ramp{adopted: g.Share, stepped: now}
	}
}
