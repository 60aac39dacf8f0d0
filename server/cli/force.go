package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear/server/api"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

// forceModes are the words of the command line for what a person can force.
var forceModes = map[string]apiv1.Mode{
	"open": apiv1.Mode_MODE_FORCED_OPEN, "metrics-only": apiv1.Mode_MODE_METRICS_ONLY, "off": apiv1.Mode_MODE_OFF,
}

func newForceCommand() *cobra.Command {
	var q apiv1.ForceRequest
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "force open|metrics-only|off CIRCUIT --for DURATION --reason TEXT",
		Short: "Put a circuit under your word: reject every call, or none",
		Long: `Put a circuit, or one instance of it, under your word for a time:

  open          every call is rejected; the calculated state stands still
  metrics-only  no call is rejected; states are still calculated and shown
  off           no call is rejected, and nothing is judged

It says first what is hit, and asks on a terminal. The override ends by itself on
each replica's own clock, also when no daemon runs any more; what was forced open
is half open then. Another override that stands there is replaced, and shown.`,
		Example: `  switchgear force open web..checkout --for 15m --reason "database is moved"
  switchgear force metrics-only web..checkout --instance 10.0.0.7:8080 --for 1h --reason "false alarm, ticket 12"`,
		Args: func(cmd *cobra.Command, given []string) error {
			switch {
			case len(given) == 0:
				return usagef(cmd, "say what to force: open, metrics-only or off")
			case forceModes[given[0]] == 0:
				return usagef(cmd, "mode %q: want %s", given[0], strings.Join(slices.Sorted(maps.Keys(forceModes)), ", "))
			}
			return args(1, "the circuit, such as web..checkout,")(cmd, given[1:])
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.Instance, "instance", "", "only this instance of the callee, as `ADDRESS`:port")
	f.DurationVar(&ttl, "for", 0, "how `long` it stands, such as 15m; required")
	f.StringVar(&q.Reason, "reason", "", "`why`, for everybody who meets it; required")
	f.BoolVar(&q.AllowUnknown, "allow-unknown", false, "also a circuit that no replica has reported")
	f.Uint64Var(&q.ExpectedRevision, "revision", 0, "the `revision` of the override that it replaces (default that which the preview shows)")
	connectTo, author, confirm := serverOption(cmd), authorOption(cmd), yesOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) (err error) {
		if err := required(cmd, "for", "reason"); err != nil {
			return err
		}
		if q.Author, err = author(); err != nil {
			return err
		}
		c, err := connectTo()
		if err != nil {
			return err
		}
		q.Mode, q.Circuit, q.TimeToLive = forceModes[given[0]], given[1], durationpb.New(ttl)
		p, err := c.overrides.Preview(cmd.Context(), &apiv1.PreviewRequest{Action: &apiv1.PreviewRequest_Force{Force: &q}})
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		fmt.Fprintln(cmd.ErrOrStderr(), printable(p.GetSentence()))
		if err := confirm(); err != nil {
			return err
		}
		q.Circuit = p.GetCircuit()
		if !cmd.Flags().Changed("revision") {
			q.ExpectedRevision = p.GetOverride().GetRevision()
		}
		r, err := c.overrides.Force(cmd.Context(), &q)
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		o := r.GetOverride()
		fmt.Fprintf(cmd.OutOrStdout(), "%s is %s until %s (%s), revision %d\n", printable(where(o.GetCircuit(), o.GetInstance())), api.Word(o.GetMode()),
			o.GetBegan().AsTime().Add(o.GetTimeToLive().AsDuration()).UTC().Format(time.RFC3339), o.GetId(), o.GetRevision())
		return nil
	}
	return cmd
}

// required refuses a command without these flags, in one sentence for each.
func required(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if !cmd.Flags().Changed(name) {
			return usagef(cmd, "--%s is missing: %s", name, strings.TrimSuffix(strings.ReplaceAll(cmd.Flags().Lookup(name).Usage, "`", ""), "; required"))
		}
	}
	return nil
}

func where(circuit, instance string) string {
	if instance == "" {
		return circuit
	}
	return "instance " + instance + " of " + circuit
}

func newReleaseCommand() *cobra.Command {
	var q apiv1.ReleaseRequest
	cmd := &cobra.Command{
		Use:   "release CIRCUIT",
		Short: "End an override now",
		Long: `End the override of a circuit, or of one instance of it. What was forced open is
half open then: probes find out whether it may close.`,
		Example: `  switchgear release web..checkout
  switchgear release web..checkout --instance 10.0.0.7:8080 --reason "it is mended"`,
		Args: args(1, "the circuit, such as web..checkout,"),
	}
	f := cmd.Flags()
	f.StringVar(&q.Instance, "instance", "", "the override of this instance of the callee, as `ADDRESS`:port")
	f.StringVar(&q.Reason, "reason", "", "`why`, for the record")
	f.Uint64Var(&q.ExpectedRevision, "revision", 0, "the `revision` of the override that is meant (default whichever stands)")
	connectTo, author, confirm := serverOption(cmd), authorOption(cmd), yesOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) (err error) {
		if q.Author, err = author(); err != nil {
			return err
		}
		c, err := connectTo()
		if err != nil {
			return err
		}
		q.Circuit = given[0]
		p, err := c.overrides.Preview(cmd.Context(), &apiv1.PreviewRequest{Action: &apiv1.PreviewRequest_Release{Release: &q}})
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		q.Circuit = p.GetCircuit()
		if p.GetOverride() != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), printable(p.GetSentence()))
			if err := confirm(); err != nil {
				return err
			}
		}
		r, err := c.overrides.Release(cmd.Context(), &q)
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		o := r.GetOverride()
		fmt.Fprintf(cmd.OutOrStdout(), "%s is no longer %s\n", printable(where(o.GetCircuit(), o.GetInstance())), api.Word(o.GetMode()))
		return nil
	}
	return cmd
}
