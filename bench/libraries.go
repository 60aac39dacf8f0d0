package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	resiliency "github.com/eapache/go-resiliency/breaker"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	rubyist "github.com/rubyist/circuitbreaker"
	"github.com/sony/gobreaker/v2"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

// library is one breaker in one configuration. Each as near to ours as it goes:
// a window of 10 × 1 s, a failure rate from 10 calls on. "-fastest" is the
// fastest configuration that its documents have.
type library struct {
	name string
	// calls makes a fresh breaker for a work; nil if it has none such.
	calls func(work string) *subject
	// one makes an idle breaker, whose bytes are measured; it may be used once by
	// what is returned.
	one func(i int) (keep any, use func())
	// few is for libraries of which one can't make many.
	few bool
}

// subject is a breaker at work.
type subject struct {
	run func(n int) // makes n calls; safe for concurrent use
	// check compares what the breaker has counted with the calls made; nil where
	// it does not tell.
	check func(calls uint64) error
	close func()
}

var (
	errBench = errors.New("bench")
	ctx      = context.Background()
)

func good() (int, error)                   { return 1, nil }
func bad() (int, error)                    { return 0, errBench }
func goodCtx(context.Context) (int, error) { return 1, nil }
func goodErr() error                       { return nil }
func badErr() error                        { return errBench }

// threshold never opens a breaker of which half the calls fail.
const threshold = 90

var libraries = []library{
	{name: "switchgear", calls: ours, one: func(int) (any, func()) {
		b := breaker.New(&benchSettings.Breaker, breaker.Options{Clock: oneClock})
		return b, func() {
			if p, err := b.Acquire(); err == nil {
				p.Done(breaker.Outcome{})
			}
		}
	}},
	{name: "gobreaker", calls: gobreakerCalls(true), one: func(int) (any, func()) {
		b := newGobreaker(true)
		return b, func() { _, _ = b.Execute(good) }
	}},
	{name: "gobreaker-fastest", calls: gobreakerCalls(false), one: func(int) (any, func()) {
		b := newGobreaker(false)
		return b, func() { _, _ = b.Execute(good) }
	}},
	{name: "failsafe-go", calls: failsafeCalls(newFailsafeRate), one: func(int) (any, func()) {
		b := newFailsafeRate()
		return b, func() { b.TryAcquirePermit(); b.RecordSuccess() }
	}},
	{name: "failsafe-go-fastest", calls: failsafeCalls(newFailsafeCount), one: func(int) (any, func()) {
		b := newFailsafeCount()
		return b, func() { b.TryAcquirePermit(); b.RecordSuccess() }
	}},
	{name: "hystrix-go", calls: hystrixCalls, few: true, one: func(int) (any, func()) {
		c, _, _ := hystrix.GetCircuit(newHystrix())
		return c, func() {}
	}},
	{name: "resiliency", calls: resiliencyCalls, one: func(int) (any, func()) {
		b := resiliency.New(10, 1, time.Hour)
		return b, func() { _ = b.Run(goodErr) }
	}},
	{name: "rubyist", calls: rubyistCalls, one: func(int) (any, func()) {
		b := newRubyist()
		return b, func() { _ = b.Call(goodErr, 0) }
	}},
}

var benchSettings = policy.Settings{Breaker: breaker.Settings{
	FailureRateThreshold: threshold, MinimumNumberOfCalls: 10,
	Wait: breaker.Wait{Shape: breaker.WaitFixed, Base: time.Hour},
}}.WithDefaults()

var oneClock = breaker.NewClock(func() time.Duration { return time.Second })

// ours goes the way of every user: a manager with its own clock, and a handle.
func ours(work string) *subject {
	opts := []switchgear.Option{switchgear.WithSettings(benchSettings)}
	if work == "closed_automatic" {
		opts = nil // the settings without any policy
	}
	m, err := switchgear.New(switchgear.Config{Service: "bench"}, opts...)
	if err != nil {
		panic(err)
	}
	b := m.Breaker(switchgear.Key{Callee: "callee"})
	s := &subject{close: func() { _ = m.Close() }}
	exact := func(calls uint64, what ...uint64) error {
		sum := uint64(0)
		for _, n := range what {
			sum += n
		}
		if sum != calls {
			return fmt.Errorf("switchgear, %s: counted %d of %d calls", work, sum, calls)
		}
		return nil
	}
	counts := func() breaker.Counts { return b.Circuit().Breaker.Counts() }
	switch work {
	case keyedWork:
		s.run = keyed(m)
		s.check = func(calls uint64) error {
			sum := uint64(0)
			for c := range m.Metrics() {
				sum += c.Succeeded
			}
			return exact(calls, sum)
		}
		return s
	case "open_serial", "open_parallel":
		for b.State() != switchgear.Open {
			if p, err := b.Acquire(); err == nil {
				p.Done(switchgear.Outcome{Verdict: switchgear.Failure})
			}
		}
		s.run = func(n int) {
			for range n {
				if p, err := b.Acquire(); err == nil {
					p.Done(switchgear.Outcome{})
				}
			}
		}
		s.check = func(calls uint64) error { return exact(calls, counts().Rejected[breaker.ReasonOpen]) }
		return s
	case "do_serial":
		s.run = func(n int) {
			for range n {
				_, _ = switchgear.Do(ctx, b, goodCtx)
			}
		}
	case "half_failing":
		s.run = func(n int) {
			for i := range n {
				if p, err := b.Acquire(); err == nil {
					if i&1 == 0 {
						p.Done(switchgear.Outcome{})
					} else {
						p.Done(switchgear.Outcome{Verdict: switchgear.Failure, Kind: switchgear.ServerError})
					}
				}
			}
		}
		s.check = func(calls uint64) error {
			n := counts()
			if n.Succeeded != n.Failed || n.Failed != n.Kinds[breaker.ServerError] {
				return fmt.Errorf("switchgear, %s: %d succeeded, %d failed, %d of the kind", work, n.Succeeded, n.Failed, n.Kinds[breaker.ServerError])
			}
			return exact(calls, n.Succeeded, n.Failed)
		}
		return s
	case "closed_automatic":
		s.run = func(n int) {
			for range n {
				if p, err := b.Acquire(); err == nil {
					p.Done(switchgear.Outcome{Attempt: 1, Latency: time.Millisecond})
				}
			}
		}
		s.check = func(calls uint64) error {
			n := counts()
			if n.Latency != time.Duration(calls)*time.Millisecond {
				return fmt.Errorf("switchgear, %s: latency %v of %d ms", work, n.Latency, calls)
			}
			return exact(calls, n.Succeeded)
		}
		return s
	default:
		s.run = func(n int) {
			for range n {
				if p, err := b.Acquire(); err == nil {
					p.Done(switchgear.Outcome{})
				}
			}
		}
	}
	s.check = func(calls uint64) error { return exact(calls, counts().Succeeded) }
	return s
}

func newGobreaker(window bool) *gobreaker.CircuitBreaker[int] {
	st := gobreaker.Settings{Timeout: time.Hour, ReadyToTrip: func(c gobreaker.Counts) bool {
		return c.Requests >= 10 && 100*float64(c.TotalFailures)/float64(c.Requests) >= threshold
	}}
	if window {
		st.Interval, st.BucketPeriod = 10*time.Second, time.Second
	}
	return gobreaker.NewCircuitBreaker[int](st)
}

func gobreakerCalls(window bool) func(string) *subject {
	return func(work string) *subject {
		b := newGobreaker(window)
		s := &subject{run: func(n int) {
			for range n {
				_, _ = b.Execute(good)
			}
		}}
		switch work {
		case "closed_automatic":
			return nil
		case "open_serial", "open_parallel":
			for b.State() != gobreaker.StateOpen {
				_, _ = b.Execute(bad)
			}
			return s
		case "half_failing":
			s.run = func(n int) {
				for i := range n {
					if i&1 == 0 {
						_, _ = b.Execute(good)
					} else {
						_, _ = b.Execute(bad)
					}
				}
			}
		}
		s.check = func(calls uint64) error {
			if n := b.Counts().Requests; n != uint32(calls) {
				return fmt.Errorf("gobreaker, %s: counted %d of %d calls", work, n, calls)
			}
			return nil
		}
		return s
	}
}

func newFailsafeRate() circuitbreaker.CircuitBreaker[int] {
	return circuitbreaker.NewBuilder[int]().WithFailureRateThreshold(threshold/100., 10, 10*time.Second).WithDelay(time.Hour).Build()
}

func newFailsafeCount() circuitbreaker.CircuitBreaker[int] {
	return circuitbreaker.NewBuilder[int]().WithFailureThresholdRatio(threshold, 100).WithDelay(time.Hour).Build()
}

func failsafeCalls(make func() circuitbreaker.CircuitBreaker[int]) func(string) *subject {
	return func(work string) *subject {
		b := make()
		s := &subject{run: func(n int) {
			for range n {
				if b.TryAcquirePermit() {
					b.RecordSuccess()
				}
			}
		}}
		switch work {
		case "closed_automatic":
			return nil
		case "open_serial", "open_parallel":
			b.Open()
		case "do_serial":
			e := failsafe.With[int](b)
			s.run = func(n int) {
				for range n {
					_, _ = e.Get(good)
				}
			}
		case "half_failing":
			s.run = func(n int) {
				for i := range n {
					if b.TryAcquirePermit() {
						if i&1 == 0 {
							b.RecordSuccess()
						} else {
							b.RecordFailure()
						}
					}
				}
			}
		}
		return s
	}
}

var hystrixNames atomic.Int64

func newHystrix() string {
	name := fmt.Sprintf("bench-%d", hystrixNames.Add(1))
	hystrix.ConfigureCommand(name, hystrix.CommandConfig{
		Timeout: 60_000, MaxConcurrentRequests: 1000, RequestVolumeThreshold: 10, SleepWindow: 3_600_000, ErrorPercentThreshold: threshold,
	})
	return name
}

func hystrixCalls(work string) *subject {
	name := newHystrix()
	fine := func(context.Context) error { return nil }
	fails := func(context.Context) error { return errBench }
	s := &subject{run: func(n int) {
		for range n {
			_ = hystrix.DoC(ctx, name, fine, nil)
		}
	}}
	switch work {
	case "closed_automatic":
		return nil
	case "open_serial", "open_parallel":
		c, _, err := hystrix.GetCircuit(name)
		if err != nil {
			panic(err)
		}
		for !c.IsOpen() {
			_ = hystrix.DoC(ctx, name, fails, nil)
		}
	case "half_failing":
		s.run = func(n int) {
			for i := range n {
				if i&1 == 0 {
					_ = hystrix.DoC(ctx, name, fine, nil)
				} else {
					_ = hystrix.DoC(ctx, name, fails, nil)
				}
			}
		}
	}
	return s
}

// resiliencyCalls: it counts consecutive errors within a time, no window; its
// one configuration is its fastest.
func resiliencyCalls(work string) *subject {
	b := resiliency.New(10, 1, time.Hour)
	s := &subject{run: func(n int) {
		for range n {
			_ = b.Run(goodErr)
		}
	}}
	switch work {
	case "closed_automatic":
		return nil
	case "open_serial", "open_parallel":
		for b.GetState() != resiliency.Open {
			_ = b.Run(badErr)
		}
	case "half_failing":
		b = resiliency.New(1<<60, 1, time.Hour)
		s.run = func(n int) {
			for i := range n {
				if i&1 == 0 {
					_ = b.Run(goodErr)
				} else {
					_ = b.Run(badErr)
				}
			}
		}
	}
	return s
}

func newRubyist() *rubyist.Breaker {
	return rubyist.NewBreakerWithOptions(&rubyist.Options{ShouldTrip: rubyist.RateTripFunc(threshold/100., 10), WindowTime: 10 * time.Second, WindowBuckets: 10})
}

func rubyistCalls(work string) *subject {
	b := newRubyist()
	s := &subject{run: func(n int) {
		for range n {
			_ = b.Call(goodErr, 0)
		}
	}}
	switch work {
	case "closed_automatic":
		return nil
	case "open_serial", "open_parallel":
		b.Break()
		return s
	case "half_failing":
		s.run = func(n int) {
			for i := range n {
				if i&1 == 0 {
					_ = b.Call(goodErr, 0)
				} else {
					_ = b.Call(badErr, 0)
				}
			}
		}
	}
	return s
}
