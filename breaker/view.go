package breaker

import "time"

// View is what there is to see of a breaker at one instant.
type View struct {
	State      State
	Mode       Mode
	Generation uint64
	Since      time.Duration // instant of the last change of state
	Until      time.Duration // instant when an open breaker's own wait ends; else 0
	Share      float64       // of calls that is admitted, 0–1
	Attached   bool          // control's word is in force
	Local      bool          // opened by an own rule while attached
	Why        string        // of the state
	ModeWhy    string        // of the mode, where it was set by SetMode
	Window     Window
	// InFlight calls, known only where MaxConcurrentCalls is set.
	InFlight    int
	Transitions uint64 // changes of state or mode
}

// View reads the breaker. Reading changes nothing: an open breaker whose wait is
// over stays open until a call asks.
func (b *Breaker) View() View {
	now := b.clock.Now()
	c := b.core.Load()
	if c == nil {
		w := b.word.Load()
		return View{Mode: modeOf(w), Generation: w >> 32, Share: 1}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v := View{
		State: c.state, Mode: c.mode, Generation: uint64(c.generation), Since: c.since,
		Share: c.share, Attached: c.directed && now < c.dir.Until, Local: c.local,
		Why: c.why, ModeWhy: c.modeWhy, Window: c.look(now),
		InFlight: int(c.inFlight.Load()), Transitions: c.changes,
	}
	if c.state == Open || c.trialing() {
		v.Share = 0
	}
	if c.state == Open && !c.directed {
		v.Until = c.until
	}
	return v
}

// State of the breaker; cheaper than View, and as pure.
func (b *Breaker) State() State { return stateOf(b.word.Load()) }

// Snapshot is what a breaker takes over a restart: durations, never instants.
// The mode is not in it: it is the settings', or an operator's with an end of
// its own.
type Snapshot struct {
	State        State
	Age          time.Duration // of the state
	Wait         time.Duration // left of an open breaker's wait
	OutageAge    time.Duration // 0 is no outage
	FailedTrials int
	Share        float64
	Why          string
}

// Snapshot reads what Restore takes.
func (b *Breaker) Snapshot() Snapshot {
	now := b.clock.Now()
	c := b.core.Load()
	if c == nil {
		return Snapshot{Share: 1}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Snapshot{State: c.state, Age: max(now-c.since, 0), Share: c.share, FailedTrials: c.failedTrials, Why: c.why}
	if c.outage {
		s.OutageAge = max(now-c.outageSince, 1)
	}
	if c.state == Open {
		s.Wait = max(c.until-now, 0)
	}
	return s
}

// Restore puts a new breaker where another one was. What a snapshot can't mean
// is cut to what it can: a wait to the longest that the settings allow.
func (b *Breaker) Restore(from Snapshot) {
	c := b.open()
	c.mu.Lock()
	defer b.unlock(c)
	now := b.clock.Now()
	s := b.settings.Load()
	if c.changes > 0 || from.State > HalfOpen || from.State == Closed && !(from.Share < 1) {
		return
	}
	c.outage, c.outageSince, c.failedTrials = true, now-max(from.OutageAge, 0), max(from.FailedTrials, 0)
	c.why = from.Why
	if from.State == Closed {
		r := &s.Ramp
		if r.none() {
			r = &taper
		}
		b.climb(c, r, now-r.from(max(from.Share, 0)), now)
		c.settle()
		b.publish(c)
		return
	}
	longest := max(s.Wait.Max, s.MaxRetryAfter)
	c.until = now + min(max(from.Wait, 0), longest)
	b.to(c, byFleet, from.State, c.mode, now, from.Why, Window{})
	c.since = now - max(from.Age, 0)
}

// Used is when the breaker last had a call that ended, to within a second; 0 if it
// never had.
func (b *Breaker) Used() time.Duration {
	c := b.core.Load()
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.lastActive, c.since)
}

// Standing reports whether anything of the breaker would be missed: it is not
// closed, on its way back, or under an operator's word.
func (b *Breaker) Standing() bool {
	c := b.core.Load()
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state != Closed || c.outage || c.override || c.share < 1 || c.inFlight.Load() > 0
}
