package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/server/api"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

func newWhyCommand() *cobra.Command {
	var output string
	var settings bool
	cmd := &cobra.Command{
		Use:   "why CIRCUIT",
		Short: "Say what is going on with a circuit, and on which evidence",
		Long: `Say in a sentence what is going on with one circuit, and then what it rests on:
the figures, the parts with a verdict of their own, and each replica's breaker.

CIRCUIT is the circuit's text form, or how it begins where only one does so.`,
		Example: `  switchgear why web..checkout
  switchgear why shop/web..shop/pay -o json
  switchgear why web..checkout --settings`,
		Args: args(1, "the circuit, such as web..checkout,"),
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text, json or yaml")
	cmd.Flags().BoolVar(&settings, "settings", false, "say of each field of its settings which stored policy gave it, and which were overruled")
	connectTo := serverOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if output != "text" && output != "json" && output != "yaml" {
			return usagef(cmd, "output %q: want text, json or yaml", output)
		}
		c, err := connectTo()
		if err != nil {
			return err
		}
		if settings {
			return whySettings(cmd, c, given[0], output)
		}
		r, err := c.GetCircuit(cmd.Context(), &apiv1.GetCircuitRequest{Name: given[0]})
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		w := cmd.OutOrStdout()
		answer := struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Sentence   string `json:"sentence"`
			circuit
		}{apiVersion, "Circuit", r.GetSentence(), circuitOf(r.GetCircuit())}
		switch output {
		case "json":
			return printJSON(w, answer)
		case "yaml":
			return printYAML(w, answer)
		}
		return printWhy(w, r)
	}
	return cmd
}

func printWhy(w io.Writer, r *apiv1.GetCircuitResponse) error {
	m := r.GetCircuit()
	fmt.Fprintf(w, "%s\n\n", printable(r.GetSentence()))
	rows := [][]string{
		{"failures", fmt.Sprintf("%.1f%% over the window", m.GetFailureRate())},
		{"calls", fmt.Sprintf("%.1f/s", m.GetCallsPerSecond())},
		{"admitted", fmt.Sprintf("%.0f%%", 100*m.GetShare())},
		{"breakers", fmt.Sprintf("%d of %d not closed", m.GetOpen(), m.GetBreakers())},
		{"state", api.Word(m.GetState()) + ", as calculated"},
		{"mode", api.Word(m.GetMode())},
	}
	if o := m.GetOverride(); o != nil {
		rows = append(rows, []string{"override", fmt.Sprintf("%s by %s for another %s: %s", api.Word(o.GetMode()), o.GetAuthor(), api.Age(o.GetLeft().AsDuration()), o.GetReason())})
	}
	if err := printTable(w, rows...); err != nil {
		return err
	}
	if len(m.GetParts()) > 0 {
		rows = [][]string{{"INSTANCE", "STATE", "SINCE", "ADMITTED", "OVERRIDE", "WHY"}}
		for _, p := range m.GetParts() {
			word := "-"
			if o := p.GetOverride(); o != nil {
				word = fmt.Sprintf("%s by %s for another %s", api.Word(o.GetMode()), o.GetAuthor(), api.Age(o.GetLeft().AsDuration()))
			}
			rows = append(rows, []string{
				p.GetInstance(), api.Word(p.GetState()), api.Age(p.GetSince().AsDuration()), fmt.Sprintf("%.0f%%", 100*p.GetShare()), word, dash(p.GetWhy()),
			})
		}
		fmt.Fprintln(w)
		if err := printTable(w, rows...); err != nil {
			return err
		}
	}
	rows = [][]string{{"REPLICA", "STATE", "MODE", "GENERATION", "REPORTED"}}
	for _, x := range m.GetReplicas() {
		rows = append(rows, []string{
			x.GetName(), api.Word(x.GetState()), api.Word(x.GetMode()), fmt.Sprint(x.GetGeneration()), api.Age(x.GetAge().AsDuration()) + " ago",
		})
	}
	fmt.Fprintln(w)
	return printTable(w, rows...)
}
