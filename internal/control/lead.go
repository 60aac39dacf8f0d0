package control

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
)

// lead brings what is open back: probes, verdicts, ramps.
func (m *Mind) lead(c *circuit) {
	for _, r := range c.rows {
		if r.local != "" && r.own == nil && c.whole.calmly() && !c.whole.frozen() {
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
	c.learn(m.now)
}

// learn follows the latency of a circuit that is calm.
func (c *circuit) learn(now time.Duration) {
	if !c.whole.calmly() || now-c.learnt < 250*time.Millisecond {
		return
	}
	c.learnt = now
	c.whole.learn(now)
	for _, p := range c.parts {
		p.calm = c.whole.calm
	}
}

func (m *Mind) leadOne(c *circuit, t *target, instance string, askers func(time.Duration) []*row) {
	if t.frozen() || c.whole.frozen() {
		return
	}
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
		token := m.tokens
		t.trial.leases = append(t.trial.leases, lease{
			token: token, to: rows[at].id,
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
