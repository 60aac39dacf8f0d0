package live

import (
	"context"
	"math"
	"slices"
	"time"
)

// explicit thresholds, as the scenarios name them.
const explicit = `"failureRateThreshold": 50, "minimumNumberOfCalls": 20`

// detect is scenario 1: twenty replicas, 2 requests a second each, and a callee
// that fails everything.
var detect = chapter{1, []part{detectBy("explicit", explicit, 0), detectBy("automatic", "", 0), detectBy("automatic, after five calm seconds", "", 5*time.Second)}}

func detectBy(name, rules string, calm time.Duration) part {
	return part{
		name: name,
		spec: spec{callers: []callers{twenty()}, instances: 1, rules: rules},
		rows: []promise{
			{measure: "seconds from the 20th pooled failure to every replica open", op: "<=", promised: 1},
			{measure: "calls that failed in all until then", op: "<=", promised: 40},
		},
		play: func(ctx context.Context, m *mesh) ([]float64, error) {
			if err := hold(ctx, calm); err != nil {
				return nil, err
			}
			from := m.now()
			m.answers(failing)
			var open time.Duration
			if err := m.await(ctx, 30*time.Second, func() bool {
				open = m.allOpen(20, from)
				return open != 0
			}); err != nil {
				return nil, err
			}
			var failures []time.Duration
			for _, a := range m.arrivals(from) {
				if a.failed {
					failures = append(failures, a.ended)
				}
			}
			slices.Sort(failures)
			late := math.NaN()
			switch {
			case open == 0:
			case len(failures) < 20: // sooner
				late = 0
			default:
				late = after(failures[19], open)
			}
			return []float64{late, count(failures, func(at *time.Duration) bool { return open == 0 || *at <= open })}, nil
		},
	}
}
