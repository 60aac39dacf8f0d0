package story

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/sim/scenario"
)

// gone is scenario 5: the daemon is killed, in calm and in an outage.
var gone = chapter{5, "the control plane is gone", []part{
	{
		promises: []promise{{measure: "killed in calm for 3 minutes: calls that failed or were rejected", op: "=", promised: 0}},
		play: func(p *play) []float64 {
			x := p.run(p.pair(4*time.Minute, 20, 2, 3).Break(scenario.Fault{Kind: "daemon_kill", At: 20 * time.Second, For: 3 * time.Minute}))
			return []float64{x.count(func(c *scenario.CallRecord) bool { return c.Rejected || failing(c) })}
		},
	},
	{
		promises: []promise{
			{measure: "killed in an outage: breakers that closed before the outage ended", op: "=", promised: 0},
			{measure: "killed in an outage: calls let through a second meanwhile, of 40", op: "<=", promised: 4, breaks: []string{"coordination"}},
			{measure: "back in the outage: seconds until all replicas stand under one word", op: "<=", promised: 5, breaks: []string{"coordination"}},
			{measure: "back in the outage: breakers that closed before it ended", op: "=", promised: 0},
		},
		play: killedInOutage,
	},
	{
		promises: []promise{
			{measure: "gone for good, explicit: seconds from the end of a directive's term until every replica probes alone", op: "<=", promised: 15},
			{measure: "gone for good, explicit: seconds from the outage's end to full traffic", op: "<=", promised: 60},
		},
		play: func(p *play) []float64 {
			const killed, term, ends = 20 * time.Second, time.Minute, 2 * time.Minute
			p.rules = explicit
			x := p.run(p.pair(4*time.Minute, 20, 2, 3).
				Break(scenario.Fault{Kind: "outage", Service: "db", At: 10 * time.Second, For: ends - 10*time.Second}).
				Break(scenario.Fault{Kind: "daemon_kill", At: killed}))
			alone := make(map[string]time.Duration)
			for i := range x.changes {
				c := &x.changes[i]
				if _, known := alone[c.replica]; !known && c.Instance == "" && c.To == breaker.HalfOpen && c.at > killed+term-20*time.Second {
					alone[c.replica] = c.at
				}
			}
			last := killed + term
			for _, at := range alone {
				last = max(last, at)
			}
			if len(alone) < 20 {
				last = x.Duration
			}
			probing := (last - killed - term).Seconds()
			if p.by.daemons == 0 {
				probing = none // there was no directive
			}
			return []float64{probing, x.full(webDB, ends)}
		},
	},
	{
		promises: []promise{{measure: "gone for good, explicit: breakers of 20 that open in an outage two minutes later", op: "=", promised: 20}},
		play:     func(p *play) []float64 { return p.alone(explicit) },
	},
	{
		promises: []promise{{measure: "gone for good, automatic: breakers of 20 that open in an outage two minutes later", op: "=", promised: 20}},
		play:     func(p *play) []float64 { return p.alone("") },
	},
	{promises: []promise{
		{measure: "a restarted replica starts from its snapshot: calls it lets through in an outage with no daemon", op: "<=", promised: 1, pending: "manager"},
		{measure: "one of three daemons killed: seconds until directives go on", op: "<=", promised: 5, pending: "cluster"},
		{measure: "one of three daemons killed: acknowledged changes that are lost", op: "=", promised: 0, pending: "cluster"},
	}},
}}

// killedInOutage kills the daemon ten seconds into an outage and starts it again
// half a minute later, while the outage goes on.
func killedInOutage(p *play) []float64 {
	const begins, killed, back, ends = 10 * time.Second, 20 * time.Second, 50 * time.Second, 90 * time.Second
	s := p.pair(2*time.Minute, 20, 2, 3).
		Break(scenario.Fault{Kind: "outage", Service: "db", At: begins, For: ends - begins}).
		Break(scenario.Fault{Kind: "daemon_kill", At: killed, For: back - killed})
	converged := s.Duration
	p.script = func(stage *scenario.Stage) {
		stage.Each(20*time.Millisecond, back, ends, func() {
			if stage.Now() < converged && oneWord(stage) {
				converged = stage.Now()
			}
		})
	}
	x := p.run(s)
	closed := func(from, to time.Duration) (n float64) {
		for i := range x.changes {
			if c := &x.changes[i]; c.at >= from && c.at < to && c.Instance == "" && c.To == breaker.Closed {
				n++
			}
		}
		return n
	}
	sent := x.count(func(c *scenario.CallRecord) bool { return !c.Rejected && c.Sent >= killed && c.Sent < back })
	return []float64{closed(killed, back), sent / (back - killed).Seconds(), (converged - back).Seconds(), closed(back, ends)}
}

// oneWord reports whether every replica obeys the daemon that lives, in the same
// generation, and is not closed.
func oneWord(stage *scenario.Stage) bool {
	v, ok := stage.View(webDB)
	if !ok || v.State == breaker.Closed {
		return false
	}
	ends := stage.Ends(webDB)
	for _, e := range ends {
		if !e.Breaker.Attached || e.Breaker.State == breaker.Closed || e.Breaker.Generation != ends[0].Breaker.Generation {
			return false
		}
	}
	return v.Breakers == len(ends)
}

// alone kills the daemon for good, long before an outage: how many of the twenty
// replicas open in it by themselves.
func (p *play) alone(rules string) []float64 {
	const from = 130 * time.Second
	p.rules = rules
	x := p.run(p.pair(from+time.Minute, 20, 4, 3).
		Break(scenario.Fault{Kind: "daemon_kill", At: 10 * time.Second}).
		Break(scenario.Fault{Kind: "outage", Service: "db", At: from}))
	return []float64{float64(len(x.opened(func(c *change) bool { return c.at >= from && c.Instance == "" })))}
}
