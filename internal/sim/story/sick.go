package story

import (
	"strings"
	"time"

	"github.com/datapunk/switchgear/internal/sim/scenario"
)

// sickCaller is scenario 2: whose fault is it, and who says so.
var sickCaller = chapter{2, "one sick caller", []part{
	{
		promises: []promise{
			{measure: "replica 7's network fails: other replicas that opened", op: "=", promised: 0},
			{measure: "replica 7's network fails: it opened (1 is yes)", op: "=", promised: 1, breaks: []string{"coordination", "locate"}},
			{measure: "replica 7's network fails: its event says that the caller is at fault (1 is yes)", op: "=", promised: 1, breaks: []string{"coordination", "locate"}},
		},
		play: func(p *play) []float64 {
			x := p.run(p.pair(40*time.Second, 20, 2, 3).Break(scenario.Fault{Kind: "partition", As: "connect", Service: "db", At: 10 * time.Second, Replicas: []string{"web-7"}}))
			said := 0.0
			for _, c := range x.changes {
				said = max(said, yes(c.replica == "web-7" && strings.Contains(c.Why, "the caller or its way is sick, not the callee")))
			}
			if p.by.name != own {
				said = none
			}
			opened := x.opened(func(*change) bool { return true })
			sick := opened["web-7"]
			delete(opened, "web-7")
			return []float64{float64(len(opened)), yes(sick > 0), said}
		},
	},
	{
		promises: []promise{
			{measure: "19 of 20 fail: replicas that are open 5 s later", op: "=", promised: 20, breaks: []string{"coordination"}},
		},
		play: func(p *play) []float64 {
			x := p.run(p.pair(15*time.Second, 20, 2, 3).Break(scenario.Fault{
				Kind: "partition", As: "connect", Service: "db", At: 10 * time.Second, Replicas: []string{"web-1..6", "web-8..20"},
			}))
			most := 0
			x.standing(webDB, func(_ time.Duration, open map[string]bool) { most = max(most, len(open)) })
			return []float64{float64(most)}
		},
	},
	{
		promises: []promise{
			{measure: "one of 20 lies at 1,000 times the volume: breakers of others that opened", op: "=", promised: 0, breaks: []string{"quorum"}},
			{measure: "one of 20 lies at 1,000 times the volume: calls of others that were rejected", op: "=", promised: 0, breaks: []string{"quorum"}},
		},
		alone: true, // peers hear nobody
		play: func(p *play) []float64 {
			x := p.run(p.pair(60*time.Second, 20, 2, 3).Break(scenario.Fault{Kind: "liar", At: 10 * time.Second, Factor: 1000, Replicas: []string{"web-7"}}))
			return []float64{
				x.openings(func(c *change) bool { return c.replica != "web-7" }),
				x.count(func(c *scenario.CallRecord) bool { return c.Rejected && c.From != "web-7" }),
			}
		},
	},
}}
