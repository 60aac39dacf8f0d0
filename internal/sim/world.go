// Package sim runs the real breaker, fleet and control code in virtual time:
// seeded discrete events, one object per replica, exact results. It reads no
// clock and starts no goroutine.
package sim

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// World is a mesh in virtual time.
type World struct {
	// LinkDelay is how long a message travels one way.
	LinkDelay time.Duration
	// Inputs, if set, hears everything that control is given, in order: a recording.
	Inputs func(control.Input)
	// Outputs, if set, hears everything that control says.
	Outputs func(control.Output)
	// Without switches mechanisms of control off; it is set before StartDaemon.
	Without control.Without

	now      time.Duration
	rng      *rand.Rand
	seed     uint64
	clock    *breaker.Clock
	events   eventQueue
	sequence uint64
	mind     *control.Mind
	replicas []*Replica
	thinkAt  time.Duration // of the next tick of control, 0 if none is planned
}

// New makes an empty world; the same seed gives the same run.
func New(seed uint64) *World {
	w := &World{LinkDelay: 5 * time.Millisecond, rng: rand.New(rand.NewPCG(seed, 0x51)), seed: seed, now: 1}
	w.clock = breaker.NewClock(func() time.Duration { return w.now })
	return w
}

// Now is the virtual time.
func (w *World) Now() time.Duration { return w.now }

// Rand is the world's source of chance.
func (w *World) Rand() *rand.Rand { return w.rng }

// At plans f for a time.
func (w *World) At(t time.Duration, f func()) {
	w.sequence++
	heap.Push(&w.events, event{at: max(t, w.now), order: w.sequence, do: f})
}

// After plans f for later.
func (w *World) After(d time.Duration, f func()) { w.At(w.now+d, f) }

// Run lets time pass until the given moment.
func (w *World) Run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until {
		e, _ := heap.Pop(&w.events).(event)
		w.now = e.at
		w.clock.Advance(w.now)
		e.do()
	}
	w.now = until
	w.clock.Advance(w.now)
}

type event struct {
	at    time.Duration
	order uint64
	do    func()
}

type eventQueue []event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any) {
	e, _ := x.(event)
	*q = append(*q, e)
}

func (q *eventQueue) Pop() any {
	e := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = event{}
	*q = (*q)[:len(*q)-1]
	return e
}

// StartDaemon lets control begin; every replica says hello.
func (w *World) StartDaemon(incarnation uint64) {
	w.mind = control.New(control.Config{Daemon: "sim", Incarnation: incarnation, Seed: w.seed, Enforce: true, Without: w.Without})
	for _, r := range w.replicas {
		r.connect()
	}
}

// KillDaemon takes control away; replicas go on by themselves.
func (w *World) KillDaemon() { w.mind = nil }

// Mind is control, nil while there is no daemon.
func (w *World) Mind() *control.Mind { return w.mind }

// tell hands an input to control once it has arrived, and carries out what
// control says to it.
func (w *World) tell(in control.Input) {
	to := w.mind
	w.After(w.LinkDelay, func() {
		if w.mind != nil && w.mind == to {
			w.step(in)
		}
	})
}

func (w *World) step(in control.Input) {
	in.At = w.now
	if w.Inputs != nil {
		w.Inputs(in)
	}
	for _, out := range w.mind.Step(in).Directives {
		if w.Outputs != nil {
			w.Outputs(out)
		}
		for _, r := range w.replicas {
			if r.half.ID().Service == out.To.Service && (out.To.Name == "" || r.half.ID() == out.To) {
				w.After(w.LinkDelay, func() { r.half.Obey(w.now, out.Directive) })
			}
		}
	}
	w.planTick()
}

func (w *World) planTick() {
	at := w.now + w.mind.Interval()
	if w.thinkAt > w.now && w.thinkAt <= at {
		return
	}
	w.thinkAt = at
	w.At(at, func() {
		if w.mind != nil && w.thinkAt == at {
			w.step(control.Input{Tick: true})
		}
	})
}

// Replica is one process of a service.
type Replica struct {
	Name  string
	world *World
	half  *fleet.Replica
	// Changes are the transitions of its breakers, in order.
	Changes []Change
}

// Change is one transition, and where.
type Change struct {
	Circuit  policy.Circuit
	Instance string
	breaker.Transition
}

// AddReplica starts a process.
func (w *World) AddReplica(service policy.Service, name string) *Replica {
	r := &Replica{Name: name, world: w}
	id := fleet.ReplicaID{Service: service, Name: name, Incarnation: uint64(len(w.replicas)) + 1}
	r.half = fleet.NewReplica(id, w.clock, w.rng.Uint64(), (*sink)(r))
	w.replicas = append(w.replicas, r)
	r.connect()
	r.beat()
	return r
}

// Guard makes the replica's end of a circuit.
func (r *Replica) Guard(callee policy.Service, s policy.Settings) *fleet.Circuit {
	return r.half.Guard(policy.Circuit{Caller: r.half.ID().Service, Callee: callee}, &s)
}

func (r *Replica) connect() {
	if r.world.mind == nil {
		return
	}
	h := r.half.Hello(r.world.now, "sim")
	r.world.tell(control.Input{Hello: &h})
}

// beat is the replica's shell: it samples every 100 ms and reports when due.
func (r *Replica) beat() {
	w := r.world
	r.half.Sample(w.now)
	if w.mind != nil && r.half.Due(w.now) <= w.now {
		if rep, ok := r.half.Report(w.now); ok {
			w.tell(control.Input{Report: &control.ReplicaReport{From: r.half.ID(), Observer: r.Name, Report: rep}})
		}
	}
	next := fleet.BucketWidth
	if w.mind != nil {
		next = min(next, max(r.half.Due(w.now)-w.now, 10*time.Millisecond))
	}
	w.After(next, r.beat)
}

// sink is the replica as its fleet half's shell.
type sink Replica

func (*sink) Rejected(_ *fleet.Circuit, _ string, r breaker.Rejection) error { return r.Reason.Err() }

func (s *sink) Changed(c *fleet.Circuit, instance string, t breaker.Transition) {
	s.Changes = append(s.Changes, Change{c.ID, instance, t})
}

func (*sink) Due() {} // beat looks often enough
