package control

import (
	"fmt"
	"math"
	"slices"
	"strings"
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
	var opened []string
	for _, f := range c.instancesOf(named) {
		p := c.part(m.now, f.instance)
		if !p.calmly() || p.frozen() {
			explained = true
			continue
		}
		judge := c.instanceOver
		if c.settings.Automatic() {
			judge = c.instanceFails
		}
		e, over := judge(f.instance, m.now)
		if !over || e.observers < c.quorum(max(e.present, c.present(m.now))) {
			continue // of an instance that one replica alone has named, that one may dream
		}
		b := &c.settings.Breaker
		rate := 100 * float64(e.k) / float64(e.n)
		if !m.mayEject(c, f.instance) {
			continue // the whole may open, more instances may not
		}
		rule := fmt.Sprintf("%.0f %% ≥ %.0f %%, minimum %d", rate, b.FailureRateThreshold, b.MinimumNumberOfCalls)
		if c.settings.Automatic() {
			rule = fmt.Sprintf("%.0f %%", rate)
		}
		why := fmt.Sprintf("%d of %d calls to this instance failed (%s), seen by %d of %d replicas; its siblings are well; %s",
			e.k, e.n, rule, e.observers, e.present, f.why)
		p.rate = rate
		p.flow.share(m.now, &c.whole.flow, 1/float64(max(len(c.seen), 1)))
		p.open(m.now, &c.settings, m.rng, why)
		opened = append(opened, f.instance)
		c.dirty = true
		explained = true
	}
	if len(opened) > 0 {
		// The circuit's own counts hold these instances' failures: they count no more.
		c.record.drop(m.now)
		c.whole.set(m.now, breaker.Closed, "", 1, onlyOpen(opened))
		c.forgetInstances(opened)
	}
	return explained
}

func onlyOpen(instances []string) string {
	if len(instances) == 1 {
		return fmt.Sprintf("only instance %s is open", instances[0])
	}
	return fmt.Sprintf("only instances %s are open", strings.Join(instances, ", "))
}

// forgetInstances drops what was seen of instances that are judged by themselves
// now, and what holds it among other things.
func (c *circuit) forgetInstances(names []string) {
	for _, name := range names {
		if x := c.seen[name]; x != nil {
			x.sum = 0
		}
	}
	for _, r := range c.evidenceRows() {
		r.restart()
		for _, x := range r.cells {
			if slices.Contains(names, x.instance) {
				x.window.reset()
			}
		}
	}
}

// instancesOf lists the findings that are about instances for all replicas here,
// one for each instance.
func (c *circuit) instancesOf(named []finding) []finding {
	var each []finding
	for _, f := range named {
		names, _ := f.instances(c.id.Caller.String())
		for _, name := range names {
			one := f
			one.instance, one.set = name, nil
			each = append(each, one)
		}
	}
	return each
}

// instanceEvidence is what everybody saw of an instance.
type instanceEvidence struct {
	tally
	present, observers int
}

// instance sums what all replicas of all callers saw of an instance.
func (ce *callee) instance(name string, now time.Duration, seconds int) (e instanceEvidence) {
	var present, failing []string
	for _, c := range ce.circuits {
		for _, r := range c.evidenceRows() {
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
				present = append(present, r.by())
			}
			if sum.k > 0 {
				failing = append(failing, r.by())
			}
		}
	}
	e.present, e.observers = distinct(present), distinct(failing)
	return e
}

// instanceOver is over for one instance.
func (c *circuit) instanceOver(name string, now time.Duration) (instanceEvidence, bool) {
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
	return instanceEvidence{}, false
}

// instanceFails is the same for the automatic engine: the instance fails where
// its siblings do not. Its calls can go to them, so that much less than openAbove
// is enough to be sure of.
func (c *circuit) instanceFails(name string, now time.Duration) (instanceEvidence, bool) {
	all := c.whole.flow.span(now, cellSpan, -time.Second)
	own := c.callee.instance(name, now, int(cellSpan/time.Second))
	rest := (float64(all.spoilt) - float64(own.k) + 0.5) / max(float64(all.calls)-float64(own.n)+1, 1)
	normal := min(0.5, max(0.05, 2*rest, c.record.normal()))
	t := newTest(normal, max(0.6, (1+normal)/2))
	need := alarmBase + math.Log(float64(max(len(c.seen), 1)))
	for seconds := 1; seconds <= int(cellSpan/time.Second); seconds *= 2 {
		e := c.callee.instance(name, now, seconds)
		if t.failed*float64(e.k)-t.ok*float64(e.n-e.k) >= need {
			return e, true
		}
	}
	return instanceEvidence{}, false
}

// anyInstanceOver reports whether an instance alone is over the thresholds.
func (c *circuit) anyInstanceOver(now time.Duration) bool {
	failing := make(map[string]bool)
	for _, r := range c.evidenceRows() {
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
	quorum := c.quorum(c.present(now))
	for name, x := range c.seen {
		if now-x.at > forgetPart {
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
