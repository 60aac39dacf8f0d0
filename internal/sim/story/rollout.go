package story

import (
	"time"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/rollout"
	"github.com/datapunk/switchgear/internal/sim/scenario"
	"github.com/datapunk/switchgear/policy"
)

// The part of scenario 6 in which a change passes through the stages of a rollout,
// on a callee of whose calls one in two hundred fails.
const (
	blocking = "a change that would block 5 % of good calls: "
	harmless = "a harmless change: "
	nervous  = `"consecutiveFailures": 1, "wait": "fixed", "waitDurationInOpenState": "5s", "permittedNumberOfCallsInHalfOpenState": 1`
)

var editSlowly = []part{
	{
		promises: []promise{
			{measure: blocking + "stage that takes it back (1 is the first, in which nobody runs on it; 0 is none)", op: "=", promised: 1},
			{measure: blocking + "percent that the numbers name which it prints", op: ">", promised: 1},
			{measure: blocking + "most replicas that ran on it", op: "=", promised: 0},
		},
		alone: true,
		play: func(p *play) []float64 {
			x := p.roll(nervous)
			return []float64{float64(x.takenBack), x.blocked, float64(x.most)}
		},
	},
	{
		promises: []promise{
			{measure: harmless + "stage that takes it back (0 is none)", op: "=", promised: 0},
			{measure: harmless + "replicas of 20 that run on it in the end", op: "=", promised: 20, breaks: []string{"coordination"}},
		},
		alone: true,
		play: func(p *play) []float64 {
			x := p.roll(`"failureRateThreshold": 60, "minimumNumberOfCalls": 30`)
			return []float64{float64(x.takenBack), float64(x.last)}
		},
	},
}

// rolled is what came of a rollout.
type rolled struct {
	takenBack  int     // the stage, from 1; 0 if none did
	blocked    float64 // percent of good calls, as the last stage's numbers say
	most, last int     // replicas on the change: at any time, and in the end
}

// roll takes a change through its stages as a daemon does.
func (p *play) roll(fields string) (x rolled) {
	const begins, each = 10 * time.Second, 500 * time.Millisecond
	plan := rollout.Usual()
	plan.StageDuration, plan.MinimumCalls, plan.CanaryPercent = 2*time.Minute, 400, 20
	p.rules = explicit
	before, after := p.edited(explicit), p.edited(fields)
	if p.err != nil {
		return x
	}
	trial := rollout.NewTrial(p.seed, func(policy.Circuit) (now, then *policy.Settings) { return before, after })
	stage, since := rollout.MetricsOnly, begins
	s := p.pair(8*time.Minute, 20, 2, 3).Break(scenario.Fault{Kind: "brownout", Service: "db", At: time.Second, Percent: 0.5})
	p.heard = func(in control.Input) {
		if in.Report != nil && in.At >= begins {
			trial.Report(in.At, in.Report)
		}
	}
	tell := func(st *scenario.Stage, said control.Policy) {
		said.Circuit = webDB
		st.Tell(control.Input{Policy: &said})
	}
	p.script = func(st *scenario.Stage) {
		st.At(begins/2, func() { tell(st, control.Policy{Settings: before}) })
		st.Each(each, begins, s.Duration, func() {
			x.last = 0
			for _, e := range st.Ends(webDB) {
				if e.Settings.Same(after) {
					x.last++
				}
			}
			x.most = max(x.most, x.last)
			if stage.Over() {
				return
			}
			trial.Advance(st.Now())
			n := trial.Numbers()
			next, _ := plan.Decide(stage, st.Now()-since, &n)
			x.blocked = n.Candidate.BlockedPercent()
			if next == stage {
				return
			}
			switch next {
			case rollout.Canary:
				tell(st, control.Policy{Settings: before, Canary: after, CanaryPercent: plan.CanaryPercent})
			case rollout.Enforce:
				tell(st, control.Policy{Settings: after})
			case rollout.RolledBack:
				x.takenBack = int(stage) + 1
				tell(st, control.Policy{Settings: before})
			}
			stage, since = next, st.Now()
			trial.Stage(stage)
		})
	}
	p.run(s)
	return x
}
