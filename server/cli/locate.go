package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/internal/sim/evaluate"
)

func newLabLocateCommand() *cobra.Command {
	var asJSON, development bool
	var cases, looks int
	cmd := &cobra.Command{
		Use:   "locate",
		Short: "Measure how well the broken part of a callee is found",
		Long: `Draws cases of faults in parts of a callee, and of none, and compares what
control would name with the truth. docs/evaluation.md says what is measured.`,
		Example: `  switchgear lab evaluate locate
  switchgear lab evaluate locate --json | jq .exact`,
		Args: args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cases < 1 || cases > 10_000 || looks < 1 || looks > 1_000_000 {
				return usagef(cmd, "--cases %d, --looks %d: want 1 to 10000 and 1 to 1000000", cases, looks)
			}
			first := uint64(evaluate.LocateSeeds)
			if development {
				first = 0
			}
			l, err := evaluate.Locate(cmd.Context(), first, cases, looks, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), l)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d cases: %.3f exact, %.4f collateral, %.3f missed; %.5f false alarms per look in %d\n",
				l.Cases, l.Exact, l.Collateral, l.Missed, l.FalseAlarmsPerLook, l.Looks)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&development, "development", false, "draw the seeds for tuning, not the report's")
	cmd.Flags().IntVar(&cases, "cases", 120, "cases of each kind")
	cmd.Flags().IntVar(&looks, "looks", 50_000, "looks at healthy traffic")
	return cmd
}
