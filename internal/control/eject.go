package control

import (
	"fmt"
	"math"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// openParts opens the instances that locate has named, where the thresholds say
// so too, and reports whether the failures are theirs.
func (m *Mind) openParts(c *circuit, named []finding) bool {
	if m.ordered(c) != "" || c.panicking(m.now) {
		return false
	}
	explained := false
	for _, f := range instancesOf(named) {
		p := c.part(m.now, f.instance)
		if !p.calmly() || p.frozen() {
			explained = true
			continue
		}
		e, over := c.instanceOver(f.instance, m.now)
		if !over || e.observers < c.quorum(max(e.present, c.pooled(m.now, windowSteps).present)) {
			continue // of an instance that one replica alone has named, that one may dream
		}
		b := &c.settings.Breaker
		rate := 100 * float64(e.k) / float64(e.n)
		if !m.mayEject(c, f.instance) {
			continue // the whole may open, more instances may not
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
// What fewer than a quorum have called does not count, or one replica that names
// many could raise how many may be out.
func (c *circuit) ejected(now time.Duration) (known, out int) {
	quorum := c.quorum(c.pooled(now, windowSteps).present)
	for name, at := range c.seen {
		if now-at > forgetPart {
			if p := c.partOf(name); p == nil || p.calmly() {
				delete(c.seen, name)
				continue
			}
		}
		p := c.partOf(name)
		switch isOut := p != nil && !p.calmly(); {
		case isOut:
			known++
			out++
		case c.callee.instance(name, now, windowSteps).present >= quorum:
			known++
		}
	}
	return known, out
}

// maxEjected is how many of n instances may be out: exact for small n, and never
// the last one.
func maxEjected(n int, percent float64) int {
	return max(0, min(int(math.Floor(float64(n)*percent/100+1e-9)), n-1))
}
