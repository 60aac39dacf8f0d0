package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/server/scale"
)

func newLabScaleCommand() *cobra.Command {
	var o scale.Options
	var asJSON, asMarkdown bool
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "Measure what a fleet costs a daemon, and what coordination brings",
		Long: `Measures, on this machine: the circuit reports that one core takes in a second,
the bytes of each, a directive's way to 1,000 live streams, the daemon's processor
with 1,000 live clients in calm and while 20 callees fail at once, 10,000 simulated
replicas, and what coordination costs and brings by the size of the fleet.
docs/scale.md says what each figure means. It takes some minutes, 5 GB of memory
and Linux, whose /proc tells what the daemon uses. The daemon is a process of its
own, on a free loopback port; nothing else is touched.`,
		Example: `  switchgear lab scale
  switchgear lab scale --only reports,memory
  switchgear lab scale --json | jq .hot`,
		Args: args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range o.Only {
				if !slices.Contains(scale.Measures(), name) {
					return usagef(cmd, "--only %s: want one or more of %s", name, strings.Join(scale.Measures(), ","))
				}
			}
			var err error
			if o.Daemon, err = os.Executable(); err != nil {
				return fmt.Errorf("find this program, to start the daemon: %w", err)
			}
			o.Words = cmd.ErrOrStderr()
			r, err := scale.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return r.Table(cmd.OutOrStdout(), asMarkdown)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "one JSON object, by measure")
	f.BoolVar(&asMarkdown, "markdown", false, "tables for documents")
	f.BoolVar(&o.Small, "small", false, "a fleet so small that the figures mean nothing: does everything work?")
	f.StringSliceVar(&o.Only, "only", nil, "only these of "+strings.Join(scale.Measures(), ","))
	return cmd
}
