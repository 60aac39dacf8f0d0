// Package sim runs the real breaker, fleet and control code in virtual time:
// seeded discrete events, one object per replica and circuit, exact results. It
// reads no clock and starts no goroutine.
package sim

import (
	"math/rand/v2"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// World is a mesh in virtual time. Its exported fields are set before the first
// daemon starts; those of the link may change at any time.
type World struct {
	// LinkDelay is how long a message travels one way, and LinkJitter how much
	// longer it may. Messages of one link never overtake one another.
	LinkDelay, LinkJitter time.Duration
	// LinkLoss is the share of messages that are lost, 0–1. They are sent again,
	// and what follows on the same link waits for them: links are streams.
	LinkLoss float64
	// Inputs, if set, hears everything that control is given, in order: a recording.
	Inputs func(control.Input)
	// Outputs, if set, hears everything that control says.
	Outputs func(control.Output)
	// Findings, if set, hears what control says to people.
	Findings func(control.Notice)
	// Changed, if set, hears every transition; else each replica keeps its own.
	Changed func(*Replica, Change)
	// Configure, if set, has the last word on a daemon's configuration.
	Configure func(*control.Config)
	// OwnControl lets each replica decide for itself where no daemon does, as a
	// process does; without it breakers have their own rules only.
	OwnControl bool
	// MaxEvents that may happen, and MaxWaiting that may be planned, before Run
	// returns early; 0 is no bound.
	MaxEvents  uint64
	MaxWaiting int
	// Owner chooses the daemon that decides on a callee, of those that live. Nil is
	// the first of them.
	Owner func(callee policy.Service, live []*Daemon) *Daemon

	now      time.Duration
	rng      *rand.Rand
	seed     uint64
	clock    *breaker.Clock
	events   queue
	sequence uint64
	happened uint64
	messages uint64
	told     time.Duration // when the last message to any replica arrives
	cast     time.Duration // when the last one to all of a service does

	daemons   []*Daemon // that live, in the order of their start
	attached  bool      // there has been one
	replicas  []*Replica
	born      uint64 // replicas, ever
	byService map[policy.Service][]*Replica
	byID      map[fleet.ReplicaID]*Replica
}

// New makes an empty world; the same seed gives the same run.
func New(seed uint64) *World {
	w := &World{
		LinkDelay: 5 * time.Millisecond, rng: rand.New(rand.NewPCG(seed, 0x51)), seed: seed, now: 1,
		byService: make(map[policy.Service][]*Replica), byID: make(map[fleet.ReplicaID]*Replica),
	}
	w.clock = breaker.NewClock(func() time.Duration { return w.now })
	return w
}

// Now is the virtual time.
func (w *World) Now() time.Duration { return w.now }

// Rand is the world's source of chance.
func (w *World) Rand() *rand.Rand { return w.rng }

// At plans f for a time.
func (w *World) At(t time.Duration, f func()) { w.Plan(t, act(f)) }

// After plans f for later.
func (w *World) After(d time.Duration, f func()) { w.Plan(w.now+d, act(f)) }

// Plan lets an event happen at a time, at once if that is over.
func (w *World) Plan(t time.Duration, e Event) {
	w.sequence++
	w.events.push(planned{max(t, w.now), w.sequence, e})
}

// Run lets time pass until the given moment.
func (w *World) Run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until && !w.Full() {
		e := w.events.pop()
		w.now = e.at
		w.clock.Advance(w.now)
		w.happened++
		e.what.Happen()
	}
	if w.Full() {
		return
	}
	w.now = until
	w.clock.Advance(w.now)
}

// Full reports whether more has happened or is planned than may be.
func (w *World) Full() bool {
	return w.MaxEvents > 0 && w.happened > w.MaxEvents || w.MaxWaiting > 0 && len(w.events) > w.MaxWaiting
}

// Stats are the sizes of a world.
type Stats struct {
	Replicas int    // processes
	Breakers int    // of circuits
	Parts    int    // breakers of instances
	Labels   int    // counters of a route and instance
	Events   uint64 // that have happened
	Waiting  int    // that are planned
	Messages uint64 // between replicas and daemons
}

// Stats counts what there is.
func (w *World) Stats() Stats {
	s := Stats{Replicas: len(w.replicas), Events: w.happened, Waiting: len(w.events), Messages: w.messages}
	for _, r := range w.replicas {
		s.Breakers += len(r.circuits)
		for _, c := range r.circuits {
			parts, labels := c.Size()
			s.Parts += parts
			s.Labels += labels
		}
	}
	return s
}
