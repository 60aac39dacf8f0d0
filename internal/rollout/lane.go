package rollout

import (
	"errors"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// lane is one side of a trial: the breakers that a circuit's calls go through, as
// settings say. One stands for the fleet: all calls go through it. Without
// thresholds control decides over it; with a rate, that decides, as control judges
// it over all replicas. With thresholds each replica has a breaker of its own, too,
// which judges its own calls.
type lane struct {
	clock    *breaker.Clock
	seed     uint64
	settings policy.Settings
	half     *fleet.Replica
	fleet    *fleet.Circuit // nil where no rule is one of the fleet's
	mind     *control.Solo
	own      bool // replicas have breakers
	opened   int
}

func newLane(at time.Duration, seed uint64, id policy.Circuit, s *policy.Settings) *lane {
	l := &lane{seed: seed, settings: *s, own: !s.Automatic()}
	l.clock = breaker.NewClock(func() time.Duration { return 0 })
	l.clock.Advance(at)
	l.settings.Breaker.Strategy = nil // a function of the replicas', that nobody has here
	l.half = fleet.NewReplica(fleet.ReplicaID{Service: id.Caller, Name: "trial", Incarnation: 1}, l.clock, seed, (*sink)(l))
	l.mind = control.NewSolo(l.half, seed)
	whole := l.settings
	if l.own { // what is counted call by call is each replica's own
		whole.Breaker.ConsecutiveFailures, whole.Breaker.SlowCallRateThreshold, whole.Breaker.SlowCallDurationThreshold = 0, 0, 0
	}
	if !l.own || whole.Breaker.FailureRateThreshold > 0 {
		l.fleet = l.half.Guard(id, &whole)
	}
	return l
}

// breaker of one replica, nil where replicas have none.
func (l *lane) breaker() *breaker.Breaker {
	if !l.own {
		return nil
	}
	l.seed++
	return breaker.New(&l.settings.Breaker, breaker.Options{Clock: l.clock, Seed: l.seed, Owner: (*owner)(l)})
}

// look is how often control is asked between two samples, where it is in a hurry.
const look = 20 * time.Millisecond

// call is one that is played.
type call struct {
	at      time.Duration
	replica *seen
	bad     bool
	kind    breaker.Kind
	weight  float64
}

// play lets a step's calls come, in their order, and adds up what becomes of them.
func (l *lane) play(at time.Duration, calls []call, latency time.Duration, which int, to *Side) {
	before, next := l.opened, at+look
	for i := range calls {
		c := &calls[i]
		for ; next <= c.at; next += look {
			l.think(next)
		}
		l.clock.Advance(c.at)
		permitted := l.let(c, latency, c.replica.breakers[which])
		switch {
		case c.bad:
			to.Bad += c.weight
			if permitted {
				to.PassedBad += c.weight
			}
		default:
			to.Good += c.weight
			if !permitted {
				to.BlockedGood += c.weight
			}
		}
	}
	end := at + fleet.BucketWidth
	l.clock.Advance(end)
	l.half.Sample(end)
	l.mind.Step(end)
	to.Opened += l.opened - before
}

// let a call through both breakers, if they permit it.
func (l *lane) let(c *call, latency time.Duration, own *breaker.Breaker) bool {
	var whole, part breaker.Permit
	var err error
	if l.fleet != nil {
		if whole, err = l.fleet.Breaker.Acquire(); err != nil {
			return false
		}
	}
	if own != nil {
		if part, err = own.Acquire(); err != nil {
			whole.Release()
			return false
		}
	}
	o := breaker.Outcome{Latency: latency}
	if c.bad {
		o.Verdict, o.Kind = breaker.Failure, c.kind
	}
	whole.Done(o)
	part.Done(o)
	return true
}

func (l *lane) think(now time.Duration) {
	if l.mind.Due() <= now {
		l.clock.Advance(now)
		l.mind.Step(now)
	}
}

var errBlocked = errors.New("blocked")

func (l *lane) changed(t breaker.Transition) {
	if t.From == breaker.Closed && t.To == breaker.Open {
		l.opened++
	}
}

// sink is the lane as the shell of the one replica that stands for all.
type sink lane

func (s *sink) Rejected(*fleet.Circuit, string, breaker.Rejection) error { return errBlocked }

func (s *sink) Changed(_ *fleet.Circuit, _ string, t breaker.Transition) { (*lane)(s).changed(t) }

func (s *sink) Due() {}

func (s *sink) Find(id policy.Circuit) *fleet.Circuit {
	if s.fleet != nil && s.fleet.ID == id {
		return s.fleet
	}
	return nil
}

// owner is the lane as the owner of a replica's breaker.
type owner lane

func (o *owner) Rejected(*breaker.Breaker, breaker.Rejection) error { return errBlocked }

func (o *owner) Changed(_ *breaker.Breaker, t breaker.Transition) { (*lane)(o).changed(t) }

func (o *owner) Active(*breaker.Breaker) {}
func (o *owner) Failed(*breaker.Breaker) {}

func (o *owner) Answered(*breaker.Breaker, uint64, bool, breaker.Outcome) {}
