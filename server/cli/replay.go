package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/internal/control"
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
	cmd.Flags().BoolVar(&asJSON, "json", false, "directives as JSON lines, with the time in nanoseconds since the record began")
	return cmd
}

// replayed is one line of replay --json.
type replayed struct {
	At int64
	control.Output
}

func replay(from io.Reader, to io.Writer, asJSON bool) error {
	header, inputs, err := control.ReadTrace(from)
	if err != nil {
		return err
	}
	mind := control.New(header.Config)
	lines := json.NewEncoder(to)
	for in, err := range inputs {
		if err != nil {
			return err
		}
		for _, out := range mind.Step(in) {
			if asJSON {
				if err := lines.Encode(replayed{int64(in.At), out}); err != nil {
					return fmt.Errorf("replay: %w", err)
				}
				continue
			}
			who, d := "every replica", &out.Directive
			if out.To.Name != "" {
				who = out.To.Name
			}
			fmt.Fprintf(to, "%9.3f s  %s  to %s: %s, %.0f %% admitted, %d parts, %d leases; %s\n", in.At.Seconds(), d.Circuit, who, d.State, 100*d.Share, len(d.Parts), len(d.Leases), d.Reason)
		}
	}
	return nil
}
