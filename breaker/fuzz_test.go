package breaker

import (
	"testing"
	"time"
)

// model is what a breaker does, without its speed: one goroutine, one clock, a
// list of all calls.
type model struct {
	s        Settings
	now      time.Duration
	state    State
	gen      int
	calls    []modelCall // of the generation
	streak   int
	until    time.Duration
	bucket   time.Duration // end of the present bucket
	probes   map[int]time.Duration
	done, ko int
	id       int
	counts   Counts
	inFlight int
}

type modelCall struct {
	bucket time.Duration // end of the bucket that it was counted in
	failed bool
}

type modelPermit struct{ gen, id int }

func (m *model) enter(s State) {
	m.state, m.calls, m.streak = s, nil, 0
	m.gen++
	m.bucket = m.now + m.width()
	m.probes, m.done, m.ko = map[int]time.Duration{}, 0, 0
	if s == Open {
		m.until = m.now + m.s.Wait.Base
	}
}

func (m *model) width() time.Duration { return m.s.WindowDuration / time.Duration(m.s.WindowBuckets) }

func (m *model) lapse() {
	for id, end := range m.probes {
		if m.now >= end {
			delete(m.probes, id)
		}
	}
}

func (m *model) acquire() (modelPermit, Reason, bool) {
	if m.state == Open && m.now >= m.until {
		m.enter(HalfOpen)
	}
	if m.state == Open {
		m.counts.Rejected[ReasonOpen]++
		return modelPermit{}, ReasonOpen, false
	}
	m.lapse()
	if m.state == HalfOpen && m.done+len(m.probes) >= m.s.PermittedNumberOfCallsInHalfOpenState {
		m.counts.Rejected[ReasonHalfOpen]++
		return modelPermit{}, ReasonHalfOpen, false
	}
	if n := m.s.MaxConcurrentCalls; n > 0 {
		if m.inFlight >= n {
			m.counts.Rejected[ReasonConcurrency]++
			return modelPermit{}, ReasonConcurrency, false
		}
	}
	m.inFlight++
	p := modelPermit{gen: m.gen}
	if m.state == HalfOpen {
		m.id++
		p.id = m.id
		m.probes[p.id] = m.now + m.s.MaxWaitDurationInHalfOpenState
	}
	return p, 0, true
}

func (m *model) end(p modelPermit, v Verdict, release bool) bool {
	m.inFlight--
	m.lapse()
	_, out := m.probes[p.id]
	late := p.gen != m.gen || p.id != 0 && !out
	if out && !late {
		delete(m.probes, p.id)
	}
	switch {
	case release:
		m.counts.Released++
		return false
	case v == Ignored:
		m.counts.Ignored++
		return !late
	case v == Inherited:
		m.counts.Inherited++
		return !late
	case late && v == Success:
		m.counts.LateSucceeded++
		return false
	case late:
		m.counts.LateFailed++
		return false
	}
	if v == Success {
		m.counts.Succeeded++
	} else {
		m.counts.Failed++
	}
	if m.state == HalfOpen {
		m.done++
		if v == Failure {
			m.ko++
		}
		n := m.s.PermittedNumberOfCallsInHalfOpenState
		switch {
		case 100*float64(m.ko) >= m.s.FailureRateThreshold*float64(n):
			m.enter(Open)
		case m.done == n:
			m.enter(Closed)
		}
		return true
	}
	for m.now >= m.bucket {
		m.bucket += m.width()
	}
	m.calls = append(m.calls, modelCall{m.bucket, v == Failure})
	if m.streak++; v == Success {
		m.streak = 0
	}
	w := m.window()
	if m.streak >= m.s.ConsecutiveFailures && m.s.ConsecutiveFailures > 0 ||
		w.Calls >= m.s.MinimumNumberOfCalls && w.FailureRate() >= m.s.FailureRateThreshold {
		m.enter(Open)
	}
	return true
}

func (m *model) window() Window {
	calls := m.calls
	if n := m.s.WindowSize; n > 0 {
		calls = calls[max(len(calls)-n, 0):]
	}
	end := m.bucket
	for m.now >= end {
		end += m.width()
	}
	w := Window{Consecutive: m.streak}
	for _, c := range calls {
		if m.s.WindowSize > 0 || c.bucket > end-m.s.WindowDuration {
			w.Calls++
			if c.failed {
				w.Failed++
			}
		}
	}
	return w
}

// FuzzAgainstModel decodes bytes to settings and operations and compares all
// that there is to see after each.
func FuzzAgainstModel(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0x45, 1, 1, 0, 0})
	f.Add([]byte{1, 3, 1, 1, 1, 0, 1, 0, 1, 1, 0x47, 0, 1, 2, 3, 4})
	f.Add([]byte{24, 3, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0xff, 1, 0, 1, 0, 1, 0, 1, 1})
	f.Add([]byte{7, 2, 4, 5, 6, 7, 0x10, 0x21, 0x32, 0x43, 9, 9, 9, 1, 1, 1, 1, 0x4f, 5, 6})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 3 {
			return
		}
		s := Settings{
			FailureRateThreshold: 50, MinimumNumberOfCalls: 2 + int(data[1]%6), WindowDuration: 2 * time.Second, WindowBuckets: 4,
			PermittedNumberOfCallsInHalfOpenState: 1 + int(data[2]%4), MaxWaitDurationInHalfOpenState: 700 * time.Millisecond,
			Wait: Wait{Shape: WaitFixed, Base: time.Second},
		}
		if data[0]&1 != 0 {
			s.WindowSize = 8
		}
		if data[0]&2 != 0 {
			s.ConsecutiveFailures = 3
		}
		if data[0]&4 != 0 {
			s.MaxConcurrentCalls = 3
		}
		m := start(t, s, nil)
		x := &model{s: *m.Settings(), now: m.now, gen: 1, bucket: m.now + 500*time.Millisecond}
		first := true
		if data[0]&8 != 0 { // as busy ones count
			m.open().widen()
			first = false
		}
		var permits []Permit
		var twins []modelPermit
		for i, op := range data[3:] {
			switch op & 15 {
			default: // a call at once
				p, err := m.Acquire()
				q, reason, ok := x.acquire()
				if ok != (err == nil) {
					t.Fatalf("step %d: error %v, the model says %v %v", i, err, ok, reason)
				}
				if !ok {
					m.sameReason(t, err, reason)
					break
				}
				if first { // a window begins with its first outcome
					x.bucket, first = x.now+x.width(), false
				}
				v := Verdict(op & 3)
				if a, b := p.Done(Outcome{Verdict: v}), x.end(q, v, false); a != b {
					t.Fatalf("step %d: counted %v, the model says %v", i, a, b)
				}
			case 8, 9: // begins
				p, err := m.Acquire()
				q, reason, ok := x.acquire()
				if ok != (err == nil) {
					t.Fatalf("step %d: error %v, the model says %v %v", i, err, ok, reason)
				}
				if !ok {
					m.sameReason(t, err, reason)
					break
				}
				permits, twins = append(permits, p), append(twins, q)
			case 10, 11, 12: // ends
				if len(permits) == 0 {
					break
				}
				k := int(op>>4) % len(permits)
				if first {
					x.bucket, first = x.now+x.width(), false
				}
				v, release := Verdict(op&1), op&15 == 12
				got := false
				if release {
					permits[k].Release()
				} else {
					got = permits[k].Done(Outcome{Verdict: v})
				}
				if want := x.end(twins[k], v, release); got != want {
					t.Fatalf("step %d: counted %v, the model says %v", i, got, want)
				}
				if permits[k].Done(Outcome{}) {
					t.Fatalf("step %d: counted twice", i)
				}
				permits = append(permits[:k], permits[k+1:]...)
				twins = append(twins[:k], twins[k+1:]...)
			case 13, 14, 15:
				d := time.Duration(op>>4) * 100 * time.Millisecond
				m.pass(d)
				x.now += d
			}
			if s.MaxConcurrentCalls > 0 && first && len(permits) > 0 {
				x.bucket, first = x.now+x.width(), false
			}
			v, want := m.View(), x.window()
			if v.State != Closed {
				want, v.Window = Window{}, Window{}
			}
			if s.ConsecutiveFailures == 0 { // then nobody needs it exactly
				want.Consecutive, v.Window.Consecutive = 0, 0
			}
			if v.State != x.state || v.Window != want {
				t.Fatalf("step %d, op %d: %v %+v, the model says %v %+v", i, op, v.State, v.Window, x.state, want)
			}
			if data[0]&16 != 0 && i+4 < len(data) {
				continue // Counts asks for the next failure, which costs its shortcut
			}
			n := m.Counts()
			n.Permitted, n.Kinds, n.Latency = 0, [Kinds]uint64{}, 0
			if n != x.counts {
				t.Fatalf("step %d: %+v, the model says %+v", i, n, x.counts)
			}
		}
	})
}

func (m *manual) sameReason(t *testing.T, err error, want Reason) {
	t.Helper()
	if e := err.(*NotPermittedError); e.Reason != want {
		t.Fatalf("rejected by %v, the model says %v", e.Reason, want)
	}
}
