package policy

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// decoder gathers what is wrong while it reads.
type decoder struct {
	file     string
	names    map[string]*Policy
	problems Problems
}

func (d *decoder) wrong(at string, n *Node, line int, reason string, beyond bool) {
	p := Problem{File: d.file, Line: line, Path: strings.TrimPrefix(at, "."), Reason: reason, BeyondSchema: beyond}
	if n != nil {
		p.Value = display(n)
	}
	d.problems.add(p)
}

// members of an object; anything else is a problem.
func (d *decoder) members(at string, n *Node) []Member {
	ms, ok := n.Value.([]Member)
	if !ok {
		d.wrong(at, n, n.Line, "want an object", false)
	}
	return ms
}

func (d *decoder) text(at string, n *Node) string {
	s, ok := n.Value.(string)
	if !ok {
		d.wrong(at, n, n.Line, "want a text in quotes", false)
	}
	return s
}

// naming reads a name; may it be empty, it stands for all.
func (d *decoder) naming(at string, n *Node, empty bool) string {
	s := d.text(at, n)
	if _, ok := n.Value.(string); !ok || s == "" && empty {
		return s
	}
	if w := notName(s); w != nil {
		d.wrong(at, nil, n.Line, w.reason, w.beyond)
	}
	return s
}

func (d *decoder) unknown(at string, m Member, known []string) {
	d.wrong(at, nil, m.Line, "unknown field: "+nearest(m.Name, known), false)
}

var (
	topWords      = []string{"apiVersion", "kind", "metadata", "spec"}
	metaWords     = []string{"name", "namespace", "labels"}
	selectorWords = []string{"namespace", "caller", "callee", "route", "labels"}
	specWords     = func() []string {
		words := []string{"selector", "priority", "preset", "hosts"}
		for i := range fields {
			words = append(words, fields[i].name)
		}
		return words
	}()
)

func (d *decoder) policy(at string, n *Node) *Policy {
	p := &Policy{File: d.file, Line: n.Line}
	ms := d.members(at, n)
	if ms == nil {
		return p
	}
	found := make(map[string]*Node)
	for _, m := range ms {
		if !slices.Contains(topWords, m.Name) {
			d.unknown(at+"."+m.Name, m, topWords)
			continue
		}
		found[m.Name] = m.Node
	}
	for _, w := range []struct{ name, want string }{{"apiVersion", APIVersion}, {"kind", Kind}} {
		switch x := found[w.name]; {
		case x == nil:
			d.wrong(at+"."+w.name, nil, n.Line, fmt.Sprintf("missing: want %q", w.want), false)
		case x.Value != any(w.want):
			d.wrong(at+"."+w.name, x, x.Line, fmt.Sprintf("want %q", w.want), false)
		}
	}
	if x := found["metadata"]; x != nil {
		d.metadata(at+".metadata", x, p)
	} else {
		d.wrong(at+".metadata.name", nil, n.Line, "missing: every policy has a name", false)
	}
	if x := found["spec"]; x != nil {
		d.spec(at+".spec", x, p)
	} else {
		d.wrong(at+".spec", nil, n.Line, "missing: want an object of selector and fields", false)
	}
	d.scope(at, n, p)
	return p
}

// scope checks what a policy's name and namespace say together.
func (d *decoder) scope(at string, n *Node, p *Policy) {
	if p.Name != "" {
		if first := d.names[p.Title()]; first != nil {
			where := fmt.Sprintf("line %d", first.Line)
			if first.File != d.file {
				where = first.File + ", " + where
			}
			d.wrong(at+".metadata.name", nil, n.Line, fmt.Sprintf("%q is the name of the policy on %s too", p.Name, where), true)
		} else {
			d.names[p.Title()] = p
		}
	}
	if p.Namespace == "" {
		return
	}
	if s := p.Selector.Namespace; s != "" && s != p.Namespace {
		d.wrong(at+".spec.selector.namespace", nil, n.Line, fmt.Sprintf("%q: a policy of the namespace %q selects circuits of that one alone", s, p.Namespace), true)
	}
	p.Selector.Namespace = p.Namespace
}

func (d *decoder) metadata(at string, n *Node, p *Policy) {
	ms := d.members(at, n)
	named := false
	for _, m := range ms {
		at := at + "." + m.Name
		switch m.Name {
		case "name":
			named = true
			p.Name = d.naming(at, m.Node, false)
		case "namespace":
			p.Namespace = d.naming(at, m.Node, false)
		case "labels":
			p.Labels = d.labels(at, m.Node, false)
		default:
			d.unknown(at, m, metaWords)
		}
	}
	if !named && ms != nil {
		d.wrong(at+".name", nil, n.Line, "missing: every policy has a name", false)
	}
}

// labels reads names of labels with their values, which may be empty.
func (d *decoder) labels(at string, n *Node, pattern bool) map[string]string {
	ms := d.members(at, n)
	if len(ms) > maxLabels {
		d.wrong(at, nil, n.Line, fmt.Sprintf("%d labels: at most %d", len(ms), maxLabels), false)
		return nil
	}
	labels := make(map[string]string, len(ms))
	for _, m := range ms {
		if w := notName(m.Name); w != nil {
			d.wrong(at, nil, m.Line, "label: "+w.reason, w.beyond)
		}
		labels[m.Name] = d.naming(at+"."+m.Name, m.Node, true)
		if pattern && labels[m.Name] == "" {
			labels[m.Name] = "*"
		}
	}
	return labels
}

func (d *decoder) selector(at string, n *Node, s *Selector) {
	for _, m := range d.members(at, n) {
		at := at + "." + m.Name
		switch m.Name {
		case "namespace":
			s.Namespace = d.naming(at, m.Node, true)
		case "caller":
			s.Caller = d.naming(at, m.Node, true)
		case "callee":
			s.Callee = d.naming(at, m.Node, true)
		case "route":
			s.Route = d.naming(at, m.Node, true)
		case "labels":
			s.Labels = d.labels(at, m.Node, true)
		default:
			d.unknown(at, m, selectorWords)
		}
	}
}

func (d *decoder) spec(at string, n *Node, p *Policy) {
	var hosts *Node
	var own []setting
	for _, m := range d.members(at, n) {
		at := at + "." + m.Name
		switch m.Name {
		case "selector":
			d.selector(at, m.Node, &p.Selector)
			continue
		case "priority":
			v, ok := numberOf(m.Node)
			if !ok || v != math.Trunc(v) || v < -1000 || v > 1000 {
				d.wrong(at, m.Node, m.Line, "want a whole number, -1000 to 1000", false)
				continue
			}
			p.Priority = int(v)
			continue
		case "preset":
			d.preset(at, m, p)
			continue
		case "hosts":
			hosts = m.Node
			continue
		}
		i := place(m.Name)
		if i < 0 {
			d.unknown(at, m, specWords)
			continue
		}
		v, w := fields[i].parse(m.Node)
		if w != nil {
			d.wrong(at, m.Node, m.Line, w.reason, w.beyond)
			continue
		}
		own = append(own, setting{given{i, v}, m.Line, false})
	}
	p.settings = append(p.settings, own...)
	d.contradictions(at, p)
	if hosts != nil {
		d.hosts(at, hosts, p)
	}
}

func (d *decoder) preset(at string, m Member, p *Policy) {
	name, _ := m.Node.Value.(string)
	x := presetNamed(name)
	if x == nil {
		names := make([]string, len(presets))
		for i := range presets {
			names[i] = presets[i].name
		}
		d.wrong(at, m.Node, m.Line, "no such preset: "+nearest(name, names), false)
		return
	}
	p.Preset = name
	for _, v := range x.values {
		p.settings = append(p.settings, setting{v, m.Line, true})
	}
}

// contradictions are values of one policy that can't stand together. What stands
// against a value of another policy yields to it, or wins, when they are merged.
func (d *decoder) contradictions(at string, p *Policy) {
	s, _ := merged([]*Policy{p}, nil)
	value := func(field int) (any, int) {
		if i := p.own(field); i >= 0 {
			return p.settings[i].value, p.settings[i].line
		}
		return nil, 0
	}
	say := func(field int, v any, line int, reason string) {
		d.problems.add(Problem{File: d.file, Line: line, Path: strings.TrimPrefix(at+"."+fields[field].name, "."), Value: words(v), Reason: reason, BeyondSchema: true})
	}
	minimum, line := value(atMinimum)
	if size, _ := value(atWindowSize); minimum != nil && size != nil && size != 0 && whole(minimum) > whole(size) {
		say(atMinimum, minimum, line, fmt.Sprintf("more than windowSize %s: no rate is ever judged", words(size)))
	}
	longest, line := value(atMaxWait)
	if base, _ := value(atWait); base != nil && longest != nil && span(longest) < span(base) {
		say(atMaxWait, longest, line, fmt.Sprintf("less than waitDurationInOpenState %s", words(base)))
	}
	rate, line := value(atSlowRate)
	if rate != nil && rate != 0.0 && s.Breaker.SlowCallDurationThreshold == 0 {
		say(atSlowRate, rate, line, "no slowCallDurationThreshold says what is slow: set it over 0 in the same policy")
	}
	steps, line := value(atSteps)
	if curve, _ := value(atSlowStart); steps != nil && words(steps) != "" && curve != nil && span(curve) > 0 {
		say(atSteps, steps, line, "together with slowStartWindow: want one of them")
	}
}
