// Package fault draws faults of a callee, wide, from descriptions of real ones:
// what policies are measured on. It knows nothing of breakers or control, so
// that nobody's idea of a cure shapes the disease. It is pure: the same family
// and seed give the same episode.
package fault

import (
	"math"
	"time"
)

// Episode is some minutes of one callee's life. It is never changed once drawn.
type Episode struct {
	Family   string
	Seed     uint64
	Duration time.Duration
	Timeout  time.Duration // of the callers
	// Instances that the callee has.
	Instances int
	// Retries of a failed call, each after about Backoff; rejected calls are not
	// retried.
	Retries int
	Backoff time.Duration
	// Spread is the standard deviation of the logarithm of latency.
	Spread float64
	// Patience is how long a call may have to queue before it is refused at once;
	// it matters only where Capacity bounds.
	Patience time.Duration
	// Steady episodes hold no fault: whatever opens in them opens falsely.
	Steady bool
	Calm   Weather

	phases []phase
}

// Weather is the truth about a callee at one moment.
type Weather struct {
	Rate     float64       // calls per second that all callers together offer
	Fail     float64       // chance of an error at once, 0–1
	Hang     float64       // chance of no answer at all, 0–1
	Latency  time.Duration // median
	Delay    time.Duration // on top of it, the same for each call
	Capacity float64       // calls per second that can be answered, the others queue; 0 is no bound
}

// phase is a span of time in which the weather goes evenly from one to another,
// for some of the instances and callers or all.
type phase struct {
	from, to    time.Duration
	start, end  Weather
	first, last int     // instances that are hit: first up to before last; none is all
	callers     float64 // share of the callers that are hit, one at least; 0 is all
}

// At is the weather that a call meets: from one of so many callers, to an
// instance.
func (e *Episode) At(t time.Duration, caller, callers, instance int) Weather {
	for i := range e.phases {
		p := &e.phases[i]
		if t < p.from || t >= p.to ||
			p.last > 0 && (instance < p.first || instance >= p.last) ||
			p.callers > 0 && caller > 0 && float64(caller) >= p.callers*float64(callers) {
			continue
		}
		return between(p.start, p.end, float64(t-p.from)/float64(p.to-p.from))
	}
	return e.Calm
}

// Change lets the weather go evenly from one to another between two times, for
// all: for episodes made by hand.
func (e *Episode) Change(from, to time.Duration, start, end Weather) {
	e.phases = append(e.phases, phase{from: from, to: min(to, e.Duration), start: start, end: end})
}

// Rate is how many calls per second all callers together offer.
func (e *Episode) Rate(t time.Duration) float64 {
	return e.At(t, 0, 1, 0).Rate
}

// Bad is the chance that a call which need not queue fails or times out: what a
// clairvoyant knows, who sees the weather but not the dice.
func (e *Episode) Bad(w Weather) float64 {
	late := 1.0
	if room := e.Timeout - w.Delay; room > 0 {
		late = math.Erfc(math.Log(float64(room)/float64(w.Latency))/e.Spread/math.Sqrt2) / 2
	}
	return 1 - (1-w.Fail)*(1-w.Hang)*(1-late)
}

func between(a, b Weather, x float64) Weather {
	mix := func(a, b float64) float64 { return a + (b-a)*x }
	return Weather{
		Rate: mix(a.Rate, b.Rate), Fail: mix(a.Fail, b.Fail), Hang: mix(a.Hang, b.Hang),
		Latency:  time.Duration(mix(float64(a.Latency), float64(b.Latency))),
		Delay:    time.Duration(mix(float64(a.Delay), float64(b.Delay))),
		Capacity: mix(a.Capacity, b.Capacity),
	}
}
