package story

import (
	"time"

	"github.com/datapunk/switchgear/internal/sim/scenario"
)

// smallestPart is scenario 3: what is taken out is what is broken, and no more.
var smallestPart = chapter{3, "smallest part", []part{
	{
		promises: []promise{
			{measure: "1 of 12 instances fails: breakers of the circuit, or of other instances, that opened", op: "=", promised: 0},
			{measure: "1 of 12 instances fails: calls to it in a second, 5 s later, of 40 in all", op: "<=", promised: 1, breaks: []string{"coordination", "locate"}},
			{measure: "1 of 12 instances fails: calls rejected that another instance would have answered", op: "=", promised: 0},
		},
		play: func(p *play) []float64 {
			const sick, from = "db-5", 10 * time.Second
			x := p.run(p.pair(40*time.Second, 20, 2, 12).Break(scenario.Fault{Kind: "outage", Service: "db", At: from, Instances: []string{sick}}))
			calls := x.count(func(c *scenario.CallRecord) bool {
				return !c.Rejected && c.Instance == sick && c.Sent >= from+5*time.Second
			})
			return []float64{
				x.openings(func(c *change) bool { return c.Instance != sick }),
				calls / (x.Duration - from - 5*time.Second).Seconds(),
				x.count(func(c *scenario.CallRecord) bool { return c.Rejected }),
			}
		},
	},
	{
		promises: []promise{
			{measure: "1 of 30 routes fails: calls of the other 29 that were rejected", op: "=", promised: 0},
			{measure: "1 of 30 routes fails: breakers of the circuit or of instances that opened", op: "=", promised: 0},
		},
		play: func(p *play) []float64 {
			s := p.pair(60*time.Second, 20, 10, 3)
			for i := range 30 {
				s.Services[1].Routes = append(s.Services[1].Routes, scenario.Route{Name: string(rune('A'+i%26)) + string(rune('a'+i/26)), Weight: 1})
			}
			x := p.run(s.Break(scenario.Fault{Kind: "outage", Service: "db", At: 10 * time.Second, Routes: []string{"Ea"}}))
			return []float64{
				x.count(func(c *scenario.CallRecord) bool { return c.Rejected && c.Route != "Ea" }),
				x.openings(func(*change) bool { return true }),
			}
		},
	},
	{
		promises: []promise{{measure: "1 of 30 routes fails, and a policy gives it a circuit of its own: only that opens", op: "=", promised: 1, pending: "routes"}},
	},
	{
		promises: []promise{
			{measure: "one tenant of two fails with all its requests: others' breakers that opened", op: "=", promised: 0},
			{measure: "one tenant of two fails with all its requests: others' calls that were rejected", op: "=", promised: 0},
		},
		play: func(p *play) []float64 {
			s := p.mesh(60 * time.Second)
			for _, name := range []string{"tenant", "web"} {
				s.Add(scenario.Service{Name: name, Replicas: 10, Load: &scenario.Load{PerSecond: 4}, Calls: []scenario.Call{{To: "db"}}})
			}
			x := p.run(s.Add(scenario.Service{Name: "db", Replicas: 3}).
				Break(scenario.Fault{Kind: "outage", Service: "db", At: 10 * time.Second, Callers: []string{"tenant"}}))
			return []float64{
				x.openings(func(c *change) bool { return c.Circuit == webDB }),
				x.count(func(c *scenario.CallRecord) bool { return c.Rejected && c.Circuit == webDB }),
			}
		},
	},
	{
		promises: []promise{
			{measure: "a poison request, 5 % of all, fails everywhere: breakers that opened", op: "=", promised: 0},
		},
		play: func(p *play) []float64 {
			x := p.run(p.pair(2*time.Minute, 20, 4, 3).Break(scenario.Fault{Kind: "brownout", Service: "db", At: 10 * time.Second, Percent: 5}))
			return []float64{x.openings(func(*change) bool { return true })}
		},
	},
	{
		promises: []promise{
			{measure: "all 12 instances fail: seconds from the first to the last of 20 replicas to open", op: "<=", promised: 1, breaks: []string{"coordination"}},
			{measure: "all 12 instances fail: seconds until the callee is open as one", op: "<=", promised: 2, breaks: []string{"coordination"}},
		},
		play: func(p *play) []float64 {
			const from = 10 * time.Second
			x := p.run(p.pair(70*time.Second, 20, 2, 12).Break(scenario.Fault{Kind: "outage", Service: "db", At: from}))
			first, last := x.allOpen(webDB, 1, from), x.allOpen(webDB, 20, from)
			apart := last - first
			if first == x.Duration {
				apart = x.Duration - from
			}
			return []float64{apart.Seconds(), (last - from).Seconds()}
		},
	},
}}
