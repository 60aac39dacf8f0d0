// Package metric is the one list of what exporters show of a manager: names,
// units, labels and meanings, so that Prometheus, OpenTelemetry and the
// documents can't disagree. It knows no exporter.
package metric

import (
	"strings"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
)

// Metric is one figure, of each circuit or of the manager.
type Metric struct {
	Name    string // dotted, OpenTelemetry's way, without the project's name
	Unit    string // UCUM: s, 1 or an {annotation}
	Counter bool   // it only grows; else a gauge
	Labels  []string
	Help    string

	circuit func(*switchgear.CircuitMetrics, tell)
	manager func(*switchgear.Stats, int) float64 // given how many circuits are folded
}

// tell hands over one value with the values of the labels.
type tell func(v float64, labels ...string)

// CircuitLabels are the labels of every figure of a circuit, before its own.
var CircuitLabels = []string{"namespace", "callee", "route"}

// OfCircuit reports whether each circuit has the figure, else the manager.
func (m *Metric) OfCircuit() bool { return m.circuit != nil }

// OTelName of the metric.
func (m *Metric) OTelName() string { return "switchgear." + m.Name }

// PrometheusName is what OpenTelemetry's rules make of it: dots are underscores,
// the unit and _total follow.
func (m *Metric) PrometheusName() string {
	name := strings.ReplaceAll(m.OTelName(), ".", "_")
	switch m.Unit {
	case "s":
		name += "_seconds"
	case "1":
		name += "_ratio"
	}
	if m.Counter {
		name += "_total"
	}
	return name
}

// Type in Prometheus' words.
func (m *Metric) Type() string {
	if m.Counter {
		return "counter"
	}
	return "gauge"
}

// List is all metrics, in the order of the documents.
var List = []Metric{
	{
		Name: "breaker.state", Labels: []string{"state"},
		Help: "1 for the state that the breaker has calculated or was told, 0 for the others.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) {
			for s := range c.InState {
				t(one(switchgear.State(s) == c.State), switchgear.State(s).String())
			}
		},
	},
	{
		Name: "breaker.mode", Labels: []string{"mode"},
		Help: "1 for what is done with the state, 0 for the other modes.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) {
			for m := switchgear.Enforce; m <= switchgear.ForcedOpen; m++ {
				t(one(m == c.Mode), m.String())
			}
		},
	},
	{
		Name: "breaker.transitions", Unit: "{transition}", Counter: true, Labels: []string{"from", "to"},
		Help: "Changes from one state to another.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) {
			for from, row := range c.Transitions {
				for to, n := range row {
					if from != to {
						t(float64(n), switchgear.State(from).String(), switchgear.State(to).String())
					}
				}
			}
		},
	},
	{
		Name: "breaker.state.time", Unit: "s", Counter: true, Labels: []string{"state"},
		Help: "Time that the breaker has spent in each state.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) {
			for s, d := range c.InState {
				t(d.Seconds(), switchgear.State(s).String())
			}
		},
	},
	{
		Name: "breaker.share", Unit: "1",
		Help:    "Share of calls that is admitted, 0 to 1.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) { t(c.Share) },
	},
	{
		Name: "calls", Unit: "{call}", Counter: true, Labels: []string{"outcome"},
		Help: "Calls that were permitted and came to an outcome; shadow calls are counted by themselves.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) {
			t(float64(c.Succeeded+c.LateSucceeded), breaker.Success.String())
			t(float64(c.Failed+c.LateFailed), breaker.Failure.String())
			t(float64(c.Ignored), breaker.Ignored.String())
			t(float64(c.Inherited), breaker.Inherited.String())
		},
	},
	{
		Name: "call.kinds", Unit: "{call}", Counter: true, Labels: []string{"kind"},
		Help: "Failures and ignored calls by kind.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) {
			for k, n := range c.Kinds {
				t(float64(n), switchgear.Kind(k).String())
			}
		},
	},
	{
		Name: "calls.slow", Unit: "{call}", Counter: true,
		Help:    "Calls slower than slowCallDurationThreshold, among successes and failures.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) { t(float64(c.Slow)) },
	},
	{
		Name: "call.latency", Unit: "s", Counter: true,
		Help:    "Sum of the latency of successful calls; divided by calls of outcome success it is their mean.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) { t((c.Latency + c.LateLatency).Seconds()) },
	},
	{
		Name: "calls.shadow", Unit: "{call}", Counter: true,
		Help:    "Calls that the mode let through against the state.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) { t(float64(c.Shadow)) },
	},
	{
		Name: "shadow.failures", Unit: "{call}", Counter: true,
		Help:    "Shadow calls that failed.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) { t(float64(c.ShadowFailed)) },
	},
	{
		Name: "rejections", Unit: "{call}", Counter: true, Labels: []string{"reason"},
		Help: "Calls that were not permitted, by reason.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) {
			for r, n := range c.Rejected {
				t(float64(n), switchgear.Reason(r).String())
			}
		},
	},
	{
		Name: "permits.released", Unit: "{permit}", Counter: true,
		Help:    "Permits that ended without an outcome.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) { t(float64(c.Released)) },
	},
	{
		Name: "instances", Unit: "{instance}",
		Help:    "Instances of the callee that have breakers of their own.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) { t(float64(c.Instances)) },
	},
	{
		Name: "instances.open", Unit: "{instance}",
		Help:    "Instances whose breakers are not closed: control has taken them out.",
		circuit: func(c *switchgear.CircuitMetrics, t tell) { t(float64(c.InstancesOpen)) },
	},
	{
		Name: "breakers", Unit: "{breaker}",
		Help:    "Breakers that the manager holds.",
		manager: func(s *switchgear.Stats, _ int) float64 { return float64(s.Breakers) },
	},
	{
		Name: "breakers.folded", Unit: "{breaker}",
		Help:    "Breakers beyond the exporter's cap, whose figures are summed under the callee other.",
		manager: func(_ *switchgear.Stats, folded int) float64 { return float64(folded) },
	},
	{
		Name: "breakers.evicted", Unit: "{breaker}", Counter: true,
		Help:    "Breakers that were given up after ten minutes without a call, or sooner where there were too many.",
		manager: func(s *switchgear.Stats, _ int) float64 { return float64(s.Evicted) },
	},
	{
		Name: "breakers.overflowed", Unit: "{breaker}", Counter: true,
		Help:    "Times that a key beyond the manager's limit was asked for: it shares the breaker of the callee other.",
		manager: func(s *switchgear.Stats, _ int) float64 { return float64(s.Overflowed) },
	},
	{
		Name:    "link.up",
		Help:    "1 while a daemon is linked, 0 while breakers go on by themselves.",
		manager: func(s *switchgear.Stats, _ int) float64 { return one(s.Linked) },
	},
	{
		Name: "link.connections", Unit: "{connection}", Counter: true,
		Help:    "Times that the link to a daemon came up.",
		manager: func(s *switchgear.Stats, _ int) float64 { return float64(s.LinkUps) },
	},
	{
		Name: "link.failures", Unit: "{failure}", Counter: true,
		Help:    "Times that the link was lost or could not be made.",
		manager: func(s *switchgear.Stats, _ int) float64 { return float64(s.LinkFailures) },
	},
	{
		Name: "events.missed", Unit: "{event}", Counter: true,
		Help:    "Events that readers missed, because they were too slow.",
		manager: func(s *switchgear.Stats, _ int) float64 { return float64(s.EventsMissed) },
	},
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
