package control

import (
	"fmt"
	"slices"
	"strings"

	"github.com/datapunk/switchgear/policy"
)

// Policy is what the daemon's policies say of a circuit; nil Settings leave it to
// the replicas' own.
type Policy struct {
	Circuit  policy.Circuit
	Settings *policy.Settings
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
	if p.Settings == nil {
		if c := m.known(p.Circuit); c != nil {
			c.ordered = nil
		}
		return
	}
	if err := p.Settings.Validate(); err != nil {
		refuse(strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	c := m.circuit(p.Circuit)
	if c == nil {
		refuse(fmt.Sprintf("%d circuits are followed, and no more can be", maxCircuits))
		return
	}
	s := *p.Settings
	s.Breaker.Ramp.StepPercents = slices.Clone(s.Breaker.Ramp.StepPercents)
	c.ordered = &s
	c.adjust(s)
	for _, r := range c.rows {
		r.settled, r.unsettled = false, 0
	}
	c.dirty = true
}

// obeyed notes which settings a replica runs on.
func (c *circuit) obeyed(r *row, s *policy.Settings) {
	if c.ordered == nil {
		c.adjust(*s)
		return
	}
	// A replica of an earlier release can't run on all of it: it is not told for ever.
	const tries = 3
	r.settled = sameSettings(c.ordered, s) || r.unsettled >= tries
	if !r.settled {
		r.unsettled++
		c.dirty = true
	}
}

// unsettled are settings that a replica does not run on yet.
func (c *circuit) unsettled(r *row) *policy.Settings {
	if c.ordered == nil {
		return nil
	}
	if r != nil && !r.settled || r == nil && slices.ContainsFunc(c.rows, func(r *row) bool { return !r.settled }) {
		return c.ordered
	}
	return nil
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
