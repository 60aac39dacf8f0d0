package breaker

import "time"

// tally3 counts what rules look at, cumulatively within a generation.
type tally3 struct{ ok, failed, slow uint32 }

func (t tally3) minus(o tally3) tally3 {
	return tally3{t.ok - o.ok, t.failed - o.failed, t.slow - o.slow}
}

// window is the part of a generation that rules judge: of time, as the counts at
// each bucket's start; or of the last calls, as a ring of two bits each. It is
// guarded by the core's lock.
type window struct {
	buckets []tally3 // counts at the start of each bucket
	head    int      // the present bucket
	end     time.Duration
	width   time.Duration

	size int // of a count window, else 0
	ring []byte
	next int
	held tally3
	n    int
}

func newWindow(s *Settings, now time.Duration) window {
	if s.WindowSize > 0 {
		return window{size: s.WindowSize, ring: make([]byte, (s.WindowSize+3)/4)}
	}
	n := max(s.WindowBuckets, 2)
	width := max(s.WindowDuration/time.Duration(n), time.Millisecond)
	return window{buckets: make([]tally3, n), width: width, end: now + width}
}

// shaped reports whether the window is one of these settings.
func (w *window) shaped(s *Settings) bool {
	if s.WindowSize > 0 || w.size > 0 {
		return s.WindowSize == w.size
	}
	n := max(s.WindowBuckets, 2)
	return len(w.buckets) == n && w.width == max(s.WindowDuration/time.Duration(n), time.Millisecond)
}

// reset forgets what it holds: a new generation begins.
func (w *window) reset(now time.Duration) {
	clear(w.buckets)
	clear(w.ring)
	w.head, w.next, w.n, w.held = 0, 0, 0, tally3{}
	w.end = now + w.width
}

// fill makes a window of another shape begin with nothing in it.
func (w *window) fill(counts tally3) {
	for i := range w.buckets {
		w.buckets[i] = counts
	}
}

// rotate begins the bucket that now is in and reports whether it is a new one.
func (w *window) rotate(now time.Duration, counts tally3) bool {
	k := w.elapsed(now)
	if k == 0 {
		return false
	}
	for range min(k, len(w.buckets)) {
		w.head = (w.head + 1) % len(w.buckets)
		w.buckets[w.head] = counts
	}
	w.end += time.Duration(k) * w.width
	return true
}

// elapsed is how many buckets have ended since the present one.
func (w *window) elapsed(now time.Duration) int {
	if w.size > 0 || now < w.end {
		return 0
	}
	return int((now-w.end)/w.width) + 1
}

// oldest are the counts at the start of the oldest bucket.
func (w *window) oldest() tally3 { return w.buckets[(w.head+1)%len(w.buckets)] }

const (
	ringFailed = 1 << iota
	ringSlow
)

// push puts a call into the ring of a count window.
func (w *window) push(failed, slow bool) {
	if w.size == 0 {
		return
	}
	i, shift := w.next/4, w.next%4*2
	if w.n == w.size {
		w.held = w.held.minus(unpack(w.ring[i] >> shift))
	} else {
		w.n++
	}
	var v byte
	if failed {
		v |= ringFailed
	}
	if slow {
		v |= ringSlow
	}
	w.ring[i] = w.ring[i]&^(3<<shift) | v<<shift
	t := unpack(v)
	w.held = tally3{w.held.ok + t.ok, w.held.failed + t.failed, w.held.slow + t.slow}
	w.next = (w.next + 1) % w.size
}

func unpack(v byte) tally3 {
	t := tally3{ok: 1}
	if v&ringFailed != 0 {
		t = tally3{failed: 1}
	}
	if v&ringSlow != 0 {
		t.slow = 1
	}
	return t
}

// at is what the window holds at an instant, without rotating it.
func (w *window) at(now time.Duration, counts tally3) tally3 {
	if w.size > 0 {
		return w.held
	}
	k := w.elapsed(now)
	if k >= len(w.buckets) {
		return tally3{}
	}
	return counts.minus(w.buckets[(w.head+k+1)%len(w.buckets)])
}
