package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/datapunk/switchgear/server/api"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

func newGetReplicasCommand() *cobra.Command {
	r := &resource[*apiv1.FleetReplica]{
		use: "replicas [PREFIX]", alias: "replica", short: "List the replicas that report circuits",
		long: `List the replicas that report circuits, ordered by service and name. PREFIX is
how namespace/service begins; without a namespace it is in "default".`,
		example: `  switchgear get replicas
  switchgear get replicas shop/web -o wide`,
		kind: "Replica", none: "no replicas: none has reported a circuit, or none passes the filter", prefix: true,
		columns: []string{"SERVICE", "REPLICA", "BREAKERS", "OPEN", "REPORTED"}, wide: []string{"INCARNATION"},
		read: func(ctx context.Context, c *client, o *listOptions) ([]*apiv1.FleetReplica, error) {
			return pages(func(token string) ([]*apiv1.FleetReplica, string, error) {
				p, err := c.fleet.ListReplicas(ctx, &apiv1.ListReplicasRequest{Namespace: o.namespace, Prefix: o.prefix, PageToken: token})
				return p.GetReplicas(), p.GetNextPageToken(), err
			})
		},
		name: func(m *apiv1.FleetReplica) string { return m.GetService() + "/" + m.GetName() },
		row: func(m *apiv1.FleetReplica, wide bool) []string {
			row := []string{m.GetService(), m.GetName(), fmt.Sprint(m.GetBreakers()), fmt.Sprint(m.GetOpen()), ago(m.GetAge())}
			if wide {
				row = append(row, fmt.Sprint(m.GetIncarnation()))
			}
			return row
		},
		stable: func(m *apiv1.FleetReplica) any {
			return struct {
				Service     string  `json:"service"`
				Name        string  `json:"name"`
				Incarnation uint64  `json:"incarnation"`
				Breakers    uint32  `json:"breakers"`
				Open        uint32  `json:"open"`
				AgeSeconds  float64 `json:"ageSeconds"`
			}{m.GetService(), m.GetName(), m.GetIncarnation(), m.GetBreakers(), m.GetOpen(), seconds(m.GetAge())}
		},
	}
	return r.command()
}

func newGetEdgesCommand() *cobra.Command {
	r := &resource[*apiv1.Edge]{
		use: "edges [PREFIX]", alias: "edge", short: "List who calls whom, the routes of each pair together",
		long: `List who calls whom, ordered by name, the routes of each pair together. PREFIX is
how namespace/caller..namespace/callee begins; without a namespace it is in
"default".`,
		example: `  switchgear get edges
  switchgear get edges web..`,
		kind: "Edge", none: "no edges: no call was reported, or none passes the filter", prefix: true,
		columns: []string{"CALLER", "CALLEE", "CIRCUITS", "OPEN", "CALLS/S", "FAILURES"}, wide: []string{"REPLICAS"},
		read: func(ctx context.Context, c *client, o *listOptions) ([]*apiv1.Edge, error) {
			return pages(func(token string) ([]*apiv1.Edge, string, error) {
				p, err := c.fleet.ListEdges(ctx, &apiv1.ListEdgesRequest{Namespace: o.namespace, Prefix: o.prefix, PageToken: token})
				return p.GetEdges(), p.GetNextPageToken(), err
			})
		},
		name: func(m *apiv1.Edge) string { return m.GetCaller() + ".." + m.GetCallee() },
		row: func(m *apiv1.Edge, wide bool) []string {
			row := []string{
				m.GetCaller(), m.GetCallee(), fmt.Sprint(m.GetCircuits()), fmt.Sprint(m.GetOpen()),
				fmt.Sprintf("%.1f", m.GetCallsPerSecond()), fmt.Sprintf("%.1f%%", m.GetFailureRate()),
			}
			if wide {
				row = append(row, fmt.Sprint(m.GetReplicas()))
			}
			return row
		},
		stable: func(m *apiv1.Edge) any {
			return struct {
				Caller         string  `json:"caller"`
				Callee         string  `json:"callee"`
				Circuits       uint32  `json:"circuits"`
				Open           uint32  `json:"open"`
				Replicas       uint32  `json:"replicas"`
				CallsPerSecond float64 `json:"callsPerSecond"`
				FailureRate    float64 `json:"failureRate"`
			}{m.GetCaller(), m.GetCallee(), m.GetCircuits(), m.GetOpen(), m.GetReplicas(), m.GetCallsPerSecond(), m.GetFailureRate()}
		},
	}
	return r.command()
}

func newGetOverridesCommand() *cobra.Command {
	r := &resource[*apiv1.StandingOverride]{
		use: "overrides [PREFIX]", alias: "override", short: "List the overrides that stand, with the state calculated below each",
		long: `List the overrides that stand, ordered by circuit and instance. STATE is what is
calculated below the override. PREFIX is how the circuit's text form begins.`,
		example: `  switchgear get overrides
  switchgear get overrides -o wide`,
		kind: "Override", none: "no overrides: none stands, or none passes the filter", prefix: true,
		columns: []string{"CIRCUIT", "INSTANCE", "MODE", "STATE", "LEFT", "AUTHOR", "REASON"}, wide: []string{"BEGAN", "REVISION", "ID"},
		read: func(ctx context.Context, c *client, o *listOptions) ([]*apiv1.StandingOverride, error) {
			return pages(func(token string) ([]*apiv1.StandingOverride, string, error) {
				p, err := c.overrides.ListOverrides(ctx, &apiv1.ListOverridesRequest{Namespace: o.namespace, Prefix: o.prefix, PageToken: token})
				return p.GetOverrides(), p.GetNextPageToken(), err
			})
		},
		name: func(m *apiv1.StandingOverride) string {
			if m.GetInstance() == "" {
				return m.GetCircuit()
			}
			return m.GetCircuit() + "@" + m.GetInstance()
		},
		row: func(m *apiv1.StandingOverride, wide bool) []string {
			row := []string{
				m.GetCircuit(), dash(m.GetInstance()), api.Word(m.GetMode()), stateWord(m.GetState()), api.Age(m.GetLeft().AsDuration()), m.GetAuthor(), m.GetReason(),
			}
			if wide {
				row = append(row, instant(m.GetBegan()), fmt.Sprint(m.GetRevision()), m.GetId())
			}
			return row
		},
		stable: func(m *apiv1.StandingOverride) any {
			return struct {
				Circuit     string  `json:"circuit"`
				Instance    string  `json:"instance,omitempty"`
				Mode        string  `json:"mode"`
				State       string  `json:"state"`
				Author      string  `json:"author"`
				Reason      string  `json:"reason"`
				ID          string  `json:"id"`
				Began       string  `json:"began"`
				LeftSeconds float64 `json:"leftSeconds"`
				Revision    uint64  `json:"revision"`
			}{
				m.GetCircuit(), m.GetInstance(), api.Word(m.GetMode()), stateWord(m.GetState()), m.GetAuthor(), m.GetReason(), m.GetId(),
				instant(m.GetBegan()), seconds(m.GetLeft()), m.GetRevision(),
			}
		},
	}
	return r.command()
}

func newGetPausesCommand() *cobra.Command {
	r := &resource[*apiv1.StandingPause]{
		use: "pauses", alias: "pause", short: "List the pauses of automation that stand", example: `  switchgear get pauses`,
		kind: "Pause", none: "no pauses: automation goes on everywhere",
		columns: []string{"NAMESPACE", "LEFT", "AUTHOR", "REASON"}, wide: []string{"BEGAN", "REVISION", "ID"},
		read: func(ctx context.Context, c *client, _ *listOptions) ([]*apiv1.StandingPause, error) {
			p, err := c.overrides.ListPauses(ctx, &apiv1.ListPausesRequest{})
			return p.GetPauses(), err
		},
		name: func(m *apiv1.StandingPause) string { return scope(m) },
		row: func(m *apiv1.StandingPause, wide bool) []string {
			row := []string{scope(m), api.Age(m.GetLeft().AsDuration()), m.GetAuthor(), m.GetReason()}
			if wide {
				row = append(row, instant(m.GetBegan()), fmt.Sprint(m.GetRevision()), m.GetId())
			}
			return row
		},
		stable: func(m *apiv1.StandingPause) any {
			return struct {
				Namespace   string  `json:"namespace,omitempty"`
				All         bool    `json:"all"`
				Author      string  `json:"author"`
				Reason      string  `json:"reason"`
				ID          string  `json:"id"`
				Began       string  `json:"began"`
				LeftSeconds float64 `json:"leftSeconds"`
				Revision    uint64  `json:"revision"`
			}{
				m.GetNamespace(), m.GetNamespace() == "", m.GetAuthor(), m.GetReason(), m.GetId(),
				instant(m.GetBegan()), seconds(m.GetLeft()), m.GetRevision(),
			}
		},
	}
	return r.command()
}

// scope of a pause, as a table shows it.
func scope(m *apiv1.StandingPause) string {
	if m.GetNamespace() == "" {
		return "(all)"
	}
	return m.GetNamespace()
}

func stateWord(s apiv1.State) string {
	if s == apiv1.State_STATE_UNSPECIFIED {
		return "unknown"
	}
	return api.Word(s)
}

func ago(d *durationpb.Duration) string { return api.Age(d.AsDuration()) + " ago" }

func instant(t *timestamppb.Timestamp) string { return t.AsTime().UTC().Format(time.RFC3339) }

func seconds(d *durationpb.Duration) float64 { return d.AsDuration().Seconds() }
