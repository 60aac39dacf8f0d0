package switchgeartest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/datapunk/switchgear"
)

// Recorder keeps a manager's events, in order for each breaker. Safe for
// concurrent use.
type Recorder struct {
	mu     sync.Mutex
	events []switchgear.Event
	more   chan struct{} // closed and made anew with each event
}

// Record begins to keep a manager's events, until the test ends.
func Record(tb testing.TB, m *switchgear.Manager) *Recorder {
	tb.Helper()
	r := &Recorder{more: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	events := m.Events(ctx) // from here on, not from when the goroutine runs
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range events {
			r.mu.Lock()
			r.events = append(r.events, e)
			close(r.more)
			r.more = make(chan struct{})
			r.mu.Unlock()
		}
	}()
	tb.Cleanup(func() {
		stop()
		<-done
	})
	return r
}

// Events so far.
func (r *Recorder) Events() []switchgear.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Wait for an event that is wanted, one that has already come or one to come,
// until ctx ends.
func (r *Recorder) Wait(ctx context.Context, wanted func(switchgear.Event) bool) (switchgear.Event, error) {
	for seen := 0; ; {
		r.mu.Lock()
		events, more := r.events[seen:], r.more
		r.mu.Unlock()
		if i := slices.IndexFunc(events, wanted); i >= 0 {
			return events[i], nil
		}
		seen += len(events)
		select {
		case <-ctx.Done():
			return switchgear.Event{}, fmt.Errorf("no such event among %d: %w", seen, context.Cause(ctx))
		case <-more:
		}
	}
}

// String is a line for each event, without times: to compare, and to read.
func (r *Recorder) String() string {
	var b strings.Builder
	for _, e := range r.Events() {
		fmt.Fprint(&b, e.Key)
		if e.Instance != "" {
			fmt.Fprint(&b, "@", e.Instance)
		}
		if e.From != e.To {
			fmt.Fprintf(&b, " %v → %v", e.From, e.To)
		}
		if e.FromMode != e.Mode {
			fmt.Fprintf(&b, " mode %v → %v", e.FromMode, e.Mode)
		}
		fmt.Fprintf(&b, ": %s\n", e.Why)
	}
	return b.String()
}
