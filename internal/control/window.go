package control

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
)

// tally counts answers: n calls, k of them failed.
type tally struct{ n, k uint32 }

// window sums tallies over a span of event time, in equal steps. Late evidence
// goes where it belongs; what is older than the span is left out.
type window struct {
	step  time.Duration
	slots []tally
	head  int64 // the newest step
}

func newWindow(span time.Duration, steps int) window {
	return window{step: max(span/time.Duration(steps), 1), slots: make([]tally, steps)}
}

func (w *window) add(at time.Duration, t tally) {
	i := int64(at / w.step)
	w.advance(i)
	if i > w.head-int64(len(w.slots)) && i >= 0 {
		s := &w.slots[i%int64(len(w.slots))]
		s.n += t.n
		s.k += t.k
	}
}

func (w *window) advance(i int64) {
	if i-w.head >= int64(len(w.slots)) {
		clear(w.slots)
		w.head = i
		return
	}
	for w.head < i {
		w.head++
		w.slots[w.head%int64(len(w.slots))] = tally{}
	}
}

// sum of the newest steps up to now.
func (w *window) sum(now time.Duration, steps int) (t tally) {
	i := int64(now / w.step)
	for j := max(i-int64(min(steps, len(w.slots)))+1, w.head-int64(len(w.slots))+1, 0); j <= min(i, w.head); j++ {
		s := w.slots[j%int64(len(w.slots))]
		t.n += s.n
		t.k += s.k
	}
	return t
}

func (w *window) reset() { clear(w.slots) }

// flow is what goes through a target, in steps of 100 ms of event time.
type flow struct {
	head  int64
	slots [flowSteps]current
}

const flowSteps = 128

// current is one step of a flow.
type current struct {
	offered    float64
	good       uint32        // successes of any generation: goodput
	latency    time.Duration // summed over good
	ok, failed uint32        // answers of the current generation: verdicts
	kinds      [breaker.Kinds]uint32
}

// overload are the failures that a queue brings: time-outs and push-back.
func (c *current) overload() uint32 {
	return c.kinds[breaker.Timeout] + c.kinds[breaker.RateLimited] + c.kinds[breaker.Gateway]
}

func (f *flow) at(at time.Duration) *current {
	i := int64(at / fleet.BucketWidth)
	if i-f.head >= flowSteps {
		f.slots, f.head = [flowSteps]current{}, i
	}
	for f.head < i {
		f.head++
		f.slots[f.head%flowSteps] = current{}
	}
	if i <= f.head-flowSteps || i < 0 {
		return nil
	}
	return &f.slots[i%flowSteps]
}

// span sums the steps that ended between now-from and now-to.
func (f *flow) span(now, from, to time.Duration) (c current) {
	a, b := int64((now-from)/fleet.BucketWidth), int64((now-to)/fleet.BucketWidth)
	for i := max(a, f.head-flowSteps+1, 0); i < min(b, f.head+1); i++ {
		s := &f.slots[i%flowSteps]
		c.offered += s.offered
		c.good += s.good
		c.latency += s.latency
		c.ok += s.ok
		c.failed += s.failed
		for k, n := range s.kinds {
			c.kinds[k] += n
		}
	}
	return c
}

// forget drops what was seen under an earlier generation, but for demand and
// goodput.
func (f *flow) forget() {
	for i := range f.slots {
		s := &f.slots[i]
		*s = current{offered: s.offered, good: s.good, latency: s.latency}
	}
}

// demand is offered calls a second. In calm reports are up to a second late, so
// the newest full second is looked for there, and the newest steps serve as a
// lower bound; at low rates a longer span is taken (algorithms.md, 1).
func (f *flow) demand(now time.Duration, hot bool) float64 {
	const ms = time.Millisecond
	rate := func(from, to time.Duration) float64 {
		return f.span(now, from, to).offered / (from - to).Seconds()
	}
	var d float64
	if hot {
		d = rate(900*ms, 300*ms)
	} else {
		d = max(rate(2100*ms, 1100*ms), rate(700*ms, 300*ms))
	}
	if d < 20 {
		d = rate(4800*ms, 300*ms)
	}
	return max(d, 0.2)
}
