package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// resource is one sort of things that get lists: M is the API's message.
type resource[M any] struct {
	use, alias, short, long, example string
	kind, none                       string
	prefix                           bool // it can be narrowed by prefix and namespace
	columns, wide                    []string
	read                             func(context.Context, *client, *listOptions) ([]M, error)
	name                             func(M) string
	row                              func(m M, wide bool) []string
	stable                           func(M) any // the form of -o json and -o yaml
}

type listOptions struct{ output, namespace, prefix string }

func (r *resource[M]) command() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use: r.use, Aliases: []string{r.alias}, Short: r.short, Long: r.long, Example: r.example,
		Args: func(cmd *cobra.Command, given []string) error {
			most := 0
			if r.prefix {
				most = 1
			}
			if len(given) > most {
				return usagef(cmd, "unexpected argument %q", given[most])
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "table", strings.Join(outputs, ", "))
	if r.prefix {
		cmd.Flags().StringVarP(&o.namespace, "namespace", "n", "", "only those of this `namespace`")
	}
	connectTo := serverOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if !slices.Contains(outputs, o.output) {
			return usagef(cmd, "output %q: want one of %s", o.output, strings.Join(outputs, ", "))
		}
		if len(given) == 1 {
			o.prefix = given[0]
		}
		c, err := connectTo()
		if err != nil {
			return err
		}
		all, err := r.read(cmd.Context(), c, &o)
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		if len(all) == 0 && (o.output == "table" || o.output == "wide") {
			fmt.Fprintln(cmd.ErrOrStderr(), r.none)
			return nil
		}
		return r.print(cmd.OutOrStdout(), all, o.output)
	}
	return cmd
}

func (r *resource[M]) print(w io.Writer, all []M, output string) error {
	if output == "name" {
		for _, m := range all {
			fmt.Fprintln(w, printable(r.name(m)))
		}
		return nil
	}
	if output == "json" || output == "yaml" {
		list := struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Items      []any  `json:"items"`
		}{apiVersion, r.kind + "List", make([]any, len(all))}
		for i, m := range all {
			list.Items[i] = r.stable(m)
		}
		if output == "json" {
			return printJSON(w, list)
		}
		return printYAML(w, list)
	}
	wide := output == "wide"
	rows := [][]string{slices.Clone(r.columns)}
	if wide {
		rows[0] = append(rows[0], r.wide...)
	}
	for _, m := range all {
		rows = append(rows, r.row(m, wide))
	}
	return printTable(w, rows...)
}

// pages reads every page: next asks for the one of a token.
func pages[M any](next func(token string) (items []M, after string, err error)) (all []M, err error) {
	for token := ""; ; {
		items, after, err := next(token)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if token = after; token == "" {
			return all, nil
		}
	}
}
