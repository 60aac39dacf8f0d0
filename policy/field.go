package policy

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// field is one setting that a policy can make.
type field struct {
	name string
	// set puts a value in its place in the settings; its error says what was wanted.
	set func(*Settings, any) error
}

var fields = []field{
	{"mode", text(func(s *Settings) encoding.TextUnmarshaler { return &s.Breaker.Mode })},
	{"openAbove", number(func(s *Settings) *float64 { return &s.OpenAbove })},
	{"failureRateThreshold", number(func(s *Settings) *float64 { return &s.Breaker.FailureRateThreshold })},
	{"minimumNumberOfCalls", integer(func(s *Settings) *int { return &s.Breaker.MinimumNumberOfCalls })},
	{"windowDuration", duration(func(s *Settings) *time.Duration { return &s.Breaker.WindowDuration })},
	{"windowBuckets", integer(func(s *Settings) *int { return &s.Breaker.WindowBuckets })},
	{"windowSize", integer(func(s *Settings) *int { return &s.Breaker.WindowSize })},
	{"slowCallRateThreshold", number(func(s *Settings) *float64 { return &s.Breaker.SlowCallRateThreshold })},
	{"slowCallDurationThreshold", duration(func(s *Settings) *time.Duration { return &s.Breaker.SlowCallDurationThreshold })},
	{"consecutiveFailures", integer(func(s *Settings) *int { return &s.Breaker.ConsecutiveFailures })},
	{"wait", text(func(s *Settings) encoding.TextUnmarshaler { return &s.Breaker.Wait.Shape })},
	{"waitDurationInOpenState", duration(func(s *Settings) *time.Duration { return &s.Breaker.Wait.Base })},
	{"maxWaitDurationInOpenState", duration(func(s *Settings) *time.Duration { return &s.Breaker.Wait.Max })},
	{"jitterRatio", number(func(s *Settings) *float64 { return &s.Breaker.Wait.JitterRatio })},
	{"permittedNumberOfCallsInHalfOpenState", integer(func(s *Settings) *int { return &s.Breaker.PermittedNumberOfCallsInHalfOpenState })},
	{"maxWaitDurationInHalfOpenState", duration(func(s *Settings) *time.Duration { return &s.Breaker.MaxWaitDurationInHalfOpenState })},
	{"slowStartWindow", duration(func(s *Settings) *time.Duration { return &s.Breaker.Ramp.Window })},
	{"slowStartAggression", number(func(s *Settings) *float64 { return &s.Breaker.Ramp.Aggression })},
	{"slowStartMinPercent", number(func(s *Settings) *float64 { return &s.Breaker.Ramp.MinPercent })},
	{"maxConcurrentCalls", integer(func(s *Settings) *int { return &s.Breaker.MaxConcurrentCalls })},
	{"maxRetryAfter", duration(func(s *Settings) *time.Duration { return &s.Breaker.MaxRetryAfter })},
	{"callTimeout", duration(func(s *Settings) *time.Duration { return &s.CallTimeout })},
	{"quorum", integer(func(s *Settings) *int { return &s.Quorum })},
	{"maxEjectionPercent", number(func(s *Settings) *float64 { return &s.MaxEjectionPercent })},
	{"maxOpenPercent", number(func(s *Settings) *float64 { return &s.MaxOpenPercent })},
	{"whenAllBad", text(func(s *Settings) encoding.TextUnmarshaler { return &s.WhenAllBad })},
	{"gradingDelay", duration(func(s *Settings) *time.Duration { return &s.GradingDelay })},
	{"activeCheckInterval", duration(func(s *Settings) *time.Duration { return &s.ActiveCheck.Interval })},
	{"activeCheckPort", integer(func(s *Settings) *int { return &s.ActiveCheck.Port })},
	{"activeCheckPath", word(func(s *Settings) *string { return &s.ActiveCheck.Path })},
}

// rules reports whether the field says when a breaker opens by itself.
func (f *field) rules() bool {
	switch f.name {
	case "failureRateThreshold", "slowCallRateThreshold", "consecutiveFailures":
		return true
	}
	return false
}

func fieldNamed(name string) *field {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

func number(at func(*Settings) *float64) func(*Settings, any) error {
	return func(s *Settings, v any) error {
		n, ok := v.(json.Number)
		if !ok {
			return fmt.Errorf("want a number")
		}
		f, err := n.Float64()
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return fmt.Errorf("want a number")
		}
		*at(s) = f
		return nil
	}
}

func integer(at func(*Settings) *int) func(*Settings, any) error {
	return func(s *Settings, v any) error {
		n, ok := v.(json.Number)
		if !ok {
			return fmt.Errorf("want a whole number")
		}
		i, err := n.Int64()
		if err != nil || i > math.MaxInt32 || i < math.MinInt32 {
			return fmt.Errorf("want a whole number")
		}
		*at(s) = int(i)
		return nil
	}
}

func duration(at func(*Settings) *time.Duration) func(*Settings, any) error {
	return func(s *Settings, v any) error {
		t, ok := v.(string)
		if !ok {
			return fmt.Errorf(`want a duration like "1.5s" or "200ms"`)
		}
		d, err := time.ParseDuration(t)
		if err != nil {
			return fmt.Errorf(`want a duration like "1.5s" or "200ms"`)
		}
		*at(s) = d
		return nil
	}
}

func text(at func(*Settings) encoding.TextUnmarshaler) func(*Settings, any) error {
	return func(s *Settings, v any) error {
		t, ok := v.(string)
		if !ok {
			return fmt.Errorf("want a word in quotes")
		}
		return at(s).UnmarshalText([]byte(t))
	}
}

func word(at func(*Settings) *string) func(*Settings, any) error {
	return func(s *Settings, v any) error {
		t, ok := v.(string)
		if !ok {
			return fmt.Errorf("want a text in quotes")
		}
		*at(s) = t
		return nil
	}
}
