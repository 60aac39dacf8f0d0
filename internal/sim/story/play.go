package story

import (
	"fmt"
	"math"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/sim"
	"github.com/datapunk/switchgear/internal/sim/scenario"
	"github.com/datapunk/switchgear/policy"
)

// play is one seed of a part, by one contender.
type play struct {
	seed    uint64
	by      contender
	without control.Without
	rules   string // fields of the story's policy
	script  func(*scenario.Stage)
	said    func(at time.Duration, out *control.Output)
	sent    func(*scenario.CallRecord)
	heard   func(control.Input) // what the daemon is given
	sparing bool                // calls are not kept: there are too many
	err     error
}

// none is the figure of what can't be measured.
var none = math.NaN()

// seen is all that happened in a run, in order.
type seen struct {
	*scenario.Scenario
	*scenario.Result
	calls   []scenario.CallRecord
	changes []change
	notices []notice
}

type change struct {
	at      time.Duration
	replica string
	sim.Change
}

type notice struct {
	at time.Duration
	control.Notice
}

// mesh begins a scenario.
func (p *play) mesh(duration time.Duration) *scenario.Scenario {
	return scenario.New("story", p.seed, duration)
}

// pair is replicas of web, which call instances of db so often a second each.
func (p *play) pair(duration time.Duration, replicas int, perSecond float64, instances int) *scenario.Scenario {
	return p.mesh(duration).
		Add(scenario.Service{Name: "web", Replicas: replicas, Load: &scenario.Load{PerSecond: perSecond}, Calls: []scenario.Call{{To: "db"}}}).
		Add(scenario.Service{Name: "db", Replicas: instances})
}

// edge is a circuit of the default namespace.
func edge(caller, callee string) policy.Circuit {
	s := func(name string) policy.Service {
		return policy.Service{Namespace: policy.DefaultNamespace, Name: name}
	}
	return policy.Circuit{Caller: s(caller), Callee: s(callee)}
}

var webDB = edge("web", "db")

// run plays the scenario as the contender decides.
func (p *play) run(s *scenario.Scenario) *seen {
	rules := p.rules
	if p.by.rules != "" {
		rules = p.by.rules
	}
	s.Daemons = p.by.daemons
	s.Policies, p.err = policies(p.by.name, rules)
	x := &seen{Scenario: s}
	if p.err != nil {
		return x.failed(p)
	}
	o := scenario.Options{
		Configure: func(c *control.Config) { c.Without = p.without },
		Script:    p.script, Unmarked: p.by.unmarked, Inputs: p.heard,
		Hooks: scenario.Hooks{
			Sent: p.sent, Said: p.said,
			Change: func(replica string, c sim.Change) {
				x.changes = append(x.changes, change{c.At, replica, c})
			},
			Found: func(at time.Duration, n *control.Notice) { x.notices = append(x.notices, notice{at, *n}) },
		},
	}
	if !p.sparing {
		o.Hooks.Call = func(c *scenario.CallRecord) { x.calls = append(x.calls, *c) }
	}
	if x.Result, p.err = scenario.Run(s, o); p.err != nil {
		return x.failed(p)
	}
	return x
}

// failed stands for a run that could not be: its error ends the measurement.
func (x *seen) failed(p *play) *seen {
	p.err = fmt.Errorf("play a scenario: %w", p.err)
	x.Result = new(scenario.Result)
	return x
}

// count the calls that match.
func (x *seen) count(match func(*scenario.CallRecord) bool) (n float64) {
	for i := range x.calls {
		if match(&x.calls[i]) {
			n++
		}
	}
	return n
}

// failing reports whether a call was let through and failed.
func failing(c *scenario.CallRecord) bool {
	return !c.Rejected && c.Outcome.Verdict == breaker.Failure
}

// standing follows the breakers of a circuit, without those of its instances,
// through a run: do hears which are not closed from an instant on.
func (x *seen) standing(c policy.Circuit, do func(at time.Duration, open map[string]bool)) {
	open := make(map[string]bool)
	for i := range x.changes {
		y := &x.changes[i]
		if y.Circuit != c || y.Instance != "" {
			continue
		}
		if y.To == breaker.Closed {
			delete(open, y.replica)
		} else {
			open[y.replica] = true
		}
		do(y.at, open)
	}
}

// allOpen is when so many breakers of a circuit were not closed at once, for the
// first time since an instant; the end of the run if never.
func (x *seen) allOpen(c policy.Circuit, n int, since time.Duration) time.Duration {
	at := x.Duration
	x.standing(c, func(now time.Duration, open map[string]bool) {
		if len(open) >= n && now >= since && now < at {
			at = now
		}
	})
	return at
}

// opened are the replicas whose breaker of a circuit or instance opened between
// two instants, from closed.
func (x *seen) opened(match func(*change) bool) map[string]int {
	opened := make(map[string]int)
	for i := range x.changes {
		if y := &x.changes[i]; y.From == breaker.Closed && y.To != breaker.Closed && match(y) {
			opened[y.replica]++
		}
	}
	return opened
}

// openings counts them.
func (x *seen) openings(match func(*change) bool) (n float64) {
	for _, k := range x.opened(match) {
		n += float64(k)
	}
	return n
}

// lastOpen is when the last breaker of a circuit closed for good; the end of the
// run where one never did.
func (x *seen) lastOpen(c policy.Circuit) time.Duration {
	last := time.Duration(0)
	x.standing(c, func(now time.Duration, open map[string]bool) {
		if last = now; len(open) > 0 {
			last = x.Duration
		}
	})
	return last
}

// yes is 1 for true.
func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// full is how long after an instant at least 98 of 100 calls of a circuit were
// let through for the rest of the run.
func (x *seen) full(c policy.Circuit, from time.Duration) float64 {
	for i := range x.Circuits {
		if x.Circuits[i].Circuit != c.String() {
			continue
		}
		ticks := x.Circuits[i].Ticks
		const second = int(time.Second / scenario.TickWidth)
		last := int(from / scenario.TickWidth)
		for j := last; j+second <= len(ticks); j += second {
			offered, rejected := uint32(0), uint32(0)
			for _, t := range ticks[j : j+second] {
				offered, rejected = offered+t.Offered, rejected+t.Rejected
			}
			if 50*rejected > offered {
				last = j + second
			}
		}
		return (time.Duration(last)*scenario.TickWidth - from).Seconds()
	}
	return (x.Duration - from).Seconds()
}
