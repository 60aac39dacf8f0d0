package policy

import (
	"slices"
	"strings"
)

// index finds the policies that can select a circuit without looking at the
// others. Each policy stands once: under the weightiest name that its selector
// has, else under what a glob begins or ends with; what has neither is looked at
// for every circuit.
type index struct {
	callee, caller, route, namespace names
	rest                             []int
}

// names finds patterns by a name that they may stand for.
type names struct {
	exact            map[string][]int
	prefixes, suffix affixes
}

// affixes finds patterns by how they begin, or end.
type affixes struct {
	by      map[string][]int
	lengths []int // that there are
}

// part of a selector, and where it is filed.
type part struct {
	names   *names
	pattern string
}

func newIndex(policies []*Policy) *index {
	x := new(index)
	for i, p := range policies {
		s := &p.Selector
		parts := [...]part{{&x.callee, s.Callee}, {&x.caller, s.Caller}, {&x.route, s.Route}, {&x.namespace, s.Namespace}}
		exact := slices.IndexFunc(parts[:], func(p part) bool { return says(p.pattern) == exactly })
		if exact >= 0 {
			put(&parts[exact].names.exact, parts[exact].pattern, i)
			continue
		}
		placed := false
		for _, part := range parts {
			if placed = part.names.glob(part.pattern, i); placed {
				break
			}
		}
		if !placed {
			x.rest = append(x.rest, i)
		}
	}
	return x
}

func put(to *map[string][]int, key string, i int) {
	if *to == nil {
		*to = make(map[string][]int)
	}
	(*to)[key] = append((*to)[key], i)
}

// glob files a pattern under its longer end, and reports whether it has one.
func (n *names) glob(pattern string, i int) bool {
	first, last := strings.IndexAny(pattern, "*?"), strings.LastIndexAny(pattern, "*?")
	switch {
	case first < 0:
		return false
	case first == 0 && last == len(pattern)-1:
		return false
	case first >= len(pattern)-1-last:
		n.prefixes.add(pattern[:first], i)
	default:
		n.suffix.add(pattern[last+1:], i)
	}
	return true
}

func (a *affixes) add(key string, i int) {
	put(&a.by, key, i)
	if at, found := slices.BinarySearch(a.lengths, len(key)); !found {
		a.lengths = slices.Insert(a.lengths, at, len(key))
	}
}

// find adds the patterns that may stand for a name. One that has a star in its
// text is itself a name, too.
func (n *names) find(name string, found []int) []int {
	found = append(found, n.exact[name]...)
	for _, l := range n.prefixes.lengths {
		if l > len(name) {
			break
		}
		found = append(found, n.prefixes.by[name[:l]]...)
	}
	for _, l := range n.suffix.lengths {
		if l > len(name) {
			break
		}
		found = append(found, n.suffix.by[name[len(name)-l:]]...)
	}
	return found
}

// find gives the places of the policies that select a circuit, in their order.
func (x *index) find(policies []*Policy, c *Circuit, found []int) []int {
	found = append(found, x.rest...)
	found = x.callee.find(c.Callee.Name, found)
	found = x.caller.find(c.Caller.Name, found)
	found = x.route.find(c.Route, found)
	found = x.namespace.find(c.Callee.Namespace, found)
	found = slices.DeleteFunc(found, func(i int) bool { return !policies[i].Selector.Matches(c) })
	slices.Sort(found)
	return found
}
