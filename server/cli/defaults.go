package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/internal/control"
)

func newLabDefaultsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "defaults",
		Short: "List switchgear's own values, each with its reason",
		Args:  args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), control.Defaults())
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tVALUE\tWHY")
			for _, d := range control.Defaults() {
				fmt.Fprintf(w, "%s\t%s\t%s\n", d.Name, d.Value, d.Why)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "a list of objects")
	return cmd
}
