package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
)

func newLabReplayCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Give control what a daemon has recorded, and see what it says",
		Long: `Reads what 'switchgear serve --record FILE' wrote and steps control through it,
as the daemon did: the same inputs give the same directives, byte for byte. A
file that is damaged ends it with the line.`,
		Example: `  switchgear serve --dev --record night.jsonl
  switchgear lab replay night.jsonl
  switchgear lab replay night.jsonl --json | jq .Directive.Reason`,
		Args: args(1, "FILE"),
		RunE: func(cmd *cobra.Command, files []string) error {
			f, err := os.Open(files[0])
			if err != nil {
				return withCode(exitInvalid, fmt.Errorf("replay: %w", err))
			}
			defer f.Close()
			out := bufio.NewWriter(cmd.OutOrStdout())
			err = replay(f, out, asJSON)
			if flushed := out.Flush(); err == nil && flushed != nil {
				return fmt.Errorf("replay: %w", flushed)
			}
			return withCode(exitInvalid, err)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "all that control says as JSON lines, with the time in nanoseconds since the record began")
	return cmd
}

// replayed is one line of replay --json: what is set says what kind it is of.
type replayed struct {
	At        int64
	To        *fleet.ReplicaID `json:",omitempty"`
	Directive *fleet.Directive `json:",omitempty"`
	Finding   *control.Notice  `json:",omitempty"`
	Member    *control.Member  `json:",omitempty"`
	Check     *control.Check   `json:",omitempty"`
}

func replay(from io.Reader, to io.Writer, asJSON bool) error {
	header, inputs, err := control.ReadTrace(from)
	if err != nil {
		return err
	}
	mind := control.New(header.Config)
	for _, in := range header.State {
		mind.Step(in)
	}
	lines := json.NewEncoder(to)
	for in, err := range inputs {
		if err != nil {
			return err
		}
		said := mind.Step(in)
		if asJSON {
			for _, line := range replayedOf(in.At, &said) {
				if err := lines.Encode(line); err != nil {
					return fmt.Errorf("replay: %w", err)
				}
			}
			continue
		}
		for i := range said.Directives {
			out := &said.Directives[i]
			who, d := "every replica", &out.Directive
			if out.To.Name != "" {
				who = out.To.Name
			}
			fmt.Fprintf(to, "%9.3f s  %s  to %s: %s, %.0f %% admitted, %d parts, %d leases; %s\n", in.At.Seconds(), d.Circuit, who, d.State, 100*d.Share, len(d.Parts), len(d.Leases), d.Reason)
		}
		for _, f := range said.Findings {
			fmt.Fprintf(to, "%9.3f s  %s  finding, %s: %s\n", in.At.Seconds(), f.Where(), f.Kind, f.Why)
		}
	}
	return nil
}

func replayedOf(at time.Duration, said *control.Said) (lines []replayed) {
	for i := range said.Directives {
		lines = append(lines, replayed{At: int64(at), To: &said.Directives[i].To, Directive: &said.Directives[i].Directive})
	}
	for i := range said.Findings {
		lines = append(lines, replayed{At: int64(at), Finding: &said.Findings[i]})
	}
	for i := range said.Members {
		lines = append(lines, replayed{At: int64(at), Member: &said.Members[i]})
	}
	for i := range said.Checks {
		lines = append(lines, replayed{At: int64(at), Check: &said.Checks[i]})
	}
	return lines
}
