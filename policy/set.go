package policy

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"

	"github.com/datapunk/switchgear/breaker"
)

// Set is policies, compiled: what they say of a circuit is found, not searched
// for. It never changes; what it has once merged it gives again, so that circuits
// with the same settings share them.
type Set struct {
	all      []*Policy // as they were decoded
	policies []*Policy // those for the environment, in the order of merging
	env      Environment
	given    Settings // the base before it was adapted
	index    *index
	routed   []*Policy // those that ask for a route
	byRoute  *index
	hosts    hostMap

	mu      sync.Mutex
	byMatch map[string]*Settings // by the places of the policies that select
	byValue map[string]*Settings
}

// maxShared bounds what a set remembers; beyond it settings are merged anew and
// no longer shared.
const maxShared = 10_000

// Environment is what a process adds to its policies.
type Environment struct {
	// Base is what stands where no policy says otherwise; Default if nil. Valid.
	Base *Settings
	// Labels of the process, that selectors can ask for.
	Labels map[string]string
	// Strategies that it has. Nil is not known: names are kept and no rule runs, as
	// in a daemon.
	Strategies map[string]breaker.Strategy
	// Mode that the process is held to, MetricsOnly or Off: policies can't enforce
	// there. What they force open stays so.
	Mode breaker.Mode
}

// Adapt puts merged settings in the environment: the strategy's function, and no
// more than the process's mode.
func (e *Environment) Adapt(s *Settings) error {
	if e.Strategies != nil && s.Strategy != "" && s.Breaker.Strategy == nil {
		if s.Breaker.Strategy = e.Strategies[s.Strategy]; s.Breaker.Strategy == nil {
			return fmt.Errorf("strategy %q is not there: add WithStrategy(%q, …)", s.Strategy, s.Strategy)
		}
	}
	if s.Breaker.Mode != breaker.ForcedOpen {
		s.Breaker.Mode = max(s.Breaker.Mode, e.Mode)
	}
	return nil
}

func newSet(all []*Policy, env Environment) *Set {
	s := &Set{all: all, env: env, byMatch: make(map[string]*Settings), byValue: make(map[string]*Settings)}
	for _, p := range all {
		if p.Selector.labelled(env.Labels) {
			s.policies = append(s.policies, p)
		}
	}
	slices.SortStableFunc(s.policies, precedence)
	s.index = newIndex(s.policies)
	s.routed = ofRoutes(s.policies)
	s.byRoute = newIndex(s.routed)
	s.hosts = newHostMap(s.policies)
	base := usual
	if env.Base != nil {
		base = *env.Base
	}
	s.env.Base, s.given = &base, base
	return s
}

// With gives the same policies in an environment; a nil set is none. A strategy
// that a policy names and the environment lacks is an error.
func (s *Set) With(env Environment) (*Set, error) {
	var all []*Policy
	if s != nil {
		all = s.all
	}
	in := newSet(all, env)
	if err := in.env.Adapt(in.env.Base); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	in.env.Base.from = in
	in.byValue[string(in.env.Base.values(nil))] = in.env.Base
	for _, p := range in.policies {
		if i := p.own(atStrategy); i >= 0 {
			name, _ := p.settings[i].value.(string)
			if err := in.env.Adapt(&Settings{Strategy: name}); err != nil {
				return nil, fmt.Errorf("policy %q, line %d: %w", p.Title(), p.settings[i].line, err)
			}
		}
	}
	return in, nil
}

// Len is how many policies there are.
func (s *Set) Len() int { return len(s.all) }

// Policies are all of the set, in the order of the documents.
func (s *Set) Policies() []*Policy { return slices.Clone(s.all) }

// Selecting are the policies that select a circuit, from general to specific.
func (s *Set) Selecting(c Circuit) []*Policy {
	return s.at(s.index.find(s.policies, &c, nil))
}

// Enforces reports whether a policy says that a circuit's verdicts are enforced:
// that of the most specific one that names a mode. The default is nobody's word.
func (s *Set) Enforces(c Circuit) (enforces bool) {
	for _, p := range s.Selecting(c) {
		for i := range p.settings {
			if x := &p.settings[i]; x.field == atMode {
				enforces = words(x.value) == breaker.Enforce.String()
			}
		}
	}
	return enforces
}

// Settings of a circuit: what policies say of it, from general to specific, in
// the set's environment. Circuits with the same share them; never change them.
func (s *Set) Settings(c Circuit) *Settings {
	var buffer [16]int
	places := s.index.find(s.policies, &c, buffer[:0])
	var text [32]byte
	key := text[:0]
	for _, i := range places {
		key = binary.AppendUvarint(key, uint64(i))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.byMatch[string(key)]; known != nil {
		return known
	}
	settings := s.merge(places)
	if len(s.byMatch) < maxShared {
		s.byMatch[string(key)] = settings
	}
	return settings
}

// merge gives the settings that policies at places give, those that are known if
// they have the same values.
func (s *Set) merge(places []int) *Settings {
	settings, _ := merged(s.at(places), s.env.Base)
	settings.from = s
	_ = s.env.Adapt(&settings) // With has seen that every strategy is there
	values := settings.values(nil)
	if known := s.byValue[string(values)]; known != nil {
		return known
	}
	hash := fnv.New32a()
	_, _ = hash.Write(values)
	settings.Revision = fmt.Sprintf("%08x", hash.Sum32())
	if len(s.byValue) < maxShared {
		s.byValue[string(values)] = &settings
	}
	return &settings
}

func (s *Set) at(places []int) []*Policy {
	policies := make([]*Policy, len(places))
	for i, at := range places {
		policies[i] = s.policies[at]
	}
	return policies
}

// values of all fields, as text: settings with the same are the same.
func (s *Settings) values(to []byte) []byte {
	for i := range fields {
		to = append(to, words(fields[i].get(s))...)
		to = append(to, 0)
	}
	if s.Breaker.AloneOnly {
		to = append(to, '1')
	}
	return to
}

// Same reports whether two settings say the same of every field.
func (s *Settings) Same(o *Settings) bool {
	return s == o || string(s.values(nil)) == string(o.values(nil))
}
