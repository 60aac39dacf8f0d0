package story

import (
	"testing"
	"time"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/rollout"
	"github.com/datapunk/switchgear/internal/sim/scenario"
	"github.com/datapunk/switchgear/policy"
)

// What a rollout's first stage says that a change would block is what it blocks
// where it is put in force, give or take a half of it.
func TestWhatATrialSaysIsWhatTheChangeDoes(t *testing.T) {
	for seed := uint64(1); seed <= 2; seed++ {
		var figures [2]float64 // with the change in force, and as evaluated
		for i := range figures {
			p := &play{seed: seed, by: contenders[0], rules: explicit}
			before, after := p.edited(explicit), p.edited(nervous)
			inForce := before
			if i == 0 {
				inForce = after
			}
			trial := rollout.NewTrial(seed, func(policy.Circuit) (now, then *policy.Settings) { return before, after })
			p.heard = func(in control.Input) {
				if in.Report != nil {
					trial.Report(in.At, in.Report)
				}
			}
			s := p.pair(8*time.Minute, 20, 2, 3).Break(scenario.Fault{Kind: "brownout", Service: "db", At: time.Second, Percent: 0.5})
			p.script = func(st *scenario.Stage) {
				st.At(time.Second, func() { st.Tell(control.Input{Policy: &control.Policy{Circuit: webDB, Settings: inForce}}) })
				st.Each(time.Second, 0, s.Duration, func() { trial.Advance(st.Now()) })
			}
			x := p.run(s)
			if p.err != nil {
				t.Fatal(p.err)
			}
			rejected := x.count(func(c *scenario.CallRecord) bool { return c.Rejected })
			figures[i] = 100 * rejected / float64(len(x.calls))
			if i == 1 {
				n := trial.Numbers()
				figures[i] = n.Candidate.BlockedPercent()
			}
		}
		t.Logf("seed %d: %.2f %% blocked in force, %.2f %% as evaluated", seed, figures[0], figures[1])
		if r := figures[1] / figures[0]; r < 0.5 || r > 1.5 {
			t.Errorf("seed %d: %.2f %% blocked in force, %.2f %% as evaluated", seed, figures[0], figures[1])
		}
	}
}
