package demo

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// slowInSDK is what a call may spend in the SDK before it counts as blocked.
const slowInSDK = 50 * time.Millisecond

// slowCalls keeps when calls spent too long in the SDK, outside of the transport
// that it guards. Both are measured around the SDK, not by it.
type slowCalls struct {
	mu    sync.Mutex
	kept  []time.Time
	total uint64
}

// slowLimit bounds what is kept; the total goes on.
const slowLimit = 10_000

type slowStats struct {
	Times []time.Time
	Total uint64
}

func (s *slowCalls) add(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total++
	if len(s.kept) < slowLimit {
		s.kept = append(s.kept, at)
	}
}

func (s *slowCalls) read() slowStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slowStats{append([]time.Time{}, s.kept...), s.total}
}

type sentKey struct{}

// outer stands before the SDK and inner behind it: what the one takes longer than
// the other is the SDK's.
type outer struct {
	next http.RoundTripper
	slow *slowCalls
}

func (o *outer) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent time.Duration
	began := time.Now()
	resp, err := o.next.RoundTrip(r.WithContext(context.WithValue(r.Context(), sentKey{}, &sent)))
	if time.Since(began)-sent > slowInSDK {
		o.slow.add(began)
	}
	return resp, err
}

type inner struct{ next http.RoundTripper }

func (i inner) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := i.next.RoundTrip(r)
	if sent, ok := r.Context().Value(sentKey{}).(*time.Duration); ok {
		*sent += time.Since(began)
	}
	return resp, err
}
