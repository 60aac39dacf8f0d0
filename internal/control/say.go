package control

import (
	"slices"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
)

// say tells every replica of a circuit's caller what has changed, or renews
// what stands. Where a replica has a word of its own, each is told by itself.
func (m *Mind) say(c *circuit) {
	if !c.callee.owned || c.claims.word != nil {
		return // or what is held would flash closed before it is known whose it is
	}
	silent := m.now - c.sent
	due := c.dirty || silent >= renewal && c.live(m) || silent >= probesRenewal && c.probing()
	if !due {
		return
	}
	c.dirty = false
	c.sent = m.now
	c.saidHot = c.hot(m.now)
	if c.differ() || slices.ContainsFunc(c.rows, func(r *row) bool { return r.own != nil }) {
		for _, r := range c.rows {
			m.tell(c, r.id, nil)
		}
		return
	}
	m.put(Output{To: fleet.ReplicaID{Service: c.id.Caller}, Directive: m.directive(c, nil, nil)})
}

// live reports whether anybody has called lately, or must be held.
func (c *circuit) live(m *Mind) bool {
	return !c.calmly() || c.orderEnds != 0 || slices.ContainsFunc(c.rows, func(r *row) bool { return m.now-r.at < renewal })
}

// probing reports whether a share of probes is let out, which ends soon where it
// is not said again.
func (c *circuit) probing() bool {
	return c.standing() && slices.ContainsFunc(c.targets(), func(t *target) bool {
		return t.gate.State == breaker.HalfOpen && t.gate.Share > 0
	})
}

// tell says a circuit's word to one replica, with leases if it gets any.
func (m *Mind) tell(c *circuit, to fleet.ReplicaID, leases []fleet.Lease) {
	if !c.callee.owned {
		return
	}
	var r *row
	if at, found := c.findRow(to); found {
		r = c.rows[at]
	}
	m.put(Output{To: to, Directive: m.directive(c, r, leases)})
}

func (m *Mind) put(o Output) {
	if !m.cfg.Without.Coordination {
		m.said.Directives = append(m.said.Directives, o)
	}
}

func (m *Mind) directive(c *circuit, r *row, leases []fleet.Lease) fleet.Directive {
	m.epoch++
	d := fleet.Directive{
		Circuit: c.id,
		Epoch:   m.lastEpoch(),
		TTL:     directiveTTL,
		Enforce: m.enforces(c),
		Gate:    *c.gate(r),
		Leases:  slices.Clone(leases),
		Hot:     c.hot(m.now),

		Override: c.whole.override.left(m.now),
		Settings: c.unsettled(r),
	}
	for _, p := range c.parts {
		if !p.calmly() || p.override != nil {
			d.Parts = append(d.Parts, fleet.Part{Instance: p.instance, Gate: p.gate, Override: p.override.left(m.now)})
		}
	}
	return d
}
