package control

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
)

// think goes once round what is under way: what fails is located and judged, what
// is open is brought back, and what has changed is said. What is calm is looked
// at every patrolInterval, and where anything may have changed.
func (m *Mind) think(everywhere bool) {
	all := m.now-m.patrolled >= patrolInterval
	if all {
		m.patrolled = m.now
	}
	for _, ce := range m.order {
		if !ce.owned {
			ce.keepWarm(m.now)
			continue
		}
		if !all && !everywhere && !ce.restless {
			continue
		}
		if all {
			for _, c := range ce.circuits {
				m.patrol(c)
			}
		}
		if ce.failing && m.now-ce.looked >= lookInterval {
			ce.looked = m.now
			ce.failing = m.judge(ce)
		}
		ce.restless = ce.failing
		standing := false
		for _, c := range ce.circuits {
			if c.orderEnds != 0 && c.orderEnds <= m.now {
				m.endOrders(c)
			}
			m.lead(c)
			m.check(c)
			m.say(c)
			ce.restless = ce.restless || !c.calmly() || c.suspected != 0 || c.orderEnds != 0 && c.orderEnds-m.now < calmInterval
			standing = standing || c.standing()
		}
		if standing {
			ce.past.drop(m.now)
		} else {
			ce.past.turn(m.now)
		}
	}
}

// judge opens what fails, as narrowly as the evidence says, and reports whether
// there is reason to look again without new failures.
func (m *Mind) judge(ce *callee) (again bool) {
	var named []finding
	located := false
	find := func() []finding {
		if !located {
			named, located = m.locate(ce), true
		}
		return named
	}
	for _, c := range ce.circuits {
		switch {
		case !c.whole.calmly():
		case c.settings.Automatic():
			again = m.watch(c, find) || again
		default:
			again = m.compare(c, find) || again
		}
	}
	return again
}

// compare judges a circuit by explicit thresholds.
func (m *Mind) compare(c *circuit, find func() []finding) (again bool) {
	w, over := c.over(m.now)
	alone, why := c.openedAlone()
	together := alone > 1 && alone >= c.quorum(len(c.rows)) && 2*alone > len(c.rows)
	if !c.suspicious(m.now, &w) && !together {
		return false
	}
	if m.now-c.suspected < hearOthers || !over && !together && !c.anyInstanceOver(m.now) {
		return true
	}
	switch {
	case m.openParts(c, find()):
	case over && w.observers >= c.quorum(w.present):
		m.unlessHeld(c, func() { m.openWhole(c, &w) })
	case together:
		m.unlessHeld(c, func() { m.openTogether(c, alone, why) })
	}
	return true
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
	return sayKinds(&f.kinds)
}

func sayKinds(kinds *[breaker.Kinds]uint32) string {
	type count struct {
		kind breaker.Kind
		n    uint32
	}
	var counts []count
	for k := breaker.Timeout; k <= breaker.Application; k++ {
		if kinds[k] > 0 {
			counts = append(counts, count{k, kinds[k]})
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
