package app

import (
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/link/wire"
	"github.com/datapunk/switchgear/policy"
	"github.com/datapunk/switchgear/server/api"
	busv1 "github.com/datapunk/switchgear/server/gen/switchgear/bus/v1"
)

// owner decides: its one goroutine steps control with all that it hears and with
// the time. Whoever wants to read gets an immutable snapshot.
type owner struct {
	mind     mind
	bus      ownerBus
	daemon   string
	peers    bool // there may be other daemons
	checker  *checker
	recorder *recorder // nil: none
	metrics  *metrics
	log      *slog.Logger

	in      chan heard
	quit    chan struct{}
	done    chan struct{}
	began   time.Time
	view    atomic.Pointer[api.Snapshot]
	alive   atomic.Int64 // when it last stepped, since began
	running atomic.Bool
	live    atomic.Int64 // daemons that own something

	policies policies
	tried    atomic.Pointer[api.Progress] // of the rollout that is under way
}

// mind is control.Mind, as far as its owner needs it.
type mind interface {
	Step(control.Input) control.Said
	Interval() time.Duration
	Circuits() []control.CircuitView
	Farewell() control.Member
	Live() int
	Known() []policy.Circuit
	Native(policy.Circuit) (policy.Settings, bool)
}

type ownerBus interface {
	PublishOrders(*busv1.Orders) error
	PublishMember(*busv1.Member) error
}

// heard is an input with the instant of its arrival: waiting for the owner makes
// evidence older.
type heard struct {
	control.Input
	at time.Time
}

const (
	queueLength = 4096
	// Beyond so many waiting, evidence is shed; hellos, answers, settings and ends
	// are not.
	shedAt = queueLength * 3 / 4
	// A snapshot costs a walk over all circuits.
	snapshotInterval = 100 * time.Millisecond
	// An owner that has not stepped for so long is stuck: its calm ticks are 1 s
	// apart.
	stuckAfter = 10 * time.Second
)

func newOwner(daemon string, m mind, b ownerBus, r *recorder, metrics *metrics, log *slog.Logger) *owner {
	o := &owner{
		mind: m, bus: b, daemon: daemon, recorder: r, metrics: metrics, log: log,
		in: make(chan heard, queueLength), quit: make(chan struct{}), done: make(chan struct{}), began: time.Now(),
		policies: noPolicies(),
	}
	o.view.Store(&api.Snapshot{At: o.began})
	o.checker = newChecker(func(c control.Checked) { o.take(control.Input{Check: &c}) })
	return o
}

func (o *owner) start() {
	o.running.Store(true)
	go o.run()
}

func (o *owner) stop() {
	close(o.quit)
	if o.running.Load() {
		<-o.done
	}
	o.checker.close()
}

// hear takes evidence from the bus; it waits for the owner only with what must
// not be lost.
func (o *owner) hear(e *busv1.Evidence) {
	in, err := inputOf(e)
	if err != nil {
		o.metrics.dropped.Inc()
		o.log.Warn("evidence was ignored", "error", err)
		return
	}
	if r := e.GetReport(); r != nil && len(o.in) >= shedAt && sheddable(r) {
		o.metrics.dropped.Inc()
		return
	}
	o.take(in)
}

// take gives control an input as soon as it has done with those before.
func (o *owner) take(in control.Input) {
	select {
	case o.in <- heard{in, time.Now()}:
	case <-o.quit:
	}
}

func sheddable(r *linkv1.Report) bool {
	if r.GetFinal() || len(r.GetAnswers()) > 0 {
		return false
	}
	for _, c := range r.GetCircuits() {
		if c.GetSettings() != nil {
			return false
		}
	}
	return true
}

func inputOf(e *busv1.Evidence) (control.Input, error) {
	from, err := wire.FromReplica(e.GetFrom())
	if err != nil {
		return control.Input{}, err
	}
	switch event := e.GetEvent().(type) {
	case *busv1.Evidence_Hello:
		h, err := wire.FromHello(event.Hello)
		return control.Input{Hello: &h, Observer: e.GetObserver()}, err
	case *busv1.Evidence_Report:
		r, err := wire.FromReport(event.Report)
		return control.Input{Report: &control.ReplicaReport{From: from, Observer: e.GetObserver(), Report: r}}, err
	case *busv1.Evidence_Gone:
		return control.Input{Gone: &from}, nil
	}
	return control.Input{Tick: true}, nil // of a newer daemon
}

func (o *owner) run() {
	defer close(o.done)
	o.step(heard{control.Input{Tick: true}, time.Now()})
	tick := time.NewTimer(o.mind.Interval())
	defer tick.Stop()
	for {
		select {
		case h := <-o.in:
			o.step(h)
		case now := <-tick.C:
			o.step(heard{control.Input{Tick: true}, now})
		case <-o.policies.changed:
			o.ruleAll()
		case <-o.quit:
			if o.peers {
				last := o.mind.Farewell()
				_ = o.bus.PublishMember(toMember(&last)) // others notice its silence too
			}
			return
		}
		wait := o.mind.Interval()
		if o.look(time.Now()) {
			wait = min(wait, snapshotInterval)
		}
		tick.Reset(wait)
	}
}

// step gives control one input. A defect in control must not take the daemon's
// other half with it: what is known so far stands, and the loss is loud.
func (o *owner) step(h heard) {
	defer func() {
		if p := recover(); p != nil {
			o.metrics.panics.Inc()
			o.log.Error("control panicked; its last directives stand", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	in := h.Input
	in.At = time.Since(o.began)
	if held := time.Since(h.at); in.Report != nil && held >= fleet.BucketWidth {
		older(in.Report, held)
	}
	if o.recorder != nil {
		o.recorder.record(in)
	}
	o.evaluate(&in)
	said := o.mind.Step(in)
	o.alive.Store(int64(in.At) + 1)
	o.live.Store(int64(o.mind.Live()))
	o.say(&said)
	o.rule(said.New)
}

// say publishes what control has said.
func (o *owner) say(said *control.Said) {
	if len(said.Directives) > 0 {
		orders := &busv1.Orders{Daemon: o.daemon}
		for i := range said.Directives {
			out := &said.Directives[i]
			orders.Orders = append(orders.Orders, &busv1.Order{To: wire.ToReplica(out.To), Directive: wire.ToDirective(&out.Directive)})
		}
		o.metrics.decided.Add(float64(len(said.Directives)))
		if err := o.bus.PublishOrders(orders); err != nil {
			o.log.Error("directives were not published", "error", err)
		}
	}
	for _, f := range said.Findings {
		o.metrics.findings.WithLabelValues(f.Kind).Inc()
		o.log.Warn("control found something", "kind", f.Kind, "where", f.Where(), "why", f.Why, "ended", f.Ended)
	}
	for i := range said.Members {
		if err := o.bus.PublishMember(toMember(&said.Members[i])); err != nil {
			o.log.Error("the other daemons were not told", "error", err)
		}
	}
	for _, c := range said.Checks {
		o.checker.ask(c)
	}
}

// older adds the time that a report waited here to the age of its evidence.
func older(r *control.ReplicaReport, held time.Duration) {
	held = held / fleet.BucketWidth * fleet.BucketWidth
	for i := range r.Circuits {
		for j := range r.Circuits[i].Cells {
			for k := range r.Circuits[i].Cells[j].Buckets {
				r.Circuits[i].Cells[j].Buckets[k].Age += held
			}
		}
	}
}

// look takes a new snapshot where the last one is old enough, and reports whether
// one is due soon.
func (o *owner) look(now time.Time) (due bool) {
	if now.Sub(o.view.Load().At) < snapshotInterval {
		return true
	}
	o.view.Store(api.NewSnapshot(now, o.mind.Circuits()))
	o.progress()
	return false
}

func (o *owner) snapshot() *api.Snapshot { return o.view.Load() }

// err says why nothing is decided, nil if it is.
func (o *owner) err() error {
	last := o.alive.Load()
	if last == 0 {
		return errStarting
	}
	if time.Since(o.began)-time.Duration(last-1) > stuckAfter {
		return errStuck
	}
	return nil
}
