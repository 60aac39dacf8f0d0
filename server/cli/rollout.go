package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

// trial is the stable form of a rollout.
type trial struct {
	Policy  string       `json:"policy"`
	Stage   string       `json:"stage"`
	Why     string       `json:"why"`
	Author  string       `json:"author"`
	Reason  string       `json:"reason,omitempty"`
	Began   string       `json:"began"`
	Base    uint64       `json:"baseVersion"`
	Written uint64       `json:"writtenVersion,omitempty"`
	Lasted  float64      `json:"lastedSeconds,omitempty"`
	Numbers *numbers     `json:"numbers,omitempty"`
	Passed  []trialStage `json:"passed"`
}

type trialStage struct {
	Stage   string   `json:"stage"`
	Time    string   `json:"time"`
	Why     string   `json:"why"`
	Numbers *numbers `json:"numbers"`
}

type numbers struct {
	Calls          float64 `json:"calls"`
	UnknownPercent float64 `json:"unknownPercent"`
	Circuits       uint32  `json:"circuits"`
	Replicas       uint32  `json:"replicas"`
	OnTrial        uint32  `json:"onTrial"`
	Candidate      side    `json:"candidate"`
	Current        side    `json:"current"`
}

type side struct {
	GoodCalls      float64 `json:"goodCalls"`
	BadCalls       float64 `json:"badCalls"`
	BlockedPercent float64 `json:"blockedPercent"`
	PassedPercent  float64 `json:"passedPercent"`
	Opened         uint64  `json:"opened"`
}

func sideOf(m *apiv1.RolloutSide) side {
	return side{m.GetGoodCalls(), m.GetBadCalls(), m.GetBlockedPercent(), m.GetPassedPercent(), m.GetOpened()}
}

func numbersOf(m *apiv1.RolloutNumbers) *numbers {
	if m == nil {
		return nil
	}
	return &numbers{m.GetCalls(), m.GetUnknownPercent(), m.GetCircuits(), m.GetReplicas(), m.GetOnTrial(), sideOf(m.GetCandidate()), sideOf(m.GetCurrent())}
}

func trialOf(m *apiv1.Rollout) trial {
	t := trial{
		m.GetPolicy(), m.GetStage(), m.GetWhy(), m.GetAuthor(), m.GetReason(), instant(m.GetBegan()), m.GetBaseVersion(), m.GetWrittenVersion(),
		seconds(m.GetLasted()), numbersOf(m.GetNumbers()),
		[]trialStage{},
	}
	for _, p := range m.GetPassed() {
		t.Passed = append(t.Passed, trialStage{p.GetStage(), instant(p.GetTime()), p.GetWhy(), numbersOf(p.GetNumbers())})
	}
	return t
}

func newPolicyRolloutCommand() *cobra.Command {
	var abort, asJSON bool
	var reason string
	cmd := &cobra.Command{
		Use:   "rollout NAME",
		Short: "Say at which stage a policy's rollout is, with its numbers, or end it",
		Long: `Say at which stage the last rollout of a policy is, and the numbers of each stage:
how often a breaker opened, which share of the good calls was blocked and of the
bad ones let through, with the change and without it, and which share of the calls
has no known outcome.

  metrics_only  evaluated beside what is in force; no replica runs on it
  canary        a share of the replicas runs on it, and is compared with the others
  enforce       all run on it; it is still taken back where it hurts
  done, rolled_back

A rollout is begun by 'switchgear apply -f FILE --rollout'. The exit code is 1 where
it was rolled back.`,
		Example: `  switchgear policy rollout payments
  switchgear policy rollout payments --abort --reason "wrong ticket"`,
		Args: args(1, "NAME, as namespace/name or the name alone,"),
	}
	f := cmd.Flags()
	f.BoolVar(&abort, "abort", false, "take the change back")
	f.StringVar(&reason, "reason", "", "`why` it is aborted, for the history")
	f.BoolVar(&asJSON, "json", false, "an object")
	connectTo, author := serverOption(cmd), authorOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		c, err := connectTo()
		if err != nil {
			return err
		}
		var m *apiv1.Rollout
		if abort {
			by, err := author()
			if err != nil {
				return err
			}
			r, err := c.policies.AbortRollout(cmd.Context(), &apiv1.AbortRolloutRequest{Name: given[0], Author: by, Reason: reason})
			if err != nil {
				return c.explain(cmd.Context(), err)
			}
			m = r.GetRollout()
		} else {
			r, err := c.policies.GetRollout(cmd.Context(), &apiv1.GetRolloutRequest{Name: given[0]})
			if err != nil {
				return c.explain(cmd.Context(), err)
			}
			m = r.GetRollout()
		}
		if asJSON {
			err = printJSON(cmd.OutOrStdout(), trialOf(m))
		} else {
			err = printRollout(cmd.OutOrStdout(), m)
		}
		if err == nil && m.GetStage() == "rolled_back" && !abort {
			return exit(exitFailed)
		}
		return err
	}
	return cmd
}

func printRollout(w io.Writer, m *apiv1.Rollout) error {
	head := fmt.Sprintf("%s: %s", m.GetPolicy(), m.GetStage())
	if m.GetNumbers() != nil {
		head += fmt.Sprintf(" for %v of %v", m.GetLasted().AsDuration().Round(time.Second), m.GetPlan().GetStageDuration().AsDuration())
	}
	fmt.Fprintf(w, "%s: %s\nbegun %s by %s%s\n\n", printable(head), printable(m.GetWhy()), instant(m.GetBegan()), printable(m.GetAuthor()), because(m.GetReason()))
	rows := [][]string{{"STAGE", "POLICY", "OPENED", "GOOD CALLS", "BLOCKED", "BAD CALLS", "LET THROUGH", "UNKNOWN", "REPLICAS"}}
	add := func(stage string, n *apiv1.RolloutNumbers) {
		for i, s := range []*apiv1.RolloutSide{n.GetCandidate(), n.GetCurrent()} {
			row := []string{
				stage, "changed", fmt.Sprint(s.GetOpened()), fmt.Sprintf("%.0f", s.GetGoodCalls()), fmt.Sprintf("%.1f%%", s.GetBlockedPercent()),
				fmt.Sprintf("%.0f", s.GetBadCalls()), fmt.Sprintf("%.1f%%", s.GetPassedPercent()),
				fmt.Sprintf("%.1f%%", n.GetUnknownPercent()), fmt.Sprintf("%d of %d", n.GetOnTrial(), n.GetReplicas()),
			}
			if i == 1 {
				row[0], row[1], row[7], row[8] = "", "before", "", ""
			}
			rows = append(rows, row)
		}
	}
	for _, p := range m.GetPassed() {
		add(p.GetStage(), p.GetNumbers())
	}
	if m.GetNumbers() != nil {
		add(m.GetStage(), m.GetNumbers())
	}
	if len(rows) == 1 {
		return nil
	}
	return printTable(w, rows...)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + printable(reason)
}
