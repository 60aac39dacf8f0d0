package policy

import "strings"

// A glob is a name in which * stands for any number of characters and ? for one.
// All other characters stand for themselves, so that route templates like
// /users/{id} do. A name matches itself, also where it has a star.

// isGlob reports whether a pattern stands for more than one name.
func isGlob(pattern string) bool { return strings.ContainsAny(pattern, "*?") }

// matches reports whether a pattern stands for a name; the empty one stands for
// all. It takes at most len(pattern) × len(name) steps.
func matches(pattern, name string) bool {
	if pattern == "" || pattern == "*" || pattern == name {
		return true
	}
	if !isGlob(pattern) {
		return false
	}
	star, from := -1, 0 // the last star, and where in name what it stands for ends
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && pattern[p] == '?':
			p++
			n += width(name[n:])
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			from += width(name[from:])
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// width of the first character in bytes.
func width(s string) int {
	for i := range s {
		if i > 0 {
			return i
		}
	}
	return len(s)
}

// literals are how many characters of a pattern stand for themselves.
func literals(pattern string) int {
	return len(pattern) - strings.Count(pattern, "*") - strings.Count(pattern, "?")
}

// meet reports whether two patterns can stand for the same name.
func meet(a, b string) bool {
	switch {
	case a == "" || b == "" || a == b:
		return true
	case !isGlob(a) && !isGlob(b):
		return false
	case !isGlob(a):
		return matches(b, a)
	case !isGlob(b):
		return matches(a, b)
	}
	x, y := []rune(a), []rune(b)
	// row[j] is whether what is left of x from i on meets what is left of y from j on.
	row := make([]bool, len(y)+1)
	for i := len(x); i >= 0; i-- {
		next := row
		row = make([]bool, len(y)+1)
		for j := len(y); j >= 0; j-- {
			switch {
			case i == len(x) && j == len(y):
				row[j] = true
			case i < len(x) && x[i] == '*':
				row[j] = next[j] || j < len(y) && row[j+1]
			case j < len(y) && y[j] == '*':
				row[j] = row[j+1] || i < len(x) && next[j]
			case i < len(x) && j < len(y):
				row[j] = (x[i] == y[j] || x[i] == '?' || y[j] == '?') && next[j+1]
			}
		}
	}
	return row[0]
}
