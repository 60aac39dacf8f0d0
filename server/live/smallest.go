package live

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// smallestPart is scenario 3: what is taken out is what is broken, and no more.
var smallestPart = chapter{3, []part{
	{
		name: "1 of 12 instances fails",
		spec: spec{callers: []callers{twenty()}, instances: 12},
		rows: []promise{
			{measure: "breakers of the circuit, or of other instances, that opened", op: "=", promised: 0},
			{measure: "calls to it in a second, 5 s later, of 40 in all", op: "<=", promised: 1},
			{measure: "calls rejected that another instance would have answered", op: "=", promised: 0},
		},
		play: func(ctx context.Context, m *mesh) ([]float64, error) {
			const span = 15 * time.Second
			if err := hold(ctx, calmTime); err != nil {
				return nil, err
			}
			sick := m.instances[4]
			sick.answers(failing)
			if err := hold(ctx, 5*time.Second); err != nil {
				return nil, err
			}
			later := m.now()
			if err := hold(ctx, span); err != nil {
				return nil, err
			}
			return []float64{
				count(m.changed(0), func(c *told[change]) bool { return opening(c) && c.what.Instance != sick.proxy.Addr() }),
				count(m.arrivals(later), func(a *arrival) bool { return a.instance == sick.name }) / span.Seconds(),
				count(m.called(0), func(c *told[call]) bool { return c.what.Rejected }),
			}, nil
		},
	},
	{
		name: "1 of 30 routes fails",
		spec: spec{callers: []callers{routed()}, instances: 3},
		rows: []promise{
			{measure: "calls of the other 29 that were rejected", op: "=", promised: 0},
			{measure: "breakers of the circuit or of instances that opened", op: "=", promised: 0},
		},
		play: func(ctx context.Context, m *mesh) ([]float64, error) {
			return m.partly(ctx, func(r *http.Request) bool { return r.URL.Path == sickRoute },
				func(c *told[call]) bool { return c.what.Route != sickRoute }, func(*told[change]) bool { return true })
		},
	},
	{
		name: "one tenant of two fails with all its requests",
		spec: spec{callers: []callers{half("tenant"), half("web")}, instances: 3},
		rows: []promise{
			{measure: "others' calls that were rejected", op: "=", promised: 0},
			{measure: "others' breakers that opened", op: "=", promised: 0},
		},
		play: func(ctx context.Context, m *mesh) ([]float64, error) {
			web := func(replica string) bool { return strings.HasPrefix(replica, "web-") }
			return m.partly(ctx, func(r *http.Request) bool { return !web(r.Header.Get(replicaHeader)) },
				func(c *told[call]) bool { return web(c.replica) }, func(c *told[change]) bool { return web(c.replica) })
		},
	},
	{
		name: "a poison request, 5 % of all, fails everywhere",
		spec: spec{callers: []callers{twenty()}, instances: 3},
		rows: []promise{
			{measure: "calls that were rejected", op: "=", promised: 0},
			{measure: "breakers that opened", op: "=", promised: 0},
		},
		play: func(ctx context.Context, m *mesh) ([]float64, error) {
			var n atomic.Uint64
			return m.partly(ctx, func(*http.Request) bool { return n.Add(1)%20 == 0 },
				func(*told[call]) bool { return true }, func(*told[change]) bool { return true })
		},
	},
	{
		name: "all 12 instances fail",
		spec: spec{callers: []callers{twenty()}, instances: 12},
		rows: []promise{
			{measure: "seconds from the first to the last of 20 replicas to open", op: "<=", promised: 1},
			{measure: "seconds until the callee is open as one", op: "<=", promised: 2},
		},
		play: func(ctx context.Context, m *mesh) ([]float64, error) {
			if err := hold(ctx, calmTime); err != nil {
				return nil, err
			}
			from := m.now()
			m.answers(failing)
			err := m.await(ctx, 30*time.Second, func() bool { return m.allOpen(20, from) != 0 })
			return []float64{after(m.allOpen(1, from), m.allOpen(20, from)), after(from, m.allOpen(20, from))}, err
		},
	},
}}

const (
	calmTime  = 10 * time.Second
	sickRoute = "/r4"
)

func routed() callers {
	c := twenty()
	c.Routes, c.PerSecond = 30, 5
	return c
}

func half(service string) callers {
	c := twenty()
	c.Service, c.replicas, c.PerSecond = service, 10, 4
	return c
}

// partly has some requests fail after a calm time: how many calls of those that
// should be spared were rejected, and how many such breakers opened.
func (m *mesh) partly(ctx context.Context, fails func(*http.Request) bool, spared func(*told[call]) bool, sparedToo func(*told[change]) bool) ([]float64, error) {
	if err := hold(ctx, calmTime); err != nil {
		return nil, err
	}
	m.answers(func(r *http.Request) int {
		if fails(r) {
			return failing(r)
		}
		return well(r)
	})
	err := hold(ctx, 20*time.Second)
	return []float64{
		count(m.called(0), func(c *told[call]) bool { return c.what.Rejected && spared(c) }),
		count(m.changed(0), func(c *told[change]) bool { return opening(c) && sparedToo(c) }),
	}, err
}
