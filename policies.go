package switchgear

import (
	"errors"
	"fmt"
	"os"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

// modeVariable holds a process to a mode, whatever policies say: the way to take
// switchgear out of a process without changing anything else.
const modeVariable = "SWITCHGEAR_MODE"

// begin puts the first policies in force.
func (m *Manager) begin() error {
	switch word := os.Getenv(modeVariable); word {
	case "", breaker.Enforce.String():
	case breaker.MetricsOnly.String():
		m.env.Mode = breaker.MetricsOnly
	case breaker.Off.String():
		m.env.Mode = breaker.Off
	default:
		return fmt.Errorf("%s=%q in the environment: want off or metrics_only, or nothing", modeVariable, word)
	}
	if m.env.Mode != breaker.Enforce {
		m.log.Warn("the environment keeps breakers from rejecting", "variable", modeVariable, "mode", m.env.Mode.String())
	}
	m.replica.AdaptWith(m.env.Adapt)
	if m.file != nil {
		return m.file.reload(m)
	}
	return m.SetPolicies(nil)
}

// SetPolicies puts policies in force in place of those before, for every breaker:
// state, generation and time left stay. Nil is none. What is wrong with them is an
// error, and then nothing changes. A policy file that changes later wins again.
func (m *Manager) SetPolicies(set *policy.Set) error {
	bound, err := set.With(m.env)
	if err != nil {
		return err
	}
	m.swapping.Lock()
	defer m.swapping.Unlock()
	// INVARIANT: breakers that this range misses are stored after it began, and so
	// find the new policies when they catch up.
	m.policies.Store(bound)
	changed := false
	for _, b := range m.all() {
		if s := bound.Settings(b.circuit.ID); b.circuit.Settings() != s {
			changed = true
			m.update(b, s)
		}
	}
	if changed {
		(*sink)(m).Due() // a daemon hears of new settings at once
	}
	return nil
}

// Reload reads the policy file now, changed or not. Its error says what is wrong;
// then the last good policies stay.
func (m *Manager) Reload() error {
	if m.file == nil {
		return errors.New("reload policies: there is no policy file: add WithPolicyFile")
	}
	return m.file.reload(m)
}

// catchUp gives a new breaker the policies that have come while it was made.
func (m *Manager) catchUp(b *Breaker, with *policy.Set) {
	for now := m.policies.Load(); now != with; now = m.policies.Load() {
		with = now
		m.update(b, with.Settings(b.circuit.ID))
	}
}

// update is one at a time with what a daemon sends.
func (m *Manager) update(b *Breaker, s *policy.Settings) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b.circuit.Update(s)
}
