package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/server/api"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

// stored is the stable form of one version of a policy.
type stored struct {
	Name     string `json:"name"`
	Version  uint64 `json:"version"`
	Time     string `json:"time"`
	Author   string `json:"author"`
	Reason   string `json:"reason,omitempty"`
	Deleted  bool   `json:"deleted,omitempty"`
	Document string `json:"document,omitempty"`
}

func storedOf(m *apiv1.Policy) stored {
	return stored{m.GetName(), m.GetVersion(), instant(m.GetTime()), m.GetAuthor(), m.GetReason(), m.GetDeleted(), m.GetDocument()}
}

func newGetPoliciesCommand() *cobra.Command {
	var output string
	var q apiv1.ListPoliciesRequest
	cmd := &cobra.Command{
		Use: "policies [NAME]", Aliases: []string{"policy"},
		Short: "List the policies that the daemon keeps",
		Long: `List the policies that the daemon keeps, ordered by name. NAME is namespace/name,
or the name alone of one without a namespace. With -o yaml they are printed as
they can be applied again.`,
		Example: `  switchgear get policies
  switchgear get policies -l team=ledger -o name
  switchgear get policies bank/payments -o yaml`,
		Args: func(cmd *cobra.Command, given []string) error {
			if len(given) > 1 {
				return usagef(cmd, "unexpected argument %q", given[1])
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&output, "output", "o", "table", strings.Join(outputs, ", "))
	f.StringVarP(&q.Namespace, "namespace", "n", "", "only those of this `namespace`")
	f.StringToStringVarP(&q.Labels, "selector", "l", nil, "only those with this `LABEL=VALUE`; all must fit")
	connectTo := serverOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if !slices.Contains(outputs, output) {
			return usagef(cmd, "output %q: want one of %s", output, strings.Join(outputs, ", "))
		}
		c, err := connectTo()
		if err != nil {
			return err
		}
		var all []*apiv1.Policy
		var age time.Duration
		if len(given) == 1 {
			r, err := c.policies.GetPolicy(cmd.Context(), &apiv1.GetPolicyRequest{Name: given[0]})
			if err != nil {
				return c.explain(cmd.Context(), err)
			}
			all, age = []*apiv1.Policy{r.GetPolicy()}, r.GetAge().AsDuration()
		} else {
			all, err = pages(func(token string) ([]*apiv1.Policy, string, error) {
				q.PageToken = token
				r, err := c.policies.ListPolicies(cmd.Context(), &q)
				age = r.GetAge().AsDuration()
				return r.GetPolicies(), r.GetNextPageToken(), err
			})
			if err != nil {
				return c.explain(cmd.Context(), err)
			}
		}
		if age > staleAfter {
			fmt.Fprintf(cmd.ErrOrStderr(), "as of %s ago: the daemon's store does not answer, and changes by others may be missing\n", api.Age(age))
		}
		return printPolicies(cmd, all, output)
	}
	return cmd
}

// staleAfter is beyond what a store that answers ever shows.
const staleAfter = 5 * time.Second

func printPolicies(cmd *cobra.Command, all []*apiv1.Policy, output string) error {
	w := cmd.OutOrStdout()
	switch output {
	case "name":
		for _, m := range all {
			fmt.Fprintln(w, printable(m.GetName()))
		}
		return nil
	case "json":
		list := struct {
			APIVersion string   `json:"apiVersion"`
			Kind       string   `json:"kind"`
			Items      []stored `json:"items"`
		}{apiVersion, "PolicyList", make([]stored, len(all))}
		for i, m := range all {
			list.Items[i] = storedOf(m)
		}
		return printJSON(w, list)
	case "yaml":
		for i, m := range all {
			if i > 0 {
				fmt.Fprintln(w, "---")
			}
			// At the end, so that lines are those that explanations name.
			fmt.Fprintf(w, "%s# version %d, %s by %s\n", printableLines(m.GetDocument()), m.GetVersion(), instant(m.GetTime()), printable(m.GetAuthor()))
		}
		return nil
	}
	if len(all) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "no policies: none is stored, or none passes the filter; store some with 'switchgear apply -f FILE'")
		return nil
	}
	columns := []string{"POLICY", "VERSION", "CHANGED", "AUTHOR"}
	if output == "wide" {
		columns = append(columns, "REASON")
	}
	rows := [][]string{columns}
	for _, m := range all {
		row := []string{m.GetName(), fmt.Sprint(m.GetVersion()), instant(m.GetTime()), m.GetAuthor()}
		if output == "wide" {
			row = append(row, dash(m.GetReason()))
		}
		rows = append(rows, row)
	}
	return printTable(w, rows...)
}

func newPolicyHistoryCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "List the versions of a policy: who changed it, when and why",
		Long: `List the versions of a policy that the daemon keeps, the last one first; 64 at
most. The history of a deleted policy stays.`,
		Args: args(1, "NAME, as namespace/name or the name alone,"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "an object with the versions and their documents")
	connectTo := serverOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		c, err := connectTo()
		if err != nil {
			return err
		}
		r, err := c.policies.GetPolicy(cmd.Context(), &apiv1.GetPolicyRequest{Name: given[0], WithHistory: true})
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		if asJSON {
			return printPolicies(cmd, r.GetHistory(), "json")
		}
		rows := [][]string{{"VERSION", "TIME", "AUTHOR", "WHAT", "REASON"}}
		for i, m := range r.GetHistory() {
			what := "configured"
			switch {
			case m.GetDeleted():
				what = "deleted"
			case m.GetVersion() == 1 || i+1 < len(r.GetHistory()) && r.GetHistory()[i+1].GetDeleted():
				what = "created"
			}
			rows = append(rows, []string{fmt.Sprint(m.GetVersion()), instant(m.GetTime()), m.GetAuthor(), what, dash(m.GetReason())})
		}
		return printTable(cmd.OutOrStdout(), rows...)
	}
	return cmd
}

func newPolicyRollbackCommand() *cobra.Command {
	var q apiv1.RollbackPolicyRequest
	cmd := &cobra.Command{
		Use:   "rollback NAME",
		Short: "Put an earlier version of a policy in force again",
		Long: `Write an earlier version of a policy once more, as a new version: the one before
the last, or that of --to. It comes back where it was deleted. It is in force at
every replica within a second.`,
		Example: `  switchgear policy rollback payments
  switchgear policy rollback bank/payments --to 3 --reason "ticket 12"`,
		Args: args(1, "NAME, as namespace/name or the name alone,"),
	}
	f := cmd.Flags()
	f.Uint64Var(&q.ToVersion, "to", 0, "the `version` to write once more (default the one before the last)")
	f.Uint64Var(&q.ExpectedVersion, "expect", 0, "the `version` that must be in force (default whichever is)")
	f.StringVar(&q.Reason, "reason", "", "`why`, for the history")
	connectTo, author := serverOption(cmd), authorOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) (err error) {
		q.Name = given[0]
		if q.Author, err = author(); err != nil {
			return err
		}
		c, err := connectTo()
		if err != nil {
			return err
		}
		r, err := c.policies.RollbackPolicy(cmd.Context(), &q)
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		x := r.GetChange()
		fmt.Fprintf(cmd.OutOrStdout(), "%s rolled back from version %d, as version %d\n", printable(x.GetName()), x.GetFromVersion(), x.GetVersion())
		fmt.Fprint(cmd.ErrOrStderr(), printableLines(x.GetDiff()))
		return nil
	}
	return cmd
}

func newPolicyDeleteCommand() *cobra.Command {
	var q apiv1.DeletePolicyRequest
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Take a policy out of force; its history stays",
		Args:  args(1, "NAME, as namespace/name or the name alone,"),
	}
	f := cmd.Flags()
	f.Uint64Var(&q.ExpectedVersion, "expect", 0, "the `version` that must be in force (default whichever is)")
	f.StringVar(&q.Reason, "reason", "", "`why`, for the history")
	connectTo, author := serverOption(cmd), authorOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) (err error) {
		q.Name = given[0]
		if q.Author, err = author(); err != nil {
			return err
		}
		c, err := connectTo()
		if err != nil {
			return err
		}
		r, err := c.policies.DeletePolicy(cmd.Context(), &q)
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s deleted (version %d); 'switchgear policy rollback %s' brings it back\n",
			printable(q.GetName()), r.GetPolicy().GetVersion(), printable(q.GetName()))
		return nil
	}
	return cmd
}
