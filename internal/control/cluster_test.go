package control

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// cluster is several minds on one bus, and real replicas, in steps of 10 ms.
type cluster struct {
	t        *testing.T
	at       time.Duration
	rng      *rand.Rand
	clock    *breaker.Clock
	daemons  []*daemonOf
	replicas []*replicaOf
	next     []func() // what arrives in the next step
	fails    func(edge policy.Circuit) bool
	each     func() // after every step
	leases   map[uint64]time.Duration
	found    []Notice
}

type daemonOf struct {
	*Mind
	name string
	tick time.Duration
	cut  bool // from the bus
	dead bool
}

type replicaOf struct {
	*fleet.Replica
	c        *cluster
	circuits []*fleet.Circuit
	rate     float64 // calls a second to each callee
	gateway  int
	arrived  []time.Duration
}

func newCluster(t *testing.T, seed uint64, daemons int) *cluster {
	t.Helper()
	c := &cluster{t: t, at: time.Second, rng: rand.New(rand.NewPCG(seed, 7)), leases: make(map[uint64]time.Duration), fails: func(policy.Circuit) bool { return false }}
	c.clock = breaker.NewClock(func() time.Duration { return c.at })
	for i := range daemons {
		c.start(fmt.Sprintf("d%d", i+1), 1+c.rng.Uint64N(9), daemons)
	}
	return c
}

func (c *cluster) start(name string, incarnation uint64, daemons int) *daemonOf {
	cfg := Config{Daemon: name, Incarnation: incarnation, Seed: c.rng.Uint64(), Enforce: true}
	if daemons > 1 {
		cfg.Join = time.Second
	}
	d := &daemonOf{Mind: New(cfg), name: name}
	c.daemons = append(c.daemons, d)
	return d
}

// settingsOf a circuit that no replica opens by itself: the fleet decides.
func settingsOf(change func(*policy.Settings)) *policy.Settings {
	s := *explicit()
	s.Breaker.MinimumNumberOfCalls = 20
	if change != nil {
		change(&s)
	}
	return &s
}

func (c *cluster) add(service policy.Service, name string, rate float64, s *policy.Settings, callees ...policy.Service) *replicaOf {
	id := fleet.ReplicaID{Service: service, Name: name, Incarnation: 1}
	r := &replicaOf{c: c, rate: rate, gateway: len(c.replicas)}
	r.Replica = fleet.NewReplica(id, c.clock, c.rng.Uint64(), (*silent)(r))
	for _, callee := range callees {
		r.circuits = append(r.circuits, r.Guard(policy.Circuit{Caller: service, Callee: callee}, s))
	}
	c.replicas = append(c.replicas, r)
	h := r.Hello(c.at, "test")
	c.publish(Input{Hello: &h, Observer: name})
	return r
}

// silent is a replica's shell that tells nobody.
type silent replicaOf

func (*silent) Rejected(_ *fleet.Circuit, _ string, r breaker.Rejection) error { return r.Reason.Err() }
func (*silent) Changed(*fleet.Circuit, string, breaker.Transition)             {}
func (*silent) Due()                                                           {}
func (s *silent) Find(id policy.Circuit) *fleet.Circuit {
	for _, c := range s.circuits {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// publish brings evidence to every daemon on the bus.
func (c *cluster) publish(in Input) {
	c.next = append(c.next, func() {
		for _, d := range c.daemons {
			c.give(d, in)
		}
	})
}

func (c *cluster) give(d *daemonOf, in Input) {
	if d.dead {
		return
	}
	in.At = c.at
	said := d.Step(in)
	c.found = append(c.found, said.Findings...)
	for _, m := range said.Members {
		c.next = append(c.next, func() {
			for _, other := range c.daemons {
				if other != d && !d.cut && !other.cut {
					c.give(other, Input{Member: &m})
				}
			}
		})
	}
	for _, o := range said.Directives {
		for _, l := range o.Directive.Leases {
			c.leases[l.Token] = c.at
		}
		c.next = append(c.next, func() {
			for _, r := range c.replicas {
				if r.ID().Service == o.To.Service && (o.To.Name == "" || r.ID() == o.To) {
					r.Obey(c.at, o.Directive)
				}
			}
			for _, other := range c.daemons {
				if other != d && !d.cut && !other.cut {
					c.give(other, Input{Told: &Told{d.name, o}})
				}
			}
		})
	}
}

func (c *cluster) run(d time.Duration) {
	c.t.Helper()
	for end := c.at + d; c.at < end && !c.t.Failed(); {
		c.at += 10 * time.Millisecond
		c.clock.Advance(c.at)
		arrived := c.next
		c.next = nil
		for _, f := range arrived {
			f()
		}
		for _, x := range c.daemons {
			if c.at >= x.tick {
				c.give(x, Input{Tick: true})
				x.tick = c.at + x.Interval()
			}
		}
		for _, r := range c.replicas {
			r.step()
		}
		if c.each != nil {
			c.each()
		}
	}
}

func (r *replicaOf) step() {
	c := r.c
	for _, x := range r.circuits {
		if c.rng.Float64() >= r.rate/100 {
			continue
		}
		p, err := x.Breaker.Acquire()
		if err != nil {
			continue
		}
		r.arrived = append(r.arrived, c.at)
		o := breaker.Outcome{Latency: 5 * time.Millisecond}
		if c.fails(x.ID) {
			o.Verdict, o.Kind = breaker.Failure, breaker.ServerError
		}
		p.Done(o)
	}
	if c.at%fleet.BucketWidth == 0 {
		r.Sample(c.at)
	}
	if r.Due(c.at) <= c.at {
		if rep, ok := r.Report(c.at); ok {
			c.publish(Input{Report: &ReplicaReport{From: r.ID(), Observer: r.ID().Name, Report: rep}})
		}
	}
}

func svc(name string) policy.Service { return policy.Service{Namespace: "shop", Name: name} }

func (r *replicaOf) state(i int) breaker.State { return r.circuits[i].Breaker.View().State }

// owner is the one daemon that owns a callee, nil where none or two do.
func (c *cluster) owner(s policy.Service) (one *daemonOf) {
	for _, d := range c.daemons {
		if ce := d.callees[s]; ce != nil && ce.owned && !d.dead {
			if one != nil {
				return nil
			}
			one = d
		}
	}
	return one
}
