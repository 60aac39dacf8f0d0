package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/policy"
	"github.com/datapunk/switchgear/server/policies"
)

func newPolicyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Versions and rollouts of the daemon's policies; policies in files, and their schema",
		Args:  args(0, ""),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPolicyHistoryCommand(), newPolicyRollbackCommand(), newPolicyRolloutCommand(), newPolicyDeleteCommand(), newPolicyCheckCommand(), newPolicyExplainCommand(), newPolicySchemaCommand())
	return cmd
}

func newPolicyCheckCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check PATH…",
		Short: "Read policies strictly: all that is wrong, and what is allowed but probably not meant",
		Long: `Reads YAML and JSON files, and of directories all *.yaml, *.yml and *.json in
them, as one set. What is wrong goes to standard error, with file and line, and
the exit code is 3. What is allowed but probably not meant is printed: policies
that tie and contradict each other, fields that do nothing.`,
		Example: `  switchgear policy check policies/
  switchgear policy check a.yaml b.json --json`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				return usagef(cmd, "PATH is missing: a file or directory of policies")
			}
			set, err := policies.Read(paths...)
			if err != nil {
				return withCode(exitInvalid, err)
			}
			found := set.Lint()
			if asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					Policies int              `json:"policies"`
					Findings []policy.Finding `json:"findings"`
				}{set.Len(), append([]policy.Finding{}, found...)})
			}
			for _, f := range found {
				fmt.Fprintln(cmd.OutOrStdout(), f)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d policies, %d findings\n", set.Len(), len(found))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "an object with the number of policies and the findings")
	return cmd
}

func newPolicyExplainCommand() *cobra.Command {
	var asJSON, all bool
	var labels map[string]string
	cmd := &cobra.Command{
		Use:   "explain CIRCUIT PATH…",
		Short: "What policies say of a circuit: each field, who gave it, who was overruled",
		Example: `  switchgear policy explain shop/checkout..bank/pay policies/
  switchgear policy explain checkout..pay policies/ --labels track=canary --all`,
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) < 2 {
				return usagef(cmd, "CIRCUIT or PATH is missing")
			}
			circuit, err := policy.ParseCircuit(given[0])
			if err != nil {
				return usagef(cmd, "%w", err)
			}
			set, err := policies.Read(given[1:]...)
			if err != nil {
				return withCode(exitInvalid, err)
			}
			if set, err = set.With(policy.Environment{Labels: labels}); err != nil {
				return withCode(exitInvalid, err)
			}
			e := set.Explain(circuit)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), e)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "FIELD\tVALUE\tFROM\tOVERRULED\tNOTE")
			for _, f := range e.Fields {
				if f.Origin.Policy == "" && len(f.Losers) == 0 && f.Note == "" && !all {
					continue
				}
				overruled := ""
				for i, l := range f.Losers {
					if i > 0 {
						overruled += "; "
					}
					overruled += fmt.Sprintf("%s by %s", l.Value, l.Origin)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.Field, f.Value, f.Origin, overruled, f.Note)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "the whole explanation as an object")
	cmd.Flags().BoolVar(&all, "all", false, "fields that nobody sets, too")
	cmd.Flags().StringToStringVar(&labels, "labels", nil, "`LABEL=VALUE` of the calling process, which policies can select")
	return cmd
}

func newPolicySchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema (2020-12) of policies, for editors and checks",
		Args:  args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(policy.Schema())
			return err
		},
	}
}
