package fleet

import (
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// obey puts a directive in force: the circuit's gate, those of its parts, and
// the leases for this replica.
func (c *Circuit) obey(now time.Duration, d Directive) {
	before := c.held
	c.held, c.heldTill = d, now+d.TTL
	c.hot = d.Hot
	c.held.Leases, c.held.Settings = nil, nil
	c.rule(now, &d)
	if d.Settings != nil && d.Settings.Validate() == nil {
		s := *d.Settings
		s.Breaker.Strategy = c.Settings().Breaker.Strategy // code does not travel
		c.Update(&s)
	}
	if !d.Enforce || d.TTL <= 0 {
		return
	}
	c.Breaker.Direct(d.direction(now, c.heldTill, d.Hot))
	for _, p := range d.Parts {
		if x := c.Instance(p.Instance); x != nil {
			x.Direct(p.direction(now, c.heldTill, d.Hot))
		}
	}
	for _, p := range before.Parts {
		if d.part(p.Instance).Generation == 0 {
			if x := c.Instance(p.Instance); x != nil {
				x.Direct(breaker.Direction{Share: 1, Generation: d.Epoch.Counter, Until: c.heldTill, Reason: "the circuit's directive names this instance no more"})
			}
		}
	}
	for _, l := range d.Leases {
		c.lease(now, l)
	}
}

// lease grants a probe once, however often the directive is heard.
func (c *Circuit) lease(now time.Duration, l Lease) {
	if _, had := c.leases[l.Token]; had {
		return
	}
	if c.leases == nil || len(c.leases) >= maxLabels {
		c.leases = make(map[uint64]struct{})
	}
	c.leases[l.Token] = struct{}{}
	b := c.Breaker
	if l.Instance != "" {
		x := c.Instance(l.Instance)
		if x == nil {
			return
		}
		b = x.Breaker
	}
	b.Grant(l.Token, now+l.TTL)
}

// expire lets what no call triggers come to its end: leases that nobody used,
// directives past their time.
func (c *Circuit) expire(now time.Duration) {
	c.unrule(now)
	if c.heldTill == 0 {
		return
	}
	c.Breaker.Expire(now)
	for _, p := range c.held.Parts {
		if x := c.Instance(p.Instance); x != nil {
			x.Expire(now)
		}
	}
	if c.heldTill <= now {
		c.held, c.heldTill, c.hot = Directive{}, 0, false
	}
}

// wake is when expire has something to do.
func (c *Circuit) wake() time.Duration {
	if c.heldTill == 0 {
		return never
	}
	at := min(c.heldTill, c.Breaker.Due())
	for i := range c.held.Parts {
		if x := c.Instance(c.held.Parts[i].Instance); x != nil {
			at = min(at, x.Due())
		}
	}
	return at
}

// ProbesStand is how long a share of probes is let out without a newer word. It
// is renewed sooner than the rest of a word: while nobody hears the answers,
// nothing is to be let out for them.
const ProbesStand = 5 * time.Second

func (g Gate) direction(now, until time.Duration, hot bool) breaker.Direction {
	return breaker.Direction{
		State: g.State, Share: g.Share, Generation: g.Generation, Hot: hot, Reason: g.Reason,
		Until: until, Probing: min(now+ProbesStand, until),
	}
}

// part is the gate of an instance, the zero Gate where there is none.
func (d *Directive) part(instance string) Gate {
	for i := range d.Parts {
		if d.Parts[i].Instance == instance {
			return d.Parts[i].Gate
		}
	}
	return Gate{}
}
