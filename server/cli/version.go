package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/internal/fleet"
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program and of its link protocol",
		Args:  args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "switchgear %s\nlink protocol %d\n%s %s/%s\n",
				switchgear.Version, fleet.Protocol, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
