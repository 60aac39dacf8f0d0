package story

import (
	"math"
	"strings"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/sim/scenario"
	"github.com/datapunk/switchgear/policy"
)

// edit is scenario 6: a policy is changed while its circuit is open.
var edit = chapter{6, "change in mid-incident", []part{
	{
		promises: []promise{
			{measure: "edit of an open circuit: seconds until all 20 replicas run on it", op: "<=", promised: 1, breaks: []string{"coordination"}},
			{measure: "edit of an open circuit: breakers whose state it changed", op: "=", promised: 0},
			{measure: "edit of an open circuit: breakers whose generation it changed", op: "=", promised: 0},
			{measure: "edit of an open circuit: seconds by which the time left until the next probe jumped", op: "<=", promised: 0.05, breaks: []string{"coordination"}},
		},
		alone: true, // a library's settings are changed by deploying it
		play:  editOpen,
	},
	{
		promises: []promise{
			{measure: "edit of a closed circuit, same window: counted calls that were lost", op: "=", promised: 0},
		},
		alone: true,
		play:  editClosed,
	},
	{
		promises: []promise{
			{measure: "a bad one is refused with field, value and what was wanted (1 is yes)", op: "=", promised: 1},
			{measure: "a bad one: settings that changed", op: "=", promised: 0},
		},
		alone: true, seeds: 1,
		play: editBad,
	},
	{
		promises: []promise{
			{measure: "a rollback is one command (1 is yes)", op: "=", promised: 1, breaks: []string{"coordination"}},
			{measure: "a rollback: seconds until all 20 replicas run on what was before", op: "<=", promised: 1, breaks: []string{"coordination"}},
		},
		alone: true,
		play:  editBack,
	},
	editSlowly[0], editSlowly[1],
}}

const beforeEdit = explicit + `, "wait": "fixed", "waitDurationInOpenState": "30s"`

// edited are the settings of a policy, as the daemon would have them.
func (p *play) edited(fields string) *policy.Settings {
	set, err := policies("edited", fields)
	if err != nil {
		p.err = err
		return nil
	}
	return set.Settings(webDB)
}

func editOpen(p *play) []float64 {
	const at = 20 * time.Second
	p.rules = beforeEdit
	after := p.edited(`"failureRateThreshold": 60, "minimumNumberOfCalls": 30, "wait": "fixed", "waitDurationInOpenState": "30s"`)
	s := p.pair(30*time.Second, 20, 2, 3).Break(scenario.Fault{Kind: "outage", Service: "db", At: 5 * time.Second})
	reached := s.Duration
	var before, then []scenario.End
	left, jump := time.Duration(0), math.Inf(1)
	p.script = func(stage *scenario.Stage) {
		stage.At(at, func() {
			before = stage.Ends(webDB)
			if v, ok := stage.View(webDB); ok {
				left = v.NextProbe
			}
			stage.Tell(control.Input{Policy: &control.Policy{Circuit: webDB, Settings: after}})
		})
		stage.Each(10*time.Millisecond, at, at+5*time.Second, func() {
			if stage.Now() >= reached {
				return
			}
			for _, e := range stage.Ends(webDB) {
				if e.Settings.Revision != after.Revision {
					return
				}
			}
			reached, then = stage.Now(), stage.Ends(webDB)
			if v, ok := stage.View(webDB); ok && v.NextProbe > 0 {
				jump = math.Abs((left - v.NextProbe - (reached - at)).Seconds())
			}
		})
	}
	x := p.run(s)
	state, generation := 0.0, 0.0
	for i := range then {
		state += yes(then[i].Breaker.State != before[i].Breaker.State || before[i].Breaker.State == breaker.Closed)
		generation += yes(then[i].Breaker.Generation != before[i].Breaker.Generation)
	}
	return []float64{(reached - at).Seconds(), state, generation, min(jump, x.Duration.Seconds())}
}

func editClosed(p *play) []float64 {
	const at = 20 * time.Second
	p.rules = explicit
	after := p.edited(`"failureRateThreshold": 60, "minimumNumberOfCalls": 30`)
	counted := func(stage *scenario.Stage) (n uint64) {
		for _, e := range stage.Ends(webDB) {
			n += uint64(e.Breaker.Window.Calls)
		}
		return n
	}
	var before, then uint64
	s := p.pair(30*time.Second, 20, 2, 3)
	// Nobody calls between the two looks: what the window holds can only be lost.
	s.Services[0].Load.PerSecond = 2
	lost := 0.0
	p.script = func(stage *scenario.Stage) {
		stage.At(at, func() {
			before = counted(stage)
			stage.Tell(control.Input{Policy: &control.Policy{Circuit: webDB, Settings: after}})
		})
		stage.At(at+200*time.Millisecond, func() {
			then = counted(stage)
			for _, e := range stage.Ends(webDB) {
				lost += yes(e.Settings.Revision != after.Revision)
			}
		})
	}
	p.run(s)
	// A window's oldest step, a tenth of it, may have passed meanwhile.
	return []float64{lost + max(0, float64(before)*0.89-float64(then))}
}

// editBack puts a changed policy in force and, by one word to the daemon, the one
// before.
func editBack(p *play) []float64 {
	const changed, back = 10 * time.Second, 15 * time.Second
	p.rules = explicit
	before := p.edited(`"failureRateThreshold": 50, "minimumNumberOfCalls": 20, "quorum": 3`)
	after := p.edited(`"failureRateThreshold": 60, "minimumNumberOfCalls": 30`)
	s := p.pair(20*time.Second, 20, 2, 3)
	reached, wasChanged := s.Duration, false
	all := func(stage *scenario.Stage, s *policy.Settings) bool {
		ends := stage.Ends(webDB)
		for _, e := range ends {
			if !e.Settings.Same(s) {
				return false
			}
		}
		return len(ends) == 20
	}
	tell := func(stage *scenario.Stage, s *policy.Settings) {
		stage.Tell(control.Input{Policy: &control.Policy{Circuit: webDB, Settings: s}})
	}
	p.script = func(stage *scenario.Stage) {
		stage.At(5*time.Second, func() { tell(stage, before) })
		stage.At(changed, func() { tell(stage, after) })
		stage.At(back, func() {
			wasChanged = all(stage, after)
			tell(stage, before)
		})
		stage.Each(10*time.Millisecond, back, s.Duration, func() {
			if reached == s.Duration && all(stage, before) {
				reached = stage.Now()
			}
		})
	}
	p.run(s)
	return []float64{yes(wasChanged && reached < s.Duration), (reached - back).Seconds()}
}

func editBad(p *play) []float64 {
	_, err := policies("bad", `"failureRateThreshold": 150`)
	said := err != nil
	for _, word := range []string{"failureRateThreshold", "150", "want"} {
		said = said && strings.Contains(err.Error(), word)
	}
	bad := policy.Default()
	bad.Breaker.FailureRateThreshold, bad.Revision = 150, "bad"
	changed := 0.0
	p.rules = explicit
	p.script = func(stage *scenario.Stage) {
		stage.At(10*time.Second, func() {
			stage.Tell(control.Input{Policy: &control.Policy{Circuit: webDB, Settings: &bad}})
		})
		stage.At(20*time.Second, func() {
			for _, e := range stage.Ends(webDB) {
				changed += yes(e.Settings.Revision == bad.Revision)
			}
		})
	}
	x := p.run(p.pair(21*time.Second, 4, 2, 1))
	told := false
	for _, n := range x.notices {
		told = told || n.Kind == "policy" && strings.Contains(n.Why, "150") && strings.Contains(n.Why, "ailureRateThreshold")
	}
	return []float64{yes(said && told), changed}
}
