package story

import (
	"fmt"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/sim/scenario"
	"github.com/datapunk/switchgear/policy"
)

// guard is scenario 10: automation that wants to open more than it may.
var guard = chapter{10, "guard and scale", guardParts()}

func guardParts() []part {
	var parts []part
	// Of so many circuits, six of ten want to open, or all of the few.
	for _, g := range []struct{ circuits, failing, cap int }{{1, 1, 1}, {2, 2, 1}, {3, 3, 1}, {20, 12, 10}} {
		of := fmt.Sprintf("%d of %d circuits of a namespace fail, and half may open", g.failing, g.circuits)
		breaks := []string{"coordination", "guard"}
		if g.failing == g.cap {
			breaks = []string{"coordination"}
		}
		promises := []promise{{measure: of + ": most that are open at once", op: "=", promised: float64(g.cap), breaks: breaks}}
		if g.failing > g.cap {
			promises = append(promises, promise{measure: of + ": alerts", op: "=", promised: 1, breaks: breaks})
		}
		parts = append(parts, part{promises: promises, play: func(p *play) []float64 {
			return p.openCircuits(g.circuits, g.failing)[:len(promises)]
		}})
	}
	return append(parts, part{promises: []promise{
		{measure: "a million keys of an attacker: bytes over the cap", op: "<=", promised: 0, pending: "manager"},
		{measure: "a million keys of an attacker: open breakers that were evicted", op: "=", promised: 0, pending: "manager"},
		{measure: "1,000 live clients: cores", op: "<=", promised: 1, pending: "live"},
		{measure: "10,000 replicas × 100 circuits on one daemon: cores", op: "<=", promised: 1, pending: "scale"},
		{measure: "10,000 replicas × 100 circuits on one daemon: GiB", op: "<=", promised: 1, pending: "scale"},
	}})
}

// openCircuits lets the callees of some circuits of a namespace fail at once: how
// many circuits are open at most at one time, by the truth of their breakers, and
// how many alerts there were.
func (p *play) openCircuits(circuits, failing int) []float64 {
	s := p.mesh(60 * time.Second)
	for i := range circuits {
		callee := fmt.Sprintf("store-%d", i+1)
		s.Add(scenario.Service{Name: fmt.Sprintf("web-%d", i+1), Replicas: 4, Load: &scenario.Load{PerSecond: 5}, Calls: []scenario.Call{{To: callee}}}).
			Add(scenario.Service{Name: callee, Replicas: 2})
		if i < failing {
			s.Break(scenario.Fault{Kind: "outage", Service: callee, At: 10 * time.Second})
		}
	}
	x := p.run(s)
	open := make(map[policy.Circuit]int)
	most := 0
	for i := range x.changes {
		c := &x.changes[i]
		switch {
		case c.Instance != "":
		case c.From == breaker.Closed && c.To != breaker.Closed:
			open[c.Circuit]++
		case c.From != breaker.Closed && c.To == breaker.Closed:
			if open[c.Circuit]--; open[c.Circuit] == 0 {
				delete(open, c.Circuit)
			}
		}
		most = max(most, len(open))
	}
	alerts := 0.0
	for _, n := range x.notices {
		alerts += yes(n.Kind == "guard" && !n.Ended)
	}
	if p.by.name != own {
		alerts = none
	}
	return []float64{float64(most), alerts}
}
