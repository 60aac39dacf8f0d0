package story

import (
	"slices"
	"time"

	"github.com/datapunk/switchgear/internal/sim/scenario"
)

// detect is scenario 1: twenty replicas of one caller, two requests a second
// each, and a callee that fails everything.
var detect = chapter{1, "detect as one", []part{
	{promises: detectPromises("explicit"), play: func(p *play) []float64 { return detectAfter(p, explicit, 0) }},
	{promises: detectPromises("automatic"), play: func(p *play) []float64 { return detectAfter(p, "", 0) }},
	{promises: detectPromises("automatic, after a calm minute"), play: func(p *play) []float64 { return detectAfter(p, "", time.Minute) }},
	{promises: detectPromises("explicit, after a calm minute"), play: func(p *play) []float64 { return detectAfter(p, explicit, time.Minute) }},
}}

// explicit thresholds, as the scenarios name them.
const explicit = `"failureRateThreshold": 50, "minimumNumberOfCalls": 20`

func detectPromises(how string) []promise {
	without := []string{"coordination"}
	return []promise{
		{measure: how + ": seconds from the 20th pooled failure to every replica open", op: "<=", promised: 1, breaks: without},
		{measure: how + ": calls that failed in all until then", op: "<=", promised: 40, breaks: without},
	}
}

// detectAfter has the callee fail from a time on, for a minute.
func detectAfter(p *play, rules string, from time.Duration) []float64 {
	const replicas = 20
	p.rules = rules
	x := p.run(p.pair(from+time.Minute, replicas, 2, 1).Break(scenario.Fault{Kind: "outage", Service: "db", At: from}))
	var failures []time.Duration
	for i := range x.calls {
		if c := &x.calls[i]; failing(c) {
			failures = append(failures, c.Ended)
		}
	}
	open := x.allOpen(webDB, replicas, from)
	twentieth := x.Duration
	if slices.Sort(failures); len(failures) >= 20 {
		twentieth = failures[19]
	}
	n := 0.0
	for _, at := range failures {
		if at <= open {
			n++
		}
	}
	return []float64{max(0, (open - twentieth).Seconds()), n}
}
