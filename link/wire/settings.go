package wire

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear/breaker"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/policy"
)

func toSettings(s *policy.Settings) *linkv1.Settings {
	b := &s.Breaker
	return &linkv1.Settings{
		Breaker: &linkv1.BreakerSettings{
			WindowDuration: toDuration(b.WindowDuration), WindowBuckets: count(b.WindowBuckets), WindowSize: count(b.WindowSize),
			MinimumNumberOfCalls: count(b.MinimumNumberOfCalls), FailureRateThreshold: b.FailureRateThreshold,
			SlowCallRateThreshold: b.SlowCallRateThreshold, SlowCallDurationThreshold: toDuration(b.SlowCallDurationThreshold),
			ConsecutiveFailures: count(b.ConsecutiveFailures), AloneOnly: b.AloneOnly,
			Wait: &linkv1.Wait{
				Shape: linkv1.WaitShape(b.Wait.Shape) + 1,
				Base:  toDuration(b.Wait.Base), Max: toDuration(b.Wait.Max), JitterRatio: b.Wait.JitterRatio,
			},
			PermittedNumberOfCallsInHalfOpenState: count(b.PermittedNumberOfCallsInHalfOpenState),
			MaxWaitDurationInHalfOpenState:        toDuration(b.MaxWaitDurationInHalfOpenState),
			Ramp: &linkv1.Ramp{
				StepPercents: b.Ramp.StepPercents, StepDuration: toDuration(b.Ramp.StepDuration),
				Window: toDuration(b.Ramp.Window), Aggression: b.Ramp.Aggression, MinPercent: b.Ramp.MinPercent,
			},
			MaxConcurrentCalls: count(b.MaxConcurrentCalls), MaxRetryAfter: toDuration(b.MaxRetryAfter), Mode: toMode(b.Mode),
		},
		CallTimeout: toDuration(s.CallTimeout), Quorum: count(s.Quorum), OpenAbove: s.OpenAbove,
		MaxEjectionPercent: s.MaxEjectionPercent, MaxOpenPercent: s.MaxOpenPercent, WhenAllBad: linkv1.WhenAllBad(s.WhenAllBad) + 1,
		GradingDelay: toDuration(s.GradingDelay), ActiveCheck: toActiveCheck(s.ActiveCheck), Revision: s.Revision, Strategy: s.Strategy,
	}
}

func count(n int) uint32 { return uint32(min(max(n, 0), math.MaxInt32)) }

// fromSettings reads settings and validates them. A shape of wait that is not
// known here is read as the default.
func fromSettings(p *linkv1.Settings) (*policy.Settings, error) {
	b := p.GetBreaker()
	if err := atMost("steps of a ramp", len(b.GetRamp().GetStepPercents()), maxBuckets); err != nil {
		return nil, err
	}
	r := &reader{}
	s := &policy.Settings{
		Breaker: breaker.Settings{
			WindowDuration: r.duration("windowDuration", b.GetWindowDuration()),
			WindowBuckets:  r.count(b.GetWindowBuckets()), WindowSize: r.count(b.GetWindowSize()),
			MinimumNumberOfCalls:      r.count(b.GetMinimumNumberOfCalls()),
			FailureRateThreshold:      r.number("failureRateThreshold", b.GetFailureRateThreshold()),
			SlowCallRateThreshold:     r.number("slowCallRateThreshold", b.GetSlowCallRateThreshold()),
			SlowCallDurationThreshold: r.duration("slowCallDurationThreshold", b.GetSlowCallDurationThreshold()),
			ConsecutiveFailures:       r.count(b.GetConsecutiveFailures()), AloneOnly: b.GetAloneOnly(),
			Wait: breaker.Wait{
				Shape: waitShape(b.GetWait().GetShape()),
				Base:  r.duration("waitDurationInOpenState", b.GetWait().GetBase()), Max: r.duration("maxWaitDurationInOpenState", b.GetWait().GetMax()),
				JitterRatio: r.number("jitterRatio", b.GetWait().GetJitterRatio()),
			},
			PermittedNumberOfCallsInHalfOpenState: r.count(b.GetPermittedNumberOfCallsInHalfOpenState()),
			MaxWaitDurationInHalfOpenState:        r.duration("maxWaitDurationInHalfOpenState", b.GetMaxWaitDurationInHalfOpenState()),
			Ramp: breaker.Ramp{
				StepDuration: r.duration("ramp.stepDuration", b.GetRamp().GetStepDuration()), Window: r.duration("ramp.window", b.GetRamp().GetWindow()),
				Aggression: r.number("ramp.aggression", b.GetRamp().GetAggression()), MinPercent: r.number("ramp.minPercent", b.GetRamp().GetMinPercent()),
			},
			MaxConcurrentCalls: r.count(b.GetMaxConcurrentCalls()), MaxRetryAfter: r.duration("maxRetryAfter", b.GetMaxRetryAfter()),
			Mode: fromMode(b.GetMode()),
		},
		CallTimeout: r.duration("callTimeout", p.GetCallTimeout()), Quorum: r.count(p.GetQuorum()),
		OpenAbove:          cmp.Or(r.number("openAbove", p.GetOpenAbove()), policy.Default().OpenAbove),
		MaxEjectionPercent: r.number("maxEjectionPercent", p.GetMaxEjectionPercent()), MaxOpenPercent: r.number("maxOpenPercent", p.GetMaxOpenPercent()),
		WhenAllBad: whenAllBad(p.GetWhenAllBad()), GradingDelay: r.duration("gradingDelay", p.GetGradingDelay()),
		ActiveCheck: policy.ActiveCheck{
			Interval: r.duration("activeCheckInterval", p.GetActiveCheck().GetInterval()), Port: r.count(p.GetActiveCheck().GetPort()), Path: p.GetActiveCheck().GetPath(),
		},
		Revision: text(p.GetRevision()), Strategy: p.GetStrategy(),
	}
	for i, v := range b.GetRamp().GetStepPercents() {
		s.Breaker.Ramp.StepPercents = append(s.Breaker.Ramp.StepPercents, r.number(fmt.Sprintf("ramp.stepPercents[%d]", i), v))
	}
	// Of an earlier release: what it does not say is as if nobody had said it.
	usual := policy.Default()
	s.MaxOpenPercent, s.GradingDelay = cmp.Or(s.MaxOpenPercent, usual.MaxOpenPercent), cmp.Or(s.GradingDelay, usual.GradingDelay)
	if err := errors.Join(append(r.errs, s.Validate())...); err != nil {
		return nil, err
	}
	return s, nil
}

func toActiveCheck(a policy.ActiveCheck) *linkv1.ActiveCheck {
	if a == (policy.ActiveCheck{}) {
		return nil
	}
	return &linkv1.ActiveCheck{Interval: toDuration(a.Interval), Port: count(a.Port), Path: a.Path}
}

// whenAllBad reads a word; one that is not known here is read as the default.
func whenAllBad(w linkv1.WhenAllBad) policy.WhenAllBad {
	if w == linkv1.WhenAllBad_WHEN_ALL_BAD_PANIC {
		return policy.Panic
	}
	return policy.FailFast
}

func waitShape(s linkv1.WaitShape) breaker.WaitShape {
	if s < linkv1.WaitShape_WAIT_SHAPE_BY_AGE || s > linkv1.WaitShape_WAIT_SHAPE_EXPONENTIAL {
		return breaker.WaitByAge
	}
	return breaker.WaitShape(s - 1)
}

// reader gathers what can't be read, so that one message names all of it.
type reader struct{ errs []error }

func (r *reader) count(n uint32) int { return int(min(n, math.MaxInt32)) }

func (r *reader) number(what string, v float64) float64 {
	v, err := finite(what, v)
	if err != nil {
		r.errs = append(r.errs, err)
	}
	if v == 0 {
		return 0 // without the sign
	}
	return v
}

func (r *reader) duration(what string, d *durationpb.Duration) time.Duration {
	v, err := duration(what, d, maxDuration)
	if err != nil {
		r.errs = append(r.errs, err)
	}
	return v
}
