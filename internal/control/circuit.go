package control

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// circuit is one edge of the mesh as its replicas see it together.
type circuit struct {
	id         policy.Circuit
	callee     *callee
	settings   policy.Settings
	whole      *target
	parts      []*part // by instance
	rows       []*row  // by replica
	observers  map[string]*observer
	demand     window // of all rows, over 4 s
	record     record
	rest       *row // evidence of replicas that are told apart no more, nil if there are none
	seen       map[string]*seenInstance
	timeout    time.Duration // the callers', 0 if not known
	dirty      bool          // something is to be said
	sent       time.Duration
	heard      time.Duration // when it was last reported
	suspected  time.Duration // since when failures are more than normal, 0 if not
	forewarned bool          // every answer was heard at once already when it was suspected
	saidHot    bool
	apart      bool // a replica may have a word of its own

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
	observer *observer
	at       time.Duration // of its last report

	state      breaker.State
	mode       breaker.Mode
	generation uint64
	window     window  // of the settings' span, for thresholds
	demand     window  // 4 s, to know who has calls to probe with
	recent     window  // 4 s of first attempts, for verdicts
	sum        float64 // of the fast test, over this replica's answers alone
	cells      []*cell
	local      string  // why it has opened by its own rule, if it has
	own        *target // what brings such an opening back
	alone      string  // why it has opened alone, while own does
	settled    bool    // it runs on the settings that the daemon's policies say
	unsettled  int     // how often it said that it does not

	canary bool             // it tries the canary's settings
	native *policy.Settings // its own, as far as it has told
	back   *policy.Settings // its own, while it is led back to them
}

// The newest calls, over 4 s in 8 steps.
const (
	demandSpan  = 4 * time.Second
	demandSteps = 8
)

// cell is a row's evidence of one route and instance, first attempts only.
type cell struct {
	route, instance string
	window          window
}

func newCircuit(now time.Duration, id policy.Circuit, ce *callee, generations *uint64) *circuit {
	c := &circuit{
		id: id, callee: ce, settings: policy.Default(), generations: generations,
		heard: now, seen: make(map[string]*seenInstance), sent: -renewal,
		observers: make(map[string]*observer), demand: newWindow(demandSpan, demandSteps),
		coordination: newCoordination(),
	}
	c.whole = c.target(now)
	return c
}

// news reports whether there is something to look at before the next patrol.
func (c *circuit) news() bool { return !c.calmly() || c.suspected != 0 }

// calmly reports whether nothing is under way.
func (c *circuit) calmly() bool { return !c.dirty && !c.standing() }

// standing reports whether a verdict stands: something is not closed, or not fully.
func (c *circuit) standing() bool {
	if !c.whole.calmly() {
		return true
	}
	for _, p := range c.parts {
		if !p.calmly() {
			return true
		}
	}
	for _, r := range c.rows {
		if r.own != nil {
			return true
		}
	}
	return false
}

func (c *circuit) findRow(id fleet.ReplicaID) (at int, found bool) {
	return slices.BinarySearchFunc(c.rows, id, func(r *row, id fleet.ReplicaID) int { return compareReplicas(r.id, id) })
}

func (c *circuit) row(id fleet.ReplicaID) (*row, bool) {
	at, found := c.findRow(id)
	if found {
		return c.rows[at], true
	}
	r := &row{
		id: id, window: newWindow(c.settings.Breaker.WindowDuration, windowSteps),
		demand: newWindow(demandSpan, demandSteps), recent: newWindow(demandSpan, demandSteps),
	}
	c.rows = slices.Insert(c.rows, at, r)
	return r, false
}

func compareReplicas(a, b fleet.ReplicaID) int {
	return cmp.Or(a.Service.Compare(b.Service), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Incarnation, b.Incarnation))
}

// drop forgets a replica that is gone.
func (c *circuit) drop(id fleet.ReplicaID) {
	c.rows = slices.DeleteFunc(c.rows, func(r *row) bool { return r.id == id })
	maps.DeleteFunc(c.observers, func(_ string, o *observer) bool {
		return !slices.ContainsFunc(c.rows, func(r *row) bool { return r.observer == o })
	})
	if c.canary != nil {
		c.chooseCanaries()
	}
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
	p := &part{target: c.target(now), instance: instance}
	p.calm, p.blind = c.whole.calm, true
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
	if !known && c.canary != nil {
		c.chooseCanaries()
	}
	if cr.Settings != nil && cr.Settings.Validate() == nil {
		c.obeyed(r, cr.Settings)
	}
	r.observer = c.observer(cmp.Or(rr.Observer, rr.From.Name))
	if cr.CallTimeout > 0 {
		c.timeout = cr.CallTimeout
	}
	c.whole.flow.timeout = c.callTimeout()
	c.heard, r.at, r.state, r.mode, r.generation = now, now, cr.State, cr.Mode, cr.Generation
	current := cr.Generation == c.gate(r).Generation
	weight := c.weigh(now, r, cr)
	for i := range cr.Cells {
		c.evidence(now, r, &cr.Cells[i], current, weight)
	}
	c.note(now, cr)
	r.local = ""
	if current && cr.State != breaker.Closed {
		r.local = cr.Why
		c.apart = c.apart || r.local != ""
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
	if s.OpenAbove != c.settings.OpenAbove {
		for _, t := range c.targets() {
			t.flow.fast, t.flow.slow = quickly(s.OpenAbove/100), steadily(s.OpenAbove/100)
		}
	}
	c.settings = s
}

// target makes one that is closed.
func (c *circuit) target(now time.Duration) *target {
	return newTarget(now, c.generations, &c.settings)
}

// callTimeout is the callers' time-out, 0 if not known.
func (c *circuit) callTimeout() time.Duration { return cmp.Or(c.settings.CallTimeout, c.timeout) }

func (c *circuit) evidence(now time.Duration, r *row, x *fleet.Cell, current bool, weight float64) {
	seen := c.saw(now, x.Instance)
	p := c.partOf(x.Instance)
	apart := x.Instance != "" && p != nil && !p.calmly()
	for i := range x.Buckets {
		b := &x.Buckets[i]
		at := now - b.Age
		if b.Age > oldEvidence || b.Age < 0 {
			continue
		}
		r.demand.add(at, tally{n: b.Offered})
		r.observer.demand.add(at, tally{n: b.Offered})
		c.demand.add(at, tally{n: b.Offered})
		scale := c.demandScale(now, r)
		c.whole.flow.offer(at, b, c.callTimeout(), c.whole.calm, scale)
		switch {
		case apart:
			c.apply(now, r, p.target, at, b, x.Generation == p.gate.Generation, weight)
		case r.own != nil:
			r.own.flow.offer(at, b, c.callTimeout(), c.whole.calm, 1)
			apply(r.own, at, b, current, 1)
		default:
			c.apply(now, r, c.whole, at, b, current, weight)
			if current {
				c.judged(now, r, x, seen, at, b)
			}
		}
		if len(c.seen) == 0 {
			continue
		}
		// What a part is offered can't be seen: its even share of the circuit's calls.
		for _, p := range c.parts {
			if f := p.flow.at(at); f != nil {
				f.offered += scale * float64(b.Offered) / float64(len(c.seen))
			}
		}
	}
}

// judged keeps what counts for a verdict on the whole by who saw it and where.
func (c *circuit) judged(now time.Duration, r *row, x *fleet.Cell, seen *seenInstance, at time.Duration, b *fleet.Bucket) {
	all := tally{b.Succeeded + b.Failed, b.Failed}
	retried := min(b.RetriedSucceeded+b.RetriedFailed, all.n)
	first := tally{all.n - retried, b.Failed - min(b.RetriedFailed, b.Failed)}
	first.k = min(first.k, first.n) // whoever counts wrong
	r.window.add(at, all)
	r.recent.add(at, first)
	r.sum = outright.run(r.sum, float64(first.k), float64(first.n-first.k))
	if seen != nil {
		seen.sum = partly.run(seen.sum, float64(first.k), float64(first.n-first.k))
	}
	if first.n > 0 {
		c.cell(now, r, x.Route, x.Instance).window.add(at, first)
		c.callee.past.add(x.Route, count{float64(first.n), float64(first.k)})
	}
	if b.Failed > 0 {
		c.callee.failing = true
	}
}

// apply adds a bucket to a target's flow: as a verdict only under its generation.
// A retry that fails tells nothing that its first attempt has not told; push-back
// asks for less, not for nothing: it counts for the limit.
func apply(t *target, at time.Duration, b *fleet.Bucket, current bool, weight float64) {
	f := t.flow.at(at)
	if f == nil {
		return
	}
	f.good += b.Succeeded + b.LateSucceeded
	f.bad += b.Failed + b.LateFailed
	f.overload += overloadKinds(&b.Kinds)
	f.pushed += b.Kinds[breaker.RateLimited]
	f.shed += b.Kinds[breaker.RateLimited] + b.Kinds[breaker.Gateway]
	f.latency += b.Latency + b.LateLatency
	if !current {
		return
	}
	t.news = t.news || b.Succeeded+b.Failed > 0
	f.ok += weight * float64(b.Succeeded)
	f.failed += weight * float64(b.Failed-min(max(b.RetriedFailed, b.Kinds[breaker.RateLimited]), b.Failed))
	f.calls += b.Succeeded + b.Failed
	f.spoilt += b.Failed
	for k, n := range b.Kinds {
		f.kinds[k] += n
	}
}

// forget drops what was seen under an earlier generation of the whole, and what
// replicas have done alone: the whole's word takes its place.
func (c *circuit) forget() {
	for _, r := range c.rows {
		r.own, r.local, r.alone = nil, "", ""
	}
	c.restart()
}

// restart drops the evidence of an earlier generation.
func (c *circuit) restart() {
	for _, x := range c.seen {
		x.sum = 0
	}
	for _, r := range c.evidenceRows() {
		r.restart()
		for _, x := range r.cells {
			x.window.reset()
		}
	}
}

// restart drops what the row has summed up over all its cells.
func (r *row) restart() {
	r.sum = 0
	r.window.reset()
	r.recent.reset()
}

func (c *circuit) answer(now time.Duration, a fleet.Answer) {
	for _, t := range c.targets() {
		if t.answer(now, a) {
			c.dirty = true
			return
		}
	}
}

// openedBy reports whether a replica has opened by itself. It is not told another
// word before it is judged, or its outage would flash closed.
func (c *circuit) openedBy(id fleet.ReplicaID) bool {
	at, found := c.findRow(id)
	return found && c.rows[at].local != ""
}

// openedAlone counts the observers whose breakers have opened by their own rule,
// and gives the reason of the first.
func (c *circuit) openedAlone() (observers int, why string) {
	var names []string
	for _, r := range c.rows {
		if reason := cmp.Or(r.alone, r.local); reason != "" {
			names = append(names, r.observer.name)
			why = cmp.Or(why, reason)
		}
	}
	return distinct(names), why
}

// askers are the replicas with calls to probe with, in a fixed order.
func (c *circuit) askers(now time.Duration) []*row {
	var rows []*row
	for _, r := range c.rows {
		if now-r.at < silentReplica && r.demand.sum(now, demandSteps).n > 0 {
			rows = append(rows, r)
		}
	}
	return rows
}
