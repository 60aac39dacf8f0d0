package fleet

import (
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

const maxPending = int(keepEvidence / BucketWidth)

// sample turns what was counted since the last sample into buckets that end now,
// and reports whether there was any.
func (c *Circuit) sample(now time.Duration) (any bool) {
	total := c.Breaker.Counts()
	delta := c.rest.last.advance(&total)
	c.slow = c.pace.slowed(&delta, c.CallTimeout())
	// A call is counted by its label when it has ended, a sample later at most.
	still := total.Permitted == c.ended
	c.ended = total.Permitted
	var cells []*cell
	if !still || !c.still {
		cells = c.labelled()
	}
	c.still = still
	labelled := c.owed
	for _, x := range cells {
		added := x.tally.Added()
		if added == x.added {
			continue
		}
		x.added = added
		counts := x.tally.Counts()
		d := x.last.advance(&counts)
		if d != (Counts{}) {
			c.push(now, x, d)
			any = true
			// What an instance that is judged by itself answers, its circuit does not
			// count.
			if x.breaker == nil || x.breaker.View().State == breaker.Closed {
				labelled.add(d)
			}
		}
	}
	if labelled != (Counts{}) {
		c.owed = delta.without(labelled)
	}
	if delta != (Counts{}) {
		c.push(now, &c.rest, delta)
		any = true
	}
	return any
}

// evidence reports whether anything waits to be told that is worth it.
func (c *Circuit) evidence(now time.Duration) bool {
	if now-c.lastSeen >= keepEvidence {
		return false // it would feed totals only
	}
	if c.rest.waits() {
		return true
	}
	return slices.ContainsFunc(c.labelled(), (*cell).waits)
}

func (x *cell) waits() bool { return len(x.pending[theLink])+len(x.pending[ownControl]) > 0 }

func (c *Circuit) report(now time.Duration, to reader) CircuitReport {
	v := c.Breaker.View()
	r := CircuitReport{
		Callee: c.ID.Callee, Route: c.ID.Route,
		State: v.State, Mode: v.Mode, Since: now - v.Since,
		CallTimeout: c.CallTimeout(),
	}
	word := &c.held
	if to == ownControl {
		word = &c.own
	}
	r.Generation = word.Generation
	if v.Local || v.State != breaker.Closed && word.till == 0 {
		r.Why = v.Why // the reader has not said so
	}
	if !c.told[to] {
		r.Settings = c.Settings()
		c.told[to] = true
	}
	cells := c.labelled()
	n, buckets := 0, 0
	count := func(x *cell) {
		if waits := len(x.pending[to]); waits > 0 {
			n++
			buckets += waits
		}
	}
	count(&c.rest)
	for _, x := range cells {
		count(x)
	}
	if n == 0 {
		return r
	}
	// One piece of memory holds the buckets of all cells.
	r.Cells = make([]Cell, 0, n)
	y, room, ok := c.rest.take(now, to, make([]Bucket, buckets))
	if ok {
		r.Cells = append(r.Cells, y)
	}
	for _, x := range cells {
		if y, room, ok = x.take(now, to, room); ok {
			y.Generation = word.part(x.instance).Generation
			r.Cells = append(r.Cells, y)
		}
	}
	return r
}

// push adds a bucket that ends now, for each who will read it. Evidence that waits
// longer than keepEvidence is folded into the oldest bucket: it still counts in
// totals.
func (c *Circuit) push(now time.Duration, x *cell, d Counts) {
	for to, reads := range [readers]bool{c.replica.greeted, c.alone(now)} {
		if !reads {
			continue
		}
		p := x.pending[to]
		if len(p) >= maxPending {
			p[1].add(p[0].Counts)
			p = append(p[:0], p[1:]...)
		}
		x.pending[to] = append(p, Bucket{Age: now, Counts: d})
	}
}

// take moves what a cell has to say into a report.
func (x *cell) take(now time.Duration, to reader, room []Bucket) (_ Cell, left []Bucket, ok bool) {
	pending := x.pending[to]
	n := len(pending)
	if n == 0 {
		return Cell{}, room, false
	}
	out := Cell{Route: x.route, Instance: x.instance, Buckets: room[:n:n]}
	for i := range pending {
		b := &out.Buckets[i]
		*b = pending[i]
		b.Age = now - b.Age
	}
	x.pending[to] = pending[:0]
	return out, room[n:], true
}

// advance is what was counted since the last reading, which this one follows.
func (l *reading) advance(now *breaker.Counts) Counts {
	then := breaker.Counts{Succeeded: l.succeeded, Latency: l.latency}
	if l.all != nil {
		then = *l.all
	}
	d := since(now, &then)
	if l.all == nil && d.Succeeded == d.Offered && d.RetriedSucceeded+d.Slow == 0 {
		l.succeeded, l.latency = now.Succeeded, now.Latency
		return d
	}
	if l.all == nil {
		l.all = new(breaker.Counts)
	}
	*l.all = *now
	return d
}

// since is what a breaker counted between two readings.
func since(now, then *breaker.Counts) Counts {
	d := Counts{
		Succeeded: uint32(now.Succeeded - then.Succeeded),
		Failed:    uint32(now.Failed - then.Failed),
		Ignored:   uint32(now.Ignored - then.Ignored),
		Inherited: uint32(now.Inherited - then.Inherited),
		Shadow:    uint32(now.Shadow - then.Shadow),
		Slow:      uint32(now.Slow - then.Slow),

		LateSucceeded: uint32(now.LateSucceeded - then.LateSucceeded),
		LateFailed:    uint32(now.LateFailed - then.LateFailed),

		RetriedSucceeded: uint32(now.RetriedSucceeded - then.RetriedSucceeded),
		RetriedFailed:    uint32(now.RetriedFailed - then.RetriedFailed),

		Latency:     now.Latency - then.Latency,
		LateLatency: now.LateLatency - then.LateLatency,
	}
	for i := range now.Rejected {
		d.Rejected += uint32(now.Rejected[i] - then.Rejected[i])
	}
	for k := range now.Kinds {
		d.Kinds[k] = uint32(now.Kinds[k] - then.Kinds[k])
	}
	d.Offered = d.answered() + d.Rejected
	return d
}

// answered are the calls that have come to an outcome. Offered counts those and
// the rejected, so that permitting a call costs no counter; calls that hang are
// offered when they end.
func (c *Counts) answered() uint32 {
	return c.Succeeded + c.Failed + c.Ignored + c.Inherited + c.LateSucceeded + c.LateFailed + c.Shadow
}

func (c *Counts) add(o Counts) {
	c.Offered += o.Offered
	c.Succeeded += o.Succeeded
	c.Failed += o.Failed
	c.Ignored += o.Ignored
	c.Inherited += o.Inherited
	c.Rejected += o.Rejected
	c.Shadow += o.Shadow
	c.Slow += o.Slow
	c.LateSucceeded += o.LateSucceeded
	c.LateFailed += o.LateFailed
	c.RetriedSucceeded += o.RetriedSucceeded
	c.RetriedFailed += o.RetriedFailed
	for k := range c.Kinds {
		c.Kinds[k] += o.Kinds[k]
	}
	c.Latency += o.Latency
	c.LateLatency += o.LateLatency
}

// without takes away what labelled cells report and returns what it could not:
// a call may be counted by its label a sample later than by its circuit.
func (c *Counts) without(o Counts) (owed Counts) {
	owed = o
	owed.each(c, func(a *uint32, b uint32) { *a -= min(*a, b) })
	c.each(&o, func(a *uint32, b uint32) { *a -= min(*a, b) })
	owed.Latency = max(0, o.Latency-c.Latency)
	c.Latency = max(0, c.Latency-o.Latency)
	return owed
}

func (c *Counts) each(o *Counts, f func(*uint32, uint32)) {
	f(&c.Offered, o.Offered)
	f(&c.Succeeded, o.Succeeded)
	f(&c.Failed, o.Failed)
	f(&c.Ignored, o.Ignored)
	f(&c.Inherited, o.Inherited)
	f(&c.Rejected, o.Rejected)
	f(&c.Shadow, o.Shadow)
	f(&c.Slow, o.Slow)
	f(&c.LateSucceeded, o.LateSucceeded)
	f(&c.LateFailed, o.LateFailed)
	f(&c.RetriedSucceeded, o.RetriedSucceeded)
	f(&c.RetriedFailed, o.RetriedFailed)
	for k := range c.Kinds {
		f(&c.Kinds[k], o.Kinds[k])
	}
}
