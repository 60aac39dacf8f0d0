package story

import (
	"math"
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/sim/scenario"
)

// budget is scenario 4: a hundred replicas are open, and the callee comes back
// with 30 % of its capacity for half a minute.
var budget = chapter{4, "probe and ramp budget", []part{
	{
		promises: append([]promise{
			{measure: "explicit: most probes of all 100 replicas within one wait", op: "<=", promised: probesPerWait, breaks: []string{"coordination"}},
		}, budgetPromises("explicit")...),
		play: func(p *play) []float64 {
			p.rules = explicitProbes
			w := p.weakReturn()
			return append([]float64{float64(w.burst(probeWait - probeWait/20))}, w.figures()...)
		},
	},
	{
		promises: append([]promise{
			{measure: "automatic: probes, less 3, over the root of calls/s × seconds open", op: "<=", promised: 2.6, breaks: []string{"coordination"}},
		}, budgetPromises("automatic")...),
		play: func(p *play) []float64 {
			w := p.weakReturn()
			return append([]float64{w.probesOverRoot()}, w.figures()...)
		},
	},
	{
		promises: []promise{
			{measure: "the holder of a lease dies: seconds until another replica has one", op: "<=", promised: 1},
			{measure: "the holder of a lease dies: seconds half-open after the callee is well", op: "<=", promised: 10},
		},
		alone: true, // peers have no leases
		play:  func(p *play) []float64 { return p.holder(true) },
	},
	{
		promises: []promise{
			{measure: "the holder of a lease hangs: seconds until another replica has one, beyond the call's time-out", op: "<=", promised: 1},
			{measure: "the holder of a lease hangs: seconds half-open after the callee is well", op: "<=", promised: 10},
		},
		alone: true,
		play:  func(p *play) []float64 { return p.holder(false) },
	},
}}

const (
	probesPerWait  = 3
	probeWait      = 5 * time.Second
	explicitProbes = explicit + `, "permittedNumberOfCallsInHalfOpenState": 3, "wait": "fixed", "waitDurationInOpenState": "5s"`

	outageBegins, outageEnds, wellAgain = 20 * time.Second, 50 * time.Second, 80 * time.Second
)

func budgetPromises(how string) []promise {
	return []promise{
		{measure: how + ": breakers that opened again on the way back", op: "=", promised: 0},
		{measure: how + ": most calls let through in a second of the weak time, over what the callee carries", op: "<=", promised: 1.5},
		{measure: how + ": percent of the weak time's calls that failed", op: "<=", promised: 10},
		{measure: how + ": seconds from full capacity to full traffic", op: "<=", promised: 60},
	}
}

// weak is a return with 30 % of the capacity.
type weak struct {
	*seen
	capacity float64 // of the weak time, calls a second
}

func (p *play) weakReturn() *weak {
	const replicas, instances, each = 100, 4, 75.0
	s := p.pair(3*time.Minute, replicas, 2, instances)
	s.Services[1].Capacity = each
	s.Break(scenario.Fault{Kind: "outage", Service: "db", At: outageBegins, For: outageEnds - outageBegins}).
		Break(scenario.Fault{Kind: "capacity", Service: "db", At: outageEnds, For: wellAgain - outageEnds, Percent: 30})
	return &weak{p.run(s), 0.3 * each * instances}
}

// probes are calls let through while their breaker was not closed in the outage.
func (w *weak) probes() (at []time.Duration) {
	for i := range w.calls {
		if c := &w.calls[i]; c.Probe && !c.Rejected && c.Sent < outageEnds {
			at = append(at, c.Sent)
		}
	}
	slices.Sort(at)
	return at
}

// burst is the most of them within a span of that length.
func (w *weak) burst(span time.Duration) (most int) {
	at := w.probes()
	first := 0
	for i := range at {
		for at[first] <= at[i]-span {
			first++
		}
		most = max(most, i+1-first)
	}
	return most
}

// probesOverRoot is the number in front of the root in the budget of probes.
func (w *weak) probesOverRoot() float64 {
	open := w.allOpen(webDB, 1, outageBegins)
	if open >= outageEnds {
		return none
	}
	offered := w.count(func(c *scenario.CallRecord) bool { return c.Sent >= open && c.Sent < outageEnds })
	return (float64(len(w.probes())) - 3) / math.Sqrt(offered) // calls/s × seconds
}

// figures of the way back.
func (w *weak) figures() []float64 {
	again := w.openings(func(c *change) bool { return c.at >= outageEnds })
	let := make(map[time.Duration]float64) // by second
	sent, bad := 0.0, 0.0
	for i := range w.calls {
		c := &w.calls[i]
		if c.Rejected || c.Sent < outageEnds || c.Sent >= wellAgain {
			continue
		}
		let[c.Sent/time.Second]++
		if sent++; c.Outcome.Verdict == breaker.Failure {
			bad++
		}
	}
	most := 0.0
	for _, n := range let {
		most = max(most, n)
	}
	return []float64{again, most / w.capacity, 100 * bad / max(sent, 1), w.full(webDB, wellAgain)}
}

// holder has the holder of the first lease die, or its probe hang: how long until
// another replica has leave, and how long the circuit stays half-open afterwards.
func (p *play) holder(dies bool) []float64 {
	const begins, ends = 10 * time.Second, 30 * time.Second
	p.rules = explicit + `, "permittedNumberOfCallsInHalfOpenState": 1, "wait": "fixed", "waitDurationInOpenState": "5s"`
	s := p.pair(time.Minute, 20, 2, 3)
	s.Services[0].Calls[0].Timeout = 8 * time.Second
	s.Break(scenario.Fault{Kind: "outage", Service: "db", At: begins, For: 4 * time.Second}).
		Break(scenario.Fault{Kind: "hang", Service: "db", At: begins + 4*time.Second, For: ends - begins - 4*time.Second})
	var stage *scenario.Stage
	p.script = func(s *scenario.Stage) { stage = s }
	holder := ""
	var gone, next time.Duration
	p.said = func(at time.Duration, out *control.Output) {
		switch {
		case len(out.Directive.Leases) == 0:
		case holder == "" || !dies && gone == 0: // of leases that nobody used, the next
			if holder = out.To.Name; dies {
				gone = at + 2*s.Link.Delay
				stage.At(gone, func() { stage.Kill(holder) })
			}
		case out.To.Name != holder && gone != 0 && next == 0:
			next = at
		}
	}
	p.sent = func(c *scenario.CallRecord) {
		if !dies && c.Probe && c.From == holder && gone == 0 {
			gone = c.Sent
		}
	}
	x := p.run(s)
	if next == 0 || gone == 0 {
		next = gone + x.Duration
	}
	late := next - gone
	if !dies {
		late -= s.Services[0].Calls[0].Timeout
	}
	x.changes = slices.DeleteFunc(x.changes, func(c change) bool { return dies && c.replica == holder }) // it closes no more
	return []float64{late.Seconds(), max(0, (x.lastOpen(webDB) - ends).Seconds())}
}
