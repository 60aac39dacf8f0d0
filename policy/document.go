package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/datapunk/switchgear/breaker"
)

// APIVersion and Kind of the documents that Decode reads.
const (
	APIVersion = "switchgear/v1"
	Kind       = "CircuitPolicy"
)

// Policy selects circuits and sets fields for them.
type Policy struct {
	Name     string
	Selector Selector
	Priority int // among policies that select a circuit as exactly, the greater wins
	Strategy string
	values   []value
}

type value struct {
	field *field
	value any
	line  int
}

// Selector says which circuits a policy is for. Each is a name, a glob like
// "pay*", or empty for all.
type Selector struct{ Namespace, Caller, Callee, Route string }

// Set is the policies of one document, in the order in which they are merged.
type Set struct{ policies []Policy }

// Decode reads one policy or a list of them from JSON. It reports all that is
// wrong at once, each with path, value, reason and line; then nothing is set.
func Decode(data []byte) (*Set, error) {
	root, err := ParseJSON(data)
	if err != nil {
		return nil, err
	}
	return DecodeNode(root)
}

// DecodeNode reads policies from a tree of nodes.
func DecodeNode(root *Node) (*Set, error) {
	d := decoder{names: make(map[string]int)}
	set := new(Set)
	if items, ok := root.Value.([]*Node); ok {
		for i, item := range items {
			set.policies = append(set.policies, d.policy(fmt.Sprintf("[%d]", i), item))
		}
	} else {
		set.policies = append(set.policies, d.policy("", root))
	}
	if err := errors.Join(d.errs...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(set.policies, func(a, b Policy) int {
		if a.Priority != b.Priority {
			return a.Priority - b.Priority
		}
		return a.Selector.exactness() - b.Selector.exactness()
	})
	return set, nil
}

// Settings merges, from general to specific, what the policies say of a circuit.
func (s *Set) Settings(c Circuit, base *Settings, strategies map[string]breaker.Strategy) *Settings {
	out := *base
	for _, p := range s.policies {
		if !p.Selector.Matches(c) {
			continue
		}
		for _, v := range p.values {
			if v.field.rules() {
				out.rule()
			}
			_ = v.field.set(&out, v.value) // it was set once already, in Decode
		}
		if p.Strategy != "" {
			out.rule()
			out.Breaker.Strategy = strategies[p.Strategy]
		}
		out.Revision = p.Name
	}
	// A longer wait lifts the longest that is merely the default: Decode has allowed it.
	out.Breaker.Wait.Max = max(out.Breaker.Wait.Max, out.Breaker.Wait.Base)
	out = out.WithDefaults()
	if out.Validate() != nil {
		return base
	}
	return &out
}

// Strategies are the names of the strategies that policies choose, by the policy
// that chooses them first.
func (s *Set) Strategies() map[string]string {
	names := make(map[string]string)
	for _, p := range s.policies {
		if _, known := names[p.Strategy]; p.Strategy != "" && !known {
			names[p.Strategy] = p.Name
		}
	}
	return names
}

// Matches reports whether the selector selects a circuit.
func (s Selector) Matches(c Circuit) bool {
	return matches(s.Namespace, c.Callee.Namespace) && matches(s.Caller, c.Caller.Name) &&
		matches(s.Callee, c.Callee.Name) && matches(s.Route, c.Route)
}

func matches(pattern, name string) bool {
	if pattern == "" || pattern == name {
		return true
	}
	ok, _ := path.Match(pattern, name)
	return ok
}

// exactness orders selectors: an exact label counts for more than a glob.
func (s Selector) exactness() int {
	n := 0
	for _, p := range []string{s.Namespace, s.Caller, s.Callee, s.Route} {
		switch {
		case p == "":
		case strings.ContainsAny(p, "*?["):
			n++
		default:
			n += 5
		}
	}
	return n
}

type decoder struct {
	errs  []error
	names map[string]int
}

func (d *decoder) wrong(at string, line int, format string, args ...any) {
	d.errs = append(d.errs, fmt.Errorf("line %d: %s: %s", line, strings.TrimPrefix(at, "."), fmt.Sprintf(format, args...)))
}

// members of an object; anything else is an error.
func (d *decoder) members(at string, n *Node) []Member {
	ms, ok := n.Value.([]Member)
	if !ok {
		d.wrong(at, n.Line, "want an object")
	}
	return ms
}

func (d *decoder) text(at string, n *Node) string {
	s, ok := n.Value.(string)
	if !ok {
		d.wrong(at, n.Line, "want a text")
	}
	return s
}

func (d *decoder) policy(at string, n *Node) (p Policy) {
	version, kind := "", ""
	for _, m := range d.members(at, n) {
		at := at + "." + m.Name
		switch m.Name {
		case "apiVersion":
			version = d.text(at, m.Node)
		case "kind":
			kind = d.text(at, m.Node)
		case "metadata":
			d.metadata(at, m.Node, &p)
		case "spec":
			d.spec(at, m.Node, &p)
		default:
			d.wrong(at, m.Line, "unknown field: want apiVersion, kind, metadata or spec")
		}
	}
	if version != APIVersion {
		d.wrong(at+".apiVersion", n.Line, "%q: want %q", version, APIVersion)
	}
	if kind != Kind {
		d.wrong(at+".kind", n.Line, "%q: want %q", kind, Kind)
	}
	if p.Name == "" {
		d.wrong(at+".metadata.name", n.Line, "missing: every policy has a name")
	} else if first, twice := d.names[p.Name]; twice {
		d.wrong(at+".metadata.name", n.Line, "%q is the name of the policy on line %d too", p.Name, first)
	} else {
		d.names[p.Name] = n.Line
	}
	return p
}

func (d *decoder) metadata(at string, n *Node, p *Policy) {
	for _, m := range d.members(at, n) {
		at := at + "." + m.Name
		if m.Name != "name" {
			d.wrong(at, m.Line, "unknown field: want name")
			continue
		}
		p.Name = d.text(at, m.Node)
		if err := ValidName(p.Name); err != nil {
			d.wrong(at, m.Line, "%v", err)
		}
	}
}

func (d *decoder) spec(at string, n *Node, p *Policy) {
	var all Settings
	for _, m := range d.members(at, n) {
		at := at + "." + m.Name
		switch m.Name {
		case "selector":
			d.selector(at, m.Node, &p.Selector)
			continue
		case "priority":
			i, ok := m.Node.Value.(json.Number)
			v, err := i.Int64()
			if !ok || err != nil || v < -1000 || v > 1000 {
				d.wrong(at, m.Line, "%v: want a whole number, -1000 to 1000", m.Node.Value)
			}
			p.Priority = int(v)
			continue
		case "strategy":
			p.Strategy = d.text(at, m.Node)
			continue
		}
		f := fieldNamed(m.Name)
		if f == nil {
			d.wrong(at, m.Line, "unknown field%s", nearest(m.Name))
			continue
		}
		if err := f.set(&all, m.Node.Value); err != nil {
			d.wrong(at, m.Line, "%v: %v", show(m.Node.Value), err)
			continue
		}
		p.values = append(p.values, value{f, m.Node.Value, m.Line})
	}
	if all = all.WithDefaults(); all.Validate() != nil {
		d.wrong(at, n.Line, "%s", strings.ReplaceAll(all.Validate().Error(), "\n", "; "))
	}
}

func (d *decoder) selector(at string, n *Node, s *Selector) {
	for _, m := range d.members(at, n) {
		at := at + "." + m.Name
		to := map[string]*string{"namespace": &s.Namespace, "caller": &s.Caller, "callee": &s.Callee, "route": &s.Route}[m.Name]
		if to == nil {
			d.wrong(at, m.Line, "unknown field: want namespace, caller, callee or route")
			continue
		}
		*to = d.text(at, m.Node)
		if _, err := path.Match(*to, ""); err != nil {
			d.wrong(at, m.Line, "%q is not a pattern", *to)
		}
	}
}

func show(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case []*Node:
		return "a list"
	case []Member:
		return "an object"
	case nil:
		return "null"
	}
	return fmt.Sprint(v)
}

// nearest suggests the field that was probably meant.
func nearest(name string) string {
	for _, f := range fields {
		if strings.EqualFold(f.name, name) || len(name) > 4 && (strings.HasPrefix(strings.ToLower(f.name), strings.ToLower(name)) || strings.HasSuffix(strings.ToLower(f.name), strings.ToLower(name))) {
			return fmt.Sprintf(": did you mean %s?", f.name)
		}
	}
	return ""
}
