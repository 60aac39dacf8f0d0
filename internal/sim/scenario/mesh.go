package scenario

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/internal/sim"
	"github.com/datapunk/switchgear/internal/sim/fault"
	"github.com/datapunk/switchgear/policy"
)

// mesh is a scenario as it is played.
type mesh struct {
	*Scenario
	hooks    Hooks
	unmarked bool
	w        *sim.World
	services []*service
	replicas []*replica
	circuits []*circuit
	byID     map[policy.Circuit]*circuit
	started  uint64 // daemons
	log      timeline

	calls    []*call // that are free
	requests []*request
}

// service is one, with what happens to it now.
type service struct {
	*Service
	index     int
	id        policy.Service
	replicas  []*replica
	instances []*instance
	weights   []float64 // of routes, as a running sum
	active    []*going
	surge     float64
	made      Requests
}

// instance is a replica as its callers know it.
type instance struct {
	name    string
	replica *replica
	backlog float64 // requests that wait
	drained time.Duration
}

// replica is one process.
type replica struct {
	mesh    *mesh
	index   int // in the whole mesh
	number  int // in its service
	service *service
	process *sim.Replica // nil where it makes no calls
	down    bool
	ends    []*end
	made    uint64
	loadAt  time.Duration // of its next own request
}

// end is a replica's end of a circuit, with what a transport resolves once.
type end struct {
	*circuit
	at      *replica
	process *sim.Replica // that it is of
	guard   *fleet.Circuit
	parts   []*fleet.Instance // by instance
	tallies []*breaker.Tally  // by route and instance
	next    int
}

// build makes the mesh; the scenario is valid.
func build(s *Scenario, o *Options) *mesh {
	m := &mesh{Scenario: s, hooks: o.Hooks, unmarked: o.Unmarked, w: sim.New(s.Seed), byID: make(map[policy.Circuit]*circuit)}
	m.w.LinkDelay, m.w.LinkJitter, m.w.LinkLoss = s.Link.Delay, s.Link.Jitter, s.Link.LossPercent/100
	m.w.Configure = o.Configure
	m.w.OwnControl = true
	m.w.Changed = m.changed
	m.w.Inputs = o.Inputs
	m.w.MaxEvents, m.w.MaxWaiting = MaxEvents, maxWaiting
	m.w.Outputs, m.w.Findings = m.said, m.found
	for i := range s.Services {
		m.add(&s.Services[i], i)
	}
	for _, x := range m.services {
		m.connect(x)
	}
	for i := range s.Faults {
		m.plan(&s.Faults[i], i)
	}
	if s.Daemons > 0 {
		m.startDaemon()
	}
	for _, r := range m.replicas {
		if r.service.Load != nil {
			r.planLoad(true)
		}
	}
	if o.Script != nil {
		o.Script(&Stage{m})
	}
	return m
}

func (m *mesh) startDaemon() {
	m.started++
	m.w.StartDaemon(m.started)
}

func (m *mesh) add(s *Service, index int) {
	x := &service{Service: s, index: index, id: policy.Service{Namespace: s.Namespace, Name: s.Name}, surge: 1, made: Requests{Service: s.Name}}
	sum := 0.0
	for _, r := range s.Routes {
		sum += r.Weight
		x.weights = append(x.weights, sum)
	}
	for i, name := range s.instances(nil) {
		r := &replica{mesh: m, index: len(m.replicas), number: i, service: x}
		x.instances = append(x.instances, &instance{name: name, replica: r})
		if len(s.Calls) > 0 {
			r.process = m.w.AddReplica(x.id, r.name())
			r.process.Owner = r
		}
		m.replicas = append(m.replicas, r)
		x.replicas = append(x.replicas, r)
	}
	m.services = append(m.services, x)
}

// connect makes a service's circuits and each replica's end of them.
func (m *mesh) connect(x *service) {
	for i := range x.Calls {
		c := &x.Calls[i]
		to := m.services[m.find(c.To)]
		id := policy.Circuit{Caller: x.id, Callee: to.id}
		s := policy.Default()
		if m.Policies != nil {
			s = *m.Policies.Settings(id)
		}
		e := &circuit{Circuit: id, call: c, from: x, to: to, mesh: m, settings: &s}
		m.circuits = append(m.circuits, e)
		m.byID[id] = e
		for _, r := range x.replicas {
			e.breakers++
			r.ends = append(r.ends, e.end(r))
		}
	}
}

// end makes a replica's end of the circuit.
func (c *circuit) end(r *replica) *end {
	return &end{circuit: c, at: r, process: r.process, guard: r.process.GuardWith(c.to.id, c.settings), next: r.number}
}

func (r *replica) name() string { return r.service.instances[r.number].name }

func (e *end) part(i int) *fleet.Instance {
	if e.parts == nil {
		e.parts = make([]*fleet.Instance, len(e.to.instances))
		e.tallies = make([]*breaker.Tally, len(e.to.instances)*max(1, len(e.to.Routes)))
	}
	if e.parts[i] == nil {
		e.parts[i] = e.guard.Instance(e.to.instances[i].name)
	}
	return e.parts[i]
}

func (e *end) tally(route, i int) *breaker.Tally {
	at := &e.tallies[route*len(e.to.instances)+i]
	if *at == nil {
		*at = e.guard.Tally(e.to.route(route), e.to.instances[i].name)
	}
	return *at
}

// route names one, "" where the service has none.
func (x *service) route(i int) string {
	if len(x.Routes) == 0 {
		return ""
	}
	return x.Routes[i].Name
}

// choose a route by a throw of the dice.
func (x *service) choose(throw float64) int {
	if len(x.weights) == 0 {
		return 0
	}
	throw *= x.weights[len(x.weights)-1]
	for i, w := range x.weights {
		if throw < w {
			return i
		}
	}
	return len(x.weights) - 1
}

// sky is the weather that a call from a replica meets at an instance.
func (m *mesh) sky(x *service, instance, route int, from *replica) weather {
	if x.instances[instance].replica.down {
		return weather{Weather: fault.Weather{Fail: 1, Latency: x.Latency, Capacity: x.Capacity}, as: breaker.Connect}
	}
	w := weather{Weather: fault.Weather{Fail: x.FailPercent / 100, Latency: x.Latency, Capacity: x.Capacity}, as: breaker.ServerError}
	for _, g := range x.active {
		if g.hits(instance, route, from) {
			g.touch(&w, m.w.Now(), instance, from)
		}
	}
	return w
}

// wait is how long a request would queue at an instance, as what waits there is
// served at its capacity of now.
func (i *instance) wait(now time.Duration, w *weather) time.Duration {
	capacity := max(w.Capacity, 1e-3)
	i.backlog = max(0, i.backlog-(now-i.drained).Seconds()*capacity)
	i.drained = now
	return time.Duration(min(i.backlog/capacity, time.Hour.Seconds()) * float64(time.Second))
}
