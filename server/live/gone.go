package live

import (
	"context"
	"math"
	"time"

	"github.com/datapunk/switchgear"
)

// gone is scenario 5: kill -9 of the daemon, in calm and in an outage.
var gone = chapter{5, []part{
	{
		name: "killed in calm for 30 s",
		spec: spec{callers: []callers{twenty()}, instances: 3},
		rows: []promise{{measure: "calls that failed, were rejected, or took over half a second", op: "=", promised: 0}},
		play: func(ctx context.Context, m *mesh) ([]float64, error) {
			if err := hold(ctx, 5*time.Second); err != nil {
				return nil, err
			}
			m.killDaemon()
			err := hold(ctx, 30*time.Second)
			return []float64{count(m.called(0), func(c *told[call]) bool {
				return c.what.Failed || c.what.Rejected || c.what.Took > 500*time.Millisecond
			})}, err
		},
	},
	{
		name: "killed in an outage",
		spec: spec{callers: []callers{twenty()}, instances: 3},
		rows: []promise{
			{measure: "breakers that closed before the outage ended", op: "=", promised: 0},
			{measure: "calls let through a second meanwhile, of 40", op: "<=", promised: 4},
			{measure: "back in the outage: seconds from the daemon's start until the fleet probes again", op: "<=", promised: 5},
			{measure: "back in the outage: replicas that have no new word 5 s later", op: "=", promised: 0},
		},
		play: killedInOutage,
	},
	{
		name: "gone for good, explicit",
		spec: spec{callers: []callers{twenty()}, instances: 3, rules: explicit},
		rows: []promise{
			{measure: "seconds from the end of a directive's term until every replica probes alone", op: "<=", promised: 15},
			{measure: "seconds from the outage's end to full traffic", op: "<=", promised: 60},
			{measure: "breakers of 20 that open in an outage afterwards", op: "=", promised: 20},
		},
		play: goneForGood, limit: 5 * time.Minute,
	},
	{rows: []promise{
		{measure: "a restarted replica starts from its snapshot: calls it lets through in an outage with no daemon", op: "<=", promised: 1, pending: "manager"},
		{measure: "one of three daemons killed: seconds until directives go on", op: "<=", promised: 5, pending: "cluster"},
		{measure: "one of three daemons killed: acknowledged changes that are lost", op: "=", promised: 0, pending: "cluster"},
	}},
}}

// outage lets everything fail after a calm time, and waits until all are open.
func (m *mesh) outage(ctx context.Context) error {
	if err := hold(ctx, calmTime); err != nil {
		return err
	}
	from := m.now()
	m.answers(failing)
	return m.await(ctx, 20*time.Second, func() bool { return m.allOpen(20, from) != 0 })
}

// killedInOutage kills the daemon in an outage and starts it again twenty seconds
// later, while the outage goes on.
func killedInOutage(ctx context.Context, m *mesh) ([]float64, error) {
	if err := m.outage(ctx); err != nil {
		return nil, err
	}
	if err := hold(ctx, 5*time.Second); err != nil {
		return nil, err
	}
	killed := m.now()
	m.killDaemon()
	if err := hold(ctx, 20*time.Second); err != nil {
		return nil, err
	}
	back := m.now()
	sent := count(m.arrivals(killed), func(a *arrival) bool { return a.at < back })
	if err := m.startDaemon(ctx); err != nil {
		return nil, err
	}
	var probed time.Duration
	if err := m.await(ctx, 20*time.Second, func() bool {
		if as := m.arrivals(back); len(as) > 0 {
			probed = as[0].at
		}
		return probed != 0
	}); err != nil {
		return nil, err
	}
	if err := hold(ctx, 5*time.Second); err != nil {
		return nil, err
	}
	heard := make(map[string]bool)
	for _, c := range m.changed(back) {
		heard[c.replica] = true
	}
	return []float64{
		count(m.changed(killed), closing),
		sent / (back - killed).Seconds(),
		after(back, probed),
		float64(20 - len(heard)),
	}, nil
}

// goneForGood kills the daemon in an outage, which ends when its last word has
// ended; later there is another outage.
func goneForGood(ctx context.Context, m *mesh) ([]float64, error) {
	const term, renewal = time.Minute, 20 * time.Second
	if err := m.outage(ctx); err != nil {
		return nil, err
	}
	killed := m.now()
	m.killDaemon()
	if err := hold(ctx, term-renewal); err != nil {
		return nil, err
	}
	from := m.now()
	alone := make(map[string]time.Duration)
	if err := m.await(ctx, renewal+20*time.Second, func() bool {
		for _, c := range m.changed(from) {
			if _, known := alone[c.replica]; !known && c.what.Instance == "" && c.what.To == switchgear.HalfOpen {
				alone[c.replica] = c.at
			}
		}
		return len(alone) == 20
	}); err != nil {
		return nil, err
	}
	last := killed + term
	for _, at := range alone {
		last = max(last, at)
	}
	probing := math.NaN()
	if len(alone) == 20 {
		probing = (last - killed - term).Seconds()
	}
	ends := m.now()
	m.answers(well)
	var full time.Duration
	if err := m.await(ctx, 62*time.Second, func() bool {
		full = m.full(ends)
		return full != 0
	}); err != nil {
		return nil, err
	}
	if err := hold(ctx, calmTime); err != nil {
		return nil, err
	}
	again := m.now()
	m.answers(failing)
	opened := make(map[string]bool)
	err := m.await(ctx, 40*time.Second, func() bool {
		for _, c := range m.changed(again) {
			if opening(&c) && c.what.Instance == "" {
				opened[c.replica] = true
			}
		}
		return len(opened) == 20
	})
	return []float64{probing, after(ends, full), float64(len(opened))}, err
}
