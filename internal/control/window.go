package control

import "time"

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

// ring is a window whose steps are known when it is compiled: it needs no memory
// of its own beside what holds it, and no division, where windows are counted in
// millions.
type ring[S [demandSteps]tally | [cellSteps]tally] struct {
	head  int64
	slots S
}

// newest is a ring over demandSpan, and attempts one over cellSpan.
type (
	newest   = ring[[demandSteps]tally]
	attempts = ring[[cellSteps]tally]
)

func (w *ring[S]) step() time.Duration {
	if len(w.slots) == demandSteps {
		return demandSpan / demandSteps
	}
	return cellSpan / cellSteps
}

func (w *ring[S]) add(at time.Duration, t tally) {
	i := int64(at / w.step())
	if i != w.head {
		w.advance(i)
		if i <= w.head-int64(len(w.slots)) || i < 0 {
			return
		}
	}
	s := &w.slots[uint64(i)%uint64(len(w.slots))]
	s.n += t.n
	s.k += t.k
}

func (w *ring[S]) advance(i int64) {
	if i-w.head >= int64(len(w.slots)) {
		w.reset()
		w.head = i
		return
	}
	for w.head < i {
		w.head++
		w.slots[uint64(w.head)%uint64(len(w.slots))] = tally{}
	}
}

// sum of the newest steps up to now.
func (w *ring[S]) sum(now time.Duration, steps int) (t tally) {
	i := int64(now / w.step())
	for j := max(i-int64(min(steps, len(w.slots)))+1, w.head-int64(len(w.slots))+1, 0); j <= min(i, w.head); j++ {
		s := w.slots[uint64(j)%uint64(len(w.slots))]
		t.n += s.n
		t.k += s.k
	}
	return t
}

// merge adds what another one holds.
func (w *ring[S]) merge(o *ring[S]) {
	for i := max(o.head-int64(len(o.slots))+1, 0); i <= o.head; i++ {
		w.add(time.Duration(i)*o.step(), o.slots[uint64(i)%uint64(len(o.slots))])
	}
}

func (w *ring[S]) reset() {
	var empty S
	w.slots = empty
}
