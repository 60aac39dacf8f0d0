package control

import (
	"github.com/datapunk/switchgear/internal/fleet"
)

// State gives inputs that bring a new mind to where this one is: who is there,
// which settings they run on, what was decided and ordered. Evidence is not in
// it: a trace that begins so learns it from its first seconds on. Reading it
// changes nothing.
func (m *Mind) State() []Input {
	var state []Input
	add := func(in Input) {
		in.At = m.now
		state = append(state, in)
	}
	epoch := m.epoch
	for _, ce := range m.order {
		for _, c := range ce.circuits {
			for _, r := range c.rows {
				s := c.settings
				add(Input{Report: &ReplicaReport{From: r.id, Observer: r.by(), Report: fleet.Report{Circuits: []fleet.CircuitReport{{
					Callee: c.id.Callee, Route: c.id.Route, Settings: &s, State: r.state, Mode: r.mode, Generation: r.generation,
				}}}}})
			}
			if d := &c.directed; d.ordered != nil || d.canary != nil || d.enforce {
				add(Input{Policy: &Policy{Circuit: c.id, Settings: own(d.ordered), Enforce: d.enforce, Canary: own(d.canary), CanaryPercent: d.percent}})
			}
			if c.whole.gate.Generation > 0 || !c.calmly() {
				d := m.directive(c, nil, nil)
				d.Settings = nil
				add(Input{Told: &Told{Daemon: "before", Output: Output{To: fleet.ReplicaID{Service: c.id.Caller}, Directive: d}}})
			}
			for _, o := range c.orders(m.now) {
				add(Input{Order: &o})
			}
		}
	}
	m.epoch = epoch
	for i := range m.pauses {
		p := m.pauses[i].Order
		p.TTL = m.pauses[i].until - m.now
		add(Input{Order: &p})
	}
	return state
}
