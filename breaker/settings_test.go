package breaker

import (
	"strings"
	"testing"
	"time"
)

func TestSettingsNameEveryFieldOutOfRange(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Settings)
		want   string
	}{
		{"negative window", func(s *Settings) { s.WindowDuration = -time.Second }, "windowDuration -1s: want 100ms to 1h"},
		{"one bucket", func(s *Settings) { s.WindowBuckets = 1 }, "windowBuckets 1"},
		{"window size", func(s *Settings) { s.WindowSize = 10_001 }, "windowSize 10001"},
		{"minimum beyond the window", func(s *Settings) { s.WindowSize = 10 }, "at most windowSize"},
		{"minimum", func(s *Settings) { s.MinimumNumberOfCalls = -1 }, "minimumNumberOfCalls -1"},
		{"failure rate", func(s *Settings) { s.FailureRateThreshold = 100.5 }, "failureRateThreshold 100.5: want 0 (off) to 100"},
		{"slow rate without a duration", func(s *Settings) { s.SlowCallRateThreshold = 50 }, "over 0 with a slowCallRateThreshold"},
		{"consecutive failures", func(s *Settings) { s.ConsecutiveFailures = -1 }, "consecutiveFailures -1"},
		{"negative wait", func(s *Settings) { s.Wait.Base = -1 }, "waitDurationInOpenState -1ns"},
		{"wait beyond its cap", func(s *Settings) { s.Wait.Base = time.Minute }, "at least waitDurationInOpenState"},
		{"jitter", func(s *Settings) { s.Wait.JitterRatio = 2 }, "jitterRatio 2"},
		{"probes", func(s *Settings) { s.PermittedNumberOfCallsInHalfOpenState = -3 }, "permittedNumberOfCallsInHalfOpenState -3"},
		{"probe's time", func(s *Settings) { s.MaxWaitDurationInHalfOpenState = time.Millisecond }, "maxWaitDurationInHalfOpenState 1ms"},
		{"falling steps", func(s *Settings) { s.Ramp.StepPercents = []float64{50, 10} }, "ramp.stepPercents[1] 10: want rising"},
		{"steps and a window", func(s *Settings) { s.Ramp.StepPercents = []float64{50}; s.Ramp.Window = time.Second }, "one of them"},
		{"concurrency", func(s *Settings) { s.MaxConcurrentCalls = -1 }, "maxConcurrentCalls -1"},
		{"push-back", func(s *Settings) { s.MaxRetryAfter = 2 * time.Hour }, "maxRetryAfter 2h0m0s"},
		{"mode", func(s *Settings) { s.Mode = 9 }, "mode unknown(9)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Default()
			c.change(&s)
			if err := s.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v: want %q", err, c.want)
			}
		})
	}
	s := Default()
	s.WindowBuckets, s.Wait.JitterRatio = 1, 2
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "windowBuckets") || !strings.Contains(err.Error(), "jitterRatio") {
		t.Errorf("got %v: want both fields at once", err)
	}
}
