package policy

import (
	"errors"
	"fmt"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// Settings are the merged result of all policies for one circuit: what its
// breakers do alone, and what control does with all of them together.
type Settings struct {
	Breaker breaker.Settings

	// CallTimeout is the callers' time-out, where it is the same for all; 0 takes
	// it from the calls' own deadlines.
	CallTimeout time.Duration
	// OpenAbove is the steady share of failures in percent, 1–95, above which the
	// automatic engine opens for sure; default 50. It decides where no threshold and
	// no strategy is set; calls that fail outright open it much sooner.
	OpenAbove float64
	// Quorum is how many replicas must have seen failures before control opens
	// for all, of those that there are; default 2.
	Quorum int
	// MaxEjectionPercent is how many of a callee's instances control may take out,
	// 0–100; default 50, and never the last one.
	MaxEjectionPercent float64
	// Revision of the settings, for people and for reports; empty for built-in ones.
	Revision string
}

// Default is what a circuit without any policy runs on: the automatic engine.
func Default() Settings { return Settings{}.WithDefaults() }

// Automatic reports whether control's own engine decides when to open: no
// threshold and no strategy is set.
func (s *Settings) Automatic() bool {
	b := &s.Breaker
	return b.FailureRateThreshold == 0 && b.SlowCallRateThreshold == 0 && b.ConsecutiveFailures == 0 && b.Strategy == nil
}

// WithDefaults fills what is zero and has a default other than off.
func (s Settings) WithDefaults() Settings {
	s.Breaker = s.Breaker.WithDefaults()
	if s.OpenAbove == 0 {
		s.OpenAbove = 50
	}
	if s.Quorum == 0 {
		s.Quorum = 2
	}
	if s.MaxEjectionPercent == 0 {
		s.MaxEjectionPercent = 50
	}
	return s
}

// Validate reports every field out of its range, at once.
func (s Settings) Validate() error {
	errs := []error{s.Breaker.Validate()}
	if s.CallTimeout < 0 || s.CallTimeout > time.Hour {
		errs = append(errs, fmt.Errorf("callTimeout %v: want 0 (from the calls) to 1h", s.CallTimeout))
	}
	if !(s.OpenAbove >= 1 && s.OpenAbove <= 95) {
		errs = append(errs, fmt.Errorf("openAbove %v: want 1 to 95", s.OpenAbove))
	}
	if s.Quorum < 1 || s.Quorum > 1000 {
		errs = append(errs, fmt.Errorf("quorum %d: want 1 to 1000", s.Quorum))
	}
	if s.MaxEjectionPercent < 0 || s.MaxEjectionPercent > 100 {
		errs = append(errs, fmt.Errorf("maxEjectionPercent %v: want 0 to 100", s.MaxEjectionPercent))
	}
	return errors.Join(errs...)
}
