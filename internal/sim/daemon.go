package sim

import (
	"slices"
	"time"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// Daemon is one process that decides.
type Daemon struct {
	Name  string
	Mind  *control.Mind
	world *World
	tick  time.Duration // when its next tick is planned, 0 if none is
	asked time.Duration // when it was last asked how long it can wait
}

// askAgain is how often a daemon is asked how long it can wait at most, which it
// answers by going through all that it has: the step of an urgent tick.
const askAgain = 20 * time.Millisecond

// StartDaemon lets the one daemon begin; every replica says hello.
func (w *World) StartDaemon(incarnation uint64) { w.Start("sim", incarnation) }

// KillDaemon takes every daemon away; replicas go on by themselves.
func (w *World) KillDaemon() {
	for len(w.daemons) > 0 {
		w.Kill(w.daemons[0].Name)
	}
}

// Start lets a daemon begin; every replica says hello to it.
func (w *World) Start(name string, incarnation uint64) *Daemon {
	cfg := control.Config{Daemon: name, Incarnation: incarnation, Seed: w.seed, Enforce: true}
	if w.Configure != nil {
		w.Configure(&cfg)
	}
	d := &Daemon{Name: name, Mind: control.New(cfg), world: w}
	w.daemons = append(w.daemons, d)
	w.attached = true
	for _, r := range w.replicas {
		r.connect(d)
	}
	return d
}

// Kill takes a daemon away at once; what was on its way to it is lost.
func (w *World) Kill(name string) {
	w.daemons = slices.DeleteFunc(w.daemons, func(d *Daemon) bool { return d.Name == name })
}

// Mind is control of the first daemon, nil while there is none.
func (w *World) Mind() *control.Mind {
	if len(w.daemons) == 0 {
		return nil
	}
	return w.daemons[0].Mind
}

// Tell every daemon that lives something: an operator's order, a policy.
func (w *World) Tell(in control.Input) {
	for _, d := range slices.Clone(w.daemons) {
		d.step(in)
	}
}

func (d *Daemon) lives() bool { return slices.Contains(d.world.daemons, d) }

// owner of a callee among the daemons that live, of which there is one at least.
func (w *World) owner(callee policy.Service) *Daemon {
	if w.Owner == nil || len(w.daemons) == 1 {
		return w.daemons[0]
	}
	return w.Owner(callee, w.daemons)
}

// route brings a report to the owners of its callees, each with its share.
func (w *World) route(r *Replica, rep fleet.Report) {
	if len(w.daemons) == 1 {
		r.send(w.daemons[0], control.Input{Report: &control.ReplicaReport{From: r.half.ID(), Observer: r.Name, Report: rep}})
		return
	}
	for _, d := range w.daemons {
		share := rep
		share.Circuits, share.Answers = nil, nil
		for i := range rep.Circuits {
			if w.owner(rep.Circuits[i].Callee) == d {
				share.Circuits = append(share.Circuits, rep.Circuits[i])
			}
		}
		for i := range rep.Answers {
			if w.owner(rep.Answers[i].Circuit.Callee) == d {
				share.Answers = append(share.Answers, rep.Answers[i])
			}
		}
		if len(share.Circuits)+len(share.Answers) > 0 {
			r.send(d, control.Input{Report: &control.ReplicaReport{From: r.half.ID(), Observer: r.Name, Report: share}})
		}
	}
}

func (d *Daemon) step(in control.Input) {
	w := d.world
	in.At = w.now
	if w.Inputs != nil {
		w.Inputs(in)
	}
	said := d.Mind.Step(in)
	for _, out := range said.Directives {
		if w.Outputs != nil {
			w.Outputs(out)
		}
		w.deliver(out)
	}
	if w.Findings != nil {
		for _, n := range said.Findings {
			w.Findings(n)
		}
	}
	d.plan()
}

// plan sees to it that the daemon's next tick is due no later than it says.
func (d *Daemon) plan() {
	w := d.world
	if waits := d.tick > w.now; waits && (d.tick <= w.now+askAgain || d.asked > 0 && w.now < d.asked+askAgain) {
		return
	}
	d.asked = w.now
	at := w.now + d.Mind.Interval()
	if d.tick > w.now && d.tick <= at {
		return
	}
	d.tick = at
	w.Plan(at, (*tick)(d))
}

// tick is time passing for a daemon; one that was planned again sooner does
// nothing.
type tick Daemon

func (t *tick) Happen() {
	if d := (*Daemon)(t); d.tick == d.world.now && d.lives() {
		d.step(control.Input{Tick: true})
	}
}

// deliver carries a word to those it is for.
func (w *World) deliver(out control.Output) {
	if out.To.Name != "" {
		if r := w.byID[out.To]; r != nil {
			r.receive(&out.Directive)
		}
		return
	}
	to := w.byService[out.To.Service]
	if w.LinkJitter > 0 || w.LinkLoss > 0 {
		for _, r := range to {
			r.receive(&out.Directive)
		}
		return
	}
	w.messages += uint64(len(to))
	at := max(w.now+w.LinkDelay, w.told)
	w.told, w.cast = at, at
	w.At(at, func() {
		for _, r := range to {
			r.obey(&out.Directive)
		}
	})
}
