package evaluate

import (
	"fmt"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/internal/sim"
	"github.com/datapunk/switchgear/policy"
)

// linkDelay is one way between a replica and control: gateway and bus. Gathering
// comes on top, as the replica's real half does it.
const linkDelay = 20 * time.Millisecond

// switchgear is the product: its breakers, replicas and control, the real code,
// on settings that nobody has touched.
type switchgear struct {
	world    *sim.World
	timeout  time.Duration // that callers give their calls
	replicas []*sim.Replica
	ends     []end
	permits  []guarded // by slot
}

// end is one replica's end of the circuit, with what a transport resolves once.
type end struct {
	circuit   *fleet.Circuit
	instances []*fleet.Instance
	tallies   []*breaker.Tally
}

// guarded is a call's leave, from its circuit and from its instance.
type guarded struct {
	circuit, instance breaker.Permit
	apart             bool // the instance is judged by itself
}

func newSwitchgear(callers, instances int, seed uint64, timeout time.Duration) *switchgear {
	return newSwitchgearWith(policy.Default(), callers, instances, seed, timeout)
}

func newSwitchgearWith(settings policy.Settings, callers, instances int, seed uint64, timeout time.Duration) *switchgear {
	p := &switchgear{world: sim.New(seed), timeout: timeout}
	p.world.LinkDelay = linkDelay
	p.world.StartDaemon(1)
	caller := policy.Service{Namespace: "lab", Name: "caller"}
	callee := policy.Service{Namespace: "lab", Name: "callee"}
	for i := range callers {
		r := p.world.AddReplica(caller, fmt.Sprintf("caller-%d", i+1))
		c := r.Guard(callee, settings)
		e := end{circuit: c, instances: make([]*fleet.Instance, instances), tallies: make([]*breaker.Tally, instances)}
		p.replicas, p.ends = append(p.replicas, r), append(p.ends, e)
	}
	return p
}

func (e *end) instance(i int) *fleet.Instance {
	if e.instances[i] == nil {
		name := fmt.Sprintf("10.0.0.%d:80", i+1)
		e.instances[i] = e.circuit.Instance(name)
		e.tallies[i] = e.circuit.Tally("", name)
	}
	return e.instances[i]
}

func (p *switchgear) allow(c *call) bool {
	p.world.Run(c.At)
	for len(p.permits) <= c.Slot {
		p.permits = append(p.permits, guarded{})
	}
	e, g := &p.ends[c.Caller], &p.permits[c.Slot]
	e.circuit.Deadline(p.timeout)
	var err error
	if g.circuit, err = e.circuit.Breaker.Acquire(); err != nil {
		p.replicas[c.Caller].Touch()
		return false
	}
	for range e.instances {
		x := e.instance(c.Instance)
		if g.instance, err = x.Acquire(); err == nil {
			g.apart = x.View().State != breaker.Closed
			return true
		}
		c.Instance = (c.Instance + 1) % len(e.instances)
	}
	g.circuit.Release()
	return false
}

func (p *switchgear) done(c *call, o breaker.Outcome) {
	p.world.Run(c.At + o.Latency)
	e, g := &p.ends[c.Caller], &p.permits[c.Slot]
	counted := true
	if g.apart {
		g.circuit.Release()
	} else {
		counted = g.circuit.Done(o)
	}
	if g.instance.Done(o) && counted {
		e.tallies[c.Instance].Add(o, o.Latency)
	}
	p.replicas[c.Caller].Touch()
}

func (p *switchgear) openings() (n int) {
	for _, r := range p.replicas {
		for _, c := range r.Changes {
			if c.From == breaker.Closed && c.To == breaker.Open {
				n++
			}
		}
	}
	return n
}
