package policybook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/datapunk/switchgear/policy"
	"github.com/datapunk/switchgear/server/policies"
	"github.com/datapunk/switchgear/server/store"
)

// Document is a file of policies, YAML or, by its name's ending, JSON.
type Document struct{ File, Text string }

// Who makes a change, and why.
type Who struct{ Author, Reason string }

// Apply is what is to be stored.
type Apply struct {
	Who
	Documents []Document
	// Expect are the versions that the change was made from, by title: 0 is none.
	// What is not named is changed from whatever was read when it began.
	Expect map[string]uint64
	// Prune are labels: stored policies that have them all, and stand in no
	// document, are deleted. Empty is none.
	Prune map[string]string
}

// Action is what becomes of a policy.
type Action string

const (
	Created    Action = "created"
	Configured Action = "configured"
	Unchanged  Action = "unchanged"
	Deleted    Action = "deleted"
)

// Change is what becomes of one policy.
type Change struct {
	Title         string
	Action        Action
	From, Version uint64 // before; after, 0 where nothing is written
	Diff          string // unified, of the texts; empty where nothing changes
	body          string
}

// Outcome of an Apply: what became of each policy, by title, and what is allowed
// in the whole and probably not meant.
type Outcome struct {
	Changes  []Change
	Findings []policy.Finding
}

// Of what is taken at once.
const (
	maxDocuments = 1000
	maxText      = 4 << 20 // bytes of all documents
)

// PartError says that a change ended in its middle: what was written stands.
type PartError struct {
	Err  error
	Done []Change // that were written
	All  int
}

func (e *PartError) Error() string {
	return fmt.Sprintf("%v; of %d changes %d were made, and they stand: mend it and apply again", e.Err, e.All, len(e.Done))
}

func (e *PartError) Unwrap() error { return e.Err }

// TextError says that documents can't be read at all.
type TextError struct{ Err error }

func (e *TextError) Error() string { return e.Err.Error() }
func (e *TextError) Unwrap() error { return e.Err }

// Plan says what an Apply would do, and does nothing. Its errors are
// *policy.Problems, *TextError and *store.LimitError.
func (b *Book) Plan(a Apply) (Outcome, error) {
	given, err := read(a.Documents)
	if err != nil {
		return Outcome{}, err
	}
	stored := b.store.List(Policies.Name)
	at := func(title string) (store.Record, bool) {
		i, found := slices.BinarySearchFunc(stored, title, func(r store.Record, t string) int { return strings.Compare(r.Name, t) })
		if !found {
			return store.Record{}, false
		}
		return stored[i], true
	}
	var out Outcome
	var after []store.Record
	titles := make(map[string]bool)
	for _, g := range given {
		titles[g.title] = true
		before, there := at(g.title)
		c := Change{Title: g.title, Action: Created, From: before.Version, body: g.text}
		if there {
			c.Action = Configured
		}
		if string(before.Body) == g.text {
			c.Action = Unchanged
		}
		if len(g.text) > Policies.MaxBody {
			return Outcome{}, &store.LimitError{Kind: Policies.Name, What: fmt.Sprintf("%s has %d bytes: at most %d", g.title, len(g.text), Policies.MaxBody)}
		}
		c.Diff = differ(g.title, before.Version, string(before.Body), g.text)
		out.Changes = append(out.Changes, c)
		after = append(after, store.Record{Name: g.title, Version: before.Version + 1, Body: []byte(g.text)})
	}
	for _, r := range stored {
		switch {
		case titles[r.Name]:
		case len(a.Prune) > 0 && labelled(r, a.Prune):
			out.Changes = append(out.Changes, Change{Title: r.Name, Action: Deleted, From: r.Version, Diff: differ(r.Name, r.Version, string(r.Body), "")})
		default:
			after = append(after, r)
		}
	}
	slices.SortFunc(out.Changes, func(x, y Change) int { return strings.Compare(x.Title, y.Title) })
	if len(after) > Policies.MaxRecords {
		return Outcome{}, &store.LimitError{Kind: Policies.Name, What: fmt.Sprintf("there would be %d: at most %d", len(after), Policies.MaxRecords)}
	}
	set, err := decode(after)
	if err != nil {
		return Outcome{}, err
	}
	findings := set.Lint()
	for _, p := range set.Policies() {
		if len(p.Hosts) > 0 {
			findings = append(findings, policy.Finding{
				Code: policy.LintStoredHosts, Policy: p.Title(), File: p.File, Line: p.Line,
				Says: "the daemon does not send hosts to processes: they are used where the policy stands in a file of the library",
			})
		}
	}
	for _, f := range findings {
		if titles[f.Policy] {
			out.Findings = append(out.Findings, f)
		}
	}
	return out, nil
}

// Apply stores documents. All are checked first: what is wrong with any is an
// error, and then nothing is written. Each is written with its own version; what
// others have changed meanwhile is a conflict, which ends it as a *PartError.
func (b *Book) Apply(ctx context.Context, a Apply) (Outcome, error) {
	out, err := b.Plan(a)
	if err != nil {
		return out, err
	}
	var done []Change
	for i := range out.Changes {
		c := &out.Changes[i]
		expect := c.From
		if v, said := a.Expect[c.Title]; said {
			expect = v
		}
		if c.Action == Unchanged && expect == c.From {
			c.Version = c.From
			continue
		}
		change := store.Change{Kind: Policies.Name, Name: c.Title, Body: []byte(c.body), Author: a.Author, Reason: a.Reason, Expect: expect}
		write := b.store.Put
		if c.Action == Deleted {
			write = b.store.Delete
		}
		r, err := write(ctx, change)
		if err != nil {
			b.compile()
			if len(done) == 0 {
				return Outcome{}, err
			}
			return Outcome{}, &PartError{err, done, len(out.Changes)}
		}
		c.Version = r.Version
		done = append(done, *c)
	}
	b.compile()
	return out, nil
}

// Delete takes a policy out. Its history stays.
func (b *Book) Delete(ctx context.Context, title string, expect uint64, who Who) (store.Record, error) {
	r, err := b.store.Delete(ctx, store.Change{Kind: Policies.Name, Name: title, Author: who.Author, Reason: who.Reason, Expect: expect})
	b.compile()
	return r, err
}

// Get gives a stored policy.
func (b *Book) Get(title string) (store.Record, error) {
	r, ok := b.store.Get(Policies.Name, title)
	if !ok {
		return store.Record{}, &store.NotFoundError{Kind: Policies.Name, Name: title}
	}
	return r, nil
}

// List gives the stored policies by title: those of a namespace, if one is given,
// that have all of the labels.
func (b *Book) List(namespace string, labels map[string]string) []store.Record {
	all := b.store.List(Policies.Name)
	if namespace == "" && len(labels) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(r store.Record) bool {
		p := decoded(r)
		return p == nil || namespace != "" && p.Namespace != namespace || !has(p.Labels, labels)
	})
}

// History gives the versions of a policy that are kept, the last one first.
func (b *Book) History(ctx context.Context, title string) ([]store.Record, error) {
	return b.store.History(ctx, Policies.Name, title)
}

// Rollback writes what a policy was once more, as a new version: as it was before
// its last change, or at the version that is given. It comes back where it was
// deleted.
func (b *Book) Rollback(ctx context.Context, title string, to, expect uint64, who Who) (Change, error) {
	versions, err := b.History(ctx, title)
	if err != nil {
		return Change{}, err
	}
	last := versions[0]
	var target *store.Record
	for i := range versions[1:] {
		if r := &versions[i+1]; to == 0 || r.Version == to {
			target = r
			break
		}
	}
	if target == nil {
		if to == 0 || to == last.Version {
			return Change{}, fmt.Errorf("%w: %s has no version before %d", errNothing, title, last.Version)
		}
		return Change{}, fmt.Errorf("%w: version %d of %s is not kept: there are %d to %d", errNothing, to, title, versions[len(versions)-1].Version, last.Version)
	}
	c := Change{Title: title, Action: Configured, From: last.Version, Diff: differ(title, last.Version, string(last.Body), string(target.Body))}
	change := store.Change{Kind: Policies.Name, Name: title, Body: target.Body, Author: who.Author, Reason: who.Reason, Expect: expect}
	if expect == store.Any {
		change.Expect = last.Version
		if last.Deleted {
			change.Expect = 0
		}
	}
	var r store.Record
	if target.Deleted {
		c.Action = Deleted
		r, err = b.store.Delete(ctx, change)
	} else {
		if _, err := decode([]store.Record{*target}); err != nil {
			return Change{}, err
		}
		r, err = b.store.Put(ctx, change)
	}
	c.Version = r.Version
	b.compile()
	return c, err
}

var errNothing = errors.New("nothing to roll back to")

// ErrNothing is an error of a rollback to what is not kept.
var ErrNothing = errNothing

// item is one policy of a document.
type item struct{ title, text string }

// read checks documents, all that is wrong with them at once.
func read(docs []Document) ([]item, error) {
	if len(docs) > maxDocuments {
		return nil, &store.LimitError{Kind: Policies.Name, What: fmt.Sprintf("%d documents at once: at most %d", len(docs), maxDocuments)}
	}
	total := 0
	var sources []policy.Source
	var broken []error
	for _, d := range docs {
		if total += len(d.Text); total > maxText || len(d.Text) > policy.MaxDocument {
			return nil, &store.LimitError{Kind: Policies.Name, What: fmt.Sprintf("%s: a document of %d bytes, %d in all: at most %d and %d", d.File, len(d.Text), total, policy.MaxDocument, maxText)}
		}
		nodes, err := policies.Parse(d.File, []byte(d.Text))
		if err != nil {
			broken = append(broken, fmt.Errorf("%s: %w", d.File, err))
		}
		for _, n := range policies.Split(nodes) {
			sources = append(sources, policy.Source{File: d.File, Node: n})
		}
	}
	if len(broken) > 0 {
		return nil, &TextError{errors.Join(broken...)}
	}
	set, err := policy.DecodeSources(sources...)
	if err != nil {
		return nil, err
	}
	var problems policy.Problems
	var items []item
	for i, p := range set.Policies() {
		if len(p.Selector.Labels) > 0 {
			problems.List = append(problems.List, policy.Problem{
				File: p.File, Line: p.Line, Path: "spec.selector.labels",
				Reason: "the daemon does not know the labels of processes: keep this policy in a file of the library (WithPolicyFile)",
			})
		}
		text, err := policies.Render(sources[i].Node)
		if err != nil {
			return nil, err
		}
		items = append(items, item{p.Title(), text})
	}
	if len(problems.List) > 0 {
		return nil, &problems
	}
	return items, nil
}

func differ(title string, version uint64, before, after string) string {
	return string(diff.Diff(fmt.Sprintf("%s@%d", title, version), []byte(before), title, []byte(after)))
}

// decoded gives the one policy of a record, nil where it can't be read.
func decoded(r store.Record) *policy.Policy {
	set, err := decode([]store.Record{r})
	if err != nil || set.Len() != 1 {
		return nil
	}
	return set.Policies()[0]
}

func labelled(r store.Record, labels map[string]string) bool {
	p := decoded(r)
	return p != nil && has(p.Labels, labels)
}

func has(labels, wanted map[string]string) bool {
	for k, v := range wanted {
		if got, there := labels[k]; !there || got != v {
			return false
		}
	}
	return true
}
