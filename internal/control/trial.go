package control

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// trial is one round of probes, as explicit settings count them.
type trial struct {
	leases    []lease
	good, bad int
	failed    time.Duration // when the last of the bad ones was sent
}

// lease is one probe's leave, and who holds it.
type lease struct {
	token          uint64
	to             fleet.ReplicaID
	given, expires time.Duration
}

// probe begins a trial.
func (t *target) probe(now time.Duration, s *policy.Settings) {
	t.ask(now)
	t.set(now, breaker.HalfOpen, "", 0, fmt.Sprintf("open for %s, now probing with %d calls in the whole fleet",
		short(now-t.outage), s.Breaker.PermittedNumberOfCallsInHalfOpenState))
}

// ask makes probes due.
func (t *target) ask(due time.Duration) {
	t.trial = trial{}
	t.due, t.asked, t.byTurns, t.tripped = due, 0, false, due
}

// missing are the probes of a trial that nobody has leave for: not given yet, or
// given to one that did not answer in time.
func (t *target) missing(now time.Duration, s *policy.Settings) int {
	if t.gate.State != breaker.HalfOpen || s.Automatic() {
		return 0
	}
	t.trial.leases = slices.DeleteFunc(t.trial.leases, func(l lease) bool { return l.expires <= now })
	return s.Breaker.PermittedNumberOfCallsInHalfOpenState - len(t.trial.leases) - t.trial.good - t.trial.bad
}

// withdraw takes back the leases of a replica that is gone.
func (t *target) withdraw(from fleet.ReplicaID) {
	t.trial.leases = slices.DeleteFunc(t.trial.leases, func(l lease) bool { return l.to == from })
}

// reclaim takes back the leases of replicas that have said nothing since they
// were to say whether they use them: they hang, or can't be reached.
func (c *circuit) reclaim(now time.Duration, t *target) {
	t.trial.leases = slices.DeleteFunc(t.trial.leases, func(l lease) bool {
		if now-l.given < silentHolder {
			return false
		}
		at, found := c.findRow(l.to)
		return !found || now-c.rows[at].at >= silentHolder
	})
}

// answer takes what became of a probe and reports whether the lease was this
// target's.
func (t *target) answer(now time.Duration, a fleet.Answer) bool {
	for i, l := range t.trial.leases {
		if l.token != a.Token {
			continue
		}
		t.trial.leases = slices.Delete(t.trial.leases, i, i+1)
		switch {
		case !a.Used || a.Verdict == breaker.Ignored || a.Verdict == breaker.Inherited:
			// Nothing was learnt: the probe is given again.
		case a.Verdict == breaker.Failure:
			t.trial.bad++
			t.trial.failed = max(t.trial.failed, l.given, now-max(a.Latency, 0))
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

// openAbove is the failure rate in percent that is too much.
func openAbove(s *policy.Settings) float64 {
	if !s.Automatic() && s.Breaker.FailureRateThreshold > 0 {
		return s.Breaker.FailureRateThreshold
	}
	return s.OpenAbove
}
