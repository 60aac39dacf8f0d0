package fleet

import (
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// standing is a word that a circuit was told, and until when it stands.
type standing struct {
	Directive
	till time.Duration
}

// calm reports whether the word holds nothing back.
func (w *standing) calm() bool {
	return w.State == breaker.Closed && w.Share >= 1 && len(w.Parts) == 0
}

// obey takes the fleet's word: the circuit's gate, those of its parts, and the
// leases for this replica.
func (c *Circuit) obey(now time.Duration, d Directive) {
	before := c.deciding(now).Parts
	if c.held.Enforce && !d.Enforce {
		c.inherit() // from now on the fleet only shows what it would do
	}
	c.held = standing{d, now + d.TTL}
	c.held.Leases, c.held.Settings = nil, nil
	c.hot = d.Hot
	c.rule(now, &d)
	if d.Settings != nil && d.Settings.Validate() == nil {
		// A strategy that is not here would leave the breaker without any rule: what it
		// runs on stands, and control goes on sending, and hearing, that it does.
		if s := *d.Settings; c.replica.adapt(&s) == nil {
			c.Update(&s)
		}
	}
	if !d.Enforce || d.TTL <= 0 {
		return
	}
	c.own = standing{}
	c.act(&c.held, before)
	for _, l := range d.Leases {
		c.lease(now, l)
	}
}

// act puts a word in force. Parts that were named before and are not any more are
// closed.
func (c *Circuit) act(w *standing, before []Part) {
	c.Breaker.Direct(w.direction(w.till, w.Hot))
	for _, p := range w.Parts {
		if x := c.Instance(p.Instance); x != nil {
			x.Direct(p.direction(w.till, w.Hot))
		}
	}
	for _, p := range before {
		if w.part(p.Instance).Generation == 0 {
			if x := c.Instance(p.Instance); x != nil {
				x.Direct(breaker.Direction{Share: 1, Generation: w.Epoch.Counter, Until: w.till, Reason: "the circuit's directive names this instance no more"})
			}
		}
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
// words past their time.
func (c *Circuit) expire(now time.Duration) {
	c.unrule(now)
	if c.held.Enforce && c.alone(now) {
		c.inherit()
	}
	if c.held.till == 0 && c.own.till == 0 {
		return
	}
	c.Breaker.Expire(now)
	for _, p := range c.deciding(now).Parts {
		if x := c.Instance(p.Instance); x != nil {
			x.Expire(now)
		}
	}
	for _, w := range []*standing{&c.held, &c.own} {
		if w.till <= now {
			*w = standing{}
		}
	}
	c.hot = c.held.Hot || c.own.Hot
}

// wake is when expire has something to do.
func (c *Circuit) wake() time.Duration {
	at := time.Duration(never)
	if c.held.till != 0 {
		at = c.held.till
		if c.governed() {
			at -= BucketWidth
		}
	}
	if c.own.till != 0 {
		at = min(at, c.own.till)
	}
	if at == never {
		return at
	}
	at = min(at, c.Breaker.Due())
	for _, p := range slices.Concat(c.held.Parts, c.own.Parts) {
		if x := c.Instance(p.Instance); x != nil {
			at = min(at, x.Due())
		}
	}
	return at
}

func (g Gate) direction(until time.Duration, hot bool) breaker.Direction {
	return breaker.Direction{State: g.State, Share: g.Share, Generation: g.Generation, Until: until, Hot: hot, Reason: g.Reason}
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
