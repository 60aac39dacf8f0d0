package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/server/api"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

const resources = "circuits, replicas, edges, overrides, pauses, policies"

var outputs = []string{"table", "wide", "json", "yaml", "name"}

func newGetCommand() *cobra.Command {
	get := &cobra.Command{
		Use:   "get RESOURCE",
		Short: "List what the daemon knows: " + resources,
		Args: func(cmd *cobra.Command, given []string) error {
			if len(given) == 0 {
				return usagef(cmd, "say what to get: %s", resources)
			}
			return usagef(cmd, "there is no resource %q: want one of %s", given[0], resources)
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	get.AddCommand(newGetCircuitsCommand(), newGetReplicasCommand(), newGetEdgesCommand(), newGetOverridesCommand(), newGetPausesCommand(), newGetPoliciesCommand())
	return get
}

type getOptions struct {
	output, namespace string
	states            []string
	watch             bool
}

func newGetCircuitsCommand() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:     "circuits [PREFIX]",
		Aliases: []string{"circuit"},
		Short:   "List circuits: who calls whom, in which state, and why",
		Long: `List circuits, ordered by name. PREFIX is how the circuit's text form begins,
namespace/caller..namespace/callee#route; names without a namespace are in
"default".`,
		Example: `  switchgear get circuits
  switchgear get circuits --state open -o wide
  switchgear get circuits web.. -w`,
		Args: func(cmd *cobra.Command, given []string) error {
			if len(given) > 1 {
				return usagef(cmd, "unexpected argument %q", given[1])
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", "table", strings.Join(outputs, ", "))
	f.StringVarP(&o.namespace, "namespace", "n", "", "only circuits whose callee is in this `namespace`")
	f.StringSliceVar(&o.states, "state", nil, "only circuits in these `states`: closed, open, half_open")
	f.BoolVarP(&o.watch, "watch", "w", false, "go on, and print each circuit again when it has changed")
	connectTo := serverOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if !slices.Contains(outputs, o.output) {
			return usagef(cmd, "output %q: want one of %s", o.output, strings.Join(outputs, ", "))
		}
		q := &apiv1.ListCircuitsRequest{Namespace: o.namespace}
		if len(given) == 1 {
			q.Prefix = given[0]
		}
		for _, word := range o.states {
			s, err := api.StateOf(word)
			if err != nil {
				return usagef(cmd, "%w", err)
			}
			q.States = append(q.States, s)
		}
		c, err := connectTo()
		if err != nil {
			return err
		}
		if o.watch {
			return printWatch(cmd.Context(), c, q, cmd.OutOrStdout(), o.output)
		}
		all, err := c.list(cmd.Context(), q)
		if err != nil {
			return err
		}
		if len(all) == 0 && (o.output == "table" || o.output == "wide") {
			fmt.Fprintln(cmd.ErrOrStderr(), "no circuits: none was reported, or none passes the filter")
			return nil
		}
		return printCircuits(cmd.OutOrStdout(), all, o.output)
	}
	return cmd
}

// list reads every page.
func (c *client) list(ctx context.Context, q *apiv1.ListCircuitsRequest) ([]*apiv1.Circuit, error) {
	var all []*apiv1.Circuit
	q.PageToken = ""
	for {
		r, err := c.ListCircuits(ctx, q)
		if err != nil {
			return nil, c.explain(ctx, err)
		}
		all = append(all, r.GetCircuits()...)
		if q.PageToken = r.GetNextPageToken(); q.PageToken == "" {
			return all, nil
		}
	}
}

func printCircuits(w io.Writer, all []*apiv1.Circuit, output string) error {
	list := circuitList{apiVersion, "CircuitList", make([]circuit, len(all))}
	wide := output == "wide"
	rows := [][]string{columns}
	if wide {
		rows = [][]string{wideColumns}
	}
	rows = [][]string{slices.Clone(rows[0])}
	for i, m := range all {
		list.Items[i] = circuitOf(m)
		rows = append(rows, row(m, wide))
	}
	switch output {
	case "json":
		return printJSON(w, list)
	case "yaml":
		return printYAML(w, list)
	case "name":
		for _, m := range all {
			fmt.Fprintln(w, m.GetName())
		}
		return nil
	}
	return printTable(w, rows...)
}

// printChanged prints one line per circuit in JSON, documents in YAML, rows of a
// table else.
func printChanged(w io.Writer, changed []*apiv1.Circuit, output string, first bool) error {
	switch output {
	case "json":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		for _, m := range changed {
			if err := e.Encode(circuitOf(m)); err != nil {
				return err
			}
		}
		return nil
	case "yaml":
		for _, m := range changed {
			fmt.Fprintln(w, "---")
			if err := printYAML(w, circuitOf(m)); err != nil {
				return err
			}
		}
		return nil
	case "name":
		return printCircuits(w, changed, output)
	}
	if len(changed) == 0 {
		return nil
	}
	var b strings.Builder
	if err := printCircuits(&b, changed, output); err != nil {
		return err
	}
	text := b.String()
	if !first {
		_, text, _ = strings.Cut(text, "\n")
	}
	_, err := io.WriteString(w, text)
	return err
}
