package policy

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a document.
type Problem struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line"`
	Path   string `json:"path"`            // as in spec.selector.callee
	Value  string `json:"value,omitempty"` // as far as there is one to show
	Reason string `json:"reason"`          // what is wrong, and what is wanted
	// BeyondSchema marks what the JSON Schema can't say: what depends on other
	// fields or documents, and ranges of durations.
	BeyondSchema bool `json:"-"`
}

func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File + ": ")
	}
	fmt.Fprintf(&b, "line %d: ", p.Line)
	for _, part := range []string{p.Path, p.Value} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	return b.String() + p.Reason
}

// Problems is all that is wrong, as one error; more than maxProblems are counted.
type Problems struct {
	List []Problem
	More int
}

const maxProblems = 100

func (p *Problems) add(x Problem) {
	if len(p.List) >= maxProblems {
		p.More++
		return
	}
	p.List = append(p.List, x)
}

// err is the problems as an error, nil where there are none.
func (p *Problems) err() error {
	if len(p.List) == 0 {
		return nil
	}
	return p
}

func (p *Problems) Error() string {
	var b strings.Builder
	for i := range p.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.List[i].Error())
	}
	if p.More > 0 {
		fmt.Fprintf(&b, "\n… and %d more", p.More)
	}
	return b.String()
}

// Unwrap gives each problem as an error of its own.
func (p *Problems) Unwrap() []error {
	errs := make([]error, len(p.List))
	for i := range p.List {
		errs[i] = p.List[i]
	}
	return errs
}

// display is a node's value, short enough for a message.
func display(n *Node) string {
	const most = 80
	var text string
	switch v := n.Value.(type) {
	case string:
		text = fmt.Sprintf("%q", v)
	case []*Node:
		return "a list"
	case []Member:
		return "an object"
	case nil:
		return "null"
	default:
		text = fmt.Sprint(v)
	}
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return text
}
