// Package breakerprom shows a manager's breakers to Prometheus.
//
//	registry.MustRegister(breakerprom.Collector(m))
//
// Every series exists from its breaker's making, and is read when it is scraped:
// calls pay nothing. docs/metrics.md lists the names. Unregister the collector
// when the manager is closed.
package breakerprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/internal/metric"
)

// Option is a rarer choice of Collector.
type Option func(*collector)

// WithMaxCircuits bounds how many circuits have series of their own, 180 by
// default; each costs 44. Those beyond are summed under the callee "other" and
// counted in switchgear_breakers_folded.
func WithMaxCircuits(n int) Option {
	return func(c *collector) { c.most = n }
}

// WithResilience4j adds the names that resilience4j's dashboards look for
// (Grafana's 21307). What they can't be true to is said in docs/metrics.md.
func WithResilience4j() Option {
	return func(c *collector) { c.aliases = newAliases(c.manager) }
}

// Collector of a manager's metrics. Several managers may share a registry as
// long as their services differ.
func Collector(m *switchgear.Manager, options ...Option) prometheus.Collector {
	c := &collector{manager: m}
	for _, o := range options {
		o(c)
	}
	c.reader = metric.NewReader(m, c.most)
	for i := range metric.List {
		x := &metric.List[i]
		labels := x.Labels
		if x.OfCircuit() {
			labels = append(append([]string{}, metric.CircuitLabels...), labels...)
		}
		c.descs = append(c.descs, prometheus.NewDesc(x.PrometheusName(), x.Help, labels, caller(m)))
	}
	return c
}

// caller tells the managers of one process apart.
func caller(m *switchgear.Manager) prometheus.Labels {
	return prometheus.Labels{"caller": m.Service()}
}

type collector struct {
	manager *switchgear.Manager
	most    int
	reader  *metric.Reader
	descs   []*prometheus.Desc // as metric.List
	aliases *aliases           // nil unless asked for
}

func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		to <- d
	}
	if c.aliases != nil {
		c.aliases.describe(to)
	}
}

func (c *collector) Collect(to chan<- prometheus.Metric) {
	var circuit func(*switchgear.CircuitMetrics)
	if c.aliases != nil {
		circuit = func(m *switchgear.CircuitMetrics) { c.aliases.collect(to, m) }
	}
	c.reader.Read(func(s metric.Sample) {
		kind := prometheus.GaugeValue
		if metric.List[s.Metric].Counter {
			kind = prometheus.CounterValue
		}
		to <- prometheus.MustNewConstMetric(c.descs[s.Metric], kind, s.Value, s.Labels...)
	}, circuit)
}
