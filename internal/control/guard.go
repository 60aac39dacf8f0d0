package control

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

// coordination is what a circuit's opening has to do with everything else.
type coordination struct {
	directed
	orderEnds time.Duration // when the first override of it ends, 0 if there is none

	held    string        // why automation may not open it
	heldAt  time.Duration // when that was last so
	waited  string        // what it waited for before it opened, for its reason
	wants   time.Duration // when it was last to be opened
	asked   time.Duration // when it last asked the namespace's owner
	granted time.Duration // until when the namespace's owner lets it open

	panicked time.Duration // when every instance was last bad, and all let through
	claims   claims        // of replicas that hold what nobody here has said
	checks   checks

	graded    time.Duration // since when it waits for those behind its callee
	gradedAt  time.Duration // when it last did
	explained bool          // one of those is open by now
	strain    strain
}

func newCoordination() coordination {
	return coordination{heldAt: -time.Hour, wants: -time.Hour, asked: -time.Hour, gradedAt: -time.Hour}
}

// unlessHeld opens a circuit as a whole where nothing holds it, and adds to its
// reason what it has waited for. Whatever judges goes through here.
func (m *Mind) unlessHeld(c *circuit, open func()) {
	if m.hold(c) {
		return
	}
	open()
	c.whole.gate.Reason += c.waited
	c.waited = ""
	if n := m.counts[c.id.Callee.Namespace]; n != nil && c.occupies() {
		n.open++
	}
}

// hold reports whether automation must leave a circuit closed although its
// evidence says open: an operator's word, a panic, the grading, the guard. Why it
// does so is in the circuit's view, for people to decide.
func (m *Mind) hold(c *circuit) bool {
	if c.occupies() {
		return false // it is open already, or was and is led back
	}
	c.wants = m.now
	for _, stop := range []func(*circuit) string{m.ordered, m.panics, m.grades, m.guards} {
		if why := stop(c); why != "" {
			c.held, c.heldAt = why, m.now
			return true
		}
	}
	c.held = ""
	return false
}

// heldNow is why a circuit is held, "" if it is not.
func (c *circuit) heldNow(now time.Duration) string {
	if now-c.heldAt > heldFor {
		return ""
	}
	return c.held
}

// occupies reports whether a circuit is one of those that automation holds open.
// On its way back it still is: it can relapse.
func (c *circuit) occupies() bool {
	return c.whole.gate.State != breaker.Closed || c.whole.gate.Phase == "ramp"
}

// counts reports whether a circuit is one of its namespace's: of those that nobody
// reports any more, only what is held open.
func (c *circuit) counts() bool { return len(c.rows) > 0 || c.occupies() }

// ordered says which operator's word holds automation.
func (m *Mind) ordered(c *circuit) string {
	if o := c.whole.override; o != nil && c.whole.frozen() {
		return fmt.Sprintf("%s by %s: the calculated state stands still", o.Mode, o.Author)
	}
	if p := m.paused(c.id.Callee.Namespace); p != nil {
		return p.said(m.now)
	}
	return ""
}

// panics says that every instance is bad, where the policy then lets all through.
func (m *Mind) panics(c *circuit) string {
	if c.settings.WhenAllBad != policy.Panic {
		return ""
	}
	known, bad := 0, 0
	quorum := c.quorum(c.present(m.now))
	for name := range c.seen {
		e := c.callee.instance(name, m.now, int(cellSpan/time.Second))
		p := c.partOf(name)
		out := p != nil && !p.calmly()
		if !out && e.present < quorum {
			continue // as for the guard: it may be dreamt
		}
		known++
		if out || e.n > 0 && 100*float64(e.k) >= openAbove(&c.settings)*float64(e.n) {
			bad++
		}
	}
	if bad < known {
		return ""
	}
	for _, p := range c.parts { // where all are bad, to leave some out helps nobody
		if !p.calmly() {
			p.set(m.now, breaker.Closed, "", 1, "every instance is bad: all are let through")
			c.dirty = true
		}
	}
	c.panicked = m.now
	return fmt.Sprintf("every instance is bad (%d of %d), and whenAllBad is panic: all calls are let through", bad, known)
}

// panicking reports whether all calls are let through because every instance is
// bad.
func (c *circuit) panicking(now time.Duration) bool {
	return c.panicked != 0 && now-c.panicked < heldFor
}

// guards says that automation holds as many of a namespace's circuits open as it
// may. The owner of the namespace counts; who owns only the callee asks it.
func (m *Mind) guards(c *circuit) string {
	if m.cfg.Without.Guard || m.cfg.Alone || c.granted > m.now {
		return ""
	}
	if owner := m.ranking("ns:" + c.id.Callee.Namespace)[0]; owner != m.cfg.Daemon {
		if m.now-c.asked >= memberUrgent {
			c.asked, m.asks = m.now, true
		}
		return fmt.Sprintf("asked %s, which owns the namespace, for leave to open", owner)
	}
	return m.ration(c.id, c.settings.MaxOpenPercent)
}

// ration reports why one more circuit of a namespace may not be open, "" if it
// may.
func (m *Mind) ration(id policy.Circuit, percent float64) string {
	ns := id.Callee.Namespace
	circuits, open := m.census(ns, id)
	allowed := maxOpen(circuits, percent)
	if open < allowed {
		return ""
	}
	why := fmt.Sprintf("the guard holds: %d of the %d circuits of namespace %s are open, and automation may open %d (maxOpenPercent %v); "+
		"find out what they share, then force this one open, raise maxOpenPercent, or leave it", open, circuits, ns, allowed, percent)
	m.warn(id, why)
	return why
}

// headcount of a namespace's circuits, and of those that automation holds open.
type headcount struct{ circuits, open int }

// census counts a namespace's circuits, and those of them that automation holds
// open or has leave to open, but for the one that asks. It walks once a step,
// however many ask: where all of a great namespace fails, each of them does.
func (m *Mind) census(ns string, but policy.Circuit) (circuits, open int) {
	n := m.counts[ns]
	if n == nil {
		if m.counts == nil {
			m.counts = make(map[string]*headcount)
		}
		n = m.walk(ns)
		m.counts[ns] = n
	}
	return n.circuits, n.open + m.awaited(ns, but)
}

func (m *Mind) walk(ns string) *headcount {
	circuits, open := 0, 0
	for _, ce := range m.namespace(ns) {
		if !ce.owned {
			continue
		}
		for _, c := range ce.circuits {
			if c.counts() {
				circuits++
			}
			if c.occupies() || c.claims.waits() {
				open++
			}
		}
	}
	circuits, open = m.peers.census(ns, circuits, open)
	return &headcount{circuits, open}
}

// namespace gives the callees of a namespace, which stand together.
func (m *Mind) namespace(ns string) []*callee {
	from, _ := slices.BinarySearchFunc(m.order, ns, func(ce *callee, ns string) int {
		if ce.id.Namespace < ns {
			return -1
		}
		return 1
	})
	to := from
	for to < len(m.order) && m.order[to].id.Namespace == ns {
		to++
	}
	return m.order[from:to]
}

// maxOpen is how many of n circuits automation may hold open: exact for small n,
// and always one, or a small namespace would have no protection.
func maxOpen(n int, percent float64) int {
	return max(1, int(math.Floor(float64(n)*percent/100+1e-9)))
}

// alarm is a guard that holds, so that it is said once and not each time.
type alarm struct {
	namespace string
	circuit   policy.Circuit
	last      time.Duration
}

// warn says loudly, once, that automation holds in a namespace.
func (m *Mind) warn(id policy.Circuit, why string) {
	ns := id.Callee.Namespace
	i := slices.IndexFunc(m.alarms, func(a alarm) bool { return a.namespace == ns })
	if i >= 0 {
		m.alarms[i].last = m.now
		return
	}
	m.alarms = append(m.alarms, alarm{ns, id, m.now})
	m.said.Findings = append(m.said.Findings, Notice{Kind: "guard", Namespace: ns, Circuit: id, Why: why})
}

// calmAlarms tells of guards that hold no more.
func (m *Mind) calmAlarms() {
	m.alarms = slices.DeleteFunc(m.alarms, func(a alarm) bool {
		if m.now-a.last < alarmEnds {
			return false
		}
		m.said.Findings = append(m.said.Findings, Notice{Kind: "guard", Namespace: a.namespace, Circuit: a.circuit, Why: "the guard holds nothing any more", Ended: true})
		return true
	})
}

// mayEject reports whether one more instance may be taken out.
func (m *Mind) mayEject(c *circuit, instance string) bool {
	if m.cfg.Without.Guard {
		return true
	}
	known, out := c.ejected(m.now)
	allowed := maxEjected(known, c.settings.MaxEjectionPercent)
	if out < allowed {
		return true
	}
	c.held, c.heldAt = fmt.Sprintf("the guard holds: %d of %d instances are out, and automation may take out %d (maxEjectionPercent %v, never the last one); "+
		"instance %s fails too: mend or force it open", out, known, allowed, c.settings.MaxEjectionPercent, instance), m.now
	m.warn(c.id, c.held)
	return false
}
