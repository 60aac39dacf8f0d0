package story

import (
	"math"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/sim/scenario"
)

// force is scenario 7: an operator forces a circuit open for ten minutes.
var force = chapter{7, "force, with an end", []part{
	{
		promises: []promise{
			{measure: "forced open: seconds until all 20 replicas are", op: "<=", promised: 1},
			{measure: "forced open: calls let through from then on", op: "=", promised: 0},
			{measure: "forced open: seconds by which the countdown is wrong, half way", op: "<=", promised: 1},
			{measure: "its end: seconds by which any replica comes back early or late", op: "<=", promised: 1},
			{measure: "its end: breakers that closed at once, not half-open first", op: "=", promised: 0},
		},
		alone: true, seeds: 5, // no peer has an operator
		play: func(p *play) []float64 { return p.forced(false) },
	},
	{
		promises: []promise{{measure: "its end with the daemon down: seconds by which any replica comes back early or late", op: "<=", promised: 1}},
		alone:    true, seeds: 5,
		play: func(p *play) []float64 { return p.forced(true)[3:4] },
	},
	{
		promises: []promise{{measure: "two operators at once: words that stand afterwards", op: "=", promised: 1}},
		alone:    true, seeds: 1,
		play: twoOperators,
	},
	{promises: []promise{
		{measure: "two operators at once: both are recorded (1 is yes)", op: "=", promised: 1, pending: "audit"},
		{measure: "outside the scope: denied (1 is yes)", op: "=", promised: 1, pending: "identity"},
		{measure: "outside the scope: audited (1 is yes)", op: "=", promised: 1, pending: "audit"},
		{measure: "a tampered audit entry is found (1 is yes)", op: "=", promised: 1, pending: "audit"},
	}},
}}

func order(id, author string, ttl time.Duration) control.Input {
	return control.Input{Order: &control.Order{
		ID: id, Action: control.Rule, Circuit: webDB, Mode: breaker.ForcedOpen, Author: author, Reason: "db is to rest", TTL: ttl,
	}}
}

func (p *play) forced(down bool) []float64 {
	const at, ttl = 20 * time.Second, 10 * time.Minute
	s := p.pair(at+ttl+time.Minute, 20, 2, 3)
	if down {
		s.Break(scenario.Fault{Kind: "daemon_kill", At: at + time.Minute})
	}
	reached, wrong := s.Duration, math.Inf(1)
	p.script = func(stage *scenario.Stage) {
		stage.At(at, func() { stage.Tell(order("rest", "ann", ttl)) })
		stage.Each(5*time.Millisecond, at, at+5*time.Second, func() {
			for _, e := range stage.Ends(webDB) {
				if e.Breaker.Mode != breaker.ForcedOpen {
					return
				}
			}
			reached = min(reached, stage.Now())
		})
		stage.At(at+ttl/2, func() {
			if v, ok := stage.View(webDB); ok && v.Override != nil {
				wrong = math.Abs((v.Override.TTL - ttl/2).Seconds())
			}
		})
	}
	x := p.run(s)
	ended := make(map[string]time.Duration)
	closed := 0.0
	for i := range x.changes {
		c := &x.changes[i]
		if c.Instance == "" && c.FromMode == breaker.ForcedOpen && c.ToMode != breaker.ForcedOpen {
			ended[c.replica] = c.at
			closed += yes(c.To == breaker.Closed)
		}
	}
	off := 0.0
	for _, when := range ended {
		off = max(off, math.Abs((when - at - ttl).Seconds()))
	}
	if len(ended) < 20 {
		off = ttl.Seconds()
	}
	let := x.count(func(c *scenario.CallRecord) bool {
		return !c.Rejected && c.Sent > reached && c.Sent < at+ttl-time.Second
	})
	return []float64{(reached - at).Seconds(), let, min(wrong, ttl.Seconds()), off, closed}
}

func twoOperators(p *play) []float64 {
	const at = 10 * time.Second
	words := make(map[string]bool)
	p.script = func(stage *scenario.Stage) {
		stage.At(at, func() {
			stage.Tell(order("a", "ann", time.Minute))
			stage.Tell(order("b", "bob", time.Minute))
		})
		stage.At(at+time.Second, func() {
			for _, e := range stage.Ends(webDB) {
				words[e.Breaker.ModeWhy] = true
			}
		})
	}
	p.run(p.pair(15*time.Second, 20, 2, 3))
	return []float64{float64(len(words))}
}
