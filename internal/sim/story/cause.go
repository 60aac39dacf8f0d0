package story

import (
	"time"

	"github.com/datapunk/switchgear/internal/sim/scenario"
	"github.com/datapunk/switchgear/policy"
)

// rootCause is scenario 8: a chain of services above a database that fails or
// slows, among services that have nothing to do with it.
var rootCause = chapter{8, "root cause", []part{
	{
		promises: []promise{
			{measure: "db fails: circuits other than the edge next to it that opened", op: "=", promised: 0, breaks: []string{"inherited"}},
			{measure: "db fails: seconds until the edge next to it is open", op: "<=", promised: 10},
		},
		play: func(p *play) []float64 { return p.chain(scenario.Fault{Kind: "outage"}) },
	},
	{
		promises: []promise{
			{measure: "db slows past every time-out: circuits other than the edge next to it that opened", op: "=", promised: 0, breaks: []string{"grading"}},
			{measure: "db slows past every time-out: seconds until the edge next to it is open", op: "<=", promised: 10},
		},
		play: func(p *play) []float64 { return p.chain(scenario.Fault{Kind: "slow", Latency: 20 * time.Second}) },
	},
	{promises: []promise{
		{measure: "incidents within 10 s", op: "=", promised: 1, pending: "incidents"},
		{measure: "200 topologies: percent whose first cause is the root", op: ">=", promised: 90, pending: "incidents"},
		{measure: "200 topologies: percent with the root among the first three", op: ">=", promised: 98, pending: "incidents"},
		{measure: "200 topologies: percent of wrong merges", op: "<=", promised: 2, pending: "incidents"},
		{measure: "two independent faults: incidents", op: "=", promised: 2, pending: "incidents"},
	}},
}}

// chain plays web → {cart, search, checkout} → orders → db, where every caller
// gives its calls a little less or more time than its callees theirs.
func (p *play) chain(f scenario.Fault) []float64 {
	const from = 10 * time.Second
	s := p.mesh(40 * time.Second)
	calls := func(to string, timeout time.Duration) scenario.Call { return scenario.Call{To: to, Timeout: timeout} }
	// Time-outs as they grow in the wild: those above are not longer than those below.
	wobble := func(n uint64) time.Duration {
		return time.Duration((p.seed*2654435761+n*40503)%200) * time.Millisecond
	}
	front := scenario.Service{Name: "web", Replicas: 6, Load: &scenario.Load{PerSecond: 6}}
	for i, name := range []string{"cart", "search", "checkout"} {
		c := calls(name, 500*time.Millisecond+wobble(uint64(i)))
		c.Optional = true
		front.Calls = append(front.Calls, c)
		s.Add(scenario.Service{Name: name, Replicas: 6, Calls: []scenario.Call{calls("orders", 550*time.Millisecond+wobble(uint64(i)+7))}})
	}
	s.Add(front).
		Add(scenario.Service{Name: "orders", Replicas: 6, Calls: []scenario.Call{calls("db", 600*time.Millisecond+wobble(20))}}).
		Add(scenario.Service{Name: "db", Replicas: 3})
	for _, name := range []string{"ads", "mail", "maps", "news"} { // others, so that the guard is not what holds
		s.Add(scenario.Service{Name: name, Replicas: 4, Load: &scenario.Load{PerSecond: 4}, Calls: []scenario.Call{{To: name + "-store"}}}).
			Add(scenario.Service{Name: name + "-store", Replicas: 2})
	}
	f.Service, f.At = "db", from
	x := p.run(s.Break(f))
	next := edge("orders", "db")
	others := make(map[policy.Circuit]bool)
	x.opened(func(c *change) bool {
		if c.Circuit != next {
			others[c.Circuit] = true
		}
		return true
	})
	return []float64{float64(len(others)), (x.allOpen(next, 6, from) - from).Seconds()}
}
