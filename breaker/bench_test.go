package breaker

import (
	"testing"
	"time"
)

func benchBreaker(b *testing.B, o Verdict) *Breaker {
	b.Helper()
	s := Settings{FailureRateThreshold: 90, MinimumNumberOfCalls: 10, Wait: Wait{Base: time.Hour}}.WithDefaults()
	now := time.Second
	clock := NewClock(func() time.Duration { return now })
	clock.Advance(now)
	e := New(&s, Options{Clock: clock})
	for range 5000 {
		p, err := e.Acquire()
		if err == nil {
			p.Done(Outcome{Verdict: o})
		}
	}
	b.ReportAllocs()
	return e
}

func BenchmarkClosed(b *testing.B) {
	e := benchBreaker(b, Success)
	for b.Loop() {
		if p, err := e.Acquire(); err == nil {
			p.Done(Outcome{})
		}
	}
}

func BenchmarkClosedParallel(b *testing.B) {
	e := benchBreaker(b, Success)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if p, err := e.Acquire(); err == nil {
				p.Done(Outcome{})
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	e := benchBreaker(b, Failure)
	for b.Loop() {
		if p, err := e.Acquire(); err == nil {
			p.Done(Outcome{})
		}
	}
}

func BenchmarkHalfFailing(b *testing.B) {
	e := benchBreaker(b, Success)
	fail := false
	for b.Loop() {
		if p, err := e.Acquire(); err == nil {
			o := Outcome{}
			if fail {
				o.Verdict, o.Kind = Failure, ServerError
			}
			fail = !fail
			p.Done(o)
		}
	}
}

func BenchmarkCountWindow(b *testing.B) {
	s := Settings{FailureRateThreshold: 90, WindowSize: 100}.WithDefaults()
	clock := NewClock(func() time.Duration { return time.Second })
	clock.Advance(time.Second)
	e := New(&s, Options{Clock: clock})
	b.Run("serial", func(b *testing.B) {
		for b.Loop() {
			if p, err := e.Acquire(); err == nil {
				p.Done(Outcome{})
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if p, err := e.Acquire(); err == nil {
					p.Done(Outcome{})
				}
			}
		})
	})
}
