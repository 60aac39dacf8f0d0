package switchgear

import (
	"iter"
	"sync"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// CircuitMetrics is what one breaker has counted since it was made. Counts only
// grow. Sums of latency are of successful calls; there is no histogram, since it
// would cost every call.
type CircuitMetrics struct {
	Key   Key // with its namespace
	State State
	Mode  Mode
	Share float64 // of calls that is admitted, 0–1
	breaker.Counts
	// Window is what the breaker judges now, from MinimumCalls on.
	Window       Window
	MinimumCalls int
	// Transitions from one state to another, by the states.
	Transitions [HalfOpen + 1][HalfOpen + 1]uint64
	// InState is the time spent in each state.
	InState [HalfOpen + 1]time.Duration
	// Instances that have breakers of their own, and how many are not closed.
	Instances, InstancesOpen int
}

// Stats are a manager's own figures.
type Stats struct {
	Breakers int
	// Evicted are breakers that were given up after ten minutes without a call, or
	// sooner where there were too many; Overflowed is how often a key beyond
	// Config.MaxBreakers was asked for.
	Evicted, Overflowed uint64
	// Linked reports whether a daemon is connected; LinkUps is how often it came
	// to be, LinkFailures how often the link was lost or could not be made.
	Linked                bool
	LinkUps, LinkFailures uint64
	// EventsMissed by readers of Events that were too slow.
	EventsMissed uint64
}

// Metrics gives what each breaker has counted, in no order. Reading costs no
// call anything. It is what exporters are built on: packages breakerprom
// and breakerotel, or thirty lines of your own.
func (m *Manager) Metrics() iter.Seq[CircuitMetrics] {
	return func(yield func(CircuitMetrics) bool) {
		for _, b := range m.all() {
			if !yield(b.metrics()) {
				return
			}
		}
	}
}

// Stats of the manager.
func (m *Manager) Stats() Stats {
	s := Stats{
		Linked: m.linked.Load(), LinkUps: m.linkUps.Load(), LinkFailures: m.linkFailures.Load(),
		EventsMissed: m.events.missed(),
		Breakers:     int(m.breakers.count.Load()), Evicted: m.evicted.Load(), Overflowed: m.overflowed.Load(),
	}
	return s
}

// canonical is the key of the breaker's circuit, with its namespace.
func (b *Breaker) canonical() Key {
	id := &b.circuit.ID
	return Key{Callee: id.Callee.Name, Namespace: id.Callee.Namespace, Route: id.Route}
}

func (b *Breaker) metrics() CircuitMetrics {
	v := b.engine.View()
	c := CircuitMetrics{
		Key: b.canonical(), State: v.State, Mode: v.Mode, Share: v.Share,
		Counts: b.engine.Totals(), Window: v.Window, MinimumCalls: b.engine.Settings().MinimumNumberOfCalls,
	}
	b.past(&c)
	c.Instances, c.InstancesOpen = b.circuit.Ejected()
	return c
}

// history is where a breaker has been, made with its first transition: most
// breakers have none.
type history struct {
	mu    sync.Mutex
	state State
	since time.Duration
	moved [HalfOpen + 1][HalfOpen + 1]uint64
	spent [HalfOpen + 1]time.Duration
}

// changed hears of transitions in order, one at a time.
func (b *Breaker) changed(t breaker.Transition) {
	if t.From == t.To {
		return
	}
	h := b.history.Load()
	if h == nil {
		h = &history{since: b.made}
		b.history.Store(h)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	// The coarse clock may be behind what a reader was told: time never shrinks.
	at := max(t.At, h.since, time.Duration(b.manager.readAt.Load()))
	h.spent[t.From] += at - h.since
	h.state, h.since = t.To, at
	h.moved[t.From][t.To]++
}

// past fills in transitions and time in states.
func (b *Breaker) past(c *CircuitMetrics) {
	h := b.history.Load()
	if h == nil {
		c.InState[Closed] = max(b.manager.read()-b.made, 0)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c.Transitions, c.InState = h.moved, h.spent
	c.InState[h.state] += max(b.manager.read()-h.since, 0)
}

// read is the time, noted as that up to which readers were told.
func (m *Manager) read() time.Duration {
	now := int64(m.now())
	for {
		was := m.readAt.Load()
		if now <= was || m.readAt.CompareAndSwap(was, now) {
			return time.Duration(now)
		}
	}
}
