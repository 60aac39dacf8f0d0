package live

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/datapunk/switchgear"
)

// force is scenario 7: an operator forces a circuit open, over the daemon's API,
// and the daemon is killed before that ends.
var force = chapter{7, []part{
	{
		spec: spec{callers: []callers{twenty()}, instances: 3},
		rows: []promise{
			{measure: "forced open: seconds until all 20 replicas are", op: "<=", promised: 1},
			{measure: "forced open: calls let through from then on", op: "=", promised: 0},
			{measure: "its end with the daemon down: seconds by which any replica comes back early or late", op: "<=", promised: 1},
			{measure: "its end with the daemon down: breakers that closed at once, not half-open first", op: "=", promised: 0},
		},
		play: forced,
	},
	{rows: []promise{{measure: "outside the scope: denied (1 is yes)", op: "=", promised: 1, pending: "identity"}}},
}}

// forced kills the daemon a third into the override.
func forced(ctx context.Context, m *mesh) ([]float64, error) {
	const ttl = 30 * time.Second
	if err := hold(ctx, 5*time.Second); err != nil {
		return nil, err
	}
	said := m.now()
	from := said - 100*time.Millisecond // replicas tell the time by a coarse clock
	if err := m.operator(ctx, "OverrideService/Force", fmt.Sprintf(
		`{"circuit": "web..%s", "mode": "MODE_FORCED_OPEN", "timeToLive": "%ds", "reason": "it is to rest", "author": "ann"}`, callee, int(ttl.Seconds()))); err != nil {
		return nil, err
	}
	var all time.Duration
	if err := m.await(ctx, 10*time.Second, func() bool {
		all = m.lastMode(from, func(c *change) bool { return c.Mode == switchgear.ForcedOpen })
		return all != 0
	}); err != nil {
		return nil, err
	}
	if err := hold(ctx, ttl/3); err != nil {
		return nil, err
	}
	m.killDaemon()
	ends := func(c *change) bool { return c.FromMode == switchgear.ForcedOpen && c.Mode != switchgear.ForcedOpen }
	if err := m.await(ctx, ttl, func() bool { return m.lastMode(from, ends) != 0 }); err != nil {
		return nil, err
	}
	off, atOnce, ended := 0.0, 0.0, 0
	for _, c := range m.changed(from) {
		if c.what.Instance == "" && ends(&c.what) {
			ended++
			off = max(off, math.Abs((c.at - said - ttl).Seconds()))
			if c.what.To == switchgear.Closed {
				atOnce++
			}
		}
	}
	if ended < 20 {
		off = math.NaN()
	}
	let := count(m.arrivals(all), func(a *arrival) bool { return all != 0 && a.at < said+ttl-time.Second })
	return []float64{after(said, all), let, off, atOnce}, nil
}

// lastMode is when the last of twenty replicas changed its mode so, 0 if not all
// have.
func (m *mesh) lastMode(since time.Duration, so func(*change) bool) (last time.Duration) {
	seen := make(map[string]bool)
	for _, c := range m.changed(since) {
		if c.what.Instance == "" && so(&c.what) && !seen[c.replica] {
			seen[c.replica] = true
			last = max(last, c.at)
		}
	}
	if len(seen) < 20 {
		return 0
	}
	return last
}

// operator asks the daemon as curl does.
func (m *mesh) operator(ctx context.Context, method, body string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+m.address+"/switchgear.api.v1."+method, bytes.NewBufferString(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		words, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return fmt.Errorf("%s: answered %d: %s", method, resp.StatusCode, words)
	}
	return nil
}
