package control

import (
	"fmt"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

// Circuits tells all that is known, by callee and caller.
func (m *Mind) Circuits() []CircuitView {
	var views []CircuitView
	for _, ce := range m.order {
		for _, c := range ce.circuits {
			views = append(views, m.view(c))
		}
	}
	return views
}

// Known are the names of all circuits, by callee and caller.
func (m *Mind) Known() []policy.Circuit {
	known := make([]policy.Circuit, 0, m.count)
	for _, ce := range m.order {
		for _, c := range ce.circuits {
			known = append(known, c.id)
		}
	}
	return known
}

// Native are the settings of a circuit where no policy of the daemon says otherwise:
// those that a replica has told of as its own, else those that it runs on.
func (m *Mind) Native(id policy.Circuit) (policy.Settings, bool) {
	c := m.known(id)
	if c == nil {
		return policy.Settings{}, false
	}
	for _, r := range c.rows {
		if r.native != nil {
			return *r.native, true
		}
	}
	return c.settings, true
}

// Circuit tells what is known of one circuit.
func (m *Mind) Circuit(id policy.Circuit) (CircuitView, bool) {
	ce := m.callees[id.Callee]
	if ce == nil {
		return CircuitView{}, false
	}
	for _, c := range ce.circuits {
		if c.id == id {
			return m.view(c), true
		}
	}
	return CircuitView{}, false
}

func (m *Mind) view(c *circuit) CircuitView {
	w := c.pooled(m.now, windowSteps)
	v := CircuitView{
		Circuit: c.id, State: c.whole.gate.State, Mode: c.settings.Breaker.Mode, Phase: c.whole.gate.Phase,
		Since: m.now - c.whole.since, FailureRate: w.rate(), CallsPerSecond: c.whole.flow.demand(m.now, !c.whole.calmly()),
		Breakers: len(c.rows), Share: c.whole.gate.Share, Why: c.whole.gate.Reason,
	}
	m.explain(c, &v)
	if v.State != breaker.Closed {
		v.FailureRate = c.whole.rate
	}
	if alone, why := c.openedAlone(); alone > 0 && c.whole.calmly() {
		v.Why = fmt.Sprintf("%d of %d replicas have opened by their own rule: %s", alone, len(c.rows), why)
		if own := c.rows[0].own; alone == len(c.rows) && own != nil {
			v.State, v.Phase, v.Share = own.gate.State, own.gate.Phase, own.gate.Share
		}
	}
	for _, p := range c.parts {
		if !p.calmly() || p.override != nil {
			v.Parts = append(v.Parts, PartView{
				Instance: p.instance, State: p.gate.State, Phase: p.gate.Phase, Share: p.gate.Share,
				Since: m.now - p.since, Why: p.gate.Reason, Override: p.override.left(m.now),
			})
		}
	}
	for _, r := range c.rows {
		if r.state != breaker.Closed {
			v.Open++
		}
		v.Replicas = append(v.Replicas, ReplicaView{
			Replica: r.id, State: r.state, Mode: r.mode, Generation: r.generation, Age: m.now - r.at,
		})
	}
	return v
}
