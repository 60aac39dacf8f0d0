package sim

import "time"

// Event is something that happens at its time. A caller that plans many keeps
// its own objects and plans those, so that an event costs no memory.
type Event interface{ Happen() }

// act is an event that is a function.
type act func()

func (f act) Happen() { f() }

type planned struct {
	at    time.Duration
	order uint64
	what  Event
}

// queue is a heap of events by time, and by the order of planning within it. It
// is written out for speed, with four children to a node: a long queue is
// mostly cache misses, and a flat heap has fewer.
type queue []planned

func (a *planned) before(b *planned) bool {
	return a.at < b.at || a.at == b.at && a.order < b.order
}

func (q *queue) push(e planned) {
	*q = append(*q, e)
	h := *q
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = e
}

func (q *queue) pop() planned {
	h := *q
	top, n := h[0], len(h)-1
	e := h[n]
	h[n] = planned{}
	h = h[:n]
	*q = h
	if n == 0 {
		return top
	}
	i := 0
	for first := 1; first < n; first = 4*i + 1 {
		least := first
		for j := first + 1; j < min(first+4, n); j++ {
			if h[j].before(&h[least]) {
				least = j
			}
		}
		if !h[least].before(&e) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = e
	return top
}
