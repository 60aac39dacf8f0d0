package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/server/demo"
)

func newLabLinkCommand() *cobra.Command {
	c := demo.LinkConfig{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "link",
		Short: "Kill, stop and cut the link under load, and measure what calls pay",
		Long: `Runs a daemon as a process and, in this one, a manager that is linked to it
through a TCP proxy. Half of the calls go to a callee that fails. Then the daemon
is killed, stopped (SIGSTOP), half-opened and black-holed in turn, and comes back
each time. It prints the SDK's own time of a call, Acquire and Done together, in
each phase, and beside it what reading the clock alone took: what is as long
there is the machine's. Exit code 1 if a call waited over 50 ms, a call to the
healthy callee was rejected, or the failing circuit was found closed.`,
		Example: `  switchgear lab link
  switchgear lab link --rate 2000 --phase 5s --json | jq '.phases[] | {name, p999: .own.p999_ns}'`,
		Args: args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.Rate < 1 || c.Rate > 1_000_000 {
				return usagef(cmd, "--rate %d: want 1 to 1000000", c.Rate)
			}
			if c.Phase < 100*time.Millisecond || c.Phase > time.Hour {
				return usagef(cmd, "--phase %v: want 100ms to 1h", c.Phase)
			}
			var err error
			if c.Binary, err = os.Executable(); err != nil {
				return fmt.Errorf("find this program's file, to start the daemon with: %w", err)
			}
			c.Say = func(sentence string) { fmt.Fprintln(cmd.ErrOrStderr(), sentence) }
			r, err := demo.RunLink(cmd.Context(), c)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), r)
			} else {
				err = printLink(cmd.OutOrStdout(), r)
			}
			if err != nil {
				return err
			}
			if broken := r.Broken(); len(broken) > 0 {
				return fmt.Errorf("%s", strings.Join(broken, "; "))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&c.Rate, "rate", 10_000, "calls a second")
	f.DurationVar(&c.Phase, "phase", 20*time.Second, "of each of the nine phases; a link that is cut is noticed within 15 s")
	f.BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

func printLink(w io.Writer, r demo.LinkResult) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%d calls/s, half of them to a callee that fails; the SDK's own time of a call, and reading the clock alone\n\n", r.Rate)
	fmt.Fprintln(t, "PHASE\tLINK\tCIRCUIT\tCALLS\tP50\tP99\tP99.9\tMAX\tWAITED\tCLOCK P99.9\tCLOCK MAX\t")
	for _, p := range r.Phases {
		up := "down"
		if p.LinkUp {
			up = "up"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%v\t%v\t%v\t%v\t%d\t%v\t%v\t\n", p.Name, up, p.State, p.Calls, time.Duration(p.Own.P50), time.Duration(p.Own.P99),
			time.Duration(p.Own.P999), time.Duration(p.Own.Max), p.Own.Waited, time.Duration(p.Clock.P999), time.Duration(p.Clock.Max))
	}
	return t.Flush()
}
