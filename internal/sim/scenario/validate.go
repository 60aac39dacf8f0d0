package scenario

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/sim/fault"
	"github.com/datapunk/switchgear/policy"
)

// The longest scenario, and how much of one there may be.
const (
	maxDuration = 48 * time.Hour
	maxReplicas = 100_000
	maxBreakers = 2_000_000 // circuits of replicas
	maxServices = 2_000
	maxFaults   = 1_000
	maxRoutes   = 512
	maxCalls    = 1_000
	maxTicks    = 4_000_000  // tenths of a second, of all circuits
	maxRate     = 1_000_000  // own requests a second, of all services
	maxDepth    = 32         // of calls
	maxPatterns = 500        // in all faults
	maxWaiting  = 20_000_000 // events that are planned

	// MaxEvents ends a run.
	MaxEvents = 2_000_000_000
)

// Problem is one thing that is wrong with a scenario.
type Problem struct {
	Line   int    // of the file, 0 where there is none
	Path   string // like services[0].latency
	Reason string // what it is, and what was wanted
}

func (p *Problem) Error() string {
	if p.Line == 0 {
		return p.Path + ": " + p.Reason
	}
	return fmt.Sprintf("line %d: %s: %s", p.Line, p.Path, p.Reason)
}

// Validate reports all that is wrong with a scenario at once, each a *Problem.
func (s *Scenario) Validate() error { return join(s.problems()) }

// maxSaid bounds the problems that are told at once.
const maxSaid = 50

func join(ps []*Problem) error {
	var errs []error
	for i, p := range ps {
		if i == maxSaid {
			errs = append(errs, fmt.Errorf("and %d more", len(ps)-i))
			break
		}
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// checker gathers problems.
type checker struct{ found []*Problem }

func (c *checker) wrong(at, format string, args ...any) {
	c.found = append(c.found, &Problem{Path: at, Reason: fmt.Sprintf(format, args...)})
}

func (c *checker) number(at string, v, lo, hi float64) {
	if !(v >= lo && v <= hi) {
		c.wrong(at, "%v: want %v to %v", v, lo, hi)
	}
}

func (c *checker) span(at string, v, lo, hi time.Duration) {
	if v < lo || v > hi {
		c.wrong(at, "%v: want %v to %v", v, lo, hi)
	}
}

func (s *Scenario) problems() []*Problem {
	c := new(checker)
	c.span("duration", s.Duration, time.Second, maxDuration)
	c.number("daemons", float64(s.Daemons), 0, 1)
	c.span("link.delay", s.Link.Delay, 0, 10*time.Second)
	c.span("link.jitter", s.Link.Jitter, 0, 10*time.Second)
	c.number("link.lossPercent", s.Link.LossPercent, 0, 100)
	if n := len(s.Services); n == 0 || n > maxServices {
		c.wrong("services", "%d of them: want 1 to %d", n, maxServices)
		return c.found
	}
	if n := len(s.Faults); n > maxFaults {
		c.wrong("faults", "%d of them: want at most %d", n, maxFaults)
		return c.found
	}
	for i := range s.Services {
		s.checkService(c, i)
	}
	if len(c.found) == 0 {
		s.checkSize(c)
		s.checkCircles(c)
	}
	patterns := 0
	for i := range s.Faults {
		f := &s.Faults[i]
		patterns += len(f.Instances) + len(f.Routes) + len(f.Callers) + len(f.Replicas)
	}
	if patterns > maxPatterns {
		c.wrong("faults", "%d names and patterns in all: at most %d", patterns, maxPatterns)
		return c.found
	}
	names := s.roster(c)
	for i := range s.Faults {
		s.checkFault(c, fmt.Sprintf("faults[%d]", i), &s.Faults[i], names)
	}
	return c.found
}

// roster are the names that a fault's lists may name.
type roster struct{ callers, replicas []string }

func (s *Scenario) roster(c *checker) (r roster) {
	if len(c.found) > 0 {
		return r // what is wrong with services must not be said of faults again
	}
	for i := range s.Services {
		x := &s.Services[i]
		if len(x.Calls) == 0 {
			continue
		}
		r.callers = append(r.callers, x.Name)
		r.replicas = x.instances(r.replicas)
	}
	return r
}

// instances adds the names of a service's replicas.
func (x *Service) instances(names []string) []string {
	for i := range x.Replicas {
		names = append(names, fmt.Sprintf("%s-%d", x.Name, i+1))
	}
	return names
}

func (s *Scenario) checkService(c *checker, i int) {
	at, x := fmt.Sprintf("services[%d]", i), &s.Services[i]
	for _, n := range []struct{ field, name string }{{"name", x.Name}, {"namespace", x.Namespace}} {
		if err := policy.ValidName(n.name); err != nil {
			c.wrong(at+"."+n.field, "%v", err)
		}
	}
	if strings.Contains(x.Name, "/") {
		c.wrong(at+".name", "%q: want a name without a slash; namespace is a field of its own", x.Name)
	}
	for j := range i {
		if s.Services[j].Name == x.Name && s.Services[j].Namespace == x.Namespace {
			c.wrong(at+".name", "%q is the name of services[%d] too", x.Name, j)
		}
	}
	c.number(at+".replicas", float64(x.Replicas), 1, maxReplicas)
	c.span(at+".latency", x.Latency, time.Microsecond, time.Hour)
	c.number(at+".spread", x.Spread, 0, 3)
	c.number(at+".failPercent", x.FailPercent, 0, 100)
	c.number(at+".capacity", x.Capacity, 0, 1e6)
	c.span(at+".queue", x.Queue, 0, time.Hour)
	if len(x.Routes) > maxRoutes {
		c.wrong(at+".routes", "%d of them: want at most %d", len(x.Routes), maxRoutes)
	}
	for j, r := range x.Routes {
		at := fmt.Sprintf("%s.routes[%d]", at, j)
		if err := policy.ValidName(r.Name); err != nil {
			c.wrong(at+".name", "%v", err)
		}
		c.number(at+".weight", r.Weight, 1e-6, 1e6)
		if slices.ContainsFunc(x.Routes[:j], func(o Route) bool { return o.Name == r.Name }) {
			c.wrong(at+".name", "%q stands twice", r.Name)
		}
	}
	if x.Load != nil {
		c.number(at+".load.perSecond", x.Load.PerSecond, 1e-4, 1e5)
		c.span(at+".load.deadline", x.Load.Deadline, 0, time.Hour)
		if len(x.Calls) == 0 {
			c.wrong(at+".load", "without calls nothing comes of it: say what it calls")
		}
	}
	if len(x.Calls) > maxCalls {
		c.wrong(at+".calls", "%d of them: want at most %d", len(x.Calls), maxCalls)
		return
	}
	seen := make(map[int]int)
	for j := range x.Calls {
		s.checkCall(c, fmt.Sprintf("%s.calls[%d]", at, j), j, &x.Calls[j], seen)
	}
}

func (s *Scenario) checkCall(c *checker, at string, j int, x *Call, seen map[int]int) {
	switch to := s.find(x.To); {
	case to < 0:
		c.wrong(at+".to", "%q: want the name of one of the services, with its namespace where two have it", x.To)
	default:
		if first, twice := seen[to]; twice {
			c.wrong(at+".to", "%q is called by calls[%d] too: one circuit, one call", x.To, first)
		}
		seen[to] = j
	}
	c.span(at+".timeout", x.Timeout, time.Millisecond, time.Hour)
	c.number(at+".retries", float64(x.Retries), 0, 10)
	c.span(at+".backoff", x.Backoff, time.Millisecond, time.Hour)
	c.number(at+".percent", x.Percent, 1e-3, 100)
}

// checkSize holds what the world would take within bounds.
func (s *Scenario) checkSize(c *checker) {
	replicas, breakers, circuits, rate := 0, 0, 0, 0.0
	for i := range s.Services {
		x := &s.Services[i]
		replicas += x.Replicas
		breakers += x.Replicas * len(x.Calls)
		circuits += len(x.Calls)
		if x.Load != nil {
			rate += float64(x.Replicas) * x.Load.PerSecond
		}
	}
	if replicas > maxReplicas {
		c.wrong("services", "%d replicas in all: at most %d", replicas, maxReplicas)
	}
	if breakers > maxBreakers {
		c.wrong("services", "%d breakers in all, one of each replica for each service it calls: at most %d", breakers, maxBreakers)
	}
	if ticks := float64(circuits) * float64(s.Duration/TickWidth); ticks > maxTicks {
		c.wrong("duration", "%v of %d circuits: at most %v", s.Duration, circuits, (time.Duration(maxTicks/circuits) * TickWidth).Round(time.Second))
	}
	if rate > maxRate {
		c.wrong("services", "%.0f own requests a second in all: at most %d", rate, maxRate)
	}
}

// checkCircles refuses services that call one another in a circle: a request
// would never end.
func (s *Scenario) checkCircles(c *checker) {
	depth := make([]int, len(s.Services)) // 0 is not known, -1 under way
	var way []string
	var visit func(i int) bool
	visit = func(i int) bool {
		way = append(way, s.Services[i].Name)
		defer func() { way = way[:len(way)-1] }()
		if depth[i] < 0 {
			c.wrong(fmt.Sprintf("services[%d].calls", i), "a circle: %s", strings.Join(way, " → "))
			return false
		}
		if depth[i] > 0 {
			return true
		}
		if len(way) > maxDepth {
			c.wrong(fmt.Sprintf("services[%d].calls", i), "calls more than %d deep", maxDepth)
			return false
		}
		depth[i] = -1
		most := 0
		for j := range s.Services[i].Calls {
			to := s.find(s.Services[i].Calls[j].To)
			if !visit(to) {
				return false
			}
			most = max(most, depth[to])
		}
		if depth[i] = most + 1; depth[i] > maxDepth {
			c.wrong(fmt.Sprintf("services[%d].calls", i), "calls %d deep: at most %d", depth[i], maxDepth)
			return false
		}
		return true
	}
	for i := range s.Services {
		if !visit(i) {
			return
		}
	}
}

// details are the fields of a fault besides its part and time.
func (f *Fault) details() map[string]bool {
	return map[string]bool{
		"percent": f.Percent != 0, "as": f.As != "", "latency": f.Latency != 0, "factor": f.Factor != 0, "period": f.Period != 0,
		"down": f.Down != 0, "gap": f.Gap != 0, "retries": f.Retries != 0, "backoff": f.Backoff != 0,
		"delay": f.Delay != 0, "jitter": f.Jitter != 0, "family": f.Family != "", "seed": f.Seed != 0,
	}
}

func (s *Scenario) checkFault(c *checker, at string, f *Fault, names roster) {
	k := kindNamed(f.Kind)
	if k == nil {
		var names []string
		for i := range kinds {
			names = append(names, kinds[i].name)
		}
		c.wrong(at+".kind", "%q: want %s", f.Kind, strings.Join(names, ", "))
		return
	}
	if f.At < 0 || f.At >= s.Duration {
		c.wrong(at+".at", "%v: want 0 to less than the duration, %v", f.At, s.Duration)
	}
	c.span(at+".for", f.For, 0, maxDuration)
	said := f.details()
	for _, name := range k.needs {
		if !said[name] {
			c.wrong(at+"."+name, "missing: %s needs it", k.name)
		}
	}
	for _, name := range []string{"percent", "as", "latency", "factor", "period", "down", "gap", "retries", "backoff", "delay", "jitter", "family", "seed"} {
		if said[name] && !slices.Contains(k.needs, name) && !slices.Contains(k.takes, name) {
			c.wrong(at+"."+name, "%s has none: it takes %s", k.name, listed(slices.Concat(k.needs, k.takes)))
		}
	}
	c.number(at+".percent", f.Percent, 0, 100)
	c.number(at+".factor", f.Factor, 0, 1e6)
	c.number(at+".retries", float64(f.Retries), 0, 10)
	for _, d := range []struct {
		name string
		v    time.Duration
	}{{"latency", f.Latency}, {"down", f.Down}, {"gap", f.Gap}, {"backoff", f.Backoff}, {"delay", f.Delay}, {"jitter", f.Jitter}} {
		c.span(at+"."+d.name, d.v, 0, time.Hour)
	}
	if f.Period != 0 {
		c.span(at+".period", f.Period, TickWidth, time.Hour)
	}
	if f.As != "" {
		var as breaker.Kind
		if err := as.UnmarshalText([]byte(f.As)); err != nil || as < breaker.Timeout || as > breaker.Application {
			c.wrong(at+".as", "%q: want timeout, connect, reset, server_error, gateway, rate_limited or application", f.As)
		} else if k.name == "partition" && as != breaker.Connect {
			c.wrong(at+".as", "%q: a partition gives no answer, or as connect a refusal", f.As)
		}
	}
	if f.Family != "" && !slices.ContainsFunc(fault.Families, func(x fault.Family) bool { return x.Name == f.Family }) {
		c.wrong(at+".family", "%q: want one of lab evaluate's families, such as %s", f.Family, fault.Families[2].Name)
	}
	s.checkPart(c, at, f, k, names)
}

func listed(names []string) string {
	if len(names) == 0 {
		return "nothing more"
	}
	return strings.Join(names, ", ")
}

// checkPart holds that every list of a part names something that is there.
func (s *Scenario) checkPart(c *checker, at string, f *Fault, k *kind, names roster) {
	to := -1
	if k.where == atCallee || k.where == atCaller {
		if to = s.find(f.Service); to < 0 {
			c.wrong(at+".service", "%q: want the name of one of the services", f.Service)
		}
	} else if f.Service != "" {
		c.wrong(at+".service", "%s has none: it names callers and replicas", k.name)
	}
	var instances, routes []string
	if to >= 0 && k.where == atCallee {
		x := &s.Services[to]
		if len(f.Instances) > 0 && len(names.callers) > 0 {
			instances = x.instances(nil)
		}
		for _, r := range x.Routes {
			routes = append(routes, r.Name)
		}
		if x.Capacity == 0 && (k.name == "capacity" || k.name == "retry_storm") {
			c.wrong(at+".service", "%s has no capacity to lose: give it one", x.Name)
		}
	}
	if k.where == atCaller && to >= 0 && s.Services[to].Load == nil {
		c.wrong(at+".service", "%s has no load of its own to grow", f.Service)
	}
	lists := []struct {
		name  string
		list  []string
		among []string
		fits  bool
	}{
		{"instances", f.Instances, instances, k.where == atCallee},
		{"routes", f.Routes, routes, k.where == atCallee},
		{"callers", f.Callers, names.callers, k.where == atCallee || k.where == atReplicas},
		{"replicas", f.Replicas, names.replicas, k.where == atCallee || k.where == atReplicas},
	}
	for _, l := range lists {
		if len(l.list) > 0 && !l.fits {
			c.wrong(at+"."+l.name, "%s is not of a part by %s", k.name, l.name)
			continue
		}
		for i, p := range l.list {
			at := fmt.Sprintf("%s.%s[%d]", at, l.name, i)
			if _, err := path.Match(p, ""); err != nil {
				c.wrong(at, "%q is not a pattern", p)
			} else if len(names.callers) > 0 && !slices.ContainsFunc(l.among, func(name string) bool { return matches([]string{p}, name) }) {
				c.wrong(at, "%q names nothing that is there%s", p, such(l.among))
			}
		}
	}
	if k.where == atReplicas && len(f.Callers)+len(f.Replicas) == 0 {
		c.wrong(at+".replicas", "missing: which ones? A list of names, or callers")
	}
}

func such(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ": want names such as " + names[0]
}
