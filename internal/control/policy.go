package control

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/datapunk/switchgear/policy"
)

// Policy is what the daemon's policies say of a circuit; nil Settings leave it to
// the replicas' own.
type Policy struct {
	Circuit  policy.Circuit
	Settings *policy.Settings
	// Enforce is a policy's word that directives act there. Config.Enforce makes
	// them act everywhere.
	Enforce bool `json:",omitempty"`
	// Canary is what CanaryPercent of the replicas run on instead, one at least and
	// never all of them; nil is none.
	Canary        *policy.Settings `json:",omitempty"`
	CanaryPercent float64          `json:",omitempty"`
}

// directed is what the daemon's policies say of a circuit, as it is in force.
type directed struct {
	ordered *policy.Settings // nil: the replicas' own
	canary  *policy.Settings
	percent float64
	enforce bool
}

// policy puts the daemon's settings for a circuit in force, in place: state,
// generation and time left stay.
func (m *Mind) policy(p *Policy) {
	refuse := func(why string) {
		m.said.Findings = append(m.said.Findings, Notice{Kind: "policy", Namespace: p.Circuit.Callee.Namespace, Circuit: p.Circuit, Why: "settings were refused: " + why})
	}
	if err := p.Circuit.Validate(); err != nil {
		refuse(err.Error())
		return
	}
	for _, s := range []*policy.Settings{p.Settings, p.Canary} {
		if s == nil {
			continue
		}
		if err := s.Validate(); err != nil {
			refuse(strings.ReplaceAll(err.Error(), "\n", "; "))
			return
		}
	}
	if !(p.CanaryPercent >= 0 && p.CanaryPercent <= 100) {
		refuse(fmt.Sprintf("canaryPercent %v: want 0 to 100", p.CanaryPercent))
		return
	}
	c := m.known(p.Circuit)
	if c == nil && (p.Settings != nil || p.Canary != nil || p.Enforce) {
		if c = m.circuit(p.Circuit); c == nil {
			refuse(fmt.Sprintf("%d circuits are followed, and no more can be", maxCircuits))
			return
		}
	}
	if c == nil {
		return
	}
	before := c.ordered
	c.directed = directed{own(p.Settings), own(p.Canary), p.CanaryPercent, p.Enforce}
	switch {
	case c.ordered != nil:
		c.adjust(*c.ordered)
	case before != nil:
		for _, r := range c.rows {
			r.back = r.native
		}
	}
	c.chooseCanaries()
	for _, r := range c.rows {
		r.settled, r.unsettled = false, 0
	}
	c.dirty, c.callee.restless = true, true
}

// own gives control's own copy of settings.
func own(s *policy.Settings) *policy.Settings {
	if s == nil {
		return nil
	}
	copied := *s
	copied.Breaker.Ramp.StepPercents = slices.Clone(s.Breaker.Ramp.StepPercents)
	return &copied
}

// enforces reports whether directives act on a circuit.
func (m *Mind) enforces(c *circuit) bool { return m.cfg.Enforce || c.enforce }

// chooseCanaries says which replicas run on the canary's settings: always the same
// ones of those that there are.
func (c *circuit) chooseCanaries() {
	n := 0
	if c.canary != nil {
		all := len(c.rows)
		n = max(min(int(math.Ceil(float64(all)*c.percent/100)), all-1), min(1, all-1))
	}
	byWeight := slices.Clone(c.rows)
	slices.SortFunc(byWeight, func(a, b *row) int {
		return cmp.Or(cmp.Compare(weight(a.id.Name, "canary"), weight(b.id.Name, "canary")), compareReplicas(a.id, b.id))
	})
	for i, r := range byWeight {
		if chosen := i < n; r.canary != chosen {
			if r.canary && c.ordered == nil {
				r.back = r.native
			}
			r.canary, r.settled, r.unsettled = chosen, false, 0
			c.dirty = true
		}
	}
}

// wanted are the settings that a replica is to run on, nil where that is its own
// affair.
func (c *circuit) wanted(r *row) *policy.Settings {
	switch {
	case r.canary && c.canary != nil:
		return c.canary
	case c.ordered != nil:
		return c.ordered
	}
	return r.back
}

// obeyed notes which settings a replica runs on.
func (c *circuit) obeyed(r *row, s *policy.Settings) {
	if r.native == nil && (c.ordered == nil || !sameSettings(c.ordered, s)) && (c.canary == nil || !sameSettings(c.canary, s)) {
		r.native = c.shared(s)
	}
	want := c.wanted(r)
	if want == nil {
		c.adjust(*s)
		return
	}
	// A replica of an earlier release can't run on all of it: it is not told for ever.
	const tries = 3
	r.settled = sameSettings(want, s) || r.unsettled >= tries
	if !r.settled {
		r.unsettled++
		c.dirty = true
		return
	}
	if want == r.back {
		r.back = nil // what it runs on is its own affair again
		c.adjust(*s)
	}
}

// shared gives a copy of settings that rows with the same share.
func (c *circuit) shared(s *policy.Settings) *policy.Settings {
	for _, r := range c.rows {
		if r.native != nil && sameSettings(r.native, s) {
			return r.native
		}
	}
	return own(s)
}

// unsettled are settings that a replica does not run on yet; with nil, those that
// all are to run on.
func (c *circuit) unsettled(r *row) *policy.Settings {
	if r != nil {
		if r.settled {
			return nil
		}
		return c.wanted(r)
	}
	if slices.ContainsFunc(c.rows, func(r *row) bool { return !r.settled }) {
		return c.ordered
	}
	return nil
}

// differ reports whether replicas are to run on different settings.
func (c *circuit) differ() bool {
	return c.canary != nil || slices.ContainsFunc(c.rows, func(r *row) bool { return r.back != nil })
}

// sameSettings leaves out a strategy's function, which does not travel, and of one
// revision the mode: a process can be held to another by its environment.
func sameSettings(a, b *policy.Settings) bool {
	if a.Revision != b.Revision {
		return false
	}
	x := *a
	x.Breaker.Mode = b.Breaker.Mode
	return x.Same(b)
}
