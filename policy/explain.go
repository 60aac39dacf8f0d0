package policy

import (
	"fmt"
	"strings"
)

// Explanation says of each field of a circuit's settings where it comes from.
type Explanation struct {
	Circuit  Circuit     `json:"circuit"`
	Revision string      `json:"revision,omitempty"`
	Policies []string    `json:"policies"` // that select the circuit, from general to specific
	Fields   []Explained `json:"fields"`
}

// Explained is one field: its value, who gave it, and who was overruled.
type Explained struct {
	Field  string `json:"field"`
	Value  string `json:"value"`
	Origin Origin `json:"origin"`
	// Losers are the values of more general policies, the most specific first.
	Losers []Loser `json:"losers,omitempty"`
	// Note says why the value is another than its origin gave, or does nothing.
	Note string `json:"note,omitempty"`
}

// Loser is a value that a more specific one has overruled.
type Loser struct {
	Value  string `json:"value"`
	Origin Origin `json:"origin"`
}

// Origin is who gave a value: a policy, by itself or by its preset, else one of
// the words default, code, environment and daemon.
type Origin struct {
	Word   string `json:"word,omitempty"`
	Policy string `json:"policy,omitempty"`
	Preset string `json:"preset,omitempty"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
}

func (o Origin) String() string {
	if o.Policy == "" {
		return o.Word
	}
	where := fmt.Sprintf("line %d", o.Line)
	if o.File != "" {
		where = fmt.Sprintf("%s:%d", o.File, o.Line)
	}
	s := fmt.Sprintf("policy %s (%s)", o.Policy, where)
	if o.Preset != "" {
		s = "preset " + o.Preset + " of " + s
	}
	return s
}

func (p *Policy) origin(x *setting) Origin {
	o := Origin{Policy: p.Title(), File: p.File, Line: x.line}
	if x.preset {
		o.Preset = p.Preset
	}
	return o
}

// Explain says where a circuit's settings come from.
func (s *Set) Explain(c Circuit) Explanation { return s.Settings(c).Explain(c) }

// Explain says where settings come from that a circuit has: those that a live
// breaker holds tell of the policies that made them, whatever has come since.
// Settings that no set has made are somebody's word: code's, or a daemon's.
func (s *Settings) Explain(c Circuit) Explanation {
	e := Explanation{Circuit: c, Revision: s.Revision, Policies: []string{}}
	var policies []*Policy
	base := s
	choices := make(layer, len(fields))
	if s.from != nil {
		policies = s.from.at(s.from.index.find(s.from.policies, &c, nil))
		base = &s.from.given
		_, choices = merged(policies, base)
	}
	for _, p := range policies {
		e.Policies = append(e.Policies, p.Title())
	}
	for i := range fields {
		e.Fields = append(e.Fields, s.explain(i, policies, base, choices[i].note))
	}
	return e
}

func (s *Settings) explain(field int, policies []*Policy, base *Settings, note string) Explained {
	f := &fields[field]
	x := Explained{Field: f.name, Value: words(f.get(s)), Note: note}
	var said []Loser // from general to specific
	ground := Origin{Word: "code"}
	switch {
	case words(f.get(base)) == words(f.get(&usual)):
		ground.Word = "default"
	case s.from == nil && s.Revision != "":
		ground.Word = "daemon"
	}
	said = append(said, Loser{words(f.get(base)), ground})
	for _, p := range policies {
		for i := range p.settings {
			if v := &p.settings[i]; v.field == field {
				said = append(said, Loser{words(v.value), p.origin(v)})
			}
		}
	}
	winner := said[len(said)-1]
	x.Origin = winner.Origin
	if field == atMode && s.from != nil && x.Value != winner.Value {
		x.Origin = Origin{Word: "environment"}
		x.Losers = append(x.Losers, winner)
	}
	if field == atFailureRate && s.Breaker.AloneOnly && len(said) > 1 {
		x.Origin = Origin{Word: "default"}
		x.Losers = append(x.Losers, winner)
	}
	for i := len(said) - 2; i >= 0; i-- {
		if said[i].Origin != x.Origin {
			x.Losers = append(x.Losers, said[i])
		}
	}
	if x.Note == "" {
		x.Note = s.remark(field)
	}
	return x
}

// remark says of a field what other fields make of it.
func (s *Settings) remark(field int) string {
	switch {
	case field == atFailureRate && s.Breaker.AloneOnly:
		return "only without a daemon's word: no policy names a threshold or a strategy, so openAbove decides"
	case field == atOpenAbove && !s.Automatic():
		return "not used: " + strings.Join(s.deciding(), " and ") + " decides"
	case field == atStrategy && s.Strategy != "":
		return "runs in each replica alone: control does not pool it"
	}
	return ""
}

// deciding are the fields that say when to open.
func (s *Settings) deciding() (names []string) {
	var none Settings
	for _, i := range rules {
		if words(fields[i].get(s)) != words(fields[i].get(&none)) {
			names = append(names, fields[i].name)
		}
	}
	return names
}
