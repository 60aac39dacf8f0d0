package scenario

import (
	"slices"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/sim/fault"
)

// plan lets a fault begin and end.
func (m *mesh) plan(f *Fault, index int) {
	g := &going{Fault: f, index: index, from: max(f.At, 1), share: f.percent() / 100, as: breaker.ServerError}
	if f.As != "" {
		_ = g.as.UnmarshalText([]byte(f.As)) // Validate has read it
	}
	instances := 0
	if f.Service != "" {
		x := m.services[m.find(f.Service)]
		instances = len(x.instances)
		g.instances = choose(f.Instances, len(x.instances), func(i int) string { return x.instances[i].name })
		g.routes = choose(f.Routes, len(x.Routes), x.route)
	}
	g.callers = choose(f.Callers, len(m.services), func(i int) string { return m.services[i].Name })
	g.replicas = choose(f.Replicas, len(m.replicas), func(i int) string { return m.replicas[i].name() })
	if f.Family != "" {
		for _, family := range fault.Families {
			if family.Name == f.Family {
				g.episode = fault.Draw(family, f.Seed)
			}
		}
	}
	g.to = f.end(m.Duration, instances)
	m.w.At(g.from, func() { m.begin(g) })
	if g.to < m.Duration {
		m.w.At(g.to, func() { m.finish(g) })
	}
}

// choose says which of n names a list names; nil is all.
func choose(list []string, n int, name func(int) string) []bool {
	if len(list) == 0 {
		return nil
	}
	some := make([]bool, n)
	for i := range some {
		some[i] = matches(list, name(i))
	}
	return some
}

// begin a fault.
func (m *mesh) begin(g *going) {
	now := m.w.Now()
	m.log.add(now, "fault", g.where(), "begins: "+g.String())
	switch kindNamed(g.Kind).where {
	case atCallee:
		x := m.services[m.find(g.Service)]
		x.active = append(x.active, g)
		for _, c := range m.circuits {
			if c.to == x && concerns(g, c) {
				c.trouble = append(c.trouble, &trouble{going: g, failed: c.figures.Failed})
			}
		}
	case atCaller:
		m.load(g, g.Factor)
	case atReplicas:
		m.each(g, func(r *replica) { r.spoil(g, true) })
	case atDaemon:
		m.w.KillDaemon()
	case atLink:
		m.w.LinkDelay, m.w.LinkJitter, m.w.LinkLoss = g.Delay, g.Jitter, g.Percent/100
	}
}

// finish ends a fault.
func (m *mesh) finish(g *going) {
	now := m.w.Now()
	m.log.add(now, "fault", g.where(), "ends: "+g.Kind)
	switch kindNamed(g.Kind).where {
	case atCallee:
		x := m.services[m.find(g.Service)]
		x.active = slices.DeleteFunc(x.active, func(o *going) bool { return o == g })
		for _, c := range m.circuits {
			for _, t := range c.trouble {
				if t.going == g {
					t.end(c, now)
				}
			}
		}
	case atCaller:
		m.load(g, 1/g.Factor)
	case atReplicas:
		m.each(g, func(r *replica) { r.spoil(g, false) })
	case atDaemon:
		if m.Daemons > 0 {
			m.startDaemon()
		}
	case atLink:
		m.w.LinkDelay, m.w.LinkJitter, m.w.LinkLoss = m.Link.Delay, m.Link.Jitter, m.Link.LossPercent/100
	}
}

// concerns reports whether any call of a circuit can meet a fault.
func concerns(g *going, c *circuit) bool {
	return slices.ContainsFunc(c.from.replicas, g.by)
}

// load changes what a service's replicas do of themselves.
func (m *mesh) load(g *going, factor float64) {
	x := m.services[m.find(g.Service)]
	x.surge *= factor
	for _, r := range x.replicas {
		r.planLoad(true)
	}
}

// each goes through the replicas of a fault that make calls.
func (m *mesh) each(g *going, f func(*replica)) {
	for _, r := range m.replicas {
		if len(r.service.Calls) > 0 && g.by(r) {
			f(r)
		}
	}
}

// kill the process, with all that its breakers knew.
func (r *replica) kill() {
	if r.down {
		return
	}
	r.down = true
	r.process.Stop()
	for _, e := range r.ends {
		e.lost()
	}
}

// start it anew.
func (r *replica) start() {
	r.down = false
	r.process = r.mesh.w.AddReplica(r.service.id, r.name())
	r.process.Owner = r
	for i, old := range r.ends {
		r.ends[i] = old.end(r)
	}
}

// lost says that the breakers of an end are no more.
func (e *end) lost() {
	e.change(e.mesh.w.Now(), "", breaker.Closed, e.guard.Breaker.State())
	for _, p := range e.parts {
		if p != nil {
			e.change(e.mesh.w.Now(), p.Name, breaker.Closed, p.State())
		}
	}
}

// spoil what a replica tells the daemon, or make it well again.
func (r *replica) spoil(g *going, bad bool) {
	switch {
	case g.Kind == "daemon_partition":
		r.process.Cut(bad)
	case g.Kind == "restart" && bad:
		r.kill()
	case g.Kind == "restart":
		r.start()
	case bad:
		r.process.Distort = lie(g.Factor)
	default:
		r.process.Distort = nil
	}
}
