package scenario

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/policy"
)

// Stage is a mesh while it is played: for what no fault says, an operator's word,
// a changed policy, a death at the worst moment, and for looks at everybody.
type Stage struct{ m *mesh }

// Now is the virtual time.
func (s *Stage) Now() time.Duration { return s.m.w.Now() }

// At plans what is to be done at a time.
func (s *Stage) At(at time.Duration, do func()) { s.m.w.At(at, do) }

// Each does something again and again between two times.
func (s *Stage) Each(step, from, to time.Duration, do func()) {
	for at := from; at <= to; at += step {
		s.At(at, do)
	}
}

// Tell the daemon something, where there is one.
func (s *Stage) Tell(in control.Input) { s.m.w.Tell(in) }

// View is what the daemon knows of a circuit; ok is false where it knows nothing,
// or is not there.
func (s *Stage) View(c policy.Circuit) (v control.CircuitView, ok bool) {
	if m := s.m.w.Mind(); m != nil {
		return m.Circuit(c)
	}
	return v, false
}

// Kill a replica, as kill -9 does, for good.
func (s *Stage) Kill(replica string) {
	for _, r := range s.m.replicas {
		if r.name() == replica && r.process != nil {
			r.kill()
		}
	}
}

// End is one replica's end of a circuit, as it stands.
type End struct {
	Replica  string
	Breaker  breaker.View
	Settings *policy.Settings
}

// Ends of a circuit that live.
func (s *Stage) Ends(c policy.Circuit) (ends []End) {
	for _, r := range s.m.replicas {
		for _, e := range r.ends {
			if e.Circuit == c && !r.down {
				ends = append(ends, End{r.name(), e.guard.Breaker.View(), e.guard.Settings()})
			}
		}
	}
	return ends
}
