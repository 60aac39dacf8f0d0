package breaker

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Breaker guards one circuit in one process. Make it with New; it is safe for
// concurrent use. An idle one is 64 bytes; what calls need comes with the first.
type Breaker struct {
	word     atomic.Uint64 // generation 32 | mode, state, flags; written under the core's lock once there is one
	core     atomic.Pointer[core]
	standing atomic.Pointer[standing] // the rejection of all calls for now
	settings atomic.Pointer[Settings]
	clock    *Clock
	owner    Owner
	seed     uint64
}

var _ = [96 - unsafe.Sizeof(Breaker{})]byte{} // no more

// The lower half of the word.
const (
	wordSlow    = 1 << iota // Acquire has to look closer
	wordLimited             // an admitted share below 1
	wordCounted             // calls in flight are counted
	wordFine                // calls are timed with the exact clock

	stateShift = 4
	modeShift  = 6
	bits2      = 3
)

// fineBelow is from which duration on the coarse clock times slow calls.
const fineBelow = 100 * time.Millisecond

func flagsOf(s *Settings) (w uint32) {
	if s.MaxConcurrentCalls > 0 {
		w |= wordCounted | wordSlow
	}
	if s.SlowCallDurationThreshold > 0 && s.SlowCallDurationThreshold < fineBelow {
		w |= wordFine | wordSlow
	}
	return w
}

func wordOf(generation uint32, state State, mode Mode, limited bool, s *Settings) uint64 {
	w := flagsOf(s)
	if limited {
		w |= wordLimited | wordSlow
	}
	if state != Closed || mode == Off || mode == ForcedOpen {
		w |= wordSlow
	}
	return uint64(generation)<<32 | uint64(mode)<<modeShift | uint64(state)<<stateShift | uint64(w)
}

func stateOf(w uint64) State { return State(w >> stateShift & bits2) }
func modeOf(w uint64) Mode   { return Mode(w >> modeShift & bits2) }

// Options of a breaker.
type Options struct {
	Clock *Clock // required
	// Seed of jitter and of the phase of admitted shares: same seed and calls,
	// same decisions.
	Seed  uint64
	Owner Owner // nil is nobody
}

// New makes a closed breaker. The settings must be valid, with defaults filled;
// they are shared and never changed.
func New(s *Settings, o Options) *Breaker {
	b := &Breaker{clock: o.Clock, owner: o.Owner, seed: o.Seed}
	if b.owner == nil {
		b.owner = nobody{}
	}
	b.settings.Store(s)
	b.word.Store(wordOf(1, Closed, s.Mode, false, s))
	return b
}

// Settings that the breaker runs on.
func (b *Breaker) Settings() *Settings { return b.settings.Load() }

// Acquire asks to make one call. Without error, Done or Release of the permit
// must follow. The error matches ErrNotPermitted and is the Owner's, else a
// *NotPermittedError. It never blocks.
func (b *Breaker) Acquire() (Permit, error) {
	if w := b.word.Load(); w&wordSlow == 0 {
		if t := b.clock.cell.Load(); t != parked {
			return Permit{b, time.Duration(t), uint32(w >> 32), 0}, nil
		}
	}
	if r := b.standing.Load(); perProcessor && r != nil && b.clock.cell.Load() < int64(r.until) {
		if i := pin(); i < len(r.cells) {
			r.cells[i].rejected[r.reason]++
			unpin()
			return Permit{}, r.err
		}
		unpin()
	}
	return b.acquire()
}

func (b *Breaker) acquire() (Permit, error) {
	now := time.Duration(b.clock.cell.Load())
	if now == parked {
		b.clock.wake()
		now = b.clock.read()
	}
	c := b.core.Load()
	if r := b.standing.Load(); r != nil && now < r.until {
		return b.refuseAs(c, r, now)
	}
	for {
		w := b.word.Load()
		if modeOf(w) == Off {
			return Permit{b, now, uint32(w >> 32), permitOff}, nil
		}
		if w&wordSlow == 0 {
			return Permit{b, now, uint32(w >> 32), 0}, nil
		}
		if c == nil {
			c = b.open()
		}
		if p, err, settled := b.acquireOpenly(c, w, now); settled {
			return p, err
		}
		if p, err, settled := b.acquireLocked(c, now); settled {
			return p, err
		}
	}
}

// acquireOpenly decides where that needs no lock; it is not settled otherwise.
func (b *Breaker) acquireOpenly(c *core, w uint64, now time.Duration) (_ Permit, _ error, settled bool) {
	state := stateOf(w)
	if modeOf(w) == ForcedOpen || state != Closed && (w&wordLimited == 0 || c.leave.Load() > 0) {
		return Permit{}, nil, false
	}
	if w&wordLimited != 0 {
		if now >= time.Duration(c.tickAt.Load()) {
			return Permit{}, nil, false
		}
		if !c.admit() {
			reason := ReasonRamp
			if state == HalfOpen {
				reason = ReasonHalfOpen
			}
			p, err := b.refuse(c, reason, now)
			return p, err, true
		}
	}
	p := Permit{b, now, uint32(w >> 32), 0}
	if w&wordCounted != 0 {
		if !c.enter(b.settings.Load().MaxConcurrentCalls) {
			p, err := b.refuse(c, ReasonConcurrency, now)
			return p, err, true
		}
		p.slot |= permitCounted
	}
	if w&wordFine != 0 {
		p.start = b.clock.read()
		p.slot |= permitFine
	}
	return p, nil, true
}

// acquireLocked decides on probes, and on all that time has changed; it is not
// settled where no lock is needed any more.
func (b *Breaker) acquireLocked(c *core, now time.Duration) (_ Permit, _ error, settled bool) {
	c.mu.Lock()
	b.tick(c, now, true)
	s := b.settings.Load()
	var reason Reason
	var ticket uint32
	switch g := c.unused(); {
	case c.mode == ForcedOpen:
		reason = ReasonForced
	case c.mode == Off || c.state == Closed:
		b.unlock(c)
		return Permit{}, nil, false
	case g != nil:
		g.ticket = c.trial.number()
		g.until = now + s.MaxWaitDurationInHalfOpenState
		ticket = g.ticket | permitGrant
		c.leave.Add(-1)
		c.setTick()
	case c.state == HalfOpen && c.directed:
		b.unlock(c)
		return Permit{}, nil, false
	case c.state == HalfOpen && c.trial.done+len(c.trial.out) < s.PermittedNumberOfCallsInHalfOpenState:
		ticket = c.trial.issue(now + s.MaxWaitDurationInHalfOpenState)
		c.setTick()
	case c.state == HalfOpen:
		reason = ReasonHalfOpen
	default:
		reason = ReasonOpen
	}
	if ticket == 0 {
		decided := c.version
		b.unlock(c)
		p, err := b.refuseAll(c, reason, now, decided)
		return p, err, true
	}
	p := Permit{b, now, c.generation, ticket}
	if s.MaxConcurrentCalls > 0 {
		if !c.enter(s.MaxConcurrentCalls) {
			b.putBack(c, ticket)
			b.unlock(c)
			p, err := b.refuse(c, ReasonConcurrency, now)
			return p, err, true
		}
		p.slot |= permitCounted
	}
	if flagsOf(s)&wordFine != 0 {
		p.start = b.clock.read()
		p.slot |= permitFine
	}
	b.unlock(c)
	return p, nil, true
}

// refuse rejects one call, or lets it through as a shadow where the mode is to
// reject nothing.
func (b *Breaker) refuse(c *core, reason Reason, now time.Duration) (Permit, error) {
	if r := c.book().refusals[reason].Load(); r != nil && now < r.until {
		return b.refuseAs(c, r, now)
	}
	c.mu.Lock()
	version := c.version
	c.mu.Unlock()
	return b.refuseAs(c, b.cache(c, reason, now, version), now)
}

// refuseAll does so for this call and all that come, until something changes.
func (b *Breaker) refuseAll(c *core, reason Reason, now time.Duration, version uint64) (Permit, error) {
	r := b.cache(c, reason, now, version)
	c.mu.Lock()
	if version == c.version {
		b.standing.Store(r)
	}
	c.mu.Unlock()
	return b.refuseAs(c, r, now)
}

// cache builds a rejection and keeps it, unless a permit may have become free
// since the version that it was decided on.
func (b *Breaker) cache(c *core, reason Reason, now time.Duration, version uint64) *standing {
	c.mu.Lock()
	r := &standing{until: now + refresh, reason: reason, shadow: c.mode == MetricsOnly}
	rejection := Rejection{State: c.state, Mode: c.mode, Reason: reason, Why: c.why}
	if reason == ReasonForced {
		rejection.Why = c.modeWhy
	}
	if c.state == Open && !c.directed && c.mode != ForcedOpen {
		rejection.RetryAfter = max(c.until-now, 0)
		r.until = min(r.until, c.until)
	}
	if c.trialing() && c.trial.earliest > 0 {
		r.until = min(r.until, c.trial.earliest)
	}
	if c.directed {
		r.until = min(r.until, c.dir.Until)
	}
	c.mu.Unlock()
	if !r.shadow {
		if cells := c.cells.Load(); cells != nil {
			r.cells = *cells
		}
		r.err = b.owner.Rejected(b, rejection)
	}
	c.mu.Lock()
	if version == c.version {
		c.book().refusals[reason].Store(r)
	}
	c.mu.Unlock()
	return r
}

func (b *Breaker) refuseAs(c *core, r *standing, now time.Duration) (Permit, error) {
	if r.shadow {
		return Permit{b, now, uint32(b.word.Load() >> 32), permitShadow}, nil
	}
	b.countRejection(c, r.reason, now)
	return Permit{}, r.err
}
