package breaker

import (
	"slices"
	"time"
)

// Direction is control's word for a breaker.
type Direction struct {
	State State
	// Share that is admitted, 0–1, spread evenly: of all calls while closed, of
	// probes while half open. An open breaker admits none.
	Share float64
	// Generation is control's; another one begins another generation here. The
	// same one with another share changes only that.
	Generation uint64
	// Until this instant the fleet decides: own rules may open at once, but the
	// own wait never leads back. Afterwards own rules go on from the state held.
	Until time.Duration
	// Probing is until when a half-open share is let through without a newer word;
	// then the breaker is open. A share is for the whole fleet and for now: who gave
	// it withdraws it at the first answer, if there still is anybody. 0 is Until.
	Probing time.Duration
	Hot     bool // for the owner: every answer is urgent
	Reason  string
}

// Direct puts control's word in force.
func (b *Breaker) Direct(d Direction) {
	if d.State > HalfOpen {
		d.State = Closed // a word of a later version must not shut anything off
	}
	if !(d.Share >= 0) { // NaN too
		d.Share = 0
	}
	d.Share = min(d.Share, 1)
	c := b.open()
	c.mu.Lock()
	defer b.unlock(c)
	now := b.clock.Now()
	b.tick(c, now, false)
	if d.Until <= now {
		return
	}
	fresh := !c.directed || d.Generation != c.dir.Generation
	c.directed, c.dir = true, d
	switch {
	case c.mode == ForcedOpen:
		c.setTick()
	case fresh || !c.local && c.state != d.State:
		b.follow(c, now, d.Reason)
	case c.local:
		b.publish(c)
	default:
		c.share, c.why = d.Share, d.Reason
		if d.State != Closed {
			b.publish(c)
			return
		}
		c.settle()
		if c.share < 1 {
			c.suffer(now)
		}
		b.publish(c)
	}
}

// follow goes where control's word says.
func (b *Breaker) follow(c *core, now time.Duration, why string) {
	d := &c.dir
	c.local, c.ramp, c.share, c.why = false, nil, d.Share, why
	if d.State == Open {
		c.share = 1
	}
	if d.State == Closed && d.Share >= 1 {
		c.settle()
		c.returnGrants()
	} else {
		c.suffer(now)
	}
	b.to(c, byFleet, d.State, c.mode, now, why, c.look(now))
}

// probing reports whether control lets a share of calls probe.
func (c *core) probing() bool {
	return c.directed && c.state == HalfOpen && c.share > 0 && c.dir.Probing > 0 && c.mode != ForcedOpen
}

// endProbing ends a share of probes that was not renewed.
func (b *Breaker) endProbing(c *core, now time.Duration) {
	c.share = 1
	b.to(c, byFleet, Open, c.mode, now, "control lets probes out and is not heard any more", c.look(now))
}

// detach ends a direction that was not renewed: own rules go on from here.
func (b *Breaker) detach(c *core) {
	end, local := c.dir.Until, c.local
	c.directed, c.local = false, false
	switch {
	case c.mode == ForcedOpen:
		return
	case c.state == Open && (local || c.dir.State == Open):
		b.waitFrom(c, end)
	case c.state == HalfOpen || c.dir.State == HalfOpen: // a trial of its own
		b.to(c, byFleet, HalfOpen, c.mode, end, "control's word has ended", Window{})
		return
	case c.share < 1:
		r := &b.settings.Load().Ramp
		if r.none() {
			r = &taper
		}
		b.climb(c, r, end-r.from(c.share), end)
		c.settle()
	}
	b.publish(c)
}

// Grant gives leave for one probe until an instant, while the breaker is open or
// half open. The owner hears once what became of it.
func (b *Breaker) Grant(token uint64, until time.Duration) {
	c := b.open()
	c.mu.Lock()
	defer b.unlock(c)
	now := b.clock.Now()
	b.tick(c, now, false)
	if c.state == Closed || !judging(c.mode) || until <= now || len(c.grants) >= maxGrants {
		c.tellAnswer(token, false, Outcome{})
		return
	}
	c.grants = append(c.grants, grant{token: token, until: until})
	c.leave.Add(1)
	c.setTick()
	b.freed(c)
}

// maxGrants bounds what a confused control can make a breaker hold.
const maxGrants = 1024

// Expire does what time has made due and no call would: grants that nobody used
// come back, a direction ends.
func (b *Breaker) Expire(now time.Duration) {
	c := b.core.Load()
	if c == nil || int64(now) < c.tickAt.Load() {
		return
	}
	c.mu.Lock()
	b.tick(c, now, false)
	b.unlock(c)
}

// Due is the instant from which on Expire has something to do, given that
// nothing else happens; far away if never.
func (b *Breaker) Due() time.Duration {
	if c := b.core.Load(); c != nil {
		return time.Duration(c.tickAt.Load())
	}
	return parked
}

// unused is a grant that waits for a call, nil if there is none.
func (c *core) unused() *grant {
	for i := range c.grants {
		if c.grants[i].ticket == 0 {
			return &c.grants[i]
		}
	}
	return nil
}

// takeGrant ends the grant whose ticket a permit has.
func (c *core) takeGrant(ticket uint32) (grant, bool) {
	for i, g := range c.grants {
		if g.ticket == ticket {
			c.grants = slices.Delete(c.grants, i, i+1)
			return g, true
		}
	}
	return grant{}, false
}

// expireGrants gives up grants whose time is over, used or not.
func (c *core) expireGrants(now time.Duration) {
	c.grants = slices.DeleteFunc(c.grants, func(g grant) bool {
		if now < g.until {
			return false
		}
		c.giveUp(g)
		return true
	})
}

// returnGrants gives unused grants back: the breaker is closed.
func (c *core) returnGrants() {
	c.grants = slices.DeleteFunc(c.grants, func(g grant) bool {
		if g.ticket == 0 {
			c.giveUp(g)
		}
		return g.ticket == 0
	})
}

func (c *core) giveUp(g grant) {
	if g.ticket == 0 {
		c.leave.Add(-1)
	}
	c.tellAnswer(g.token, false, Outcome{})
}

// answer takes the outcome of a granted call; it unlocks. Control hears it even
// if it is late here: it decides what it is worth.
func (b *Breaker) answer(c *core, p Permit, o Outcome, slow bool, now time.Duration) bool {
	c.expireGrants(now)
	g, ok := c.takeGrant(p.ticket() &^ permitGrant)
	counted := ok && p.generation == c.generation
	if ok {
		c.tellAnswer(g.token, true, o)
	}
	if counted {
		c.record(&o, slow)
	} else {
		c.book().counts.late(&o)
	}
	if counted && o.Verdict <= Failure {
		s := b.settings.Load()
		c.heed(&o, s, now)
		switch {
		case c.trialing(): // control's word has ended meanwhile: as good as an own probe
			b.probed(c, o, slow, now)
		case o.Verdict == Success && !slow && c.local:
			// The own rule opened; its way back is a granted success.
			if c.dir.State == Open {
				c.local = false
			} else {
				b.follow(c, now, "a granted probe succeeded")
			}
		case o.Verdict == Failure:
			c.failed++
		}
	}
	b.unlock(c)
	return counted
}
