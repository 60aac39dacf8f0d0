package breaker

import (
	"fmt"
	"time"
)

// cause is who moves a breaker.
type cause uint8

const (
	byRule  cause = iota // the window broke a rule
	byWait               // the own wait is over
	byTrial              // the own probes have answered
	byFleet              // control's word, or its word's end
	byMode               // an operator, or settings

	causes
)

// legal is every change of state there is. To is the same state where only the
// generation or the mode changes.
var legal = [causes][3][3]bool{
	byRule:  {Closed: {Open: true}, HalfOpen: {}},
	byWait:  {Open: {HalfOpen: true}},
	byTrial: {HalfOpen: {Open: true, Closed: true}},
	byFleet: {
		Closed:   {Closed: true, Open: true, HalfOpen: true},
		Open:     {Closed: true, Open: true, HalfOpen: true},
		HalfOpen: {Closed: true, Open: true, HalfOpen: true},
	},
	// A forced opening ends half open, whatever the state was.
	byMode: {
		Closed:   {Closed: true, HalfOpen: true},
		Open:     {Open: true, HalfOpen: true},
		HalfOpen: {HalfOpen: true},
	},
}

// to begins another generation, in a state and mode. INVARIANT: the shared cell
// is re-tagged before the word is stored, so each outcome counts in the old
// generation or is late.
func (b *Breaker) to(c *core, by cause, s State, mode Mode, now time.Duration, why string, w Window) {
	if !legal[by][c.state][s] {
		panic(fmt.Sprintf("breaker: no way from %v to %v by cause %d", c.state, s, by))
	}
	t := Transition{At: now, From: c.state, To: s, FromMode: c.mode, ToMode: mode, Why: why, Window: w}
	changed := t.From != t.To || t.FromMode != t.ToMode

	// Only a change of mode between those that judge keeps the window.
	keep := by == byMode && t.From == t.To && judging(t.FromMode) && judging(t.ToMode)
	held := c.totals()
	c.shared.retag()
	c.generation++
	c.sharedBase = c.shared.count()
	c.ok, c.failed = uint64(held.ok), held.failed
	if !keep {
		c.ok, c.failed, c.slow, c.streak, c.streakOK = 0, 0, 0, 0, 0
		c.window.reset(now)
	}
	c.trial.reset()
	if t.From != t.To {
		c.since = now
	}
	c.state, c.mode = s, mode
	if changed {
		c.changes++
		t.Generation = uint64(c.generation)
		c.news = append(c.news, news{transition: t})
	}
	c.due.Store(0) // until the next outcome says
	c.quick.Store(nil)
	b.publish(c)
}

func judging(m Mode) bool { return m == Enforce || m == MetricsOnly }

// trip opens a closed breaker by a rule of its own.
func (b *Breaker) trip(c *core, now time.Duration, why string, w Window) {
	if c.directed {
		c.local = true
	}
	if c.outage { // a relapse within the ramp: the outage goes on
		c.failedTrials++
	}
	b.enterOpen(c, byRule, now, why, w)
}

func (b *Breaker) enterOpen(c *core, by cause, now time.Duration, why string, w Window) {
	c.suffer(now)
	c.why = why
	c.share, c.ramp = 1, nil
	b.waitFrom(c, now)
	b.to(c, by, Open, c.mode, now, why, w)
}

// waitFrom sets the own wait's end.
func (b *Breaker) waitFrom(c *core, now time.Duration) {
	s := b.settings.Load()
	c.until = max(now+s.Wait.Duration(now-c.outageSince, c.failedTrials, c.random()), c.pushback)
}

// recover begins the way back to full traffic.
func (b *Breaker) recover(c *core, by cause, now time.Duration, why string, w Window) {
	c.share, c.ramp = 1, nil
	if r := &b.settings.Load().Ramp; !r.none() {
		b.climb(c, r, now, now)
	}
	c.settle()
	c.why = why
	b.to(c, by, Closed, c.mode, now, why, w)
}

// climb follows a ramp that began at an instant.
func (b *Breaker) climb(c *core, r *Ramp, from, now time.Duration) {
	share, next := r.share(now - from)
	c.ramp, c.rampFrom, c.rampAt, c.share = r, from, from+next, share
	if share >= 1 {
		c.ramp = nil
	}
}

// suffer begins an outage, unless one lasts.
func (c *core) suffer(now time.Duration) {
	if !c.outage {
		c.outage, c.outageSince, c.failedTrials = true, now, 0
	}
}

// settle ends the outage once all is admitted.
func (c *core) settle() {
	if c.share >= 1 {
		c.outage, c.pushback = false, 0
	}
}

// tick does what time has made due; asked says that a call wants to pass, which
// is what ends an open breaker's wait.
func (b *Breaker) tick(c *core, now time.Duration, asked bool) {
	if c.directed && now >= c.dir.Until {
		b.detach(c)
	}
	c.expireGrants(now)
	if c.mode == ForcedOpen {
		return
	}
	switch {
	case c.probing() && now >= c.dir.Probing:
		b.endProbing(c, now)
	case c.state == Open && !c.directed && asked && now >= c.until:
		b.to(c, byWait, HalfOpen, c.mode, now, "the wait is over", Window{})
	case c.trialing():
		if n := len(c.trial.out); n > 0 {
			if c.trial.expire(now); len(c.trial.out) < n {
				b.freed(c)
			}
		}
	case c.state == Closed && c.ramp != nil && !c.directed && now >= c.rampAt:
		b.climb(c, c.ramp, c.rampFrom, now)
		c.settle()
		b.publish(c)
	}
	if int64(now) >= c.tickAt.Load() {
		c.setTick()
	}
}

// probed takes the answer of an own probe.
func (b *Breaker) probed(c *core, o Outcome, slow bool, now time.Duration) {
	s := b.settings.Load()
	if o.Verdict <= Failure {
		c.trial.done++
		if o.Verdict == Failure {
			c.failed++
			c.trial.failed++
			c.heed(&o, s, now)
		}
		if slow {
			c.slow++
			c.trial.slow++
		}
	}
	if !b.decide(c, s, now) {
		b.freed(c)
	}
}

// decide ends the trial if its answers do.
func (b *Breaker) decide(c *core, s *Settings, now time.Duration) bool {
	decided, good := c.trial.verdict(s)
	if !decided {
		return false
	}
	t := &c.trial
	w := Window{Calls: t.done, Failed: t.failed, Slow: t.slow}
	if good {
		b.recover(c, byTrial, now, fmt.Sprintf("%d of %d probes succeeded", t.done-t.failed, t.done), w)
		return true
	}
	c.failedTrials++
	why := fmt.Sprintf("%d of %d probes failed", t.failed, t.done)
	if t.failed == 0 {
		why = fmt.Sprintf("%d of %d probes were slow", t.slow, t.done)
	}
	b.enterOpen(c, byTrial, now, why, w)
	return true
}

// SetMode overrides the settings' mode until ClearMode; why is shown with it.
func (b *Breaker) SetMode(m Mode, why string) {
	c := b.open()
	c.mu.Lock()
	c.override = true
	b.setMode(c, m, why)
	b.unlock(c)
}

// ClearMode goes back to the settings' mode. A forced opening ends half open.
func (b *Breaker) ClearMode() {
	c := b.open()
	c.mu.Lock()
	c.override = false
	b.setMode(c, b.settings.Load().Mode, "")
	b.unlock(c)
}

func (b *Breaker) setMode(c *core, m Mode, why string) {
	if m > ForcedOpen {
		m = Enforce
	}
	was := c.mode
	c.modeWhy = why
	if m == was {
		b.freed(c)
		return
	}
	now := b.clock.Now()
	b.tick(c, now, false)
	if was == ForcedOpen {
		// What was known is as old as the forcing: only probes can tell.
		c.directed, c.local = false, false
		c.share, c.ramp = 1, nil
		c.suffer(now)
		b.to(c, byMode, HalfOpen, m, now, "the forced opening has ended", Window{})
		return
	}
	b.to(c, byMode, c.state, m, now, why, c.look(now))
}

// Update puts new settings in force, in place: state, generation and time left
// stay; the window's counts too where its shape is the same. They must be valid.
func (b *Breaker) Update(s *Settings) {
	old := b.settings.Swap(s)
	c := b.core.Load()
	if c == nil {
		if old.Mode == s.Mode && flagsOf(old) == flagsOf(s) {
			return
		}
		c = b.open()
	}
	c.mu.Lock()
	now := b.clock.Now()
	c.apply(s)
	if !c.window.shaped(s) {
		c.window = newWindow(s, now)
		c.window.fill(c.totals())
	}
	if c.ramp != nil {
		if c.ramp = &s.Ramp; s.Ramp.none() {
			c.share, c.ramp = 1, nil
			c.settle()
		} else {
			b.climb(c, &s.Ramp, c.rampFrom, now)
		}
	}
	if !c.override && c.mode != s.Mode {
		b.setMode(c, s.Mode, "settings")
	}
	if !c.trialing() || !b.decide(c, s, now) {
		c.due.Store(0)
		c.quick.Store(nil)
		b.publish(c)
	}
	b.unlock(c)
}
