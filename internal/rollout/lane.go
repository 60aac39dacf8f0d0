package rollout

import (
	"errors"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// lane is one replica that stands for all of them: the fleet's calls of a circuit
// go through its breaker, and control over it decides as it would for the fleet.
type lane struct {
	clock   *breaker.Clock
	half    *fleet.Replica
	circuit *fleet.Circuit
	mind    *control.Solo
	opened  int
}

func newLane(at time.Duration, seed uint64, id policy.Circuit, s *policy.Settings) *lane {
	l := &lane{}
	var now time.Duration
	l.clock = breaker.NewClock(func() time.Duration { return now })
	l.clock.Advance(at)
	l.half = fleet.NewReplica(fleet.ReplicaID{Service: id.Caller, Name: "trial", Incarnation: 1}, l.clock, seed, (*sink)(l))
	l.mind = control.NewSolo(l.half, seed)
	own := *s
	if own.Strategy != "" {
		own.Breaker.Strategy = nil // a function of the replicas', that nobody has here
	}
	l.circuit = l.half.Guard(id, &own)
	return l
}

// look is how often control is asked between two samples, where it is in a hurry.
const look = 20 * time.Millisecond

// play lets a step's calls come, good and bad ones evenly mixed, and adds up what
// became of them.
func (l *lane) play(at time.Duration, s *step, good, bad float64, to *Side) {
	before := l.opened
	n, weight := int(good+bad), 1.0
	if n > mostCalls {
		weight = float64(n) / mostCalls
		n = mostCalls
	}
	bads := int(bad/weight + 0.5)
	latency := time.Duration(0)
	if good > 0 {
		latency = time.Duration(float64(s.latency) / good)
	}
	next := at + look
	to.Good += weight * float64(n-min(bads, n))
	to.Bad += weight * float64(min(bads, n))
	for i := range n {
		now := at + fleet.BucketWidth*time.Duration(i)/time.Duration(n)
		for ; next <= now; next += look {
			l.think(next)
		}
		l.clock.Advance(now)
		isBad := (i+1)*bads/n > i*bads/n
		p, err := l.circuit.Breaker.Acquire()
		switch {
		case err != nil && !isBad:
			to.BlockedGood += weight
		case err != nil:
		case isBad:
			to.PassedBad += weight
			p.Done(breaker.Outcome{Verdict: breaker.Failure, Kind: s.kind(float64(i) / float64(n)), Latency: latency})
		default:
			p.Done(breaker.Outcome{Latency: latency})
		}
	}
	end := at + fleet.BucketWidth
	l.clock.Advance(end)
	l.half.Sample(end)
	l.mind.Step(end)
	to.Opened += l.opened - before
}

func (l *lane) think(now time.Duration) {
	if l.mind.Due() <= now {
		l.clock.Advance(now)
		l.mind.Step(now)
	}
}

// kind of a failure, by its place among all of the step.
func (s *step) kind(place float64) breaker.Kind {
	all := 0.0
	for _, n := range s.kinds {
		all += n
	}
	place *= all
	for k, n := range s.kinds {
		if place -= n; place < 0 {
			return breaker.Kind(k)
		}
	}
	return breaker.ServerError
}

// sink is the lane as its replica's shell.
type sink lane

var errBlocked = errors.New("blocked")

func (s *sink) Rejected(*fleet.Circuit, string, breaker.Rejection) error { return errBlocked }

func (s *sink) Changed(_ *fleet.Circuit, _ string, t breaker.Transition) {
	if t.From == breaker.Closed && t.To == breaker.Open {
		s.opened++
	}
}

func (s *sink) Due() {}

func (s *sink) Find(id policy.Circuit) *fleet.Circuit {
	if s.circuit != nil && s.circuit.ID == id {
		return s.circuit
	}
	return nil
}
