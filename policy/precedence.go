package policy

import (
	"cmp"
	"slices"
)

// Policies are merged from general to specific. Of two that select a circuit the
// more specific is the one whose selector says more of, in this order, route,
// callee, caller, labels, namespace: a name more than a glob, a glob with more
// letters more than one with fewer, any glob more than nothing. The callee's side
// comes first because a circuit belongs to its callee. Where all is equal the
// greater priority wins, then the name that comes first in the alphabet.

// exactly is more than any glob says.
const exactly = 1000

func says(pattern string) int {
	switch {
	case pattern == "" || pattern == "*":
		return 0
	case isGlob(pattern):
		return 1 + literals(pattern)
	}
	return exactly
}

// specificity is what each part of a selector says, the weightiest first.
func (s *Selector) specificity() [5]int {
	labels := 0
	for _, pattern := range s.Labels {
		labels += 1 + says(pattern) // any value says that the label is there
	}
	return [5]int{says(s.Route), says(s.Callee), says(s.Caller), labels, says(s.Namespace)}
}

// rank orders policies by all that policies decide: those that are equal here
// tie, and only their names tell which wins.
func rank(a, b *Policy) int {
	x, y := a.Selector.specificity(), b.Selector.specificity()
	return cmp.Or(slices.Compare(x[:], y[:]), cmp.Compare(a.Priority, b.Priority))
}

// precedence orders policies from those that lose to those that win.
func precedence(a, b *Policy) int {
	return cmp.Or(rank(a, b), cmp.Compare(b.Title(), a.Title()))
}

// Matches reports whether the selector selects a circuit, labels aside.
func (s *Selector) Matches(c *Circuit) bool {
	return matches(s.Callee, c.Callee.Name) && matches(s.Caller, c.Caller.Name) &&
		matches(s.Namespace, c.Callee.Namespace) && matches(s.Route, c.Route)
}

// labelled reports whether a process with these labels is selected.
func (s *Selector) labelled(labels map[string]string) bool {
	for name, pattern := range s.Labels {
		value, there := labels[name]
		if !there || !matches(pattern, value) {
			return false
		}
	}
	return true
}
