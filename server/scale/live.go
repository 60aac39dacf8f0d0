package scale

import (
	"context"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// Calm is a fleet of live clients that nothing happens to.
type Calm struct {
	Clients     int     `json:"clients"`
	Circuits    int     `json:"circuits_each"`
	CallsPerS   int     `json:"calls_per_s_each"`
	ReportsPerS float64 `json:"reports_per_s"` // messages, each of all its circuits
	RSSBytes    uint64  `json:"rss_bytes"`
}

// Hot is the same fleet while many callees fail at once.
type Hot struct {
	Clients     int     `json:"clients"`
	Failing     int     `json:"failing_callees"`
	OpenP50Ms   float64 `json:"open_p50_ms"` // from the first failure until a replica's breaker opens
	OpenP99Ms   float64 `json:"open_p99_ms"`
	OpenMaxMs   float64 `json:"open_max_ms"`
	NeverOpened int     `json:"never_opened"` // breakers, of clients times failing ones each
	// The daemon's processor: in the second that begins with the failures, while
	// they last, and when they are over and answers still come at once.
	FirstSecondPercent float64 `json:"first_second_core_percent"`
	OutagePercent      float64 `json:"outage_core_percent"`
	AfterPercent       float64 `json:"after_core_percent"`
	ReportsPerS        float64 `json:"reports_per_s"`
	ShedReports        float64 `json:"shed_reports"` // that control never saw
	BusOverflows       float64 `json:"bus_overflows"`
	DirectivesSent     float64 `json:"directives_sent"`
	// What else the machine did while they failed, in percent of a core: waits grow
	// with it.
	OthersPercent float64 `json:"others_core_percent"`
	RecoverP50Ms  float64 `json:"recover_p50_ms"` // from the cure until a breaker is closed for good
	RecoverP99Ms  float64 `json:"recover_p99_ms"`
	RSSBytes      uint64  `json:"rss_bytes"`
}

// measureLive runs the daemon in a process of its own, with clients in this one,
// first in calm and then while the first twenty callees fail.
func measureLive(ctx context.Context, o *Options, r *Result) error {
	d, err := startDaemon(ctx, o.Daemon)
	if err != nil {
		return err
	}
	defer d.stop()
	n := o.size(1000, 2*services)
	cs, err := attach(ctx, d.address, n)
	if err != nil {
		return err
	}
	defer cs.close()
	cs.call()
	if err := sleep(ctx, o.length(10*time.Second, time.Second/2)); err != nil {
		return err
	}
	p := probe{ctx: ctx, daemon: d}
	p.read()
	before := p
	p.wait(o.length(30*time.Second, time.Second/2))
	percent := p.percentSince(&before)
	r.CalmCorePercent = &percent
	r.Calm = &Calm{
		Clients: n, Circuits: eachCalls, CallsPerS: eachCalls * int(time.Second/callEvery),
		ReportsPerS: p.perSecond(&before, "switchgear_reports_total"), RSSBytes: p.rss,
	}
	o.say("calm: %.1f %% of a core", percent)

	rest, err := newOthers(d.pid())
	if err != nil {
		return err
	}
	began := time.Now()
	before = p
	cs.failing.Store(true)
	p.wait(o.length(time.Second, time.Second/2))
	h := &Hot{Clients: n, Failing: services, FirstSecondPercent: p.percentSince(&before)}
	p.wait(o.length(14*time.Second, time.Second/2))
	h.OutagePercent = p.percentSince(&before)
	h.ReportsPerS = p.perSecond(&before, "switchgear_reports_total")
	if h.OthersPercent, err = rest.percent(); err != nil {
		return err
	}
	outage := p
	cured := time.Now()
	cs.failing.Store(false)
	p.wait(o.length(20*time.Second, time.Second/2))
	h.AfterPercent = p.percentSince(&outage)
	h.ShedReports = p.figures["switchgear_evidence_dropped_total"] - before.figures["switchgear_evidence_dropped_total"]
	h.BusOverflows = p.figures["switchgear_bus_overflows_total"] - before.figures["switchgear_bus_overflows_total"]
	h.DirectivesSent = p.figures["switchgear_directives_sent_total"] - before.figures["switchgear_directives_sent_total"]
	h.RSSBytes = p.rss
	var opened, closed []time.Duration
	for _, c := range cs.all {
		c.mu.Lock()
		for j := range failingOnes {
			if c.opened[j].IsZero() {
				h.NeverOpened++
				continue
			}
			opened = append(opened, c.opened[j].Sub(began))
			if c.breakers[j].State() == breaker.Closed {
				closed = append(closed, c.closed[j].Sub(cured))
			}
		}
		c.mu.Unlock()
	}
	h.OpenP50Ms, h.OpenP99Ms, h.OpenMaxMs = milliseconds(quantile(opened, 0.5)), milliseconds(quantile(opened, 0.99)), milliseconds(quantile(opened, 1))
	h.RecoverP50Ms, h.RecoverP99Ms = milliseconds(quantile(closed, 0.5)), milliseconds(quantile(closed, 0.99))
	r.Hot = h
	return p.err
}

// probe is a reading of the daemon's own figures. It remembers its first failure.
type probe struct {
	ctx     context.Context //nolint:containedctx // of the one measure that it is for
	daemon  *daemon
	at      time.Time
	used    time.Duration
	rss     uint64
	figures map[string]float64
	err     error
}

func (p *probe) read() {
	if p.err != nil {
		return
	}
	p.at = time.Now()
	if p.used, p.err = usedBy(p.daemon.pid()); p.err != nil {
		return
	}
	if p.rss, p.err = memory(p.daemon.pid(), "VmRSS"); p.err != nil {
		return
	}
	p.figures, p.err = p.daemon.figures(p.ctx)
}

func (p *probe) wait(d time.Duration) {
	if p.err == nil {
		p.err = sleep(p.ctx, d)
	}
	p.read()
}

// percentSince is the share of a core that the daemon used since another reading.
func (p *probe) percentSince(before *probe) float64 {
	return 100 * float64(p.used-before.used) / float64(max(p.at.Sub(before.at), 1))
}

func (p *probe) perSecond(before *probe, name string) float64 {
	return (p.figures[name] - before.figures[name]) / max(p.at.Sub(before.at), 1).Seconds()
}
