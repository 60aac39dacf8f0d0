package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/datapunk/switchgear/breaker"
)

// Finding is what is allowed in policies and probably not meant.
type Finding struct {
	// Code names the sort of finding: docs/lint.md has each.
	Code   string `json:"code"`
	Policy string `json:"policy"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line"`
	Says   string `json:"says"`
}

func (f Finding) String() string {
	where := fmt.Sprintf("line %d", f.Line)
	if f.File != "" {
		where = f.File + ": " + where
	}
	return fmt.Sprintf("%s: policy %s: %s [%s]", where, f.Policy, f.Says, f.Code)
}

// Codes of findings. A code never changes its meaning.
const (
	LintTie         = "SG001" // only names decide between two policies
	LintNothing     = "SG002" // a policy sets nothing
	LintUnused      = "SG003" // a field does nothing
	LintForcedOpen  = "SG004" // forced_open by policy has no end
	LintHosts       = "SG005" // two policies lead a host to different callees
	LintStoredHosts = "SG006" // hosts of a policy that a daemon keeps
)

// maxFindings bounds what Lint says.
const maxFindings = 1000

// Lint looks for what is allowed and probably not meant: policies that only
// their names decide between, and fields that do nothing.
func (s *Set) Lint() (found []Finding) {
	for i, p := range s.policies {
		found = append(found, p.lint()...)
		// Those that tie stand together in the order of merging.
		for j := i + 1; j < len(s.policies) && rank(p, s.policies[j]) == 0; j++ {
			if code, says := p.ties(s.policies[j]); says != "" {
				found = append(found, p.finding(code, p.Line, says))
			}
			if len(found) >= maxFindings {
				return found[:maxFindings]
			}
		}
	}
	return found
}

func (p *Policy) finding(code string, line int, says string) Finding {
	return Finding{Code: code, Policy: p.Title(), File: p.File, Line: line, Says: says}
}

// lint looks at a policy by itself.
func (p *Policy) lint() (found []Finding) {
	if len(p.settings) == 0 && len(p.Hosts) == 0 {
		return []Finding{p.finding(LintNothing, p.Line, "it sets nothing")}
	}
	s, _ := merged([]*Policy{p}, nil)
	if i := p.own(atOpenAbove); i >= 0 && !s.Automatic() {
		deciding := strings.Join(s.deciding(), " and ")
		found = append(found, p.finding(LintUnused, p.settings[i].line, fmt.Sprintf("%s decides: openAbove is only used where no threshold and no strategy is set", deciding)))
	}
	if i := p.own(atMode); i >= 0 && s.Breaker.Mode == breaker.ForcedOpen {
		found = append(found, p.finding(LintForcedOpen, p.settings[i].line, "forced_open by policy has no end: an operator's override has one, and a reason"))
	}
	return found
}

// ties says how a policy and another contradict each other, of which only the
// name decides which wins for a circuit that both select.
func (p *Policy) ties(o *Policy) (code, says string) {
	a, b := &p.Selector, &o.Selector
	if meet(a.Caller, b.Caller) && meetLabels(a.Labels, b.Labels) && a.Callee != b.Callee {
		for _, h := range p.hosts {
			if slices.Contains(o.hosts, h) {
				return LintHosts, fmt.Sprintf("policy %s says that host %s leads elsewhere: only the names decide that %s wins; set a priority", o.Title(), h.Name, o.Title())
			}
		}
	}
	if !meet(a.Callee, b.Callee) || !meet(a.Caller, b.Caller) || !meet(a.Route, b.Route) || !meet(a.Namespace, b.Namespace) || !meetLabels(a.Labels, b.Labels) {
		return "", ""
	}
	x, y := make(layer, len(fields)), make(layer, len(fields))
	x.lay(p, 0)
	y.lay(o, 0)
	var differ []string
	for i := range fields {
		if x[i].rank > 0 && y[i].rank > 0 && words(x[i].value) != words(y[i].value) {
			differ = append(differ, fmt.Sprintf("%s (%s, %s)", fields[i].name, words(x[i].value), words(y[i].value)))
		}
	}
	if len(differ) == 0 {
		return "", ""
	}
	return LintTie, fmt.Sprintf("it ties with policy %s and says otherwise of %s: only the names decide that %s wins; set a priority", o.Title(), strings.Join(differ, ", "), o.Title())
}

func meetLabels(a, b map[string]string) bool {
	for name, pattern := range a {
		if other, both := b[name]; both && !meet(pattern, other) {
			return false
		}
	}
	return true
}
