package breaker

import (
	"errors"
	"fmt"
	"time"
)

// Settings say when a breaker opens, how long it waits and how it comes back.
// They are shared by all breakers of a kind: never change them once given away.
// Thresholds that are 0 are off; with none set, only a Strategy or control opens.
type Settings struct {
	// WindowDuration is the time window, 100 ms to 1 h, in WindowBuckets steps
	// (2 to 60); a call leaves it with its bucket. Default 10 s in 10.
	WindowDuration time.Duration
	WindowBuckets  int
	// WindowSize, if over 0, makes it a count window of the last so many calls
	// instead, at most 10,000; each costs two bits of memory. Exact means a lock
	// for each call: some 65 ns instead of 6, more where callers are many.
	WindowSize int

	// MinimumNumberOfCalls in the window before a rate is judged. Default 20.
	MinimumNumberOfCalls int
	// FailureRateThreshold in percent (0–100]: opens at or above it.
	FailureRateThreshold float64
	// SlowCallRateThreshold in percent (0–100]: the share of calls that took
	// SlowCallDurationThreshold or longer, failed or not. Durations under 100 ms
	// are measured with a finer clock, which costs some 40 ns a call.
	SlowCallRateThreshold     float64
	SlowCallDurationThreshold time.Duration
	// ConsecutiveFailures in a row open it, whatever the window says.
	ConsecutiveFailures int
	// Strategy judges the window too, by the team's own rule.
	Strategy Strategy `json:"-"`

	// AloneOnly lets the rules above judge only while no direction stands: the fleet
	// decides by its own engine, and a breaker that is alone by them.
	AloneOnly bool

	// Wait is how long an open breaker rejects before it lets probes through.
	Wait Wait
	// PermittedNumberOfCallsInHalfOpenState are the probes of one trial, 1 to
	// 1,000; default 3. Their failure and slow-call rates are judged against the
	// thresholds, any failure where only ConsecutiveFailures is set.
	PermittedNumberOfCallsInHalfOpenState int
	// MaxWaitDurationInHalfOpenState is how long one probe may stay unanswered
	// before its permit is given again, 10 ms to 1 h. Default 10 s.
	MaxWaitDurationInHalfOpenState time.Duration
	// Ramp raises the admitted share after a good trial; the zero Ramp closes at once.
	Ramp Ramp

	// MaxConcurrentCalls rejects calls beyond so many in flight; 0 is no limit.
	MaxConcurrentCalls int
	// MaxRetryAfter caps a callee's own push-back; longer ones are cut to it. 0
	// ignores push-back.
	MaxRetryAfter time.Duration

	Mode Mode
}

// Wait is the time that an open breaker rejects.
type Wait struct {
	Shape WaitShape
	// Base is the first wait, 1 ms to 1 h; default 1 s. Long waits are what hurts:
	// a probe costs one call, a late recovery all of them.
	Base time.Duration
	// Max caps growing waits. Default 10 s, never under Base.
	Max time.Duration
	// JitterRatio spreads waits evenly over ± this share of them, 0–1, so that
	// replicas do not come back at once. Default 0.2.
	JitterRatio float64
}

// WaitShape says how waits grow while an outage lasts.
type WaitShape uint8

const (
	WaitByAge       WaitShape = iota // grows with the root of the outage's age
	WaitFixed                        // always Base
	WaitExponential                  // doubles with each failed trial
)

var waitNames = [...]string{WaitByAge: "by_age", WaitFixed: "fixed", WaitExponential: "exponential"}

func (w WaitShape) String() string { return name(waitNames[:], int(w)) }

// MarshalText gives the shape's word, as in policies.
func (w WaitShape) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads what MarshalText wrote; any other word is an error.
func (w *WaitShape) UnmarshalText(text []byte) error {
	i, err := index("wait", waitNames[:], string(text))
	*w = WaitShape(i)
	return err
}

// Ramp is the way from a good trial to full traffic: explicit steps, or a
// slow-start curve (Envoy: share = max(MinPercent, (t/Window)^(1/Aggression))).
type Ramp struct {
	StepPercents []float64     // each 0–100, rising; used if not empty
	StepDuration time.Duration // how long each step lasts; default 1 s
	Window       time.Duration // of the slow start; 0 is none
	Aggression   float64       // 1 is linear, more is faster at first; default 1
	MinPercent   float64       // where it starts; default 10
}

// Default opens at 50 % of at least 20 calls in 10 s, waits by the outage's age
// from 1 s on, and closes after 3 good probes over a ramp of one second.
func Default() Settings {
	return Settings{FailureRateThreshold: 50}.WithDefaults()
}

// WithDefaults fills what is zero and has a default other than off.
func (s Settings) WithDefaults() Settings {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	setInt := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	set(&s.WindowDuration, 10*time.Second)
	setInt(&s.WindowBuckets, 10)
	setInt(&s.MinimumNumberOfCalls, 20)
	set(&s.Wait.Base, time.Second)
	set(&s.Wait.Max, max(10*time.Second, s.Wait.Base))
	setInt(&s.PermittedNumberOfCallsInHalfOpenState, 3)
	set(&s.MaxWaitDurationInHalfOpenState, 10*time.Second)
	if len(s.Ramp.StepPercents) > 0 {
		set(&s.Ramp.StepDuration, time.Second)
	}
	if s.Ramp.Window > 0 {
		if s.Ramp.Aggression == 0 {
			s.Ramp.Aggression = 1
		}
		if s.Ramp.MinPercent == 0 {
			s.Ramp.MinPercent = 10
		}
	}
	return s
}

// Validate reports every field out of its range, at once.
func (s Settings) Validate() error {
	var errs []error
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s %v: want %s", field, value, want))
		}
	}
	between := func(field string, v, lo, hi time.Duration) {
		check(v >= lo && v <= hi, field, v, fmt.Sprintf("%v to %v", lo, hi))
	}
	percent := func(field string, v float64) { check(v >= 0 && v <= 100, field, v, "0 (off) to 100") }
	between("windowDuration", s.WindowDuration, 100*time.Millisecond, time.Hour)
	check(s.WindowBuckets >= 2 && s.WindowBuckets <= 60, "windowBuckets", s.WindowBuckets, "2 to 60")
	check(s.WindowSize >= 0 && s.WindowSize <= 10_000, "windowSize", s.WindowSize, "0 (a time window) to 10000")
	check(s.MinimumNumberOfCalls >= 1 && s.MinimumNumberOfCalls <= 1_000_000, "minimumNumberOfCalls", s.MinimumNumberOfCalls, "1 to 1000000")
	check(s.WindowSize == 0 || s.MinimumNumberOfCalls <= s.WindowSize, "minimumNumberOfCalls", s.MinimumNumberOfCalls, "at most windowSize, or no rate is ever judged")
	percent("failureRateThreshold", s.FailureRateThreshold)
	percent("slowCallRateThreshold", s.SlowCallRateThreshold)
	check(s.SlowCallRateThreshold == 0 || s.SlowCallDurationThreshold > 0, "slowCallDurationThreshold", s.SlowCallDurationThreshold, "over 0 with a slowCallRateThreshold")
	check(s.SlowCallDurationThreshold >= 0, "slowCallDurationThreshold", s.SlowCallDurationThreshold, "0 or more")
	check(s.ConsecutiveFailures >= 0 && s.ConsecutiveFailures <= 1_000_000, "consecutiveFailures", s.ConsecutiveFailures, "0 (off) to 1000000")
	check(s.Wait.Shape <= WaitExponential, "wait", s.Wait.Shape, "by_age, fixed or exponential")
	between("waitDurationInOpenState", s.Wait.Base, time.Millisecond, time.Hour)
	check(s.Wait.Max >= s.Wait.Base && s.Wait.Max <= 24*time.Hour, "maxWaitDurationInOpenState", s.Wait.Max, "at least waitDurationInOpenState, at most 24h")
	check(s.Wait.JitterRatio >= 0 && s.Wait.JitterRatio <= 1, "jitterRatio", s.Wait.JitterRatio, "0 to 1")
	check(s.PermittedNumberOfCallsInHalfOpenState >= 1 && s.PermittedNumberOfCallsInHalfOpenState <= 1000, "permittedNumberOfCallsInHalfOpenState", s.PermittedNumberOfCallsInHalfOpenState, "1 to 1000")
	between("maxWaitDurationInHalfOpenState", s.MaxWaitDurationInHalfOpenState, 10*time.Millisecond, time.Hour)
	last := 0.0
	for i, p := range s.Ramp.StepPercents {
		check(p > last && p <= 100, fmt.Sprintf("ramp.stepPercents[%d]", i), p, "rising, over 0, at most 100")
		last = p
	}
	check(len(s.Ramp.StepPercents) <= 32, "ramp.stepPercents", len(s.Ramp.StepPercents), "at most 32 steps")
	check(s.Ramp.StepDuration >= 0 && s.Ramp.StepDuration <= time.Hour, "ramp.stepDuration", s.Ramp.StepDuration, "0 to 1h")
	check(s.Ramp.Window >= 0 && s.Ramp.Window <= time.Hour, "ramp.window", s.Ramp.Window, "0 (none) to 1h")
	check(s.Ramp.Window == 0 || len(s.Ramp.StepPercents) == 0, "ramp", "both steps and a window", "one of them")
	check(s.Ramp.Aggression >= 0 && s.Ramp.Aggression <= 100, "ramp.aggression", s.Ramp.Aggression, "0 to 100")
	percent("ramp.minPercent", s.Ramp.MinPercent)
	check(s.MaxConcurrentCalls >= 0 && s.MaxConcurrentCalls <= 1_000_000, "maxConcurrentCalls", s.MaxConcurrentCalls, "0 (no limit) to 1000000")
	check(s.MaxRetryAfter >= 0 && s.MaxRetryAfter <= time.Hour, "maxRetryAfter", s.MaxRetryAfter, "0 (ignored) to 1h")
	check(s.Mode <= ForcedOpen, "mode", s.Mode, "enforce, metrics_only, off or forced_open")
	return errors.Join(errs...)
}

// Strategy is a team's own rule: a pure function of the window, called after
// failures, slow calls and once a bucket, possibly by several goroutines at
// once. It may not block. Why is shown wherever the opening is.
type Strategy func(Window) (open bool, why string)

// Window is what a window held when it was judged.
type Window struct {
	Calls       int // succeeded + failed
	Failed      int
	Slow        int // failed or not
	Consecutive int // failures since the last success; exact where a rule looks at it
}

// FailureRate is the share of failed calls in percent; 0 without calls.
func (w Window) FailureRate() float64 { return percentOf(w.Failed, w.Calls) }

// SlowCallRate is the share of slow calls in percent; 0 without calls.
func (w Window) SlowCallRate() float64 { return percentOf(w.Slow, w.Calls) }

func percentOf(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(n) / float64(of)
}
