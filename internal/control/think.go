package control

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
)

// think goes once round: what fails is located and judged, what is open is
// brought back, and what has changed is said.
func (m *Mind) think() {
	for _, ce := range m.order {
		if ce.failing && m.now-ce.looked >= lookInterval {
			ce.looked = m.now
			ce.failing = m.judge(ce)
		}
		for _, c := range ce.circuits {
			m.lead(c)
			m.say(c)
		}
	}
}

// judge opens what fails, as narrowly as the evidence says, and reports whether
// there is reason to look again without new failures.
func (m *Mind) judge(ce *callee) (again bool) {
	var named []finding
	located := false
	for _, c := range ce.circuits {
		if !c.whole.calmly() {
			continue
		}
		w, over := c.over(m.now)
		alone, why := c.openedAlone()
		together := alone > 1 && alone >= c.quorum(len(c.rows)) && 2*alone > len(c.rows)
		if !c.suspicious(m.now, &w) && !together {
			continue
		}
		again = true
		if m.now-c.suspected < hearOthers || !over && !together && !c.anyInstanceOver(m.now) {
			continue
		}
		if !located {
			named, located = locate(ce, m.now), true
		}
		switch {
		case m.openParts(c, named):
		case over && w.observers >= c.quorum(w.present):
			m.openWhole(c, &w)
		case together:
			m.openTogether(c, alone, why)
		}
	}
	return again
}

// pooled is what all replicas of a circuit saw together, each observer's weight
// capped.
type pooled struct {
	span               time.Duration
	calls, failed      uint32
	weightedN          float64
	weightedK          float64
	present, observers int // observers with calls, and with failures
}

// rate in percent, as weighed.
func (w *pooled) rate() float64 {
	if w.weightedN == 0 {
		return 0
	}
	return 100 * w.weightedK / w.weightedN
}

func (c *circuit) pooled(now time.Duration, steps int) (w pooled) {
	w.span = c.settings.Breaker.WindowDuration * time.Duration(steps) / windowSteps
	sums := make([]tally, len(c.rows))
	for i, r := range c.rows {
		if r.own == nil {
			sums[i] = r.window.sum(now, steps)
		}
		w.calls += sums[i].n
		w.failed += sums[i].k
	}
	var present, failing []string
	for i, r := range c.rows {
		if sums[i].n > 0 {
			present = append(present, r.observer)
		}
		if sums[i].k > 0 {
			failing = append(failing, r.observer)
		}
	}
	w.present, w.observers = distinct(present), distinct(failing)
	for _, t := range sums {
		n := float64(t.n)
		weight := 1.0
		if limit := max(observerFloor, observerShare*(float64(w.calls)-n)); w.present >= 3 && n > limit {
			weight = limit / n
		}
		w.weightedN += weight * n
		w.weightedK += weight * float64(t.k)
	}
	return w
}

func distinct(names []string) int {
	slices.Sort(names)
	return len(slices.Compact(names))
}

// quorum is how many observers must see failures, of those that there are.
func (c *circuit) quorum(present int) int { return max(1, min(c.settings.Quorum, present)) }

// over reports whether the pooled evidence is over the explicit thresholds: the
// whole window, as a breaker alone would judge it, or a newer span of it that
// holds the minimum and is over the threshold beyond chance. So a sudden outage
// need not first outweigh the good calls before it.
func (c *circuit) over(now time.Duration) (pooled, bool) {
	b := &c.settings.Breaker
	whole := c.pooled(now, windowSteps)
	if b.FailureRateThreshold <= 0 || int(whole.calls) < b.MinimumNumberOfCalls || whole.failed == 0 {
		return whole, false
	}
	if whole.rate() >= b.FailureRateThreshold {
		return whole, true
	}
	for steps := 1; steps <= windowSteps/2; steps++ {
		w := c.pooled(now, steps)
		w.present = whole.present // who is well and calm reports once a second
		if int(w.calls) < b.MinimumNumberOfCalls {
			continue
		}
		if 100*surely(w.weightedK, w.weightedN) >= b.FailureRateThreshold {
			return w, true
		}
		steps += steps / 2
	}
	return whole, false
}

// suspicious reports whether there is reason to hear every answer at once, and
// has that said. whole is the evidence of the whole window, or what is over.
func (c *circuit) suspicious(now time.Duration, whole *pooled) bool {
	const few = 3
	newest := c.pooled(now, windowSteps/10)
	some := whole.failed >= few && (2*whole.rate() >= c.settings.Breaker.FailureRateThreshold ||
		newest.failed >= few && 2*newest.rate() >= c.settings.Breaker.FailureRateThreshold || c.anyInstanceOver(now))
	if !some {
		c.suspected = 0
		return false
	}
	if c.suspected == 0 {
		c.suspected = now
		c.dirty = true
	}
	return true
}

// surely is the lower end of a rate's confidence interval (Wilson 1927) at three
// standard deviations: what k of n show beyond chance.
func surely(k, n float64) float64 {
	const z = 3
	p := k / n
	return (p + z*z/(2*n) - z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))) / (1 + z*z/n)
}

func (m *Mind) openWhole(c *circuit, w *pooled) {
	b := &c.settings.Breaker
	why := fmt.Sprintf("%d of %d calls in %s failed (%.0f %% ≥ %.0f %%, minimum %d); %s; seen by %d of %d replicas",
		w.failed, w.calls, short(w.span), w.rate(), b.FailureRateThreshold, b.MinimumNumberOfCalls,
		c.kinds(c.whole, m.now), w.observers, w.present)
	c.whole.rate = w.rate()
	c.whole.open(m.now, &c.settings, m.rng, why)
	c.forget()
	c.dirty = true
}

// openTogether makes what most replicas have done alone the fleet's word: one
// wait, one set of probes, one ramp.
func (m *Mind) openTogether(c *circuit, alone int, why string) {
	c.whole.rate = 100
	c.whole.open(m.now, &c.settings, m.rng, fmt.Sprintf("%d of %d replicas have opened by their own rule, the first since %s", alone, len(c.rows), why))
	c.forget()
	c.dirty = true
}

// kinds says what the failures were, most frequent first.
func (c *circuit) kinds(t *target, now time.Duration) string {
	f := t.flow.span(now, c.settings.Breaker.WindowDuration, -fleet.BucketWidth)
	type count struct {
		kind breaker.Kind
		n    uint32
	}
	var counts []count
	for k := breaker.Timeout; k <= breaker.Application; k++ {
		if f.kinds[k] > 0 {
			counts = append(counts, count{k, f.kinds[k]})
		}
	}
	slices.SortStableFunc(counts, func(a, b count) int { return int(b.n) - int(a.n) })
	var words []string
	for _, x := range counts {
		words = append(words, fmt.Sprintf("%d %s", x.n, x.kind))
	}
	if len(words) == 0 {
		return "kinds not known"
	}
	return strings.Join(words, ", ")
}

// openParts opens the instances that locate has named, where the thresholds say
// so too, and reports whether the failures are theirs.
func (m *Mind) openParts(c *circuit, named []finding) bool {
	explained := false
	for _, f := range instancesOf(named) {
		p := c.part(m.now, f.instance)
		if !p.calmly() {
			explained = true
			continue
		}
		e, over := c.instanceOver(f.instance, m.now)
		if !over || e.observers < c.quorum(e.present) {
			continue
		}
		b := &c.settings.Breaker
		rate := 100 * float64(e.k) / float64(e.n)
		known, out := c.ejected(m.now)
		if allowed := maxEjected(known, c.settings.MaxEjectionPercent); out+1 > allowed {
			continue // the guard holds: the whole may open, more instances may not
		}
		why := fmt.Sprintf("%d of %d calls to this instance failed (%.0f %% ≥ %.0f %%, minimum %d), seen by %d of %d replicas; its siblings are well; %s",
			e.k, e.n, rate, b.FailureRateThreshold, b.MinimumNumberOfCalls, e.observers, e.present, f.why)
		p.rate = rate
		p.open(m.now, &c.settings, m.rng, why)
		// The circuit's own counts hold this instance's failures: they count no more.
		c.whole.set(m.now, breaker.Closed, "", 1, fmt.Sprintf("only instance %s is open", f.instance))
		c.forget()
		c.dirty = true
		explained = true
	}
	return explained
}

// instancesOf lists the findings that are about instances for everybody, one for
// each instance.
func instancesOf(named []finding) []finding {
	var each []finding
	for _, f := range named {
		switch {
		case f.replica != "":
		case f.instance != "":
			each = append(each, f)
		case f.set != nil:
			for _, name := range f.set.names {
				one := f
				one.instance, one.set = name, nil
				each = append(each, one)
			}
		}
	}
	return each
}

// seenInstance is what everybody saw of an instance.
type seenInstance struct {
	tally
	present, observers int
}

// instance sums what all replicas of all callers saw of an instance.
func (ce *callee) instance(name string, now time.Duration, seconds int) (e seenInstance) {
	var present, failing []string
	for _, c := range ce.circuits {
		for _, r := range c.rows {
			var sum tally
			for _, x := range r.cells {
				if x.instance == name {
					t := x.window.sum(now, seconds)
					sum.n += t.n
					sum.k += t.k
				}
			}
			e.n += sum.n
			e.k += sum.k
			if sum.n > 0 {
				present = append(present, r.observer)
			}
			if sum.k > 0 {
				failing = append(failing, r.observer)
			}
		}
	}
	e.present, e.observers = distinct(present), distinct(failing)
	return e
}

// instanceOver is over for one instance.
func (c *circuit) instanceOver(name string, now time.Duration) (seenInstance, bool) {
	b := &c.settings.Breaker
	whole := int(min(cellSpan, b.WindowDuration) / time.Second)
	for seconds := 1; seconds <= max(whole, 1); seconds *= 2 {
		e := c.callee.instance(name, now, seconds)
		if b.FailureRateThreshold <= 0 || int(e.n) < b.MinimumNumberOfCalls {
			continue
		}
		if 100*surely(float64(e.k), float64(e.n)) >= b.FailureRateThreshold || 2*seconds > whole && 100*float64(e.k) >= b.FailureRateThreshold*float64(e.n) {
			return e, true
		}
	}
	return seenInstance{}, false
}

// anyInstanceOver reports whether an instance alone is over the thresholds.
func (c *circuit) anyInstanceOver(now time.Duration) bool {
	failing := make(map[string]bool)
	for _, r := range c.rows {
		for _, x := range r.cells {
			if x.instance != "" && !failing[x.instance] && x.window.sum(now, windowSteps).k > 0 {
				failing[x.instance] = true
				if _, over := c.instanceOver(x.instance, now); over {
					return true
				}
			}
		}
	}
	return false
}

// ejected counts the callee's instances and those of them that are not closed.
func (c *circuit) ejected(now time.Duration) (known, out int) {
	for name, at := range c.seen {
		if now-at > forgetPart {
			if p := c.partOf(name); p == nil || p.calmly() {
				delete(c.seen, name)
				continue
			}
		}
		known++
		if p := c.partOf(name); p != nil && !p.calmly() {
			out++
		}
	}
	return known, out
}

// maxEjected is how many of n instances may be out: exact for small n, and never
// the last one.
func maxEjected(n int, percent float64) int {
	return max(0, min(int(math.Floor(float64(n)*percent/100+1e-9)), n-1))
}

// lead brings what is open back: probes, verdicts, ramps.
func (m *Mind) lead(c *circuit) {
	for _, r := range c.rows {
		if r.local != "" && r.own == nil && c.whole.calmly() {
			r.own = newTarget(m.now, &m.generations)
			r.own.open(m.now, &c.settings, m.rng, "this replica alone: "+r.local)
			r.alone = r.local
			c.callee.failing = true // there may be more of them: then it is the fleet's
			c.dirty = true
		}
	}
	m.leadOne(c, c.whole, "", c.askers)
	for _, p := range c.parts {
		m.leadOne(c, p.target, p.instance, c.askers)
	}
	for _, r := range c.rows {
		if r.own == nil {
			continue
		}
		m.leadOne(c, r.own, "", func(time.Duration) []*row { return []*row{r} })
		if r.own.calmly() {
			r.own, r.local, r.alone = nil, "", ""
			m.generations++
			c.whole.gate.Generation = m.generations
			c.dirty = true
		}
	}
	if c.whole.calmly() && m.now-c.learnt >= 250*time.Millisecond {
		c.learnt = m.now
		c.whole.learn(m.now)
		for _, p := range c.parts {
			p.calm = c.whole.calm
		}
	}
}

func (m *Mind) leadOne(c *circuit, t *target, instance string, askers func(time.Duration) []*row) {
	switch t.gate.State {
	case breaker.Open:
		if m.now >= t.due && len(askers(m.now)) > 0 {
			t.probe(m.now, &c.settings)
			c.dirty = true
		}
	case breaker.HalfOpen:
		t.verdict(m.now, &c.settings, m.rng)
		if t.gate.State != breaker.HalfOpen {
			c.dirty = true
		}
	case breaker.Closed:
		if t.gate.Phase == "ramp" && m.now-t.climbed >= rampTick {
			t.climbed = m.now
			if t.climb(m.now, &c.settings, m.rng) {
				c.dirty = true
			}
			if t.calmly() {
				t.hotUntil = m.now + hotAfterClose
				if t == c.whole {
					c.forget() // the way back is no evidence against what is closed now
				}
			}
		}
	}
	if n := t.missing(m.now, &c.settings); n > 0 {
		m.lease(c, t, instance, n, askers(m.now))
	}
}

// lease gives probes to replicas with demand, to different ones as far as there
// are.
func (m *Mind) lease(c *circuit, t *target, instance string, n int, rows []*row) {
	if len(rows) == 0 {
		return
	}
	first := m.rng.IntN(len(rows))
	given := make(map[int][]fleet.Lease)
	for i := range n {
		at := (first + i) % len(rows)
		m.tokens++
		token := m.cfg.Incarnation<<32 ^ m.tokens
		t.trial.leases = append(t.trial.leases, lease{
			token: token, to: rows[at].id, given: m.now,
			expires: m.now + leaseTTL + c.settings.Breaker.MaxWaitDurationInHalfOpenState,
		})
		given[at] = append(given[at], fleet.Lease{Token: token, Instance: instance, TTL: leaseTTL})
	}
	m.say(c)
	for i := range min(n, len(rows)) {
		at := (first + i) % len(rows)
		m.tell(c, rows[at].id, given[at])
	}
}
