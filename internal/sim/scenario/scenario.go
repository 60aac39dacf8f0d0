// Package scenario plays stories of a mesh in virtual time: services that call
// one another, faults as data, the real breakers and control between them, and
// the exact truth beside what they did. A Scenario is built in Go or read from a
// file by Decode; Run plays it. It is pure: the same scenario and seed give the
// same result.
package scenario

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/datapunk/switchgear/policy"
)

// Scenario is a mesh and what happens to it.
type Scenario struct {
	Name, About string
	Seed        uint64
	Duration    time.Duration
	// Daemons that decide, 0 or 1: without one each breaker is alone.
	Daemons  int
	Link     Link
	Services []Service
	Faults   []Fault
	// Policies set fields of circuits, as in production; nil leaves the defaults.
	Policies *policy.Set
}

// Link is the way between replicas and daemons.
type Link struct {
	Delay, Jitter time.Duration
	LossPercent   float64
}

// Service is a program: it makes requests of its own, or serves those of others,
// and makes its calls for each of them. Its replicas are what others know as its
// instances, named NAME-1, NAME-2 and so on.
type Service struct {
	Name, Namespace string
	Replicas        int
	Latency         time.Duration // median of its own work
	Spread          float64       // standard deviation of the logarithm of latency
	FailPercent     float64       // of its requests fail on a good day
	Capacity        float64       // requests a second that one replica can serve; 0 is no bound
	Queue           time.Duration // how long a request may wait before it is refused
	Routes          []Route
	Load            *Load
	Calls           []Call
}

// Route is one kind of request that a service serves.
type Route struct {
	Name   string
	Weight float64 // its share among the others' weights
}

// Load is what a service's replicas do of themselves.
type Load struct {
	PerSecond float64       // requests of each replica
	Even      bool          // evenly with a little jitter; else by chance (Poisson)
	Deadline  time.Duration // of a whole request, handed on with its calls; 0 is none
}

// Call is one that a service makes for each request, in the order of the list.
type Call struct {
	To       string // a service: NAME, or NAMESPACE/NAME
	Timeout  time.Duration
	Retries  int // of a failed call; rejected ones are not retried
	Backoff  time.Duration
	Percent  float64 // of requests make it
	Optional bool    // the request goes on where it fails
}

// New makes a scenario with one daemon, for a builder in Go to add to.
func New(name string, seed uint64, duration time.Duration) *Scenario {
	return &Scenario{Name: name, Seed: seed, Duration: duration, Daemons: 1, Link: Link{Delay: 5 * time.Millisecond}}
}

// Add puts a service into the mesh, with defaults for what is zero.
func (s *Scenario) Add(x Service) *Scenario {
	d := newService()
	x.Namespace = cmp.Or(x.Namespace, d.Namespace)
	x.Replicas = cmp.Or(x.Replicas, d.Replicas)
	x.Latency = cmp.Or(x.Latency, d.Latency)
	x.Spread = cmp.Or(x.Spread, d.Spread)
	x.Queue = cmp.Or(x.Queue, d.Queue)
	x.Calls, x.Routes = slices.Clone(x.Calls), slices.Clone(x.Routes)
	for i := range x.Calls {
		c, d := &x.Calls[i], newCall()
		c.Timeout = cmp.Or(c.Timeout, d.Timeout)
		c.Backoff = cmp.Or(c.Backoff, d.Backoff)
		c.Percent = cmp.Or(c.Percent, d.Percent)
	}
	for i := range x.Routes {
		x.Routes[i].Weight = cmp.Or(x.Routes[i].Weight, 1)
	}
	s.Services = append(s.Services, x)
	return s
}

func newService() Service {
	return Service{Namespace: policy.DefaultNamespace, Replicas: 1, Latency: 5 * time.Millisecond, Spread: 0.3, Queue: 500 * time.Millisecond}
}

func newCall() Call { return Call{Timeout: time.Second, Backoff: 50 * time.Millisecond, Percent: 100} }

// Break adds a fault.
func (s *Scenario) Break(f Fault) *Scenario {
	s.Faults = append(s.Faults, f)
	return s
}

// find gives the index of a service by its name, -1 where there is none, or more
// than one.
func (s *Scenario) find(name string) int {
	at := -1
	namespace, bare, full := strings.Cut(name, "/")
	for i := range s.Services {
		x := &s.Services[i]
		if name == x.Name || full && bare == x.Name && namespace == x.Namespace {
			if at >= 0 {
				return -1
			}
			at = i
		}
	}
	return at
}
