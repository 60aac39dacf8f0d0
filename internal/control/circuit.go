package control

import (
	"cmp"
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// circuit is one edge of the mesh as its replicas see it together.
type circuit struct {
	id        policy.Circuit
	callee    *callee
	settings  policy.Settings
	whole     *target
	parts     []*part // by instance
	rows      []*row  // by replica
	seen      map[string]time.Duration
	dirty     bool // something is to be said
	sent      time.Duration
	heard     time.Duration // when it was last reported
	learnt    time.Duration
	suspected time.Duration // since when failures are more than normal, 0 if not

	coordination

	generations *uint64
}

// part is an instance with a verdict of its own.
type part struct {
	*target
	instance string
}

// row is what one replica says of a circuit.
type row struct {
	id       fleet.ReplicaID
	observer string
	at       time.Duration // of its last report

	state      breaker.State
	mode       breaker.Mode
	generation uint64
	window     window // of the settings' span, for thresholds
	demand     window // 4 s, to know who has calls to probe with
	cells      []*cell
	local      string  // why it has opened by its own rule, if it has
	own        *target // what brings such an opening back
	alone      string  // why it has opened alone, while own does
	settled    bool    // it runs on the settings that the daemon's policies say
	unsettled  int     // how often it said that it does not
}

// cell is a row's evidence of one route and instance, first attempts only.
type cell struct {
	route, instance string
	window          window
}

func newCircuit(now time.Duration, id policy.Circuit, ce *callee, generations *uint64) *circuit {
	return &circuit{
		id: id, callee: ce, settings: policy.Default(), generations: generations,
		heard: now, whole: newTarget(now, generations), seen: make(map[string]time.Duration), sent: -renewal,
		coordination: newCoordination(),
	}
}

// calmly reports whether nothing is under way.
func (c *circuit) calmly() bool {
	if !c.whole.calmly() || c.dirty {
		return false
	}
	for _, p := range c.parts {
		if !p.calmly() {
			return false
		}
	}
	for _, r := range c.rows {
		if r.own != nil {
			return false
		}
	}
	return true
}

func (c *circuit) findRow(id fleet.ReplicaID) (at int, found bool) {
	return slices.BinarySearchFunc(c.rows, id, func(r *row, id fleet.ReplicaID) int { return compareReplicas(r.id, id) })
}

func (c *circuit) row(id fleet.ReplicaID) (*row, bool) {
	at, found := c.findRow(id)
	if found {
		return c.rows[at], true
	}
	r := &row{id: id, window: newWindow(c.settings.Breaker.WindowDuration, windowSteps), demand: newWindow(4*time.Second, 8)}
	c.rows = slices.Insert(c.rows, at, r)
	return r, false
}

func compareReplicas(a, b fleet.ReplicaID) int {
	return cmp.Or(a.Service.Compare(b.Service), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Incarnation, b.Incarnation))
}

// drop forgets a replica that is gone.
func (c *circuit) drop(id fleet.ReplicaID) {
	c.rows = slices.DeleteFunc(c.rows, func(r *row) bool { return r.id == id })
	for _, t := range c.targets() {
		t.withdraw(id)
	}
}

// targets of the circuit, in a fixed order.
func (c *circuit) targets() []*target {
	ts := []*target{c.whole}
	for _, p := range c.parts {
		ts = append(ts, p.target)
	}
	for _, r := range c.rows {
		if r.own != nil {
			ts = append(ts, r.own)
		}
	}
	return ts
}

func (c *circuit) findPart(instance string) (at int, found bool) {
	return slices.BinarySearchFunc(c.parts, instance, func(p *part, i string) int { return cmp.Compare(p.instance, i) })
}

// part gives the target of an instance, and makes it where there is none.
func (c *circuit) part(now time.Duration, instance string) *part {
	at, found := c.findPart(instance)
	if found {
		return c.parts[at]
	}
	p := &part{target: newTarget(now, c.generations), instance: instance}
	p.calm = c.whole.calm
	c.parts = slices.Insert(c.parts, at, p)
	return p
}

// partOf gives the target of an instance, nil where there is none.
func (c *circuit) partOf(instance string) *part {
	if at, found := c.findPart(instance); found {
		return c.parts[at]
	}
	return nil
}

// gate is the word that stands for a row.
func (c *circuit) gate(r *row) *fleet.Gate {
	if r != nil && r.own != nil {
		return &r.own.gate
	}
	return &c.whole.gate
}

// take adds a replica's report to the evidence and reports whether it is the
// replica's first of this circuit.
func (c *circuit) take(now time.Duration, rr *ReplicaReport, cr *fleet.CircuitReport) (first bool) {
	r, known := c.row(rr.From)
	if cr.Settings != nil && cr.Settings.Validate() == nil {
		c.obeyed(r, cr.Settings)
	}
	r.observer = cmp.Or(rr.Observer, rr.From.Name)
	c.heard, r.at, r.state, r.mode, r.generation = now, now, cr.State, cr.Mode, cr.Generation
	current := cr.Generation == c.gate(r).Generation
	for i := range cr.Cells {
		c.evidence(now, r, &cr.Cells[i], current)
	}
	c.note(now, cr)
	r.local = ""
	if current && cr.State == breaker.Open {
		r.local = cr.Why
	}
	return !known
}

// adjust puts the settings that replicas run on in force here.
func (c *circuit) adjust(s policy.Settings) {
	if s.Breaker.WindowDuration != c.settings.Breaker.WindowDuration {
		for _, r := range c.rows {
			r.window = newWindow(s.Breaker.WindowDuration, windowSteps)
		}
	}
	c.settings = s
}

func (c *circuit) evidence(now time.Duration, r *row, x *fleet.Cell, current bool) {
	if x.Instance != "" && (c.seen[x.Instance] != 0 || len(c.seen) < maxInstances) {
		c.seen[x.Instance] = now
	}
	p := c.partOf(x.Instance)
	apart := x.Instance != "" && p != nil && !p.calmly()
	for i := range x.Buckets {
		b := &x.Buckets[i]
		at := now - b.Age
		if b.Age > oldEvidence || b.Age < 0 {
			continue
		}
		r.demand.add(at, tally{n: b.Offered})
		if f := c.whole.flow.at(at); f != nil {
			f.offered += float64(b.Offered)
		}
		switch {
		case apart:
			c.apply(p.target, at, b, x.Generation == p.gate.Generation)
		case r.own != nil:
			c.apply(r.own, at, b, current)
		default:
			c.apply(c.whole, at, b, current)
			if current {
				r.window.add(at, tally{b.Succeeded + b.Failed, b.Failed})
				first := tally{b.Succeeded + b.Failed - min(b.RetriedSucceeded+b.RetriedFailed, b.Succeeded+b.Failed), b.Failed - min(b.RetriedFailed, b.Failed)}
				if first.n > 0 {
					r.cell(x.Route, x.Instance).window.add(at, first)
				}
				if b.Failed > 0 {
					c.callee.failing = true
				}
			}
		}
		if len(c.seen) == 0 {
			continue
		}
		// What a part is offered can't be seen: its even share of the circuit's calls.
		for _, p := range c.parts {
			if f := p.flow.at(at); f != nil {
				f.offered += float64(b.Offered) / float64(len(c.seen))
			}
		}
	}
}

// apply adds a bucket to a target's flow: as a verdict only under its generation.
func (c *circuit) apply(t *target, at time.Duration, b *fleet.Bucket, current bool) {
	f := t.flow.at(at)
	if f == nil {
		return
	}
	f.good += b.Succeeded
	f.latency += b.Latency
	if !current {
		return
	}
	f.ok += b.Succeeded
	f.failed += b.Failed
	for k, n := range b.Kinds {
		f.kinds[k] += n
	}
}

func (r *row) cell(route, instance string) *cell {
	for _, x := range r.cells {
		if x.route == route && x.instance == instance {
			return x
		}
	}
	if len(r.cells) >= maxCells && (route != "" || instance != "") {
		return r.cell("", "")
	}
	x := &cell{route: route, instance: instance, window: newWindow(cellSpan, 16)}
	r.cells = append(r.cells, x)
	return x
}

// forget drops what was seen under an earlier generation of the whole, and what
// replicas have done alone: the whole's word takes its place.
func (c *circuit) forget() {
	for _, r := range c.rows {
		r.own, r.local, r.alone = nil, "", ""
		r.window.reset()
		for _, x := range r.cells {
			x.window.reset()
		}
	}
}

func (c *circuit) answer(a fleet.Answer) {
	for _, t := range c.targets() {
		if t.answer(a) {
			c.dirty = true
			return
		}
	}
}

// openedAlone counts the observers whose breakers have opened by their own rule,
// and gives the reason of the first.
func (c *circuit) openedAlone() (observers int, why string) {
	var names []string
	for _, r := range c.rows {
		if reason := cmp.Or(r.alone, r.local); reason != "" {
			names = append(names, r.observer)
			why = cmp.Or(why, reason)
		}
	}
	return distinct(names), why
}

// askers are the replicas with calls to probe with, in a fixed order.
func (c *circuit) askers(now time.Duration) []*row {
	var rows []*row
	for _, r := range c.rows {
		if now-r.at < silentReplica && r.demand.sum(now, 8).n > 0 {
			rows = append(rows, r)
		}
	}
	return rows
}
