package control

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
)

// lead brings what is open back: probes, verdicts, ramps.
func (m *Mind) lead(c *circuit) {
	m.leadOne(c, c.whole, "", c.askers)
	for _, p := range c.parts {
		m.leadOne(c, p.target, p.instance, c.askers)
	}
	if c.apart {
		m.leadApart(c)
	}
}

// leadApart brings back the replicas that are open alone. On a ramp they may be most
// of them: then the ramp has come to nothing, and the whole is open again.
func (m *Mind) leadApart(c *circuit) {
	closed := c.whole.gate.State == breaker.Closed && !c.whole.frozen()
	if closed && !c.whole.calmly() {
		if alone, why := c.openedAlone(); alone >= c.quorum(len(c.rows)) && 2*alone > len(c.rows) {
			m.openTogether(c, alone, why)
			return
		}
	}
	c.apart = false
	for _, r := range c.rows {
		if r.local != "" && r.own == nil && closed {
			r.own = c.target(m.now)
			r.own.flow.seed(m.now, &r.demand)
			r.own.open(m.now, &c.settings, m.rng, "this replica alone: "+r.local)
			r.alone = r.local
			c.callee.failing = true // there may be more of them: then it is the fleet's
			c.dirty = true
		}
		c.apart = c.apart || r.local != ""
		if r.own == nil {
			continue
		}
		c.apart = true
		m.leadOne(c, r.own, "", func(time.Duration) []*row { return []*row{r} })
		if r.own.calmly() {
			r.own, r.local, r.alone = nil, "", ""
			m.generations++
			c.whole.gate.Generation = m.generations
			c.dirty = true
		}
	}
}

func (m *Mind) leadOne(c *circuit, t *target, instance string, askers func(time.Duration) []*row) {
	if t.calmly() || t.frozen() || c.whole.frozen() {
		return
	}
	if due := m.now-t.looked >= lookInterval; c.settings.Automatic() || t.gate.State == breaker.Closed {
		if !due && (!t.news || t.gate.State == breaker.Closed) {
			return
		}
		t.looked, t.news = m.now, false
	}
	before := t.gate
	switch {
	case t.gate.State == breaker.Closed:
		t.climb(m.now, &c.settings, c.callTimeout(), m.rng)
		if t.calmly() && t == c.whole {
			c.forget() // the way back is no evidence against what is closed now
		}
	case c.settings.Automatic():
		t.search(m.now)
	case t.gate.State == breaker.Open:
		if m.now >= t.due && len(askers(m.now)) > 0 {
			t.probe(m.now, &c.settings)
		}
	default:
		t.verdict(m.now, &c.settings, m.rng)
	}
	c.dirty = c.dirty || t.gate != before
	c.reclaim(m.now, t)
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
		token := m.tokens
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
