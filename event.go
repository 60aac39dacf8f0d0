package switchgear

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Event is one change of a breaker's state or mode.
type Event struct {
	Key        Key
	Instance   string // where it is the breaker of one instance
	At         time.Time
	From, To   State
	FromMode   Mode
	Mode       Mode
	Generation uint64
	Why        string
	// Missed is how many events this reader lost just before this one, because it
	// was more than eventQueue behind.
	Missed uint64
}

// eventQueue bounds what a reader of events may be behind.
const eventQueue = 1024

// Events gives the changes from this call on until ctx ends or the manager is
// closed, in order for each breaker. A slow reader loses events, never delays a
// call. Range over it once.
func (m *Manager) Events(ctx context.Context) iter.Seq[Event] {
	s := m.events.subscribe()
	unread := context.AfterFunc(ctx, func() { m.events.unsubscribe(s) })
	return func(yield func(Event) bool) {
		defer m.events.unsubscribe(s)
		defer unread()
		for {
			for _, e := range m.events.take(s) {
				if !yield(e) {
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case _, open := <-s.ready:
				if !open {
					return
				}
			}
		}
	}
}

// hub hands events to readers. INVARIANT: nothing is called under mu.
type hub struct {
	mu      sync.Mutex
	readers []*reader
	journal reader // for the log, written by the manager's goroutine
	closed  bool
	lost    uint64 // events that readers missed
}

type reader struct {
	queue  []Event
	missed uint64
	ready  chan struct{}
}

func (h *hub) publish(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.journal.add(e)
	for _, r := range h.readers {
		if !r.add(e) {
			h.lost++
		}
		select {
		case r.ready <- struct{}{}:
		default:
		}
	}
}

func (r *reader) add(e Event) (kept bool) {
	if len(r.queue) >= eventQueue {
		r.missed++
		return false
	}
	e.Missed, r.missed = r.missed, 0
	r.queue = append(r.queue, e)
	return true
}

func (h *hub) missed() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost
}

func (h *hub) subscribe() *reader {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := &reader{ready: make(chan struct{}, 1)}
	if h.closed {
		close(r.ready)
		return r
	}
	h.readers = append(h.readers, r)
	return r
}

func (h *hub) unsubscribe(r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readers = slices.DeleteFunc(h.readers, func(o *reader) bool { return o == r })
}

func (h *hub) take(r *reader) []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	q := r.queue
	r.queue = nil
	return q
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	for _, r := range h.readers {
		close(r.ready)
	}
	h.readers = nil
}

// log writes what has happened since the last time.
func (h *hub) log(to *slog.Logger) {
	for _, e := range h.take(&h.journal) {
		to.Info("circuit changed", "circuit", e.Key.String(), "instance", e.Instance,
			"from", e.From.String(), "to", e.To.String(), "mode", e.Mode.String(), "why", e.Why)
	}
}
