package sim

import (
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// Replica is one process of a service: the shell, in virtual time, around its
// fleet half. It samples and reports when there is something to, and costs no
// event while there is not.
type Replica struct {
	Name string
	// Changes are the transitions of its breakers, in order.
	Changes []Change
	// Owner is the own record of whoever made the replica.
	Owner any
	// Distort, if set, falsifies what it reports: a liar.
	Distort func(*fleet.Report)

	world    *World
	half     *fleet.Replica
	own      *control.Solo // nil without
	circuits []*fleet.Circuit
	cut      bool // from every daemon
	stopped  bool
	last     time.Duration // of its beats
	next     time.Duration // beat planned, 0 is none
	looking  bool          // a look is planned
	up, down time.Duration // when the last message of each direction arrives
}

// Change is one transition, and where.
type Change struct {
	Circuit  policy.Circuit
	Instance string
	breaker.Transition
}

// AddReplica starts a process.
func (w *World) AddReplica(service policy.Service, name string) *Replica {
	w.born++
	r := &Replica{Name: name, world: w, last: w.now}
	id := fleet.ReplicaID{Service: service, Name: name, Incarnation: w.born}
	r.half = fleet.NewReplica(id, w.clock, w.rng.Uint64(), (*sink)(r))
	if w.OwnControl {
		r.own = control.NewSolo(r.half, w.born)
	}
	w.replicas = append(w.replicas, r)
	w.byService[service] = append(w.byService[service], r)
	w.byID[id] = r
	for _, d := range w.daemons {
		r.connect(d)
	}
	return r
}

// Stop ends the process as kill -9 does: what it had not yet reported is lost, and
// its stream ends. The calls of its breakers may still come to their end.
func (r *Replica) Stop() {
	w, id := r.world, r.half.ID()
	r.Cut(true)
	r.stopped = true
	without := func(list []*Replica) []*Replica {
		// A word that is on its way to all goes on through the list as it was.
		return slices.DeleteFunc(slices.Clone(list), func(o *Replica) bool { return o == r })
	}
	w.replicas = without(w.replicas)
	w.byService[id.Service] = without(w.byService[id.Service])
	delete(w.byID, id)
}

// Guard makes the replica's end of a circuit.
func (r *Replica) Guard(callee policy.Service, s policy.Settings) *fleet.Circuit {
	return r.GuardWith(callee, &s)
}

// GuardWith does so with settings that replicas share.
func (r *Replica) GuardWith(callee policy.Service, s *policy.Settings) *fleet.Circuit {
	c := r.half.Guard(policy.Circuit{Caller: r.half.ID().Service, Callee: callee}, s)
	r.circuits = append(r.circuits, c)
	return c
}

// Cut takes the replica's link to every daemon away, or gives it back; then it
// says hello anew.
func (r *Replica) Cut(cut bool) {
	if r.cut == cut || r.stopped {
		return
	}
	r.cut = cut
	id := r.half.ID()
	for _, d := range r.world.daemons {
		if cut {
			r.world.After(r.world.LinkDelay, func() {
				if d.lives() {
					d.step(control.Input{Gone: &id})
				}
			})
			continue
		}
		r.connect(d)
	}
}

func (r *Replica) connect(d *Daemon) {
	if r.cut {
		return
	}
	h := r.half.Hello(r.world.now, "sim")
	r.send(d, control.Input{Hello: &h})
	r.Touch()
}

// linked reports whether anybody hears the replica.
func (r *Replica) linked() bool { return !r.cut && len(r.world.daemons) > 0 }

// sampled reports whether anybody reads what the replica samples.
func (r *Replica) sampled() bool { return (r.world.attached || r.own != nil) && !r.stopped }

// Touch tells that a call of the replica was made, rejected or has ended: a
// bucket is to be sampled when it ends.
func (r *Replica) Touch() {
	if !r.sampled() {
		return // nobody will ever ask
	}
	since := r.world.now - r.last
	r.plan(r.last + since/fleet.BucketWidth*fleet.BucketWidth + fleet.BucketWidth)
}

// plan lets the next beat be no later than a time.
func (r *Replica) plan(at time.Duration) {
	if r.next != 0 && r.next <= at {
		return
	}
	r.next = at
	r.world.Plan(at, (*beat)(r))
}

// beat is the replica's shell: it samples once a bucket while there is anything
// to sample, and reports when due.
type beat Replica

func (b *beat) Happen() {
	r := (*Replica)(b)
	w := r.world
	if r.next != w.now || r.stopped {
		return // another was planned sooner, or there is nobody any more
	}
	r.next, r.last = 0, w.now
	r.half.Linked(w.now, r.linked())
	r.half.Sample(w.now)
	if r.own != nil {
		r.own.Step(w.now)
	}
	if r.linked() && r.half.Due(w.now) <= w.now {
		if rep, ok := r.half.Report(w.now); ok {
			if r.Distort != nil {
				r.Distort(&rep)
			}
			w.route(r, rep)
		}
	}
	if r.half.Idle() {
		return
	}
	if at := r.half.Wake(); at < w.now+fleet.CalmInterval {
		r.plan(max(at, w.now+fleet.BucketWidth))
	}
	if r.own != nil && r.own.Due() < w.now+fleet.CalmInterval {
		r.plan(max(r.own.Due(), w.now+10*time.Millisecond))
	}
	if r.linked() {
		r.plan(max(r.half.Due(w.now), w.now+10*time.Millisecond))
	} else {
		r.plan(w.now + fleet.CalmInterval)
	}
}

// look finds out, after something urgent has happened, when to report it.
type look Replica

func (l *look) Happen() {
	r := (*Replica)(l)
	r.looking = false
	if r.linked() {
		r.plan(max(r.half.Due(r.world.now), r.world.now))
	}
	r.Touch()
}

// send brings an input to a daemon.
func (r *Replica) send(d *Daemon, in control.Input) {
	w := r.world
	w.At(w.travel(&r.up, 0), func() {
		if d.lives() && !r.cut {
			d.step(in)
		}
	})
}

// receive brings a word to the replica.
func (r *Replica) receive(word *fleet.Directive) {
	w := r.world
	at := w.travel(&r.down, w.cast)
	w.told = max(w.told, at)
	w.At(at, func() { r.obey(word) })
}

func (r *Replica) obey(word *fleet.Directive) {
	if r.cut {
		return
	}
	r.half.Obey(r.world.now, *word)
	r.Touch()
}

// resend is after how long a lost message is sent again, at first; each time it
// takes twice as long, as TCP does it.
const resend = 200 * time.Millisecond

// travel says when a message of a link arrives, never before the last one and
// never before another time.
func (w *World) travel(last *time.Duration, after time.Duration) time.Duration {
	w.messages++
	at := w.now + w.LinkDelay
	if w.LinkJitter > 0 {
		at += time.Duration(w.rng.Int64N(int64(w.LinkJitter) + 1))
	}
	for again := resend; again < time.Minute && w.LinkLoss > 0 && w.rng.Float64() < w.LinkLoss; again *= 2 {
		at += again
	}
	*last = max(at, *last, after)
	return *last
}

// sink is the replica as its fleet half's shell.
type sink Replica

func (*sink) Rejected(_ *fleet.Circuit, _ string, r breaker.Rejection) error { return r.Reason.Err() }

func (s *sink) Changed(c *fleet.Circuit, instance string, t breaker.Transition) {
	r := (*Replica)(s)
	change := Change{c.ID, instance, t}
	if r.world.Changed != nil {
		r.world.Changed(r, change)
		return
	}
	r.Changes = append(r.Changes, change)
}

func (s *sink) Find(id policy.Circuit) *fleet.Circuit {
	for _, c := range s.circuits {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// Due comes from within calls: what is due is looked up once they are over.
func (s *sink) Due() {
	r := (*Replica)(s)
	if r.looking || !r.sampled() {
		return
	}
	r.looking = true
	r.world.Plan(r.world.now, (*look)(r))
}
