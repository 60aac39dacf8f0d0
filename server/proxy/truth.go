package proxy

import (
	"fmt"
	"sync"
	"time"
)

// Counts is what a proxy has seen and done since it was started. A request, or
// with TCP a connection, is counted in Arrived when it comes and in at most one
// of Passed, Failed, Reset, Hung, QueueFull and Broken when it ends.
type Counts struct {
	Arrived   uint64 `json:"arrived"`
	Passed    uint64 `json:"passed"`     // the target's own answer, whatever it said
	Failed    uint64 `json:"failed"`     // by FailPercent
	Reset     uint64 `json:"reset"`      // by ResetPercent or Refuse
	Hung      uint64 `json:"hung"`       // by Hang or HalfOpen
	QueueFull uint64 `json:"queue_full"` // by Capacity
	Broken    uint64 `json:"broken"`     // the target could not be reached or broke off
	Left      uint64 `json:"left"`       // the caller left while it was delayed or queued
	Delayed   uint64 `json:"delayed"`    // of all, how many were kept waiting
}

// String is Counts in words, without what is zero.
func (c Counts) String() string {
	words := fmt.Sprintf("%d arrived", c.Arrived)
	for _, x := range []struct {
		n    uint64
		word string
	}{
		{c.Passed, "passed"},
		{c.Failed, "failed"},
		{c.Reset, "reset"},
		{c.Hung, "hung"},
		{c.QueueFull, "beyond capacity"},
		{c.Broken, "not served by the target"},
		{c.Left, "given up by the caller"},
		{c.Delayed, "delayed"},
	} {
		if x.n > 0 {
			words += fmt.Sprintf(", %d %s", x.n, x.word)
		}
	}
	return words
}

// Effect is how a request or a connection ended.
type Effect uint8

const (
	Pending   Effect = iota // not ended yet
	Passed                  // answered by the target
	Failed                  // failed by FailPercent
	Reset                   // reset by ResetPercent or Refuse
	Hung                    // never answered
	QueueFull               // failed because too many were waiting for Capacity
	Broken                  // the target could not be reached or broke off
	Left                    // the caller left first
)

// Event is the truth about one request.
type Event struct {
	At     time.Time // of its arrival
	Source string    // the value of Config.SourceHeader
	Effect Effect
	Status int           // as answered; 0 without an answer
	Took   time.Duration // from arrival to end
}

// truth counts and keeps the last events. Its memory is bounded: a ring that
// grows to its limit, and then forgets the oldest.
type truth struct {
	limit int

	mu     sync.Mutex
	counts Counts
	ring   []Event
	next   uint64 // number of the next event
}

func (t *truth) arrive(source string) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Arrived++
	n := t.next
	t.next++
	switch e := (Event{At: time.Now(), Source: source}); {
	case t.limit == 0:
	case len(t.ring) < t.limit:
		t.ring = append(t.ring, e)
	default:
		t.ring[n%uint64(t.limit)] = e
	}
	return n
}

func (t *truth) delayed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Delayed++
}

func (t *truth) end(n uint64, effect Effect, status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch effect {
	case Passed:
		t.counts.Passed++
	case Failed:
		t.counts.Failed++
	case Reset:
		t.counts.Reset++
	case Hung:
		t.counts.Hung++
	case QueueFull:
		t.counts.QueueFull++
	case Broken:
		t.counts.Broken++
	case Left:
		t.counts.Left++
	}
	if t.limit == 0 || t.next-n > uint64(t.limit) {
		return // forgotten meanwhile
	}
	e := &t.ring[n%uint64(t.limit)]
	e.Effect, e.Status, e.Took = effect, status, time.Since(e.At)
}

func (t *truth) read() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

// since copies the events that are still kept and arrived at from or later, in
// the order of their arrival.
func (t *truth) since(from time.Time) []Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Event
	oldest := t.next - uint64(len(t.ring))
	for n := oldest; n < t.next; n++ {
		if e := t.ring[n%uint64(t.limit)]; !e.At.Before(from) {
			out = append(out, e)
		}
	}
	return out
}
