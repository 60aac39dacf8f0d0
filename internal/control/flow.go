package control

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
)

// flow is what goes through a target, in steps of 100 ms of event time, with the
// sequential tests over all that its steps no longer hold.
type flow struct {
	head    int64
	slots   [flowSteps]current
	carry   sums
	fast    test          // for what everybody agrees on
	slow    test          // the test at the circuit's openAbove
	force   float64       // the share that is admitted now
	timeout time.Duration // the callers', 0 if not known
	// Answers of this generation that count, by observer and in all; kept while the
	// target is not closed.
	heard    map[string]tally
	heardAll uint32
}

const flowSteps = 128

// current is one step of a flow.
type current struct {
	// Calls by the time when they were made; rejected ones are among them. Force is
	// the share that was admitted then.
	offered, rejected, force float64
	// Of any generation: what the callee carries, and how.
	good, bad uint32
	overload  uint32 // of bad: what a queue or a quota spoils
	pushed    uint32 // of these: the callee's own push-back
	shed      uint32 // of these: that, and what gateways refuse
	latency   time.Duration
	// Of the current generation: first attempts, as weighed, for verdicts, and
	// all of them, for words.
	ok, failed    float64
	calls, spoilt uint32
	kinds         [breaker.Kinds]uint32
}

// at gives the step of an instant, nil where it is too old.
func (f *flow) at(at time.Duration) *current {
	i := int64(at / fleet.BucketWidth)
	if i-f.head >= flowSteps {
		for range flowSteps {
			f.advance()
		}
		f.head = i
	}
	for f.head < i {
		f.advance()
	}
	if i <= f.head-flowSteps || i < 0 {
		return nil
	}
	return &f.slots[i%flowSteps]
}

// advance begins the next step; what the oldest held goes on in the tests.
func (f *flow) advance() {
	f.head++
	s := &f.slots[f.head%flowSteps]
	f.carry.add(s, f)
	*s = current{force: f.force}
}

// span sums the steps that ended between now-from and now-to.
func (f *flow) span(now, from, to time.Duration) (c current) {
	f.each(now, from, to, c.add)
	return c
}

func (f *flow) each(now, from, to time.Duration, do func(*current)) {
	a, b := int64((now-from)/fleet.BucketWidth), int64((now-to)/fleet.BucketWidth)
	for i := max(a, f.head-flowSteps+1, 0); i < min(b, f.head+1); i++ {
		do(&f.slots[i%flowSteps])
	}
}

func (c *current) add(s *current) {
	c.offered += s.offered
	c.rejected += s.rejected
	c.good += s.good
	c.bad += s.bad
	c.overload += s.overload
	c.pushed += s.pushed
	c.shed += s.shed
	c.latency += s.latency
	c.ok += s.ok
	c.failed += s.failed
	c.calls += s.calls
	c.spoilt += s.spoilt
	for k, n := range s.kinds {
		c.kinds[k] += n
	}
}

// newest sums the newest steps back from now until they hold so many answers, at
// least two steps and at most a second of them.
func (f *flow) newest(now time.Duration, answers uint32) (c current) {
	i := int64(now / fleet.BucketWidth)
	for n := int64(0); n < 10 && i-n >= 0 && i-n > f.head-flowSteps; n++ {
		if i-n <= f.head {
			c.add(&f.slots[(i-n)%flowSteps])
		}
		if n >= 1 && c.good+c.bad >= answers {
			break
		}
	}
	return c
}

// share takes over a share of another's demand.
func (f *flow) share(now time.Duration, whole *flow, share float64) {
	for i := max(whole.head-flowSteps+1, 0); i <= whole.head; i++ {
		if s := f.at(time.Duration(i) * fleet.BucketWidth); s != nil {
			s.offered = share * whole.slots[i%flowSteps].attempts()
		}
	}
	f.at(now)
}

// forget drops the verdicts of an earlier generation, but for demand and goodput.
func (f *flow) forget() {
	f.carry = sums{}
	f.heard, f.heardAll = nil, 0
	for i := range f.slots {
		s := &f.slots[i]
		*s = current{offered: s.offered, rejected: s.rejected, force: s.force, good: s.good, bad: s.bad, overload: s.overload, pushed: s.pushed, shed: s.shed, latency: s.latency}
	}
}

// offer counts the calls that a bucket tells of at the time when they were made:
// only what has ended is reported, and what waits in a queue would not be seen as
// demand while it does.
func (f *flow) offer(at time.Duration, b *fleet.Bucket, timeout, latency time.Duration, scale float64) {
	good, late := b.Succeeded+b.LateSucceeded, b.Kinds[breaker.Timeout]
	if good > 0 {
		latency = (b.Latency + b.LateLatency) / time.Duration(good)
	}
	late = min(late, b.Offered-min(good, b.Offered))
	for _, x := range [...]struct {
		at time.Duration
		n  uint32
	}{{at - latency, good}, {at - timeout, late}, {at, b.Offered - min(good+late, b.Offered)}} {
		if x.n == 0 {
			continue
		}
		if s := f.at(max(x.at, 0)); s != nil {
			s.offered += scale * float64(x.n)
		}
	}
	if s := f.at(at); s != nil {
		s.rejected += scale * float64(b.Rejected)
	}
}

// open is the share from which too few are rejected to tell the demand by them.
const open = 0.85

// attempts are the calls that were made in a step: where enough were rejected,
// the share tells how many, at once and exactly.
func (c *current) attempts() float64 {
	if c.force < open {
		return c.rejected / (1 - c.force)
	}
	return c.offered
}

// leastDemand is taken where nobody calls, in calls a second.
const leastDemand = 0.2

// demand is offered calls a second, by the newest steps that are complete. In
// calm reports are up to a second late; then the newest steps serve as a lower
// bound. At low rates a longer span is taken (algorithms.md, 1).
func (f *flow) demand(now time.Duration, hot bool) float64 {
	const soon, calm = 3, 11 // steps until reports are in
	lag := int64(f.lag(now) / fleet.BucketWidth)
	var d float64
	if hot {
		d = max(f.rate(now, soon, lag, 6), f.rate(now, soon, 0, 6))
	} else {
		d = max(f.rate(now, calm, lag, 10), f.rate(now, soon, 0, 4))
	}
	if d < 20 {
		d = f.rate(now, soon, lag, 45)
	}
	return max(d, leastDemand)
}

// rate is attempts a second over so many steps, from the newest on that is old
// enough: steps in which all was let through are known only when the calls of
// then have ended.
func (f *flow) rate(now time.Duration, from, lag int64, steps int) float64 {
	sum, n := 0.0, 0
	first := int64(now/fleet.BucketWidth) - from
	for i := first; i >= 0 && i > f.head-flowSteps && n < steps; i-- {
		s := &f.slots[i%flowSteps]
		if i > f.head {
			n++
			continue
		}
		if s.force >= open && first-i < lag {
			continue
		}
		sum += s.attempts()
		n++
	}
	return sum / (float64(max(n, 1)) * fleet.BucketWidth.Seconds())
}

// lag is how long calls take now, which are offered when they end.
func (f *flow) lag(now time.Duration) time.Duration {
	c := f.newest(now, 20)
	if 10*c.overload > c.good+c.bad && f.timeout > 0 {
		return min(f.timeout, 5*time.Second)
	}
	if c.good == 0 {
		return 0
	}
	return min(c.latency/time.Duration(c.good), 5*time.Second)
}

// quiet reports whether no answer has come for as long as the steps reach: what
// was seen before is nothing to hear others about, though it counts once one comes.
func (f *flow) quiet(now time.Duration) bool {
	for i := max(int64(now/fleet.BucketWidth), f.head) - flowSteps + 1; i <= f.head; i++ {
		if i >= 0 && f.slots[i%flowSteps].calls > 0 {
			return false
		}
	}
	return true
}

// goodput is good answers a second, of any generation, a little while ago: the
// newest steps are still coming in.
func (f *flow) goodput(now, over time.Duration) float64 {
	const late = 150 * time.Millisecond
	return float64(f.span(now, over+late, late).good) / over.Seconds()
}

// sums are how far the sequential tests have gone.
type sums struct{ fast, slow float64 }

func (e *sums) add(s *current, f *flow) {
	if s.failed > 0 || s.ok > 0 {
		e.fast = f.fast.run(e.fast, s.failed, s.ok)
		e.slow = f.slow.run(e.slow, s.failed, s.ok)
	}
}

// sums runs the tests over what the steps hold, in the order of events.
func (f *flow) sums() sums {
	e := f.carry
	for i := max(f.head-flowSteps+1, 0); i <= f.head; i++ {
		e.add(&f.slots[i%flowSteps], f)
	}
	return e
}
