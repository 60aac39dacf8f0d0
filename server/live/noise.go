package live

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/datapunk/switchgear/server/proxy"
)

// noise is scenario 9: what looks like trouble and is none.
var noise = chapter{9, []part{
	quiet("4xx of 80 % of the calls", callers{}, proxy.Faults{}, 15*time.Second, func() func(*http.Request) int {
		var n atomic.Uint64
		return func(*http.Request) int {
			if n.Add(1)%5 != 0 {
				return http.StatusBadRequest
			}
			return http.StatusOK
		}
	}),
	quiet("callers cancel 80 % of their calls", callers{replicaConfig: replicaConfig{Cancels: 0.8}}, proxy.Faults{Delay: 20 * time.Millisecond}, 15*time.Second, nil),
	quiet("a deployment blip: 3 s with 4 % failures", callers{}, proxy.Faults{FailPercent: 4}, 3*time.Second, nil),
	quiet("a pause of 0.2 s", callers{}, proxy.Faults{Hang: true}, 200*time.Millisecond, nil),
	{
		name: "overload at twice the capacity",
		spec: spec{callers: []callers{fast(8)}, instances: 4},
		rows: []promise{
			{measure: "breakers that opened", op: "=", promised: 0},
			{measure: "good answers a second, over what the callee carries", op: ">=", promised: 0.8},
		},
		play: func(ctx context.Context, m *mesh) ([]float64, error) {
			const each, span = 20.0, 20 * time.Second
			if err := hold(ctx, calmTime); err != nil {
				return nil, err
			}
			if err := m.faults(carries(each)); err != nil {
				return nil, err
			}
			if err := hold(ctx, 5*time.Second); err != nil {
				return nil, err
			}
			from := m.now()
			err := hold(ctx, span)
			good := count(m.called(from), func(c *told[call]) bool { return !c.what.Rejected && !c.what.Failed })
			return []float64{count(m.changed(0), opening), good / span.Seconds() / (each * float64(len(m.instances)))}, err
		},
	},
}}

func fast(perSecond float64) callers {
	c := twenty()
	c.PerSecond = perSecond
	return c
}

// quiet is a part in which nothing may open: faults, or other answers, for a time.
func quiet(name string, of callers, f proxy.Faults, lasts time.Duration, answers func() func(*http.Request) int) part {
	c := fast(5)
	c.Cancels = of.Cancels
	return part{
		name: name,
		spec: spec{callers: []callers{c}, instances: 3},
		rows: []promise{{measure: "breakers that opened", op: "=", promised: 0}},
		play: func(ctx context.Context, m *mesh) ([]float64, error) {
			if err := hold(ctx, calmTime/2); err != nil {
				return nil, err
			}
			if answers != nil {
				m.answers(answers())
			}
			if err := m.faults(f); err != nil {
				return nil, err
			}
			if err := hold(ctx, lasts); err != nil {
				return nil, err
			}
			m.answers(well)
			if err := m.faults(proxy.Faults{}); err != nil {
				return nil, err
			}
			err := hold(ctx, 3*time.Second)
			return []float64{count(m.changed(0), opening)}, err
		},
	}
}
