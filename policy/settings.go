package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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
	// MaxOpenPercent is how many of a namespace's circuits, those of its callees,
	// automation may hold open, 0–100; default 50, and always one. Beyond it people
	// decide. Raising it lets a fault of the evidence itself shut more off.
	MaxOpenPercent float64
	// WhenAllBad says what happens where every instance of a callee fails. Default
	// fail_fast.
	WhenAllBad WhenAllBad
	// GradingDelay is how long a circuit waits for those behind its callee, while
	// they explain its failures, 0–1m; default 2s. More spares openings on the way
	// to a fault; less opens sooner where they turn out not to be it.
	GradingDelay time.Duration
	// ActiveCheck lets the daemon ask instances of an open circuit that has too few
	// calls to probe with. Off by default.
	ActiveCheck ActiveCheck
	// Strategy is the name of the breaker's strategy, which travels where its
	// function can't; empty is none. Control that hears of one leaves the circuit to
	// its replicas: it neither runs its own engine nor pools what they see.
	Strategy string
	// Revision tells settings of different values apart, for people and for
	// reports; empty for built-in ones.
	Revision string

	from *Set // that made them, nil if none did
}

// WhenAllBad is what to do where every instance of a callee fails.
type WhenAllBad uint8

const (
	// FailFast opens the circuit: what fails are calls, not guesses about health.
	FailFast WhenAllBad = iota
	// Panic lets every call through, to all instances, and opens nothing.
	Panic
)

var allBadNames = [...]string{FailFast: "fail_fast", Panic: "panic"}

func (w WhenAllBad) String() string {
	if int(w) < len(allBadNames) {
		return allBadNames[w]
	}
	return fmt.Sprintf("unknown(%d)", w)
}

// MarshalText gives the word, as in policies.
func (w WhenAllBad) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads what MarshalText wrote; any other word is an error.
func (w *WhenAllBad) UnmarshalText(text []byte) error {
	i := slices.Index(allBadNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("unknown word %q: want one of %v", text, allBadNames)
	}
	*w = WhenAllBad(i)
	return nil
}

// ActiveCheck is a request that the daemon makes by itself.
type ActiveCheck struct {
	// Interval between checks of one circuit, 1s to 1h; 0 is off.
	Interval time.Duration
	// Port to ask, 1–65535; 0 is the instance's own.
	Port int
	// Path of an HTTP GET that must answer with a status under 400; empty is a TCP
	// connection alone.
	Path string
}

func (a ActiveCheck) validate() error {
	switch {
	case a.Interval != 0 && (a.Interval < time.Second || a.Interval > time.Hour):
		return fmt.Errorf("activeCheckInterval %v: want 0 (off), or 1s to 1h", a.Interval)
	case a.Port < 0 || a.Port > 65535:
		return fmt.Errorf("activeCheckPort %d: want 0 (the instance's own) to 65535", a.Port)
	case a.Path != "" && (a.Path[0] != '/' || ValidName(a.Path) != nil || strings.ContainsAny(a.Path, " #")):
		return fmt.Errorf("activeCheckPath %q: want a path that begins with /, at most 253 bytes, without spaces or #", a.Path)
	}
	return nil
}

// Default is what a circuit without any policy runs on: the automatic engine where
// control directs, and alone 50 % of at least 20 calls in 10 s.
func Default() Settings { return Settings{}.WithDefaults() }

// Automatic reports whether control's own engine decides when to open: nobody has
// set a threshold or a strategy.
func (s *Settings) Automatic() bool { return s.Breaker.AloneOnly || !s.ruled() }

// rule drops the default rule: somebody says when to open.
func (s *Settings) rule() {
	if s.Breaker.AloneOnly {
		s.Breaker.FailureRateThreshold, s.Breaker.AloneOnly = 0, false
	}
}

// ruled reports whether a breaker has any rule of its own.
func (s *Settings) ruled() bool {
	b := &s.Breaker
	return b.FailureRateThreshold != 0 || b.SlowCallRateThreshold != 0 || b.ConsecutiveFailures != 0 || b.Strategy != nil || s.Strategy != ""
}

// unnamed is a strategy in code that nobody has named.
const unnamed = "unnamed"

// WithDefaults fills what is zero and has a default other than off.
func (s Settings) WithDefaults() Settings {
	if !s.ruled() {
		s.Breaker.FailureRateThreshold, s.Breaker.AloneOnly = 50, true
	}
	if s.Breaker.Strategy != nil && s.Strategy == "" {
		s.Strategy = unnamed
	}
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
	if s.MaxOpenPercent == 0 {
		s.MaxOpenPercent = 50
	}
	if s.GradingDelay == 0 {
		s.GradingDelay = 2 * time.Second
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
	for _, p := range []struct {
		field string
		value float64
	}{{"maxEjectionPercent", s.MaxEjectionPercent}, {"maxOpenPercent", s.MaxOpenPercent}} {
		if !(p.value >= 0 && p.value <= 100) {
			errs = append(errs, fmt.Errorf("%s %v: want 0 to 100", p.field, p.value))
		}
	}
	if s.WhenAllBad > Panic {
		errs = append(errs, fmt.Errorf("whenAllBad %v: want fail_fast or panic", s.WhenAllBad))
	}
	if s.GradingDelay < 0 || s.GradingDelay > time.Minute {
		errs = append(errs, fmt.Errorf("gradingDelay %v: want 0 (the default) to 1m", s.GradingDelay))
	}
	if s.Strategy != "" {
		if err := ValidName(s.Strategy); err != nil {
			errs = append(errs, fmt.Errorf("strategy: %w", err))
		}
	}
	if err := s.ActiveCheck.validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
