package story

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/sim/scenario"
)

// noise is scenario 9: what looks like trouble and is none, and what is trouble
// though it comes slowly.
var noise = chapter{9, "not tripped by noise", []part{
	quiet("4xx of 80 % of the calls", scenario.Fault{Kind: "bad_requests", Percent: 80, For: 30 * time.Second}, nil),
	quiet("callers cancel 80 % of their calls", scenario.Fault{Kind: "cancels", Percent: 80, For: 30 * time.Second}, nil),
	quiet("callers' own deadlines of 20 ms, while the callee needs 200 ms", scenario.Fault{Kind: "slow", Latency: 200 * time.Millisecond, For: 30 * time.Second}, func(s *scenario.Scenario) {
		s.Services[0].Load.Deadline = 20 * time.Millisecond
	}),
	quiet("a deployment blip: 3 s with 4 % failures", scenario.Fault{Kind: "brownout", Percent: 4, For: 3 * time.Second}, nil),
	quiet("10 % fail and each is retried twice", scenario.Fault{Kind: "brownout", Percent: 10, For: 30 * time.Second}, func(s *scenario.Scenario) {
		s.Services[0].Calls[0].Retries = 2
	}),
	quiet("single errors at low volume: 20 % of one call each 5 s and replica", scenario.Fault{Kind: "brownout", Percent: 20, For: 10 * time.Minute}, func(s *scenario.Scenario) {
		s.Services[0].Load.PerSecond = 0.2
		s.Duration = 11 * time.Minute
	}),
	quiet("a pause of 0.2 s", scenario.Fault{Kind: "pause", For: 200 * time.Millisecond}, nil),
	{
		promises: []promise{
			{measure: "neutral outcomes in half-open: breakers that they closed", op: "=", promised: 0},
			{measure: "neutral outcomes among failures: streaks that they broke", op: "=", promised: 0},
			{measure: "own rejections: calls that they added to the evidence", op: "=", promised: 0},
		},
		alone: true, seeds: 1,
		play: neutral,
	},
	{
		promises: []promise{
			{measure: "drift from 3 to 8 % over a day: breakers that opened", op: "=", promised: 0},
			{measure: "then a step to 60 %: seconds until every replica is open", op: "<=", promised: 10},
		},
		seeds: 2,
		play: func(p *play) []float64 {
			return p.drift(3, 8, 24*time.Hour, 0.5)
		},
	},
	{
		promises: []promise{
			{measure: "slow poisoning from 0 to 35 % over 6 hours: breakers that opened", op: "=", promised: 0},
			{measure: "then a step to 60 %: seconds until every replica is open", op: "<=", promised: 10},
		},
		seeds: 2,
		play: func(p *play) []float64 {
			// 60 % differ from 35 % by 0.13 nats a call: a test that is wrong once in
			// 600,000 calls needs a hundred of them on average, whatever it is (Lorden
			// 1971). At 2 requests a second each, as elsewhere, that is 2.6 s.
			return p.drift(0, 35, 6*time.Hour, 2)
		},
	},
	{
		promises: []promise{
			{measure: "openAbove 20 %, slow poisoning from 0 to 60 % over 6 hours: percent of failures by which all are open", op: "<=", promised: 30},
		},
		seeds: 2,
		play: func(p *play) []float64 {
			const hours = 6 * time.Hour
			p.rules, p.sparing = `"openAbove": 20`, true
			x := p.run(p.pair(hours, 20, 0.5, 3).Break(scenario.Fault{Kind: "creep", Service: "db", Percent: 60}))
			return []float64{60 * x.allOpen(webDB, 20, 0).Hours() / hours.Hours()}
		},
	},
	{
		promises: []promise{
			{measure: "overload at twice the capacity: breakers that opened", op: "=", promised: 0},
			{measure: "overload at twice the capacity: good answers a second, over what the callee carries", op: ">=", promised: 0.8},
		},
		play: overload,
	},
}}

// quiet is a part in which nothing may open.
func quiet(what string, f scenario.Fault, alter func(*scenario.Scenario)) part {
	return part{
		promises: []promise{{measure: what + ": breakers that opened", op: "=", promised: 0}},
		play: func(p *play) []float64 {
			s := p.pair(time.Minute, 20, 5, 3)
			if alter != nil {
				alter(s)
			}
			f := f
			f.Service, f.At = "db", 10*time.Second
			x := p.run(s.Break(f))
			return []float64{x.openings(func(*change) bool { return true })}
		},
	}
}

// drift lets failures grow over hours, then step up to 60 %: how many breakers
// opened before the step, and how long until all have after it.
func (p *play) drift(from, to float64, span time.Duration, perSecond float64) []float64 {
	p.sparing = true
	s := p.pair(span+time.Minute, 20, perSecond, 3)
	s.Services[1].FailPercent = from
	x := p.run(s.Break(scenario.Fault{Kind: "creep", Service: "db", Percent: to, For: span}).
		Break(scenario.Fault{Kind: "brownout", Service: "db", At: span, Percent: 60}))
	return []float64{
		x.openings(func(c *change) bool { return c.at < span }),
		(x.allOpen(webDB, 20, span) - span).Seconds(),
	}
}

// neutral is about one breaker, without a fleet.
func neutral(*play) []float64 {
	now := time.Duration(1)
	clock := breaker.NewClock(func() time.Duration { return now })
	settings := breaker.Settings{ConsecutiveFailures: 3, Wait: breaker.Wait{Shape: breaker.WaitFixed, Base: time.Second}, PermittedNumberOfCallsInHalfOpenState: 1}.WithDefaults()
	b := breaker.New(&settings, breaker.Options{Clock: clock, Seed: 1})
	call := func(o breaker.Outcome) {
		now += time.Millisecond
		clock.Advance(now)
		if permit, err := b.Acquire(); err == nil {
			permit.Done(o)
		}
	}
	failed := breaker.Outcome{Verdict: breaker.Failure, Kind: breaker.ServerError, Latency: time.Millisecond}
	ignored := breaker.Outcome{Verdict: breaker.Ignored, Kind: breaker.BadRequest, Latency: time.Millisecond}
	for range 3 {
		call(failed)
		call(ignored)
	}
	broken := yes(b.State() != breaker.Open)
	before := b.View().Window
	for range 100 {
		call(failed) // rejected
	}
	added := float64(b.View().Window.Calls - before.Calls)
	now += 2 * time.Second
	closed := 0.0
	for range 10 {
		call(ignored)
		closed = max(closed, yes(b.State() == breaker.Closed))
	}
	return []float64{closed, broken, added}
}

func overload(p *play) []float64 {
	const from, to = 20 * time.Second, 80 * time.Second
	const each, instances = 50.0, 4
	s := p.pair(100*time.Second, 20, 8, instances)
	s.Services[1].Capacity = each
	x := p.run(s.Break(scenario.Fault{Kind: "surge", Service: "web", At: from, For: to - from, Factor: 2.5}))
	good := x.count(func(c *scenario.CallRecord) bool {
		return !c.Rejected && c.Outcome.Verdict == breaker.Success && c.Ended >= from+5*time.Second && c.Ended < to
	})
	return []float64{
		x.openings(func(*change) bool { return true }),
		good / (to - from - 5*time.Second).Seconds() / (each * instances),
	}
}
