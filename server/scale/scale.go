// Package scale measures what a fleet costs a daemon and what coordination
// brings it: the real control, daemon, links and breakers, on this machine.
// Figures per core are of processor time, not of the wall clock, so that they
// mean the same on a busy machine; latencies are of the wall clock and do not.
package scale

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// Options say what to measure and how much of it.
type Options struct {
	// Only are measures by their name in Measures; none is all.
	Only []string
	// Daemon is the program to start the daemon from, with serve.
	Daemon string
	// Small is a fleet that shows that every measure works, in seconds, and nothing
	// about the figures.
	Small bool
	// Words are told what goes on.
	Words io.Writer
}

// Result is all that was measured; what was not is nil.
type Result struct {
	// Of one core, GOMAXPROCS=1, a circuit with ten calls a second and so ten
	// buckets in each report: control alone, and with all that the daemon does.
	ReportsPerS *float64 `json:"reports_per_s,omitempty"`
	Reports     *Reports `json:"reports,omitempty"`
	// Of the heap of control, for each circuit that a replica reports.
	BytesPerCircuitReplica *float64 `json:"bytes_per_circuit_replica,omitempty"`
	DirectiveFanoutP99Ms   *float64 `json:"directive_fanout_p99_ms,omitempty"`
	Fanout                 *Fanout  `json:"fanout,omitempty"`
	CalmCorePercent        *float64 `json:"calm_core_percent,omitempty"`
	Calm                   *Calm    `json:"calm,omitempty"`
	Hot                    *Hot     `json:"hot,omitempty"`
	// Simulated is one process that plays all replicas and control.
	Simulated    *Simulated     `json:"simulated,omitempty"`
	Coordination []Coordination `json:"coordination,omitempty"`
}

// measure is one of Measures.
type measure struct {
	name string
	run  func(context.Context, *Options, *Result) error
}

var measures = []measure{
	{"reports", measureReports},
	{"memory", measureMemory},
	{"fanout", measureFanout},
	{"live", measureLive},
	{"simulated", measureSimulated},
	{"coordination", measureCoordination},
}

// Measures are the names of all there are, in their order.
func Measures() (names []string) {
	for _, m := range measures {
		names = append(names, m.name)
	}
	return names
}

// Run measures.
func Run(ctx context.Context, o Options) (*Result, error) {
	r := &Result{}
	for _, m := range measures {
		if len(o.Only) > 0 && !slices.Contains(o.Only, m.name) {
			continue
		}
		began := time.Now()
		if err := m.run(ctx, &o, r); err != nil {
			return nil, fmt.Errorf("measure %s: %w", m.name, err)
		}
		o.say("%s: %.0f s", m.name, time.Since(began).Seconds())
	}
	return r, nil
}

func (o *Options) say(format string, v ...any) { fmt.Fprintf(o.Words, format+"\n", v...) }

// size is n, or few of a small fleet.
func (o *Options) size(n, few int) int {
	if o.Small {
		return few
	}
	return n
}

func (o *Options) length(d, short time.Duration) time.Duration {
	if o.Small {
		return short
	}
	return d
}

// quantile of values, which it sorts.
func quantile[T ~int64 | ~float64](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
