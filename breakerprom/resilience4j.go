package breakerprom

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/datapunk/switchgear"
)

// aliases are resilience4j's names for what a breaker shows.
type aliases struct {
	state, calls, notPermitted, failureRate, slowRate, buffered, slow *prometheus.Desc
}

func newAliases(m *switchgear.Manager) *aliases {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("resilience4j_circuitbreaker_"+name, help, append([]string{"name"}, labels...), caller(m))
	}
	return &aliases{
		state:        desc("state", "1 for the breaker's state, as resilience4j knows states.", "state"),
		calls:        desc("calls_seconds", "Calls by kind; the sum of latency is known of successful ones only.", "kind"),
		notPermitted: desc("not_permitted_calls_total", "Calls that were not permitted.", "kind"),
		failureRate:  desc("failure_rate", "Failed calls of the window in percent; -1 below the minimum number of calls."),
		slowRate:     desc("slow_call_rate", "Slow calls of the window in percent; -1 below the minimum number of calls."),
		buffered:     desc("buffered_calls", "Calls of the window.", "kind"),
		slow:         desc("slow_calls", "Slow calls of the window, failed or not.", "kind"),
	}
}

func (a *aliases) describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{a.state, a.calls, a.notPermitted, a.failureRate, a.slowRate, a.buffered, a.slow} {
		to <- d
	}
}

// resilience4jStates are its word for a state under a mode.
var resilience4jStates = []string{"closed", "open", "half_open", "disabled", "forced_open", "metrics_only"}

func stateOf(c *switchgear.CircuitMetrics) string {
	switch c.Mode {
	case switchgear.Off:
		return "disabled"
	case switchgear.ForcedOpen, switchgear.MetricsOnly:
		return c.Mode.String()
	}
	return c.State.String()
}

func (a *aliases) collect(to chan<- prometheus.Metric, c *switchgear.CircuitMetrics) {
	name := c.Key.String()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{name}, labels...)...)
	}
	now := stateOf(c)
	for _, s := range resilience4jStates {
		v := 0.0
		if s == now {
			v = 1
		}
		gauge(a.state, v, s)
	}
	calls := func(kind string, n uint64, latency float64) {
		to <- prometheus.MustNewConstSummary(a.calls, n, latency, nil, name, kind)
	}
	calls("successful", c.Succeeded+c.LateSucceeded, (c.Latency + c.LateLatency).Seconds())
	// Their latency is not summed, and 0 would be a lie.
	calls("failed", c.Failed+c.LateFailed, math.NaN())
	calls("ignored", c.Ignored+c.Inherited, math.NaN())

	var rejected uint64
	for _, n := range c.Rejected {
		rejected += n
	}
	to <- prometheus.MustNewConstMetric(a.notPermitted, prometheus.CounterValue, float64(rejected), name, "not_permitted")

	w := c.Window
	failure, slow := -1.0, -1.0
	if w.Calls >= max(c.MinimumCalls, 1) {
		failure, slow = w.FailureRate(), w.SlowCallRate()
	}
	gauge(a.failureRate, failure)
	gauge(a.slowRate, slow)
	gauge(a.buffered, float64(w.Calls-w.Failed), "successful")
	gauge(a.buffered, float64(w.Failed), "failed")
	gauge(a.slow, float64(w.Slow), "all")
}
