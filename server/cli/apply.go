package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
	"github.com/datapunk/switchgear/server/policies"
)

// filesOption adds -f, and reads what it names.
func filesOption(cmd *cobra.Command) func() ([]*apiv1.Document, error) {
	var paths []string
	cmd.Flags().StringSliceVarP(&paths, "filename", "f", nil, "`file` or directory of policies, or - for standard input; can be given several times")
	return func() (docs []*apiv1.Document, err error) {
		if len(paths) == 0 {
			return nil, usagef(cmd, "say which policies: -f FILE or -f DIRECTORY")
		}
		for _, path := range paths {
			if path == "-" {
				const most = 4 << 20 // the API takes no more
				data, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), most+1))
				if err != nil {
					return nil, fmt.Errorf("read standard input: %w", err)
				}
				docs = append(docs, &apiv1.Document{File: "stdin", Text: string(data)})
				continue
			}
			files, err := policies.Files(path)
			if err != nil {
				return nil, withCode(exitInvalid, err)
			}
			for _, f := range files {
				docs = append(docs, &apiv1.Document{File: f.Name, Text: string(f.Data)})
			}
		}
		if len(docs) == 0 {
			return nil, withCode(exitInvalid, fmt.Errorf("there are no policies in %s: want *.yaml, *.yml or *.json", strings.Join(paths, ", ")))
		}
		return docs, nil
	}
}

// pruneOptions add --prune and --selector, which need each other.
func pruneOptions(cmd *cobra.Command) func() (map[string]string, error) {
	prune := cmd.Flags().Bool("prune", false, "delete stored policies that --selector selects and that stand in no file")
	selector := cmd.Flags().StringToStringP("selector", "l", nil, "`LABEL=VALUE` of policies that may be pruned; all must fit")
	return func() (map[string]string, error) {
		if *prune != (len(*selector) > 0) {
			return nil, usagef(cmd, "--prune and --selector go together: the selector says what may be deleted")
		}
		return *selector, nil
	}
}

var actionWords = map[apiv1.Action]string{
	apiv1.Action_ACTION_CREATED: "created", apiv1.Action_ACTION_CONFIGURED: "configured",
	apiv1.Action_ACTION_UNCHANGED: "unchanged", apiv1.Action_ACTION_DELETED: "deleted",
}

// change is the stable form of what becomes of a policy.
type change struct {
	Name    string `json:"name"`
	Action  string `json:"action"`
	From    uint64 `json:"fromVersion"`
	Version uint64 `json:"version,omitempty"`
	Diff    string `json:"diff,omitempty"`
}

func changeOf(m *apiv1.Change) change {
	return change{m.GetName(), actionWords[m.GetAction()], m.GetFromVersion(), m.GetVersion(), m.GetDiff()}
}

func newApplyCommand() *cobra.Command {
	var q apiv1.ApplyPoliciesRequest
	var asJSON, roll bool
	var expect map[string]int64
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIRECTORY",
		Short: "Store policies in the daemon, which puts them in force everywhere",
		Long: `Store policies in the daemon. All are checked strictly first: what is wrong with
any is said, with file, line, value and reason, the exit code is 3, and nothing is
written. What is stored is in force at every replica within a second; open
circuits keep their state, generation and time left.

With --rollout one changed policy goes through stages instead: evaluated beside
what is in force, then on a share of the replicas, then everywhere. It is taken
back by itself where it would block good calls, or does:
see 'switchgear policy rollout NAME'.

The exit code is 6 where somebody has changed a policy meanwhile.`,
		Example: `  switchgear apply -f policies/
  switchgear apply -f policies/ --prune -l managed-by=git
  switchgear apply -f pay.yaml --dry-run
  switchgear apply -f pay.yaml --rollout --stage 30m --canary 20`,
		Args: args(0, ""),
	}
	documents, prune := filesOption(cmd), pruneOptions(cmd)
	f := cmd.Flags()
	f.BoolVar(&q.DryRun, "dry-run", false, "only say what would change")
	f.StringVar(&q.Reason, "reason", "", "`why`, for the history")
	f.StringToInt64Var(&expect, "expect", nil, "`NAME=VERSION` that must be in force, 0 for none (default whichever is)")
	f.BoolVar(&asJSON, "json", false, "an object with the changes, findings and rollout")
	f.BoolVar(&roll, "rollout", false, "let the one change pass through its stages first")
	plan := planOptions(cmd)
	connectTo, author := serverOption(cmd), authorOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if q.PruneLabels, err = prune(); err != nil {
			return err
		}
		if q.Rollout, err = plan(roll); err != nil {
			return err
		}
		if roll && q.DryRun || roll && len(q.GetPruneLabels()) > 0 {
			return usagef(cmd, "--rollout goes with neither --dry-run nor --prune")
		}
		q.ExpectedVersions = make(map[string]uint64, len(expect))
		for name, version := range expect {
			if version < 0 {
				return usagef(cmd, "--expect %s=%d: want a version, or 0 for none", name, version)
			}
			q.ExpectedVersions[name] = uint64(version)
		}
		if q.Documents, err = documents(); err != nil {
			return err
		}
		if q.Author, err = author(); err != nil {
			return err
		}
		c, err := connectTo()
		if err != nil {
			return err
		}
		r, err := c.policies.ApplyPolicies(cmd.Context(), &q)
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		for _, x := range r.GetFindings() {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s line %d: policy %s: %s [%s]\n", printable(x.GetFile()), x.GetLine(), printable(x.GetPolicy()), printable(x.GetSays()), x.GetCode())
		}
		w := cmd.OutOrStdout()
		if asJSON {
			return printJSON(w, appliedOf(r, q.GetDryRun()))
		}
		for _, x := range r.GetChanges() {
			suffix := fmt.Sprintf(" (version %d)", x.GetVersion())
			switch {
			case q.GetDryRun():
				suffix = " (dry run)"
			case x.GetAction() == apiv1.Action_ACTION_DELETED:
				suffix = fmt.Sprintf(" (version %d was the last)", x.GetFromVersion())
			}
			fmt.Fprintf(w, "%s %s%s\n", printable(x.GetName()), actionWords[x.GetAction()], suffix)
		}
		if x := r.GetRollout(); x != nil {
			fmt.Fprintf(w, "%s: rollout has begun: stage %s, %s at least\n", printable(x.GetPolicy()), x.GetStage(), x.GetPlan().GetStageDuration().AsDuration())
			fmt.Fprintf(cmd.ErrOrStderr(), "Follow it with 'switchgear policy rollout %s'\n", printable(x.GetPolicy()))
		}
		return nil
	}
	return cmd
}

// planOptions add what a rollout keeps to.
func planOptions(cmd *cobra.Command) func(roll bool) (*apiv1.RolloutPlan, error) {
	var stage time.Duration
	var p apiv1.RolloutPlan
	names := []string{"stage", "canary", "minimum-calls", "max-blocked", "max-passed"}
	f := cmd.Flags()
	f.DurationVar(&stage, names[0], 10*time.Minute, "how `long` each stage of a rollout lasts at least, 1s to 24h")
	f.Float64Var(&p.CanaryPercent, names[1], 10, "`percent` of the replicas that try it, one at least and never all")
	f.Uint64Var(&p.MinimumCalls, names[2], 1000, "`calls` with a known outcome before a stage is judged")
	f.Float64Var(&p.MaxBlockedPercent, names[3], 1, "`points` of the good calls that it may block beyond what is blocked now")
	f.Float64Var(&p.MaxPassedPercent, names[4], 20, "`points` of the bad calls that it may let through beyond what passes now; 100 is any")
	return func(roll bool) (*apiv1.RolloutPlan, error) {
		if !roll {
			for _, name := range names {
				if f.Changed(name) {
					return nil, usagef(cmd, "--%s is of a rollout: add --rollout", name)
				}
			}
			return nil, nil
		}
		p.StageDuration = durationpb.New(stage)
		for _, limit := range []*float64{&p.MaxBlockedPercent, &p.MaxPassedPercent} {
			if *limit == 0 {
				*limit = -1 // in the API 0 is the default
			}
		}
		return &p, nil
	}
}

func appliedOf(r *apiv1.ApplyPoliciesResponse, dry bool) any {
	out := struct {
		APIVersion string    `json:"apiVersion"`
		Kind       string    `json:"kind"`
		DryRun     bool      `json:"dryRun"`
		Changes    []change  `json:"changes"`
		Findings   []finding `json:"findings"`
		Rollout    *trial    `json:"rollout,omitempty"`
	}{apiVersion, "Applied", dry, []change{}, []finding{}, nil}
	for _, x := range r.GetChanges() {
		out.Changes = append(out.Changes, changeOf(x))
	}
	for _, x := range r.GetFindings() {
		out.Findings = append(out.Findings, finding{x.GetCode(), x.GetPolicy(), x.GetFile(), x.GetLine(), x.GetSays()})
	}
	if r.GetRollout() != nil {
		t := trialOf(r.GetRollout())
		out.Rollout = &t
	}
	return out
}

// finding is the stable form of what is allowed and probably not meant.
type finding struct {
	Code   string `json:"code"`
	Policy string `json:"policy"`
	File   string `json:"file,omitempty"`
	Line   uint32 `json:"line"`
	Says   string `json:"says"`
}

func newDiffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff -f FILE|DIRECTORY",
		Short: "Say how policies in files differ from those in the daemon",
		Long: `Say line by line how policies in files differ from those that the daemon keeps.
The exit code is 1 where they do, and 0 where they don't. Comments and the order of
documents are no difference.`,
		Example: `  switchgear diff -f policies/
  switchgear diff -f policies/ --prune -l managed-by=git`,
		Args: args(0, ""),
	}
	documents, prune, connectTo := filesOption(cmd), pruneOptions(cmd), serverOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		labels, err := prune()
		if err != nil {
			return err
		}
		docs, err := documents()
		if err != nil {
			return err
		}
		c, err := connectTo()
		if err != nil {
			return err
		}
		r, err := c.policies.DiffPolicies(cmd.Context(), &apiv1.DiffPoliciesRequest{Documents: docs, PruneLabels: labels})
		if err != nil {
			return c.explain(cmd.Context(), err)
		}
		if len(r.GetChanges()) == 0 {
			return nil
		}
		for _, x := range r.GetChanges() {
			fmt.Fprint(cmd.OutOrStdout(), printableLines(x.GetDiff()))
		}
		return exit(exitFailed)
	}
	return cmd
}

// printableLines is printable for a text of lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

func newLintCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lint PATH…",
		Short: "Find in policies what is allowed and probably not meant",
		Long: `Reads policies in files strictly, as 'policy check' does, and prints what is
allowed and probably not meant: policies between which only names decide, fields
that do nothing. Each finding has a code; docs/lint.md says of each what it costs
and what to do. The exit code is 1 where there is any, and 3 where a policy is
wrong. It needs no daemon.`,
		Example: `  switchgear lint policies/
  switchgear lint a.yaml b.json --json`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				return usagef(cmd, "PATH is missing: a file or directory of policies")
			}
			set, err := policies.Read(paths...)
			if err != nil {
				return withCode(exitInvalid, err)
			}
			found := []finding{}
			for _, x := range set.Lint() {
				found = append(found, finding{x.Code, x.Policy, x.File, uint32(max(x.Line, 0)), x.Says})
				if !asJSON {
					fmt.Fprintln(cmd.OutOrStdout(), printable(x.String()))
				}
			}
			if asJSON {
				err := printJSON(cmd.OutOrStdout(), struct {
					APIVersion string    `json:"apiVersion"`
					Kind       string    `json:"kind"`
					Policies   int       `json:"policies"`
					Findings   []finding `json:"findings"`
				}{apiVersion, "Lint", set.Len(), found})
				if err != nil {
					return err
				}
			}
			if len(found) > 0 {
				return exit(exitFailed)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d policies, nothing found\n", set.Len())
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "an object with the number of policies and the findings")
	return cmd
}
