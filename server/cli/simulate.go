package cli

import (
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/internal/sim/scenario"
)

// maxScenarioFile is the largest file that is read, in bytes.
const maxScenarioFile = 1 << 20

func newLabSimulateCommand() *cobra.Command {
	var asJSON, alone bool
	var seed uint64
	cmd := &cobra.Command{
		Use:   "simulate FILE",
		Short: "Play a mesh and its faults in virtual time, with the real breakers and control",
		Long: `Reads a scenario, plays it, and prints what happened and what it cost: faults
beginning and ending, directives with their reasons, transitions, and for each
circuit what its calls came to. Beside it stands local: the same settings, seed
and calls without a daemon. docs/simulate.md describes the file.

Same file and seed, same result. Nothing is sent to anybody.`,
		Example: `  switchgear lab simulate docs/scenarios/chain.json
  switchgear lab simulate docs/scenarios/chain.json --seed 7
  switchgear lab simulate docs/scenarios/chain.json --json | jq '.circuits[] | {circuit, failed, secondsOpen}'`,
		Args: args(1, "FILE"),
		RunE: func(cmd *cobra.Command, files []string) error {
			s, err := readScenario(files[0])
			if err != nil {
				return withCode(exitInvalid, err)
			}
			if cmd.Flags().Changed("seed") {
				s.Seed = seed
			}
			var start runtime.MemStats
			runtime.GC() // what is garbage by now would be taken off the mesh
			runtime.ReadMemStats(&start)
			o := scenario.Options{
				Progress: progress(cmd, s, "simulated"),
				Heap: func() uint64 {
					var end runtime.MemStats
					runtime.GC()
					runtime.ReadMemStats(&end)
					return end.HeapAlloc - min(end.HeapAlloc, start.HeapAlloc)
				},
			}
			began := time.Now()
			r, err := scenario.Run(s, o)
			if err != nil {
				return simulateError(cmd, err)
			}
			took := time.Since(began)
			if !alone {
				local, err := scenario.Local(s, scenario.Options{Progress: progress(cmd, s, "local: simulated")})
				if err != nil {
					return simulateError(cmd, err)
				}
				r.AddPeer("local", local)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return printSimulation(cmd.OutOrStdout(), r, took)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "one object: requests, circuits with their peers, timeline, stats")
	f.BoolVar(&alone, "no-peers", false, "play it once, without local beside")
	f.Uint64Var(&seed, "seed", 0, "instead of the file's")
	return cmd
}

func readScenario(name string) (*scenario.Scenario, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxScenarioFile+1))
	if err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	s, err := scenario.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("simulate: %s is not a scenario, see docs/simulate.md:\n%w", name, err)
	}
	return s, nil
}

// progress says every ten seconds how far a run is, and ends it when the command
// is interrupted.
func progress(cmd *cobra.Command, s *scenario.Scenario, what string) func(time.Duration) bool {
	said := time.Now()
	return func(now time.Duration) bool {
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			fmt.Fprintf(cmd.ErrOrStderr(), "%s %v of %v\n", what, now.Round(100*time.Millisecond), s.Duration)
		}
		return cmd.Context().Err() == nil
	}
}

// simulateError is the interruption itself where there was one.
func simulateError(cmd *cobra.Command, err error) error {
	if ended := cmd.Context().Err(); ended != nil {
		return ended
	}
	return err
}

func printSimulation(w io.Writer, r *scenario.Result, took time.Duration) error {
	name := r.Scenario
	if name == "" {
		name = "scenario"
	}
	fmt.Fprintf(w, "%s, seed %d, %g s\n\n", name, r.Seed, r.Seconds)
	for _, e := range r.Timeline {
		fmt.Fprintf(w, "%9.3f s  %-10s  %s  %s\n", e.Seconds, e.What, e.Where, e.Text)
	}
	if r.TimelineMore > 0 {
		fmt.Fprintf(w, "and %d lines more\n", r.TimelineMore)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "REQUESTS OF\tMADE\tGOOD\tFAILED\tIGNORED")
	for _, q := range r.Requests {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\n", q.Service, q.Made, q.Good, q.Failed, q.Ignored)
	}
	fmt.Fprintln(t, "\nCIRCUIT\tBY\tCALLS\tGOOD\tFAILED\tINHERITED\tREJECTED\tCOLLATERAL\tOPENINGS\tOF INSTANCES\tOPEN S")
	line := func(circuit, by string, f *scenario.Figures) {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\n", circuit, by, f.Calls, f.Good, f.Failed, f.Inherited, f.Rejected, f.Collateral, f.Openings, f.InstanceOpenings, f.SecondsOpen)
	}
	faults := false
	for i := range r.Circuits {
		c := &r.Circuits[i]
		line(c.Circuit, "switchgear", &c.Figures)
		for _, name := range peerNames(c) {
			p := c.Peers[name]
			line("", name, &p)
		}
		faults = faults || len(c.Faults) > 0
	}
	if faults {
		fmt.Fprintln(t, "\nFAULT\tCIRCUIT\tBY\tFIRST OPEN AFTER\tALL OPEN AFTER\tFAILED BEFORE\tRECOVERED AFTER")
	}
	for i := range r.Circuits {
		c := &r.Circuits[i]
		for j, f := range c.Faults {
			fmt.Fprintf(t, "%d %s\t%s\tswitchgear\t%s\n", f.Fault, f.Kind, c.Circuit, foundWords(&f))
			for _, name := range peerNames(c) {
				if p := c.Peers[name].Faults; j < len(p) {
					fmt.Fprintf(t, "\t\t%s\t%s\n", name, foundWords(&p[j]))
				}
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	s := &r.Stats
	_, err := fmt.Fprintf(w, "\n%d replicas, %d breakers, %d objects, %d events, %d messages, %.1f MB; %.2f s, %.1f times as fast as real time\n",
		s.Replicas, s.Breakers, s.Objects, s.Events, s.Messages, float64(s.Bytes)/1e6, took.Seconds(), r.Seconds/took.Seconds())
	return err
}

func peerNames(c *scenario.CircuitResult) []string { return slices.Sorted(maps.Keys(c.Peers)) }

func foundWords(f *scenario.Found) string {
	s := func(v *float64) string {
		if v == nil {
			return "–"
		}
		return fmt.Sprintf("%.2f s", *v)
	}
	return strings.Join([]string{s(f.DetectSeconds), s(f.EverywhereSeconds), fmt.Sprint(f.FailedBefore), s(f.RecoverSeconds)}, "\t")
}
