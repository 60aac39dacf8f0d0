package cli

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/internal/sim/evaluate"
)

func newLabSteadyCommand() *cobra.Command {
	var asJSON bool
	var seed uint64
	cmd := &cobra.Command{
		Use:   "steady",
		Short: "Show what openAbove means: which steady shares of failures open, and when",
		Long: `Simulates ten callers of a callee of which a steady share of the calls fails for
five minutes, under the automatic engine, for several values of openAbove and
rates of calls. A cell says after how many seconds all are shut, and which share
of the calls is let through afterwards.`,
		Example: `  switchgear lab evaluate steady
  switchgear lab evaluate steady --json | jq '.[] | select(.open_above == 50)'`,
		Args: args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows := evaluate.SteadyRows()
			for i := range rows {
				if err := cmd.Context().Err(); err != nil {
					return err
				}
				rows[i] = rows[i].Play(seed)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), rows)
			}
			return printSteady(cmd.OutOrStdout(), rows)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "an array of rows, one for each cell of the table")
	f.Uint64Var(&seed, "seed", 1, "of the calls")
	return cmd
}

// printSteady shows a line for each rate and share of failures.
func printSteady(w io.Writer, rows []evaluate.Steady) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "CALLS/S\tFAIL")
	for _, above := range evaluate.SteadyOpenAbove {
		fmt.Fprintf(t, "\tOPENABOVE %.0f", above)
	}
	for i, r := range rows {
		if i%len(evaluate.SteadyOpenAbove) == 0 {
			fmt.Fprintf(t, "\n%.0f\t%.0f %%", r.Rate, r.Failing)
		}
		if r.Opens < 0 {
			fmt.Fprint(t, "\tclosed")
		} else {
			fmt.Fprintf(t, "\t%.1f s, %.0f %%", r.Opens, 100*r.Admitted)
		}
	}
	fmt.Fprintln(t)
	return t.Flush()
}
