package control

import (
	"math"
	"time"
)

// test is a sequential test of whether calls fail more than they may (Wald 1945),
// run as a cumulative sum that starts anew whenever it speaks for health (Page
// 1954): what a failure adds, and what a good answer takes away, in nats.
type test struct{ failed, ok float64 }

// newTest tells a share p1 of failures from a share p0.
func newTest(p0, p1 float64) test {
	return test{failed: math.Log(p1 / p0), ok: math.Log((1 - p0) / (1 - p1))}
}

// outright is the test for faults that everybody agrees on. At two failures in
// three its sum goes nowhere: there a call costs as much as it brings if a
// failure costs half a good answer.
var outright = newTest(0.4, 0.88)

// steadily is the test whose sum goes nowhere at the given share of failures:
// above it the sum grows for sure, below it falls.
func steadily(share float64) test {
	share = min(max(share, 0.01), 0.95)
	p0 := 0.7 * share
	return newTest(p0, bisect(share, 1-1e-6, func(p1 float64) bool {
		t := newTest(p0, p1)
		return share*t.failed < (1-share)*t.ok
	}))
}

// quickly is the fast test where calls may fail up to the given share. Where that
// is more than what it tells from, it would open what people want closed: then it
// says nothing.
func quickly(share float64) test {
	if share*outright.failed > (1-share)*outright.ok {
		return test{}
	}
	return outright
}

// tolerated is how much higher the fast test has to get where calls may fail more
// than by default.
func tolerated(share float64) float64 {
	if e := outright.exponent(0.7 * share); e > 0 && e < noiseExponent {
		return noiseExponent / e
	}
	return 1
}

// run goes on with the sum x.
func (t test) run(x, failed, ok float64) float64 { return max(0, x+t.failed*failed-t.ok*ok) }

// exponent says how fast it gets unlikely that the sum ever reaches a height x,
// while calls fail at a share under the test's: as exp(-exponent·x).
func (t test) exponent(share float64) float64 {
	share = max(share, 1e-4)
	if share*t.failed >= (1-share)*t.ok {
		return 0
	}
	return bisect(0, 100, func(e float64) bool {
		return share*math.Exp(e*t.failed)+(1-share)*math.Exp(-e*t.ok) > 1
	})
}

// bisect finds where above turns true.
func bisect(lo, hi float64, above func(float64) bool) float64 {
	for range 50 {
		mid := (lo + hi) / 2
		if above(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return (lo + hi) / 2
}

// Heights at which the tests' sums are alarms, in nats. The demand stands for how
// often an hour the sum has the chance to get there by accident.
const (
	alarmBase   = 6.0 // of a closed target
	alarmDemand = 1.5 // times log(1 + calls a second)
	// The least that a target with a clean record needs.
	cleanBase   = 3.5
	relapseBase = 3.4 // within relapseSpan of the last opening
	relapsePer  = 1.0
	rampAlarm   = 4.6 // on the way back
	// What the base heights are made for: a share of failures that never opens.
	noisiest = 0.35
)

var noiseExponent = outright.exponent(noisiest)

// outrightAlarm is the height for the fast test: the lower, the cleaner the record.
func outrightAlarm(demand, normal float64) float64 {
	full := alarmBase + alarmDemand*math.Log1p(demand)
	clean := cleanBase + alarmDemand*math.Log1p(demand)
	return min(full, max(clean, full*noiseExponent/outright.exponent(min(normal, noisiest))))
}

// steadyAlarm is the height for the test at openAbove. Its exponent is 1 at the
// share that it tells from, whatever that is.
func steadyAlarm(demand float64) float64 {
	return noiseExponent * (alarmBase + alarmDemand*math.Log1p(demand))
}

// record is a circuit's share of failures in calm, slowly forgotten. It begins as
// noisy as can be, so that nothing is taken for a fault before enough was seen.
type record struct {
	calls, failed float64
	// What is not learnt yet, and since when. Under suspicion it waits: it is dropped
	// if something comes of it, since what fails teaches nothing, and learnt if
	// nothing does, for else only the better times would count.
	doubt  tally
	learnt time.Duration
}

const (
	recordPrior = 8
	recordCalls = 5000 // as many calls are remembered at most
)

func (r *record) learn(now time.Duration) {
	r.calls += float64(r.doubt.n)
	r.failed += float64(r.doubt.k)
	r.drop(now)
	if over := r.calls / recordCalls; over > 1 {
		r.calls /= over
		r.failed /= over
	}
}

// drop forgets what is in doubt.
func (r *record) drop(now time.Duration) { r.doubt, r.learnt = tally{}, now }

// normal is the share, on the safe side by one standard deviation.
func (r *record) normal() float64 {
	n := r.calls + recordPrior
	p := (r.failed + recordPrior*noisiest) / n
	return p + math.Sqrt(p*(1-p)/n)
}
