package switchgear

import (
	"time"

	"github.com/datapunk/switchgear/internal/fleet"
)

// Resolution is the step of the manager's clock: waits, windows and slow calls
// of 100 ms and more are honoured to within it.
const Resolution = 10 * time.Millisecond

// idleBeats without any active circuit park the clock.
const idleBeats = 20

// woken is called from within a call that finds the clock parked.
func (m *Manager) woken() {
	m.life.Lock()
	defer m.life.Unlock()
	if m.closed {
		return
	}
	if !m.pulses {
		m.pulses = true
		m.wg.Go(m.pulse)
		if m.file != nil {
			m.wg.Go(m.watchFile)
		}
		if m.cache != nil {
			m.wg.Go(m.keepState)
		}
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// pulse is the manager's one goroutine: it advances the clock, samples the
// active circuits once per bucket, lets own control decide, and parks when there
// is nothing to do.
func (m *Manager) pulse() {
	for {
		select {
		case <-m.done:
			return
		case <-m.wake:
		}
		m.beat()
		m.clock.Park()
	}
}

// beat runs until nothing has been active for a while.
func (m *Manager) beat() {
	m.clock.Advance(m.now())
	tick := time.NewTicker(Resolution)
	defer tick.Stop()
	next := m.now() + fleet.BucketWidth
	for idle := 0; idle < idleBeats; {
		select {
		case <-m.done:
			return
		case <-tick.C:
		}
		now := m.now()
		m.clock.Advance(now)
		m.events.log(m.log)
		if now < next {
			m.decide(now)
			continue
		}
		next = now - now%fleet.BucketWidth + fleet.BucketWidth
		m.mu.Lock()
		active := m.replica.Sample(now)
		m.own.Step(now)
		m.mu.Unlock()
		m.evict(now, idleAfter)
		if active {
			idle = 0
		} else {
			idle++
		}
	}
}

// decide lets own control look between samples, where it is in a hurry.
func (m *Manager) decide(now time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.own.Due() <= now {
		m.own.Step(now)
	}
}
