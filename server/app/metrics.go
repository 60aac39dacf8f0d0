package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/server/api"
	"github.com/datapunk/switchgear/server/bus"
	"github.com/datapunk/switchgear/server/policybook"
)

// metrics exist from the start, so that an absent series always means an absent
// daemon.
type metrics struct {
	registry   prometheus.Registerer
	reports    prometheus.Counter
	refused    prometheus.Counter
	dropped    prometheus.Counter
	decided    prometheus.Counter
	directives prometheus.Counter
	panics     prometheus.Counter
	findings   *prometheus.CounterVec
	fanout     prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	m := &metrics{
		registry:   r,
		reports:    counter("switchgear_reports_total", "Reports taken from replicas."),
		refused:    counter("switchgear_messages_refused_total", "Messages of replicas that were not valid; each ends its stream."),
		dropped:    counter("switchgear_evidence_dropped_total", "Reports that never reached control, because it was behind or the bus was down."),
		decided:    counter("switchgear_directives_decided_total", "Directives that control gave; one may be meant for many replicas."),
		directives: counter("switchgear_directives_sent_total", "Directives handed to replicas' streams."),
		panics:     counter("switchgear_control_panics_total", "Inputs on which control panicked: each is a defect."),
		fanout: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "switchgear_directive_fanout_seconds", Help: "From a directive's arrival at the gateway until it is handed to the replica's stream.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	m.findings = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "switchgear_findings_total", Help: "What control found that a person should know, by kind."}, []string{"kind"})
	for _, kind := range control.NoticeKinds {
		m.findings.WithLabelValues(kind)
	}
	r.MustRegister(m.findings, m.fanout, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe registers what is read when it is asked for.
func (m *metrics) observe(o *owner, g *gateway, b *bus.Bus, r *recorder) {
	m.registry.MustRegister(
		&circuitCollector{o, prometheus.NewDesc("switchgear_circuits", "Circuits known to this daemon, by state.", []string{"state"}, nil)},
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "switchgear_replicas_attached", Help: "Replicas whose streams this daemon serves."},
			func() float64 { return float64(g.attached()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "switchgear_daemons_live", Help: "Daemons that decide, as this one sees it, itself included."},
			func() float64 { return float64(o.live.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "switchgear_evidence_queue_length", Help: "Inputs that wait for control."},
			func() float64 { return float64(len(o.in)) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "switchgear_bus_overflows_total", Help: "Times that the bus lost messages because a subscriber was slow."},
			func() float64 { return float64(b.Dropped()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "switchgear_record_dropped_total", Help: "Inputs that are missing in the record."},
			func() float64 {
				if r == nil {
					return 0
				}
				return float64(r.dropped.Load())
			}),
	)
}

// words registers what operators have said, and who watches.
func (m *metrics) words(b *book, f *api.Feed) {
	gauge := func(name, help string, count func() int) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(count()) }))
	}
	gauge("switchgear_overrides", "Overrides that stand.", func() int { return len(b.Overrides()) })
	gauge("switchgear_pauses", "Pauses of automation that stand.", func() int { return len(b.Pauses()) })
	gauge("switchgear_watchers", "Watches that this daemon serves.", f.Watchers)
}

// observePolicies does so for what is stored.
func (m *metrics) observePolicies(b *policybook.Book) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "switchgear_policies", Help: "Stored policies that are in force."},
			func() float64 { return float64(b.InForce().Set.Len()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "switchgear_store_age_seconds", Help: "How long ago the copy of the store that reads come from was last known to be complete; it grows while the store does not answer."},
			func() float64 { return b.Age().Seconds() }),
	)
}

type circuitCollector struct {
	owner *owner
	desc  *prometheus.Desc
}

func (c *circuitCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c *circuitCollector) Collect(ch chan<- prometheus.Metric) {
	var n [breaker.HalfOpen + 1]int
	for _, v := range c.owner.snapshot().Circuits {
		n[v.State]++
	}
	for state, count := range n {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(count), breaker.State(state).String())
	}
}
