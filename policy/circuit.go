// Package policy names circuits and says what they run on: documents that select
// circuits and set fields, merged from general to specific into the settings of
// one circuit. It is pure, and safe for concurrent use once decoded.
package policy

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultNamespace is the namespace of a service that names none.
const DefaultNamespace = "default"

// Service names a program: a namespace and a name, each 1–253 bytes of UTF-8
// without control characters.
type Service struct{ Namespace, Name string }

func (s Service) String() string { return escape(s.Namespace) + "/" + escape(s.Name) }

// Circuit names one guarded edge of the mesh, fleet-wide. Route is empty unless
// a policy gives that route a circuit of its own.
type Circuit struct {
	Caller, Callee Service
	Route          string
}

// String is the circuit's text form, namespace/caller..namespace/callee#route:
// percent-encoded, safe in a shell; ParseCircuit reads it back.
func (c Circuit) String() string {
	s := c.Caller.String() + ".." + c.Callee.String()
	if c.Route != "" {
		s += "#" + escape(c.Route)
	}
	return s
}

// MarshalText gives the text form.
func (c Circuit) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the text form.
func (c *Circuit) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCircuit(string(text))
	return err
}

// Validate reports the first part that is not a name.
func (c Circuit) Validate() error {
	for _, f := range []struct{ what, name string }{
		{"caller's namespace", c.Caller.Namespace},
		{"caller", c.Caller.Name},
		{"callee's namespace", c.Callee.Namespace},
		{"callee", c.Callee.Name},
	} {
		if err := ValidName(f.name); err != nil {
			return fmt.Errorf("circuit: %s: %w", f.what, err)
		}
	}
	if c.Route != "" {
		if err := ValidName(c.Route); err != nil {
			return fmt.Errorf("circuit: route: %w", err)
		}
	}
	return nil
}

// ParseCircuit reads a circuit's text form. A service without a namespace is in
// DefaultNamespace.
func ParseCircuit(s string) (Circuit, error) {
	edge, route, hasRoute := strings.Cut(s, "#")
	caller, callee, ok := strings.Cut(edge, "..")
	if !ok {
		return Circuit{}, fmt.Errorf("circuit %q: want namespace/caller..namespace/callee", s)
	}
	var c Circuit
	var err error
	if c.Caller, err = parseService(caller); err != nil {
		return Circuit{}, fmt.Errorf("circuit %q: caller: %w", s, err)
	}
	if c.Callee, err = parseService(callee); err != nil {
		return Circuit{}, fmt.Errorf("circuit %q: callee: %w", s, err)
	}
	if hasRoute {
		if c.Route, err = unescape(route); err != nil {
			return Circuit{}, fmt.Errorf("circuit %q: route: %w", s, err)
		}
		if err := ValidName(c.Route); err != nil {
			return Circuit{}, fmt.Errorf("circuit %q: route: %w", s, err)
		}
	}
	return c, nil
}

func parseService(s string) (Service, error) {
	ns, n, ok := strings.Cut(s, "/")
	if !ok {
		ns, n = DefaultNamespace, s
	}
	ns, err := unescape(ns)
	if err != nil {
		return Service{}, err
	}
	if n, err = unescape(n); err != nil {
		return Service{}, err
	}
	if err := ValidName(ns); err != nil {
		return Service{}, fmt.Errorf("namespace: %w", err)
	}
	if err := ValidName(n); err != nil {
		return Service{}, err
	}
	return Service{ns, n}, nil
}

// ValidName reports why a name can't be one: 1–253 bytes of UTF-8 without
// control characters.
func ValidName(s string) error {
	switch {
	case s == "":
		return errors.New("empty name")
	case len(s) > 253:
		return fmt.Errorf("name of %d bytes: at most 253", len(s))
	case !utf8.ValidString(s):
		return errors.New("name is not UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("name %q has control characters", s)
	}
	return nil
}

const hex = "0123456789ABCDEF"

// safe bytes stand for themselves; a dot does, unless a dot stands before it, so
// that ".." is always the separator.
func safe(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_' || b == '.' || b == ':'
}

func escape(s string) string {
	plain := true
	for i := range len(s) {
		if !safe(s[i]) || s[i] == '.' {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		edge := s[i] == '.' && (i == 0 || i == len(s)-1 || s[i-1] == '.')
		if safe(s[i]) && !edge {
			b.WriteByte(s[i])
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[s[i]>>4])
			b.WriteByte(hex[s[i]&15])
		}
	}
	return b.String()
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("%q ends within a percent sequence", s)
		}
		hi, lo := strings.IndexByte(hex, upper(s[i+1])), strings.IndexByte(hex, upper(s[i+2]))
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("%q is not a percent sequence", s[i:i+3])
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), nil
}

func upper(b byte) byte {
	if b >= 'a' && b <= 'f' {
		return b - 'a' + 'A'
	}
	return b
}

// Compare orders circuits by callee, caller and route.
func (c Circuit) Compare(o Circuit) int {
	return cmp.Or(
		c.Callee.Compare(o.Callee),
		c.Caller.Compare(o.Caller),
		cmp.Compare(c.Route, o.Route),
	)
}

// Compare orders services by namespace and name.
func (s Service) Compare(o Service) int {
	return cmp.Or(cmp.Compare(s.Namespace, o.Namespace), cmp.Compare(s.Name, o.Name))
}
