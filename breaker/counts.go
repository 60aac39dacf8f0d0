package breaker

import (
	"sync"
	"sync/atomic"
	"time"
)

// Counts of all outcomes since a breaker or tally was made; they only grow. Each
// outcome is in exactly one of Succeeded, Failed, Ignored, Inherited, Shadow,
// LateSucceeded and LateFailed.
type Counts struct {
	// Permitted are the calls that were permitted and have come to an end;
	// permitting itself counts nothing, so that it costs nothing.
	Permitted uint64
	// Rejected calls, by Reason.
	Rejected [reasons]uint64

	Succeeded, Failed, Ignored, Inherited uint64
	// Shadow calls were let through by the mode against the state; ShadowFailed
	// are those of them that failed.
	Shadow, ShadowFailed uint64
	// Released permits ended without an outcome.
	Released uint64
	// Slow calls among Succeeded and Failed.
	Slow uint64
	// Late outcomes were permitted before the last transition; ignored and
	// inherited ones are never late.
	LateSucceeded, LateFailed uint64
	LateLatency               time.Duration // sum over LateSucceeded
	// Retried are the second and later attempts among Succeeded and Failed.
	RetriedSucceeded, RetriedFailed uint64

	Kinds   [Kinds]uint64 // of Failed, LateFailed and Ignored
	Latency time.Duration // sum over Succeeded
}

func (c *Counts) finish() {
	c.Permitted = c.Succeeded + c.Failed + c.Ignored + c.Inherited + c.Shadow + c.LateSucceeded + c.LateFailed + c.Released
}

// record counts what an outcome of the present generation is.
func (c *Counts) record(o *Outcome, latency time.Duration) {
	switch o.Verdict {
	case Success:
		c.Succeeded++
		c.Latency += latency
		if o.Attempt > 1 {
			c.RetriedSucceeded++
		}
	case Ignored:
		c.Ignored++
		c.Kinds[o.Kind]++
	case Inherited:
		c.Inherited++
	default:
		c.Failed++
		c.Kinds[o.Kind]++
		if o.Attempt > 1 {
			c.RetriedFailed++
		}
	}
}

// Tally is a set of outcome counters by itself, for a label such as a route or
// an instance. Whoever knows the label resolves its tally once and adds what
// Done counted. The zero Tally is empty; safe for concurrent use.
type Tally struct {
	shared sharedCell
	others atomic.Uint64 // outcomes that are in counts
	mu     sync.Mutex
	counts *Counts // nil while all were first attempts that succeeded
}

// Add counts an outcome; latency is the call's, used where the outcome has none.
func (t *Tally) Add(o Outcome, latency time.Duration) {
	o.normalize()
	if o.Latency > 0 {
		latency = o.Latency
	}
	latency = max(latency, 0)
	if o.Verdict == Success && o.Attempt <= 1 {
		t.shared.n.Add(1)
		if latency > 0 {
			t.shared.latency.Add(int64(latency))
		}
		return
	}
	t.mu.Lock()
	if t.counts == nil {
		t.counts = new(Counts)
	}
	t.counts.record(&o, latency)
	t.mu.Unlock()
	t.others.Add(1)
}

// Added is how many outcomes were added: whether there is anything new to read.
func (t *Tally) Added() uint64 { return t.shared.n.Load() + t.others.Load() }

// Counts since the tally was made.
func (t *Tally) Counts() Counts {
	var c Counts
	t.mu.Lock()
	if t.counts != nil {
		c = *t.counts
	}
	t.mu.Unlock()
	c.Succeeded += t.shared.n.Load()
	c.Latency += time.Duration(t.shared.latency.Load())
	c.finish()
	return c
}

// late counts an outcome of an earlier generation.
func (c *Counts) late(o *Outcome) {
	switch o.Verdict {
	case Success:
		c.LateSucceeded++
		c.LateLatency += o.Latency
	case Ignored:
		c.Ignored++
		c.Kinds[o.Kind]++
	case Inherited:
		c.Inherited++
	default:
		c.LateFailed++
		c.Kinds[o.Kind]++
	}
}
