package live

import (
	"context"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/server/proxy"
)

// arrival is a call that was let through, as its instance's proxy saw it.
type arrival struct {
	at, ended time.Duration // ended is 0 while it is not
	from      string
	instance  string
	failed    bool
}

func (m *mesh) now() time.Duration { return time.Since(m.origin) }

// arrivals since an instant, in order.
func (m *mesh) arrivals(since time.Duration) (as []arrival) {
	for _, x := range m.instances {
		for _, e := range x.proxy.Events(m.origin.Add(since)) {
			a := arrival{at: e.At.Sub(m.origin), from: e.Source, instance: x.name}
			if e.Effect != proxy.Pending {
				a.ended = a.at + e.Took
				a.failed = e.Effect != proxy.Passed || e.Status >= http.StatusInternalServerError
			}
			as = append(as, a)
		}
	}
	slices.SortFunc(as, func(a, b arrival) int { return int(a.at - b.at) })
	return as
}

// since is a copy of what replicas have told since an instant.
func since[T any](m *mesh, all *[]told[T], at time.Duration) (some []told[T]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range *all {
		if x.at >= at {
			some = append(some, x)
		}
	}
	return some
}

func (m *mesh) called(at time.Duration) []told[call]    { return since(m, &m.calls, at) }
func (m *mesh) changed(at time.Duration) []told[change] { return since(m, &m.changes, at) }

// count what matches.
func count[T any](all []T, match func(*T) bool) (n float64) {
	for i := range all {
		if match(&all[i]) {
			n++
		}
	}
	return n
}

// opening is a breaker that opened from closed.
func opening(c *told[change]) bool {
	return c.what.From == switchgear.Closed && c.what.To != switchgear.Closed
}

// closing is one that closed.
func closing(c *told[change]) bool {
	return c.what.Instance == "" && c.what.From != switchgear.Closed && c.what.To == switchgear.Closed
}

// standing tells when which replicas' breakers of the callee were not closed.
func (m *mesh) standing(do func(at time.Duration, open map[string]bool)) {
	open := make(map[string]bool)
	changes := m.changed(math.MinInt64)
	slices.SortStableFunc(changes, func(a, b told[change]) int { return int(a.at - b.at) })
	for _, c := range changes {
		switch {
		case c.what.Instance != "":
			continue
		case c.what.To == switchgear.Closed:
			delete(open, c.replica)
		default:
			open[c.replica] = true
		}
		do(c.at, open)
	}
}

// allOpen is when so many breakers were not closed at once for the first time
// since an instant; 0 if never.
func (m *mesh) allOpen(n int, from time.Duration) (at time.Duration) {
	m.standing(func(now time.Duration, open map[string]bool) {
		if at == 0 && now >= from && len(open) >= n {
			at = now
		}
	})
	return at
}

// full is from when on at least 98 of 100 calls of each second are let through; 0
// if they are not yet, for two seconds.
func (m *mesh) full(from time.Duration) time.Duration {
	last := from
	sum, rejected := map[time.Duration]int{}, map[time.Duration]int{}
	for _, c := range m.called(from) {
		at := (c.at - from) / time.Second
		if sum[at]++; c.what.Rejected {
			rejected[at]++
		}
	}
	whole := (m.now() - from) / time.Second
	for i := range whole {
		if 50*rejected[i] > sum[i] || sum[i] == 0 {
			last = from + (i+1)*time.Second
		}
	}
	if from+whole*time.Second-last < 2*time.Second {
		return 0
	}
	return last
}

// after is the seconds from one instant to another, NaN where there was none.
func after(from, at time.Duration) float64 {
	if at == 0 {
		return math.NaN()
	}
	return max(0, (at - from).Seconds())
}

// hold waits.
func hold(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// await looks until it is so, or the limit is over; the error is ctx's end only.
func (m *mesh) await(ctx context.Context, limit time.Duration, so func() bool) error {
	for end := m.now() + limit; !so() && m.now() < end; {
		if err := hold(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// answers says how all instances from now on.
func (m *mesh) answers(status func(*http.Request) int) {
	for _, x := range m.instances {
		x.answers(status)
	}
}

func failing(*http.Request) int { return http.StatusInternalServerError }
func well(*http.Request) int    { return http.StatusOK }

// hanging never answers, also when others are answered again.
func hanging(r *http.Request) int {
	<-r.Context().Done()
	return http.StatusGatewayTimeout
}

// faults of all proxies; none is the cure.
func (m *mesh) faults(f proxy.Faults) error {
	for _, x := range m.instances {
		if err := x.proxy.Set(f); err != nil {
			return err
		}
	}
	return nil
}
