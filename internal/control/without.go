package control

import (
	"fmt"
	"slices"
	"strings"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
)

// Without switches mechanisms of control off, to measure what each of them
// brings. Nothing but measuring sets it.
type Without struct {
	Coordination bool `json:",omitempty"` // nothing is said: replicas decide alone
	Locate       bool `json:",omitempty"` // no part is named: only the whole opens
	Guard        bool `json:",omitempty"` // any number of circuits and instances may be out
	Inherited    bool `json:",omitempty"` // what was somebody else's fault counts as a failure
	Quorum       bool `json:",omitempty"` // one observer suffices, of any weight
	Grading      bool `json:",omitempty"` // nobody waits for those behind a callee
}

// withoutWords are the mechanisms by their names.
var withoutWords = []struct {
	word string
	at   func(*Without) *bool
}{
	{"coordination", func(w *Without) *bool { return &w.Coordination }},
	{"locate", func(w *Without) *bool { return &w.Locate }},
	{"guard", func(w *Without) *bool { return &w.Guard }},
	{"inherited", func(w *Without) *bool { return &w.Inherited }},
	{"quorum", func(w *Without) *bool { return &w.Quorum }},
	{"grading", func(w *Without) *bool { return &w.Grading }},
}

// ParseWithout reads words as "guard,quorum"; empty is none.
func ParseWithout(words string) (w Without, err error) {
	if words == "" {
		return w, nil
	}
	var known []string
	for _, k := range withoutWords {
		known = append(known, k.word)
	}
	for _, word := range strings.Split(words, ",") {
		i := slices.Index(known, word)
		if i < 0 {
			return Without{}, fmt.Errorf("without %q: want one or more of %s", word, strings.Join(known, ","))
		}
		*withoutWords[i].at(&w) = true
	}
	return w, nil
}

// evidenceFor gives a circuit's report as this mind counts it.
func (m *Mind) evidenceFor(cr *fleet.CircuitReport) *fleet.CircuitReport {
	if !m.cfg.Without.Inherited {
		return cr
	}
	blamed := *cr
	blamed.Cells = slices.Clone(cr.Cells)
	for i := range blamed.Cells {
		x := &blamed.Cells[i]
		x.Buckets = slices.Clone(x.Buckets)
		for j := range x.Buckets {
			b := &x.Buckets[j]
			b.Failed += b.Inherited
			b.Kinds[breaker.ServerError] += b.Inherited
			b.Inherited = 0
		}
	}
	return &blamed
}
