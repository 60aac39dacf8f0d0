package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/internal/sim/evaluate"
)

func newLabEvaluateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "evaluate",
		Short: "Measure the defaults against faults, in virtual time",
		Args:  args(0, ""),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLabThresholdsCommand(), newLabLocateCommand(), newLabSteadyCommand())
	return cmd
}

// evaluation is what to measure.
type evaluation struct {
	callers     []int
	seeds       int
	policies    string
	development bool
}

func newLabThresholdsCommand() *cobra.Command {
	var e evaluation
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "thresholds",
		Short: "Compare when and how much policies open, over families of faults",
		Long: `Plays episodes of every family of faults in virtual time, with few and many
callers, under switchgear's untouched defaults, other breakers' defaults and 50
static settings. A policy's figure is its utility, good answers less half the
failed ones, as a share of that of a clairvoyant who knows each moment's truth.

The report's seeds are never those that anything was tuned on; --development
plays the others. docs/evaluation.md says what is measured and how.`,
		Example: `  switchgear lab evaluate thresholds
  switchgear lab evaluate thresholds --callers 10,200 --seeds 1 --policies switchgear --development
  switchgear lab evaluate thresholds --json | jq '.[] | select(.policy == "switchgear")'`,
		Args: args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if e.seeds < 1 || e.seeds > 1000 {
				return usagef(cmd, "--seeds %d: want 1 to 1000", e.seeds)
			}
			if len(e.callers) == 0 {
				return usagef(cmd, "--callers is empty: numbers from 1 to 10000")
			}
			for _, n := range e.callers {
				if n < 1 || n > 10_000 {
					return usagef(cmd, "--callers %d: want 1 to 10000", n)
				}
			}
			results, err := e.run(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			rows := evaluate.Rows(results)
			if len(rows) == 0 {
				return usagef(cmd, "--policies %q: no policy begins so", e.policies)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), rows)
			}
			return printEvaluation(cmd.OutOrStdout(), rows)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "an array of rows, one for each policy and number of callers, with each family's mean")
	f.IntSliceVar(&e.callers, "callers", evaluate.Callers, "numbers of callers")
	f.IntVar(&e.seeds, "seeds", 3, "episodes of each family for each number of callers, half as many from 1000 callers on")
	f.StringVar(&e.policies, "policies", "", "only policies whose name begins so")
	f.BoolVar(&e.development, "development", false, "play the seeds for tuning, not the report's")
	return cmd
}

// run plays all episodes, as many at once as there are processors, and says
// every ten seconds how far it is.
func (e evaluation) run(ctx context.Context, progress io.Writer) ([]evaluate.Result, error) {
	first := uint64(evaluate.ReportSeeds)
	if e.development {
		first = evaluate.DevelopmentSeeds
	}
	jobs := evaluate.Jobs(e.callers, first, e.seeds)
	played := make([][]evaluate.Result, len(jobs))
	if err := parallel(ctx, len(jobs), "episodes", progress, func(i int) { played[i] = jobs[i].Run(e.policies) }); err != nil {
		return nil, err
	}
	var results []evaluate.Result
	for _, rs := range played {
		results = append(results, rs...)
	}
	return results, nil
}

// printEvaluation shows every policy, of the static settings the best two.
func printEvaluation(w io.Writer, rows []evaluate.Row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CALLERS\tPOLICY\tMEAN\tWORST\tIN\tFALSE TRIPS\tTRIP S\tRECOVER S")
	line := func(r evaluate.Row, mark string) {
		fmt.Fprintf(t, "%d\t%s\t%.3f\t%.3f\t%s\t%d\t%.2f\t%.2f\n", r.Callers, r.Policy+mark, r.Mean, r.Worst, r.WorstFamily, r.FalseTrips, r.Trip, r.Recover)
	}
	for i := 0; i < len(rows); {
		var mean, worst *evaluate.Row
		for n := rows[i].Callers; i < len(rows) && rows[i].Callers == n; i++ {
			r := &rows[i]
			if !strings.HasPrefix(r.Policy, "static: ") {
				line(*r, "")
				continue
			}
			if mean == nil || r.Mean > mean.Mean {
				mean = r
			}
			if worst == nil || r.Worst > worst.Worst {
				worst = r
			}
		}
		if mean != nil {
			line(*mean, " (best static in the mean)")
			line(*worst, " (best static in its worst family)")
		}
	}
	return t.Flush()
}
