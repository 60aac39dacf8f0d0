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
	// Of so many instances, one after another fails. Where that leaves none that is
	// well, the callee is open as one, and no instance more is out.
	for _, g := range []struct {
		instances, failing, percent, cap int
		breaks                           []string
	}{
		{1, 1, 50, 0, nil},
		{2, 1, 40, 0, []string{"guard"}},
		{2, 2, 50, 1, []string{"coordination", "locate"}},
		{3, 2, 50, 1, []string{"coordination", "locate", "guard"}},
		{12, 8, 50, 6, []string{"coordination", "locate", "guard"}},
	} {
		of := fmt.Sprintf("%d of %d instances fail one after another, and %d %% may be out", g.failing, g.instances, g.percent)
		second := promise{measure: of + ": alerts", op: "=", promised: 1, breaks: g.breaks}
		if g.failing == g.instances {
			second = promise{measure: of + ": the callee is open as one at the end (1 is yes)", op: "=", promised: 1}
		}
		parts = append(parts, part{
			promises: []promise{{measure: of + ": most that are out at once", op: "=", promised: float64(g.cap), breaks: g.breaks}, second},
			play: func(p *play) []float64 {
				p.rules = fmt.Sprintf(`"maxEjectionPercent": %d`, g.percent)
				most, alerts, whole := p.ejectInstances(g.instances, g.failing)
				if g.failing == g.instances {
					return []float64{most, whole}
				}
				return []float64{most, alerts}
			},
		})
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
	return []float64{float64(most), p.alerts(x)}
}

// ejectInstances lets instances of one callee fail one after another: how many
// are out at most at one time, by the truth of the breakers that guard them, how
// many alerts there were, and whether all replicas shut the callee off as one.
func (p *play) ejectInstances(instances, failing int) (most, alerts, whole float64) {
	const replicas, first, each = 10, 20 * time.Second, 5 * time.Second
	s := p.pair(first+time.Duration(failing)*each+30*time.Second, replicas, 10, instances)
	for i := range failing {
		s.Break(scenario.Fault{Kind: "outage", Service: "db", At: first + time.Duration(i)*each, Instances: []string{fmt.Sprintf("db-%d", i+1)}})
	}
	x := p.run(s)
	out := make(map[string]int)
	for i := range x.changes {
		c := &x.changes[i]
		switch {
		case c.Instance == "":
		case c.From == breaker.Closed && c.To != breaker.Closed:
			out[c.Instance]++
		case c.From != breaker.Closed && c.To == breaker.Closed:
			if out[c.Instance]--; out[c.Instance] == 0 {
				delete(out, c.Instance)
			}
		}
		most = max(most, float64(len(out)))
	}
	x.standing(webDB, func(_ time.Duration, open map[string]bool) { whole = yes(len(open) == replicas) })
	return most, p.alerts(x), whole
}

// alerts that the guard holds; peers have no guard.
func (p *play) alerts(x *seen) (alerts float64) {
	if p.by.name != own {
		return none
	}
	for _, n := range x.notices {
		if n.Kind == "guard" && !n.Ended {
			alerts++
		}
	}
	return alerts
}
