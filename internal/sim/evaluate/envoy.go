package evaluate

import (
	"math"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// envoy is outlier detection as Envoy's documents state its rules, at their
// defaults: each caller ejects instances and never rejects a call.
type envoy struct {
	instances int
	callers   []detector
	opened    int
}

// detector is one caller's.
type detector struct {
	hosts   []host
	checked time.Duration
}

type host struct {
	failures int // in a row
	ok, all  float64
	ejected  bool
	at       time.Duration // of the ejection
	times    int
}

// Envoy's defaults.
const (
	envoyConsecutive = 5
	envoyInterval    = 10 * time.Second
	envoyBase        = 30 * time.Second
	envoyMaxEjection = 300 * time.Second
	envoyMaxShare    = 0.10 // one host may always be ejected
	envoyPanic       = 0.50 // of healthy hosts; below, all are used
	envoyMinHosts    = 5
	envoyMinRequests = 100
	envoyDeviations  = 1.9
)

func newEnvoy(callers, instances int) *envoy {
	p := &envoy{instances: instances, callers: make([]detector, callers)}
	for i := range p.callers {
		p.callers[i].hosts = make([]host, instances)
	}
	return p
}

func (d *detector) ejected() (n int) {
	for i := range d.hosts {
		if d.hosts[i].ejected {
			n++
		}
	}
	return n
}

func (p *envoy) allow(c *call) bool {
	d := &p.callers[c.Caller]
	p.check(d, c.At)
	if healthy := p.instances - d.ejected(); float64(healthy) < envoyPanic*float64(p.instances) {
		return true
	}
	for d.hosts[c.Instance].ejected {
		c.Instance = (c.Instance + 1) % p.instances
	}
	return true
}

func (p *envoy) done(c *call, o breaker.Outcome) {
	d := &p.callers[c.Caller]
	now := c.At + o.Latency
	p.check(d, now)
	h := &d.hosts[c.Instance]
	h.all++
	if o.Verdict == breaker.Success {
		h.ok++
		h.failures = 0
		return
	}
	if h.failures++; h.failures >= envoyConsecutive {
		h.failures = 0
		p.eject(d, h, now)
	}
}

func (p *envoy) eject(d *detector, h *host, now time.Duration) {
	n := d.ejected()
	if h.ejected || n > 0 && float64(n+1) > envoyMaxShare*float64(p.instances) {
		return
	}
	h.ejected, h.at = true, now
	h.times++
	p.opened++
}

// check is what happens at each interval: hosts come back, success rates are
// compared.
func (p *envoy) check(d *detector, now time.Duration) {
	for d.checked+envoyInterval <= now {
		d.checked += envoyInterval
		for i := range d.hosts {
			h := &d.hosts[i]
			switch {
			case h.ejected && d.checked-h.at >= min(envoyBase*time.Duration(h.times), envoyMaxEjection):
				h.ejected, h.failures = false, 0
			case !h.ejected && h.times > 0:
				h.times--
			}
		}
		p.compare(d)
		for i := range d.hosts {
			d.hosts[i].ok, d.hosts[i].all = 0, 0
		}
	}
}

func (p *envoy) compare(d *detector) {
	n, sum, squares := 0., 0., 0.
	for _, h := range d.hosts {
		if h.all >= envoyMinRequests {
			r := h.ok / h.all
			n, sum, squares = n+1, sum+r, squares+r*r
		}
	}
	if n < envoyMinHosts {
		return
	}
	mean := sum / n
	least := mean - envoyDeviations*math.Sqrt(max(0, squares/n-mean*mean))
	for i := range d.hosts {
		if h := &d.hosts[i]; h.all >= envoyMinRequests && h.ok/h.all < least {
			p.eject(d, h, d.checked)
		}
	}
}

func (p *envoy) openings() int { return p.opened }
