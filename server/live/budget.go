package live

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/datapunk/switchgear/server/proxy"
)

// budget is scenario 4: a hundred replicas are open, and the callee comes back
// with 30 % of its capacity for half a minute.
var budget = chapter{4, []part{
	{
		name: "explicit",
		spec: hundred(explicit + `, "permittedNumberOfCallsInHalfOpenState": 3, "wait": "fixed", "waitDurationInOpenState": "5s"`),
		rows: append([]promise{{measure: "most probes of all 100 replicas within one wait", op: "<=", promised: 3}}, weakPromises...),
		play: func(ctx context.Context, m *mesh) ([]float64, error) {
			const wait = 5 * time.Second
			w, err := m.weakReturn(ctx)
			if err != nil {
				return nil, err
			}
			most, probes := 0, w.probes()
			for i, at := range probes {
				n := 0
				for _, other := range probes[i:] {
					if other-at < wait-wait/20 {
						n++
					}
				}
				most = max(most, n)
			}
			return append([]float64{float64(most)}, w.figures()...), nil
		},
	},
	{
		name: "automatic",
		spec: hundred(""),
		rows: append([]promise{{measure: "probes, less 3, over the root of calls/s × seconds open", op: "<=", promised: 2.6}}, weakPromises...),
		play: func(ctx context.Context, m *mesh) ([]float64, error) {
			w, err := m.weakReturn(ctx)
			if err != nil {
				return nil, err
			}
			offered := count(m.called(w.open), func(c *told[call]) bool { return c.at < w.weak })
			return append([]float64{(float64(len(w.probes())) - 3) / math.Sqrt(offered)}, w.figures()...), nil
		},
	},
	{
		name: "the holder of a lease dies",
		spec: oneProbe(),
		rows: []promise{
			{measure: "seconds until another replica probes", op: "<=", promised: probesWithin.Seconds()},
			{measure: "seconds half-open after the callee is well", op: "<=", promised: 10},
		},
		play: func(ctx context.Context, m *mesh) ([]float64, error) { return m.holder(ctx, true) },
	},
	{
		name: "the holder of a lease hangs",
		spec: oneProbe(),
		rows: []promise{
			{measure: "seconds until another replica probes, beyond the call's time-out", op: "<=", promised: probesWithin.Seconds()},
			{measure: "seconds half-open after the callee is well", op: "<=", promised: 10},
		},
		play: func(ctx context.Context, m *mesh) ([]float64, error) { return m.holder(ctx, false) },
	},
}}

var weakPromises = []promise{
	{measure: "breakers that opened again on the way back", op: "=", promised: 0},
	{measure: "most calls let through in a second of the weak time, over what the callee carries", op: "<=", promised: 1.5},
	{measure: "percent of the weak time's calls that failed", op: "<=", promised: 10},
	{measure: "seconds from full capacity to full traffic", op: "<=", promised: 60},
}

// Of the callee's four instances, when it is well and when it is weak; a hundred
// replicas offer 200 calls a second.
const weakCapacity = 0.3 * 75

// carries so many calls a second; who would wait for more than half a second is
// refused, as in virtual time.
func carries(perSecond float64) proxy.Faults {
	return proxy.Faults{Capacity: perSecond, Queue: max(1, int(perSecond/2))}
}

func hundred(rules string) spec {
	c := twenty()
	c.replicas = 100
	return spec{callers: []callers{c}, instances: 4, rules: rules, perProcess: 10}
}

// weak is a return with 30 % of the capacity.
type weak struct {
	*mesh
	open, weak, well, full time.Duration
}

func (m *mesh) weakReturn(ctx context.Context) (*weak, error) {
	w := &weak{mesh: m}
	if err := hold(ctx, calmTime); err != nil {
		return nil, err
	}
	from := m.now()
	m.answers(failing)
	if err := m.await(ctx, 20*time.Second, func() bool {
		w.open = m.allOpen(100, from)
		return w.open != 0
	}); err != nil {
		return nil, err
	}
	if w.open == 0 {
		w.open = math.MaxInt64
	}
	if err := hold(ctx, 15*time.Second); err != nil {
		return nil, err
	}
	w.weak = m.now()
	if err := m.faults(carries(weakCapacity)); err != nil {
		return nil, err
	}
	m.answers(well)
	if err := hold(ctx, 30*time.Second); err != nil {
		return nil, err
	}
	w.well = m.now()
	if err := m.faults(proxy.Faults{}); err != nil {
		return nil, err
	}
	return w, m.await(ctx, 62*time.Second, func() bool {
		w.full = m.full(w.well)
		return w.full != 0
	})
}

// probes are calls let through from when all were open until the weak time.
func (w *weak) probes() (at []time.Duration) {
	for _, a := range w.arrivals(w.open) {
		if a.at > w.open && a.at < w.weak {
			at = append(at, a.at)
		}
	}
	return at
}

// figures of the way back.
func (w *weak) figures() []float64 {
	let := make(map[time.Duration]float64) // by second
	sent, bad := 0.0, 0.0
	for _, a := range w.arrivals(w.weak) {
		if a.at >= w.well {
			continue
		}
		let[(a.at-w.weak)/time.Second]++
		if sent++; a.failed {
			bad++
		}
	}
	most := 0.0
	for _, n := range let {
		most = max(most, n)
	}
	return []float64{
		count(w.changed(w.weak), opening),
		most / (weakCapacity * float64(len(w.instances))),
		100 * bad / max(sent, 1),
		after(w.well, w.full),
	}
}

const (
	holderTimeout = 3 * time.Second
	// A lease waits for its holder's next call, on average half a second, and goes to
	// the next replica after one: four such in a row are one in 3,000.
	probesWithin = 5 * time.Second
)

func oneProbe() spec {
	c := twenty()
	c.Timeout = holderTimeout
	return spec{callers: []callers{c}, instances: 3, rules: explicit + `, "permittedNumberOfCallsInHalfOpenState": 1, "wait": "fixed", "waitDurationInOpenState": "2s"`}
}

// holder has the one that probes die, or its probe hang: how long until another
// one probes, and how long the circuit stays half-open afterwards.
func (m *mesh) holder(ctx context.Context, dies bool) ([]float64, error) {
	if err := hold(ctx, calmTime); err != nil {
		return nil, err
	}
	from := m.now()
	m.answers(failing)
	if err := m.await(ctx, 20*time.Second, func() bool { return m.allOpen(20, from) != 0 }); err != nil {
		return nil, err
	}
	m.answers(hanging)
	hung := m.now()
	// The first that probes, and the first other one after it.
	var first, next arrival
	if err := m.await(ctx, 20*time.Second, func() bool {
		as := m.arrivals(hung)
		if len(as) > 0 {
			first = as[0]
		}
		return first.at != 0
	}); err != nil {
		return nil, err
	}
	gone := first.at
	if dies {
		m.kill(first.from)
		gone = m.now()
	}
	if err := m.await(ctx, 20*time.Second, func() bool {
		as := m.arrivals(first.at)
		i := slices.IndexFunc(as, func(a arrival) bool { return a.from != first.from })
		if i >= 0 {
			next = as[i]
		}
		return next.at != 0
	}); err != nil {
		return nil, err
	}
	if !dies {
		gone += holderTimeout
	}
	late := math.NaN()
	if next.at != 0 {
		late = (next.at - gone).Seconds()
	}
	// What hangs now goes on to; those to come are answered.
	ends := m.now()
	m.answers(well)
	var last time.Duration
	err := m.await(ctx, 30*time.Second, func() bool {
		last = 0
		m.standing(func(at time.Duration, open map[string]bool) {
			if dies {
				delete(open, first.from) // it closes no more
			}
			if last = at; len(open) > 0 {
				last = 0
			}
		})
		return last != 0
	})
	return []float64{late, after(ends, last)}, err
}
