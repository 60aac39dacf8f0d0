package breaker

import (
	"math"
	"time"
)

// Duration is how long a breaker stays open: its outage is of an age, so many trials
// have failed, and random is even in [0, 1).
func (w Wait) Duration(age time.Duration, failedTrials int, random float64) time.Duration {
	d := float64(w.Base)
	switch w.Shape {
	case WaitByAge:
		// The chance that an outage ends falls with its age, so the spacing of
		// probes that costs least grows with the root of it (algorithms.md).
		d *= math.Sqrt(1 + float64(max(age, 0))/float64(max(w.Base, 1)))
	case WaitExponential:
		d *= math.Pow(2, float64(min(failedTrials, 62)))
	}
	if w.Shape != WaitFixed {
		d = min(d, float64(w.Max))
	}
	d *= 1 + w.JitterRatio*(2*random-1)
	return max(time.Duration(d), time.Millisecond)
}

// none reports whether a good trial closes at once.
func (r *Ramp) none() bool { return len(r.StepPercents) == 0 && r.Window <= 0 }

// share is what is admitted so long after a good trial, and when to ask again; 1
// is the end.
func (r *Ramp) share(age time.Duration) (share float64, next time.Duration) {
	age = max(age, 0)
	if n := len(r.StepPercents); n > 0 {
		step := max(r.StepDuration, time.Millisecond)
		i := int(age / step)
		if i >= n {
			return 1, 0
		}
		return r.StepPercents[i] / 100, time.Duration(i+1) * step
	}
	if age >= r.Window {
		return 1, 0
	}
	// Envoy's slow start (envoyproxy.io, load balancing, slow start mode).
	s := math.Pow(float64(age)/float64(r.Window), 1/max(r.Aggression, 0.01))
	return min(1, max(s, r.MinPercent/100)), min(age+max(r.Window/64, minStep), r.Window)
}

// from is the age at which the ramp has reached a share.
func (r *Ramp) from(share float64) time.Duration {
	if n := len(r.StepPercents); n > 0 {
		for i, p := range r.StepPercents {
			if p/100 > share {
				return time.Duration(max(i-1, 0)) * max(r.StepDuration, time.Millisecond)
			}
		}
		return time.Duration(n-1) * max(r.StepDuration, time.Millisecond)
	}
	return time.Duration(math.Pow(share, max(r.Aggression, 0.01)) * float64(r.Window))
}

const minStep = 10 * time.Millisecond

// taper is the ramp of a breaker without one that control has left at a share:
// control would have raised it, and all at once would be a flood.
var taper = Ramp{StepPercents: []float64{1, 2, 4, 8, 16, 32, 64}, StepDuration: time.Second}

// random is the next of a breaker's own random numbers, even in [0, 1)
// (splitmix64, Steele and others 2014).
func (c *core) random() float64 {
	c.rng += 0x9E3779B97F4A7C15
	z := c.rng
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	z ^= z >> 31
	return float64(z>>11) / (1 << 53)
}
