package fleet

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

// Circuit is one guarded edge at one replica: its breaker, one breaker for each
// instance that its transport can choose, and the evidence by label. Breaker,
// Part and Tally are safe for concurrent use and what calls use; the rest
// belongs to the Replica.
type Circuit struct {
	ID      policy.Circuit
	Breaker *breaker.Breaker
	// Owner is the shell's own record of the circuit; fleet never looks at it.
	Owner any

	replica  *Replica
	settings atomic.Pointer[policy.Settings]
	deadline atomic.Int64 // median of the calls' time left, 0 if not known

	mu    sync.Mutex // guards parts and what it points to; never held while anything is called
	parts *parts     // nil while there are none

	*watch // the Replica's alone; nil until the circuit is first active
}

// parts are what a circuit's calls are told apart by.
type parts struct {
	instances map[string]*Instance
	cells     map[label]*cell
	list      []*cell // the cells, in the order of their making
}

// watch is what a replica knows of a circuit that it samples.
type watch struct {
	active    bool
	told      [readers]bool // its settings
	hot       bool          // every answer is urgent
	pace      pace
	slow      bool // answers have just got slow
	lastSeen  time.Duration
	rest      cell     // the calls without labels
	ended     uint64   // calls, as of the last sample
	still     bool     // none had ended then
	owed      Counts   // reported by label ahead of the circuit's own count
	held      standing // the fleet's word
	own       standing // own control's
	inherited bool     // own is the fleet's last word, which own control has not heard
	ruled     []ruled  // under operators' words
	leases    map[uint64]struct{}
}

// Instance is one instance of a circuit's callee: a breaker that only control
// opens.
type Instance struct {
	*breaker.Breaker
	Name    string
	circuit *Circuit
}

type label struct{ route, instance string }

// cell is the evidence of one label: what was sampled when, and what is not yet
// reported.
type cell struct {
	label
	tally   *breaker.Tally
	added   uint64 // outcomes of the tally that were sampled
	last    reading
	pending [readers][]Bucket // Age holds the instant of the bucket's end until it is taken
	breaker *Instance         // of a labelled instance
}

// reading is what was counted at the last sample. Most cells know successes
// only, and keep no more than that.
type reading struct {
	succeeded uint64
	latency   time.Duration
	all       *breaker.Counts // nil while there is nothing else
}

// maxLabels bounds the cells of a circuit; calls beyond keep their evidence in
// the circuit's own row.
const maxLabels = 512

// Settings that the circuit runs on now.
func (c *Circuit) Settings() *policy.Settings { return c.settings.Load() }

// Deadline tells how much time a call has that is about to be made, of which the
// circuit keeps the median: each value moves it by a twentieth at most, so that a
// stray one means little (stochastic approximation of a quantile). Callers with
// one time-out cost one load.
func (c *Circuit) Deadline(left time.Duration) {
	if left <= 0 {
		return
	}
	switch old := c.deadline.Load(); {
	case old == 0:
		c.deadline.CompareAndSwap(0, int64(left))
	case int64(left) > old+old/20:
		c.deadline.CompareAndSwap(old, old+old/20)
	case int64(left) < old-old/20:
		c.deadline.CompareAndSwap(old, old-old/20)
	}
}

// CallTimeout is the callers' time-out: the settings', else the median of what
// calls had; 0 where neither is known.
func (c *Circuit) CallTimeout() time.Duration {
	if t := c.Settings().CallTimeout; t > 0 {
		return t
	}
	return time.Duration(c.deadline.Load())
}

// Update puts new settings in force, in place. What says the same is only known by
// its new origin: nobody is told.
func (c *Circuit) Update(s *policy.Settings) {
	old := c.settings.Swap(s)
	c.Breaker.Update(&s.Breaker)
	for _, x := range c.Instances() {
		x.Update(obedient(s.Breaker.Mode))
	}
	if old.Revision == s.Revision && old.Same(s) {
		return
	}
	c.replica.note(func(in *inbox) { in.changed = append(in.changed, c) })
}

// Instance gives the breaker of an instance. Its settings have no thresholds: it
// opens only where control says so. It returns nil when there are too many.
func (c *Circuit) Instance(name string) *Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.divided()
	if x := p.instances[name]; x != nil {
		return x
	}
	if len(p.instances) >= maxLabels {
		return nil
	}
	x := &Instance{Name: name, circuit: c}
	x.Breaker = breaker.New(obedient(c.Settings().Breaker.Mode), breaker.Options{Clock: c.replica.clock, Seed: c.replica.seed(c.ID.String() + "@" + name), Owner: (*instanceOwner)(x)})
	if p.instances == nil {
		p.instances = make(map[string]*Instance)
	}
	p.instances[name] = x
	return x
}

// Tally gives the counters of a route and instance, either of which may be
// empty, or nil when there are too many: the caller resolves it once and adds
// to it with each outcome that its permits count.
func (c *Circuit) Tally(route, instance string) *breaker.Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.divided()
	l := label{route, instance}
	if x := p.cells[l]; x != nil {
		return x.tally
	}
	if len(p.cells) >= maxLabels {
		return nil
	}
	if p.cells == nil {
		p.cells = make(map[label]*cell)
	}
	x := &cell{label: l, tally: new(breaker.Tally), breaker: p.instances[instance]}
	p.cells[l] = x
	p.list = append(p.list, x)
	return x.tally
}

// divided gives the parts, made at first use; under mu.
func (c *Circuit) divided() *parts {
	if c.parts == nil {
		c.parts = new(parts)
	}
	return c.parts
}

// labelled are the cells so far.
func (c *Circuit) labelled() []*cell {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parts == nil {
		return nil
	}
	return c.parts.list
}

// Size is how many instances and labels the circuit holds.
func (c *Circuit) Size() (instances, labels int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parts == nil {
		return 0, 0
	}
	return len(c.parts.instances), len(c.parts.cells)
}

// Instances that have breakers of their own, in no order.
func (c *Circuit) Instances() (all []*Instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parts != nil {
		for _, x := range c.parts.instances {
			all = append(all, x)
		}
	}
	return all
}

// Ejected is how many instances have breakers of their own, and how many of
// those are not closed.
func (c *Circuit) Ejected() (instances, open int) {
	all := c.Instances()
	for _, x := range all {
		if x.State() != breaker.Closed {
			open++
		}
	}
	return len(all), open
}

// Idle reports whether nothing is lost with the circuit but what it has learned: no
// call for a time, nothing open, no word that holds anything. The replica's own
// goroutine may ask.
func (c *Circuit) Idle(now, since time.Duration) bool {
	return now-c.Breaker.Used() >= since && !c.Breaker.Standing() &&
		(c.watch == nil || !c.active && c.held.till <= now && len(c.ruled) == 0)
}

// obedient are the settings of an instance's breaker: no rule of its own, and no
// more done with what it is told than with what its circuit is.
func obedient(m breaker.Mode) *breaker.Settings {
	if m == breaker.ForcedOpen {
		m = breaker.Enforce // the circuit rejects all by itself
	}
	return &obedientIn[m]
}

var obedientIn = func() (in [breaker.ForcedOpen]breaker.Settings) {
	for m := range in {
		in[m] = breaker.Settings{Mode: breaker.Mode(m)}.WithDefaults()
	}
	return in
}()

// circuitOwner is the circuit as its breaker's Owner: it runs within calls, so it
// notes and returns.
type circuitOwner Circuit

func (o *circuitOwner) Rejected(_ *breaker.Breaker, r breaker.Rejection) error {
	return o.replica.sink.Rejected((*Circuit)(o), "", r)
}

func (o *circuitOwner) Changed(_ *breaker.Breaker, t breaker.Transition) {
	o.replica.note(func(in *inbox) { in.failed = append(in.failed, (*Circuit)(o)) })
	o.replica.sink.Changed((*Circuit)(o), "", t)
}

func (o *circuitOwner) Active(*breaker.Breaker) {
	o.replica.note(func(in *inbox) { in.active = append(in.active, (*Circuit)(o)) })
	o.replica.sink.Due()
}

func (o *circuitOwner) Failed(*breaker.Breaker) {
	o.replica.note(func(in *inbox) { in.failed = append(in.failed, (*Circuit)(o)) })
	o.replica.sink.Due()
}

func (o *circuitOwner) Answered(_ *breaker.Breaker, token uint64, used bool, out breaker.Outcome) {
	(*Circuit)(o).answered(token, used, out)
}

func (c *Circuit) answered(token uint64, used bool, o breaker.Outcome) {
	a := Answer{Circuit: c.ID, Token: token, Used: used, Verdict: o.Verdict, Kind: o.Kind, Latency: o.Latency}
	c.replica.note(func(in *inbox) { in.answers = append(in.answers, a) })
	c.replica.sink.Due()
}

// instanceOwner is the same for an instance's breaker. The circuit's own breaker
// and tallies tell of activity and failures.
type instanceOwner Instance

func (o *instanceOwner) Rejected(_ *breaker.Breaker, r breaker.Rejection) error {
	return o.circuit.replica.sink.Rejected(o.circuit, o.Name, r)
}

func (o *instanceOwner) Changed(_ *breaker.Breaker, t breaker.Transition) {
	o.circuit.replica.sink.Changed(o.circuit, o.Name, t)
}

func (o *instanceOwner) Active(*breaker.Breaker) {}
func (o *instanceOwner) Failed(*breaker.Breaker) {}

func (o *instanceOwner) Answered(_ *breaker.Breaker, token uint64, used bool, out breaker.Outcome) {
	o.circuit.answered(token, used, out)
}
