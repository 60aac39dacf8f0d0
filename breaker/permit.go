package breaker

import "time"

// Permit is the right to make one call. It is a value for one goroutine; the
// first Done or Release ends it, later ones do nothing. Do not copy it: a probe's
// copies count once, but other calls' copies can't be told from calls.
type Permit struct {
	b          *Breaker
	start      time.Duration
	generation uint32
	slot       uint32 // flags | ticket
}

const (
	permitOff     = 1 << 31 // the mode was off
	permitShadow  = 1 << 30 // the mode let it through
	permitCounted = 1 << 29 // it counts against MaxConcurrentCalls
	permitFine    = 1 << 28 // start is exact
	permitGrant   = 1 << 27 // the ticket is of a grant
)

// Shadow reports whether the state would have rejected the call: it feeds no verdict.
func (p *Permit) Shadow() bool { return p.slot&permitShadow != 0 }

// Done reports what the call came to. It reports whether the outcome counted:
// not if the breaker has changed state since Acquire, the mode is off, the call
// was a shadow, its probe had expired, or the permit had ended already.
func (p *Permit) Done(o Outcome) (counted bool) {
	b := p.b
	if b == nil {
		return false
	}
	p.b = nil
	if c := b.core.Load(); perProcessor && c != nil && p.slot == 0 && o.Verdict <= Failure && o.Attempt <= 1 {
		now := b.clock.cell.Load()
		latency := int64(o.Latency)
		if latency == 0 {
			latency = now - int64(p.start)
		}
		// A parked clock is past every instant, so that it goes the longer way.
		if cells := c.cells.Load(); cells != nil && now < c.due.Load() && uint64(latency) < uint64(c.slowAfter.Load()) {
			if o.Verdict == Failure {
				if s := c.quick.Load(); s != nil && o.RetryAfter == 0 && o.Kind < Kinds && fail(b, cells, p.generation, o.Kind) {
					if c.breaks(s, cells, p.generation) {
						b.reconsider(c, p.generation, time.Duration(now))
					}
					return true
				}
			} else if i := pin(); i < len(*cells) {
				x, g := &(*cells)[i], p.generation
				if uint32(b.word.Load()>>32) == g {
					if x.generation != g {
						x.begin(g)
					}
					x.n++
					if latency != 0 {
						x.latency += latency
					}
					unpin()
					return true
				}
				unpin()
			} else {
				unpin()
			}
		}
	}
	return b.finish(Permit{b, p.start, p.generation, p.slot}, o)
}

// fail counts a failure in the processor's cell, if it is of the generation.
func fail(b *Breaker, cells *cells, generation uint32, k Kind) bool {
	i := pin()
	if i >= len(*cells) || uint32(b.word.Load()>>32) != generation {
		unpin()
		return false
	}
	x := &(*cells)[i]
	if x.generation != generation {
		x.begin(generation)
	}
	x.failed++
	x.kinds[k]++
	unpin()
	return true
}

// Release ends the permit without an outcome, unless Done came first: what it
// occupied is free again. Defer it where a call may panic or be forgotten.
func (p *Permit) Release() {
	if p.b != nil {
		b := p.b
		p.b = nil
		b.release(Permit{b, p.start, p.generation, p.slot})
	}
}

// finish is Done's longer way.
func (b *Breaker) finish(p Permit, o Outcome) bool {
	o.normalize()
	c := b.open()
	now := b.clock.Now()
	if o.Latency == 0 {
		end := now
		if p.slot&permitFine != 0 {
			end = b.clock.read()
		}
		o.Latency = max(end-p.start, 0)
	}
	if p.slot&permitCounted != 0 {
		c.exit()
	}
	if p.slot&permitShadow != 0 {
		l := c.book()
		l.shadow.Add(1)
		if o.Verdict == Failure {
			l.shadowFailed.Add(1)
		}
		return false
	}
	slow := o.Latency >= time.Duration(c.slowAfter.Load()) && o.Verdict <= Failure
	if o.Verdict == Success && !slow && o.Attempt <= 1 && p.ticket() == 0 && now < time.Duration(c.due.Load()) {
		counted, busy := c.shared.add(p.generation, o.Latency, now)
		if busy {
			c.widen()
		}
		if counted {
			return p.slot&permitOff == 0
		}
	}
	return b.finishLocked(c, p, o, slow, now)
}

func (p *Permit) ticket() uint32 { return p.slot & (permitGrant | maxTicket) }

func (b *Breaker) finishLocked(c *core, p Permit, o Outcome, slow bool, now time.Duration) bool {
	c.mu.Lock()
	if p.ticket()&permitGrant != 0 {
		return b.answer(c, p, o, slow, now)
	}
	if c.trialing() {
		c.trial.expire(now)
	}
	late := p.generation != c.generation || p.ticket() != 0 && !c.trial.take(p.ticket())
	if late {
		c.book().counts.late(&o)
		b.unlock(c)
		return false
	}
	rotated := now >= time.Duration(c.due.Load()) && c.rotate(now) // before it counts: it is of the new bucket
	c.record(&o, slow)
	if p.slot&permitOff != 0 {
		b.unlock(c)
		return false
	}
	var asked question
	switch {
	case p.ticket() != 0:
		b.probed(c, o, slow, now)
	case o.Verdict <= Failure:
		asked = b.observe(c, &o, slow, rotated, now)
	}
	b.unlock(c)
	if asked.strategy != nil {
		b.ask(c, asked, now)
	}
	return true
}

func (b *Breaker) release(p Permit) {
	c := b.open()
	if p.slot&permitCounted != 0 {
		c.exit()
	}
	c.mu.Lock()
	c.book().counts.Released++
	b.putBack(c, p.ticket())
	b.unlock(c)
}

// putBack frees what a ticket occupied.
func (b *Breaker) putBack(c *core, ticket uint32) {
	switch {
	case ticket&permitGrant != 0:
		if g, ok := c.takeGrant(ticket &^ permitGrant); ok {
			c.tellAnswer(g.token, false, Outcome{})
		}
	case ticket != 0:
		if c.trial.take(ticket) {
			b.freed(c)
		}
	}
}
