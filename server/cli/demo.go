package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/server/demo"
)

func newDemoCommand() *cobra.Command {
	c := demo.Config{}
	var headless, asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a real fleet, protected together: four faults in two minutes",
		Long: `Starts a daemon and 17 replicas of six services as processes of this machine,
puts a steady load and fault proxies between them, and tells four chapters:
outage, weak_return, bad_instance and daemon_killed. All figures come from the
load and the proxies, which know the truth. Everything ends with the demo.

Exit status: 0 if every chapter kept its promises, 1 if not, 130 on Ctrl-C.`,
		Example: `  switchgear demo
  switchgear demo --no-daemon                # the same, each breaker alone
  switchgear demo --headless --json > r.json # for machines`,
		Args: args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.Validate(); err != nil {
				return usagef(cmd, "%w", err)
			}
			return runDemo(cmd, c, headless, asJSON)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&c.Duration, "duration", demo.DefaultDuration, "of the whole story, about; 1m to 1h")
	f.Uint64Var(&c.Seed, "seed", 1, "of what is left to chance")
	f.IntVar(&c.Port, "port", 0, "of the daemon on 127.0.0.1; 0 is any free one")
	f.BoolVar(&c.NoDaemon, "no-daemon", false, "leave each breaker alone; chapters that need a daemon are not kept")
	f.BoolVar(&headless, "headless", false, "lines instead of the live table, also on a terminal")
	f.BoolVar(&asJSON, "json", false, "one JSON object on standard output at the end; lines go to standard error")
	return cmd
}

func runDemo(cmd *cobra.Command, c demo.Config, headless, asJSON bool) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
	defer stop()
	var err error
	if c.Binary, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program's file, to start the services with: %w", err)
	}
	lines := cmd.OutOrStdout()
	if asJSON {
		lines = cmd.ErrOrStderr()
	} else if !headless {
		c.Screen = demo.NewScreen(os.Stdout)
	}
	c.Say = func(at time.Duration, sentence string) {
		if c.Screen == nil {
			fmt.Fprintf(lines, "%6.1f s  %s\n", at.Seconds(), sentence)
		}
	}
	r, err := demo.Run(ctx, c)
	if err != nil {
		return err
	}
	if asJSON {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
	} else {
		r.Print(lines)
	}
	switch { // everything has been said: an exit code without words
	case r.Interrupted:
		return exit(exitInterrupted)
	case !r.Kept():
		return exit(exitFailed)
	}
	return nil
}

// newDemoServiceCommand is one replica of the demo's services. The demo starts
// it; it ends with the demo.
func newDemoServiceCommand() *cobra.Command {
	return &cobra.Command{
		Use:    demo.ServiceCommand,
		Hidden: true,
		Args:   args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := demo.Serve(cmd.Context(), cmd.OutOrStdout()); err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		},
	}
}
