package control

import (
	"math"
	"slices"
	"time"
)

// pooled is what all replicas of a circuit saw together, each observer's weight
// capped.
type pooled struct {
	span               time.Duration
	calls, failed      uint32
	weightedN          float64
	weightedK          float64
	present, observers int // observers with calls, and with failures
}

// rate in percent, as weighed.
func (w *pooled) rate() float64 {
	if w.weightedN == 0 {
		return 0
	}
	return 100 * w.weightedK / w.weightedN
}

func (c *circuit) pooled(now time.Duration, steps int) (w pooled) {
	w.span = c.settings.Breaker.WindowDuration * time.Duration(steps) / windowSteps
	sums := make([]tally, len(c.rows))
	for i, r := range c.rows {
		if r.own == nil {
			sums[i] = r.window.sum(now, steps)
		}
		w.calls += sums[i].n
		w.failed += sums[i].k
	}
	var present, failing []string
	for i, r := range c.rows {
		if sums[i].n > 0 {
			present = append(present, r.by())
		}
		if sums[i].k > 0 {
			failing = append(failing, r.by())
		}
	}
	w.present, w.observers = distinct(present), distinct(failing)
	for _, t := range sums {
		n := float64(t.n)
		weight := 1.0
		if !c.callee.trusting {
			weight = observerWeight(n, float64(w.calls), w.present)
		}
		w.weightedN += weight * n
		w.weightedK += weight * float64(t.k)
	}
	return w
}

// observerWeight caps what one observer can say with n of all calls, where there
// are enough others to compare it with.
func observerWeight(n, all float64, observers int) float64 {
	if limit := max(observerFloor, observerShare*(all-n)); observers >= 3 && n > limit {
		return limit / n
	}
	return 1
}

func distinct(names []string) int {
	slices.Sort(names)
	return len(slices.Compact(names))
}

// quorum is how many observers must see failures, of those that there are.
func (c *circuit) quorum(present int) int {
	if c.callee.trusting {
		return 1
	}
	return max(1, min(c.settings.Quorum, present))
}

// over reports whether the pooled evidence is over the explicit thresholds: the
// whole window, as a breaker alone would judge it, or a newer span of it that
// holds the minimum and is over the threshold beyond chance. So a sudden outage
// need not first outweigh the good calls before it.
func (c *circuit) over(now time.Duration) (pooled, bool) {
	b := &c.settings.Breaker
	whole := c.pooled(now, windowSteps)
	if b.FailureRateThreshold <= 0 || int(whole.calls) < b.MinimumNumberOfCalls || whole.failed == 0 {
		return whole, false
	}
	if whole.rate() >= b.FailureRateThreshold {
		return whole, true
	}
	for steps := 1; steps <= windowSteps/2; steps++ {
		w := c.pooled(now, steps)
		w.present = whole.present // who is well and calm reports once a second
		if int(w.calls) < b.MinimumNumberOfCalls {
			continue
		}
		if 100*surely(w.weightedK, w.weightedN) >= b.FailureRateThreshold {
			return w, true
		}
		steps += steps / 2
	}
	return whole, false
}

// suspicious reports whether there is reason to hear every answer at once, and
// has that said. whole is the evidence of the whole window, or what is over.
func (c *circuit) suspicious(now time.Duration, whole *pooled) bool {
	const few = 3
	newest := c.pooled(now, windowSteps/10)
	some := whole.failed >= few && (2*whole.rate() >= c.settings.Breaker.FailureRateThreshold ||
		newest.failed >= few && 2*newest.rate() >= c.settings.Breaker.FailureRateThreshold || c.anyInstanceOver(now))
	if !some {
		c.suspected = 0
		return false
	}
	if c.suspected == 0 {
		c.suspected = now
		c.dirty = true
	}
	return true
}

// surely is the lower end of a rate's confidence interval (Wilson 1927) at three
// standard deviations: what k of n show beyond chance.
func surely(k, n float64) float64 {
	const z = 3
	p := k / n
	return (p + z*z/(2*n) - z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))) / (1 + z*z/n)
}
