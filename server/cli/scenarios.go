package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/sim/story"
	"github.com/datapunk/switchgear/server/live"
)

func newLabScenariosCommand() *cobra.Command {
	var o story.Options
	var asJSON, asMarkdown, isLive bool
	var without string
	cmd := &cobra.Command{
		Use:   "scenarios",
		Short: "Measure what is promised in ten scenarios, in virtual time",
		Long: `Plays the ten scenarios that operators judge by, over several seeds of which the
worst decides, and prints what was promised and what was measured. Beside it
stand peers on the same meshes and dice: the same policy without a daemon, and
the rules of gobreaker and resilience4j at their defaults, re-stated. What a
later release owes is shown as pending.

--live measures those that are about processes and sockets with real ones: this
binary as the daemon, replicas as processes, HTTP over loopback. That takes about
fifteen minutes, and a quiet machine; nothing falls back to virtual time.

--without switches mechanisms of control off, to see which promises need them;
then no peers are played. Exits with 1 where something measured is not kept.`,
		Example: `  switchgear lab scenarios
  switchgear lab scenarios --only 1,4 --seeds 1
  switchgear lab scenarios --live --only 1
  switchgear lab scenarios --json --without quorum | jq '.[] | select(.kept | not)'`,
		Args: args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Without, err = control.ParseWithout(without); err != nil {
				return usagef(cmd, "--%v", err)
			}
			if o.Seeds < 1 || o.Seeds > 1000 {
				return usagef(cmd, "--seeds %d: want 1 to 1000", o.Seeds)
			}
			for _, n := range o.Scenarios {
				if n < 1 || n > 10 {
					return usagef(cmd, "--only %d: want 1 to 10", n)
				}
			}
			if isLive {
				if without != "" {
					return usagef(cmd, "--live and --without: mechanisms are switched off in virtual time alone")
				}
				for _, n := range o.Scenarios {
					if !slices.Contains(live.Scenarios(), n) {
						return usagef(cmd, "--live --only %d: of live ones there are %v", n, live.Scenarios())
					}
				}
				rows, err := measureLive(cmd, o.Scenarios)
				if err != nil {
					return err
				}
				return showScenarios(cmd, rows, asJSON, asMarkdown)
			}
			o.NoPeers = o.NoPeers || without != ""
			jobs := story.Jobs(o)
			results := make([]story.Result, len(jobs))
			failed := make([]error, len(jobs))
			if err := parallel(cmd.Context(), len(jobs), "plays", cmd.ErrOrStderr(), func(i int) { results[i], failed[i] = jobs[i].Run() }); err != nil {
				return err
			}
			if err := errors.Join(failed...); err != nil {
				return err
			}
			rows := story.Rows(o, results)
			if err := live.InProcess(rows); err != nil {
				return err
			}
			return showScenarios(cmd, rows, asJSON, asMarkdown)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "an array of rows, one for each promise")
	f.BoolVar(&asMarkdown, "markdown", false, "a table for documents")
	f.BoolVar(&isLive, "live", false, "with processes and sockets, in real time")
	f.StringVar(&without, "without", "", "mechanisms to switch off: coordination,locate,guard,inherited,quorum,grading")
	f.IntVar(&o.Seeds, "seeds", story.Seeds, "seeds of each promise; some take fewer, and peers one")
	f.IntSliceVar(&o.Scenarios, "only", nil, "only these scenarios (default all)")
	f.BoolVar(&o.NoPeers, "no-peers", false, "measure switchgear alone")
	return cmd
}

// measureLive plays scenarios with processes of this binary.
func measureLive(cmd *cobra.Command, scenarios []int) ([]story.Row, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's file, to start the processes with: %w", err)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
	defer stop()
	return live.Run(ctx, live.Config{Binary: binary, Scenarios: scenarios, Seed: 1, Say: func(sentence string) {
		fmt.Fprintln(cmd.ErrOrStderr(), sentence)
	}})
}

// newLiveReplicaCommand is one process of lab scenarios --live, which starts it and
// ends it.
func newLiveReplicaCommand() *cobra.Command {
	return &cobra.Command{
		Use:    live.ReplicaCommand,
		Hidden: true,
		Args:   args(0, ""),
		RunE:   func(cmd *cobra.Command, _ []string) error { return live.Serve(cmd.Context(), cmd.OutOrStdout()) },
	}
}

// showScenarios prints rows, and is an error where one is not kept.
func showScenarios(cmd *cobra.Command, rows []story.Row, asJSON, asMarkdown bool) (err error) {
	switch {
	case asJSON:
		err = printJSON(cmd.OutOrStdout(), rows)
	case asMarkdown:
		printScenarios(cmd.OutOrStdout(), rows, "| ", " | ", " |")
	default:
		t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		printScenarios(t, rows, "", "\t", "")
		err = t.Flush()
	}
	if err == nil && !story.Kept(rows) {
		err = errors.New("not everything that was measured is kept")
	}
	return err
}

// printScenarios writes a table whose lines begin, go on and end so.
func printScenarios(w io.Writer, rows []story.Row, begin, next, end string) {
	var peers []string
	if slices.ContainsFunc(rows, func(r story.Row) bool { return !r.Live }) {
		peers = story.Peers()
	}
	line := func(cells []string) { fmt.Fprintln(w, begin+strings.Join(cells, next)+end) }
	line(append([]string{"scenario", "measure", "promised", "measured", "kept"}, peers...))
	if begin != "" {
		line(slices.Repeat([]string{"---"}, 5+len(peers)))
	}
	for _, r := range rows {
		measured, kept := "–", "yes"
		if r.Measured != nil {
			measured = figure(*r.Measured)
		}
		switch {
		case r.Pending != "":
			kept = "pending: " + r.Pending
		case !r.Kept:
			kept = "no"
		}
		cells := []string{fmt.Sprintf("%d %s", r.Scenario, r.Name), r.Measure, r.Op + " " + figure(r.Promised), measured, kept}
		for _, p := range peers {
			cell := "–"
			if x, known := r.Peers[p]; known {
				cell = figure(x)
			}
			cells = append(cells, cell)
		}
		line(cells)
	}
}

func figure(x float64) string { return fmt.Sprintf("%.4g", x) }
