package policy

import (
	"regexp"
	"strings"
	"testing"
)

func FuzzGlob(f *testing.F) {
	for _, s := range [][3]string{{"p*y", "pay", "?a*"}, {"/users/*", "/users/{id}", "*id}"}, {"*a*b", "aabxb", "a*"}, {"ü?", "üö", "*"}, {"a*", "a*", "*b"}, {"\xff?", "\xffa", ""}} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, pattern, name, other string) {
		if len(pattern) > 253 || len(name) > 253 || ValidName(name) != nil {
			return
		}
		for _, p := range []string{pattern, other} {
			if p != "" && ValidName(p) != nil {
				return
			}
		}
		quoted := strings.NewReplacer(`\*`, `(?s:.*)`, `\?`, `(?s:.)`).Replace(regexp.QuoteMeta(pattern))
		want := pattern == "" || pattern == name || regexp.MustCompile("^(?:"+quoted+")$").MatchString(name)
		got := matches(pattern, name)
		if got != want {
			t.Errorf("%q stands for %q: %v: want %v", pattern, name, got, want)
		}
		if got && matches(other, name) && !meet(pattern, other) {
			t.Errorf("%q and %q both stand for %q, and do not meet", pattern, other, name)
		}
		if meet(pattern, other) != meet(other, pattern) {
			t.Errorf("%q meets %q one way only", pattern, other)
		}
		if got && isGlob(pattern) && pattern != name {
			p := &Policy{Selector: Selector{Callee: pattern}}
			x := newIndex([]*Policy{p})
			if len(x.find([]*Policy{p}, &Circuit{Callee: Service{Name: name}}, nil)) != 1 {
				t.Errorf("the index does not find %q for %q", pattern, name)
			}
		}
	})
}
