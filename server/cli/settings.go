package cli

import (
	"fmt"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/policy"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

// explained is the stable form of a circuit's settings.
type explained struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Circuit    string             `json:"circuit"`
	Revision   string             `json:"revision,omitempty"`
	Enforced   bool               `json:"enforced"`
	Policies   []string           `json:"policies"`
	Fields     []policy.Explained `json:"fields"`
}

// whySettings explains the settings of a circuit; one that is not known is
// explained too, under the name that was given.
func whySettings(cmd *cobra.Command, c *client, name, output string) error {
	r, err := c.GetCircuit(cmd.Context(), &apiv1.GetCircuitRequest{Name: name})
	switch {
	case err == nil:
		name = r.GetCircuit().GetName()
	case connect.CodeOf(err) != connect.CodeNotFound:
		return c.explain(cmd.Context(), err)
	}
	e, err := c.policies.ExplainCircuit(cmd.Context(), &apiv1.ExplainCircuitRequest{Circuit: name})
	if err != nil {
		return c.explain(cmd.Context(), err)
	}
	x := explained{apiVersion, "Settings", e.GetCircuit(), e.GetRevision(), e.GetEnforced(), append([]string{}, e.GetPolicies()...), nil}
	for _, f := range e.GetFields() {
		y := policy.Explained{Field: f.GetField(), Value: f.GetValue(), Origin: originOf(f.GetOrigin()), Note: f.GetNote()}
		for _, l := range f.GetLosers() {
			y.Losers = append(y.Losers, policy.Loser{Value: l.GetValue(), Origin: originOf(l.GetOrigin())})
		}
		x.Fields = append(x.Fields, y)
	}
	w := cmd.OutOrStdout()
	switch output {
	case "json":
		return printJSON(w, x)
	case "yaml":
		return printYAML(w, x)
	}
	enforced := "directives are only shown: no policy says mode: enforce"
	if x.Enforced {
		enforced = "directives are enforced"
	}
	if len(x.Policies) == 0 {
		fmt.Fprintf(w, "%s: no stored policy selects it, so its replicas run on their own settings; these are the defaults; %s\n\n", printable(x.Circuit), enforced)
	} else {
		fmt.Fprintf(w, "%s runs on revision %s; %s\n\n", printable(x.Circuit), dash(x.Revision), enforced)
	}
	rows := [][]string{{"FIELD", "VALUE", "FROM", "OVERRULED", "NOTE"}}
	for _, f := range x.Fields {
		overruled := ""
		for i, l := range f.Losers {
			if i > 0 {
				overruled += "; "
			}
			overruled += fmt.Sprintf("%s by %s", l.Value, l.Origin)
		}
		rows = append(rows, []string{f.Field, dash(f.Value), f.Origin.String(), dash(overruled), f.Note})
	}
	return printTable(w, rows...)
}

func originOf(o *apiv1.Origin) policy.Origin {
	return policy.Origin{Word: o.GetWord(), Policy: o.GetPolicy(), Preset: o.GetPreset(), File: o.GetFile(), Line: int(o.GetLine())}
}
