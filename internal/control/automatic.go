package control

import (
	"fmt"
	"math"
	"time"

	"github.com/datapunk/switchgear/internal/fleet"
)

// The automatic engine decides for settings without thresholds when a closed
// target opens. Two sequential tests run over all answers, in the order of
// events: one for calls that fail outright, one at the settings' openAbove. What
// they may claim is bounded by who saw it: each observer's weight is capped, and
// those other than the loudest must see it too.

// suspicion is the part of an alarm from which every answer is wanted at once.
const suspicion = 0.4

// alarmed is how near a circuit is to opening: 1 is there.
func (c *circuit) alarmed(now time.Duration) (level float64) {
	t := c.whole
	e := t.flow.sums()
	if e.fast == 0 && e.slow == 0 || t.flow.quiet(now) {
		return 0
	}
	demand := t.flow.demand(now, c.suspected != 0 || t.hot(now))
	h := outrightAlarm(demand, c.record.normal())
	if now-t.tripped < relapseSpan {
		h = min(h, relapseBase+relapsePer*math.Log1p(demand))
	}
	h *= tolerated(c.settings.OpenAbove / 100)
	return max(e.fast/h, e.slow/steadyAlarm(demand))
}

// watch judges a closed circuit and reports whether there is reason to look again
// without new failures.
func (m *Mind) watch(c *circuit, find func() []finding) (again bool) {
	level := c.alarmed(m.now)
	congested := c.whole.queue(m.now, 20, c.callTimeout())
	if (congested.sudden() || c.whole.filling(m.now, congested, c.callTimeout())) && m.ordered(c) == "" {
		c.whole.limitNow(m.now, congested, c.callTimeout())
		c.forget()
		c.dirty = true
		return true
	}
	part := c.anyInstanceFails()
	switch suspicious := level > suspicion || congested.fill > 0.2 || part; {
	case !suspicious && c.suspected != 0:
		c.suspected, c.dirty = 0, true
	case suspicious && c.suspected == 0:
		c.suspected, c.dirty, c.forewarned = m.now, true, m.now < c.whole.hotUntil
	}
	if level >= 1 {
		c.record.drop(m.now)
	}
	if c.suspected == 0 {
		m.openSick(c)
		return false
	}
	if !c.heardOthers(m.now) {
		return true
	}
	switch {
	case part && m.openParts(c, find()):
	case m.openSick(c):
	case level >= 1 && c.agreed(m.now):
		m.unlessHeld(c, func() { m.trip(c) })
	}
	return true
}

// heardOthers reports whether the replicas that are well have had the time to say
// so since the circuit came under suspicion: in calm they report once a second.
func (c *circuit) heardOthers(now time.Duration) bool {
	if c.forewarned || now-c.suspected >= hearOthers || len(c.rows) == 1 {
		return true
	}
	heard, all := uint32(0), uint32(0)
	for _, r := range c.rows {
		n := r.demand.sum(now, demandSteps).n
		all += n
		if r.at > c.suspected+answerDelay {
			heard += n
		}
	}
	return heard*10 >= all*9
}

// agreed reports whether enough observers see what the tests claim.
func (c *circuit) agreed(now time.Duration) bool {
	present, failing, others := c.seers(now)
	quorum := c.quorum(present)
	return failing >= quorum && (quorum <= 1 || others >= agreement)
}

func (m *Mind) trip(c *circuit) {
	t := c.whole
	present, failing, _ := c.seers(m.now)
	w := t.flow.failing(m.now)
	t.rate = 100 * float64(w.spoilt) / float64(max(w.calls, 1))
	why := fmt.Sprintf("%d of the newest %d calls failed (%.0f %%, opens above %.0f %%); %s; seen by %d of %d replicas",
		w.spoilt, w.calls, t.rate, c.settings.OpenAbove, sayKinds(&w.kinds), failing, present)
	t.open(m.now, &c.settings, m.rng, why)
	c.forget()
	c.dirty = true
}

// failing sums the newest steps back to where failures began: the last span of
// the tests' rise.
func (f *flow) failing(now time.Duration) (c current) {
	i := int64(now / fleet.BucketWidth)
	for n := range int64(flowSteps) {
		j := i - n
		if j > f.head {
			continue
		}
		if j < 0 || j <= f.head-flowSteps {
			break
		}
		s := &f.slots[j%flowSteps]
		if c.spoilt > 0 && s.calls > 0 && s.spoilt == 0 {
			break
		}
		c.add(s)
	}
	return c
}

// openSick opens the ends of replicas that fail with what others do well: there
// the caller or its way is sick, not the callee.
func (m *Mind) openSick(c *circuit) bool {
	if m.ordered(c) != "" || m.cfg.Without.Locate || m.cfg.Without.Quorum {
		return false
	}
	sick, ends := c.sick(m.now), c.ownEnds()
	for i, r := range sick {
		if c.mostly(ends+i+1) && m.hold(c) {
			sick = sick[:i]
			break // with most replicas the circuit would be as good as open
		}
		w := r.recent.sum(m.now, demandSteps)
		r.own, c.apart = c.target(m.now), true
		r.own.flow.seed(m.now, &r.demand)
		r.own.calm = c.whole.calm
		r.own.rate = 100 * float64(w.k) / float64(max(w.n, 1))
		r.alone = fmt.Sprintf("%d of %d calls of this replica failed while others' went well: the caller or its way is sick, not the callee", w.k, w.n)
		r.own.open(m.now, &c.settings, m.rng, r.alone)
		c.dirty = true
	}
	if len(sick) > 0 {
		if !c.mostly(ends) {
			m.counted(c)
		}
		// Their failures are explained.
		c.record.drop(m.now)
		c.whole.flow.forget()
		for _, r := range c.rows {
			r.sum = 0
		}
	}
	return len(sick) > 0
}

// sick are the rows that fail by themselves.
func (c *circuit) sick(now time.Duration) (sick []*row) {
	most := 0.0
	for _, r := range c.rows {
		if r.own == nil {
			most = max(most, r.sum)
		}
	}
	if most < clearly || len(c.rows) < 2 {
		return nil
	}
	demand := c.whole.flow.demand(now, c.suspected != 0 || c.whole.hot(now))
	many := math.Log(float64(len(c.rows)))
	alone := outrightAlarm(demand, c.record.normal()) + many
	joint := 0.0
	var well, pure, some tally
	mixed, expected := 0.0, 0.0
	for _, r := range c.rows {
		if r.own != nil {
			continue
		}
		w := r.recent.sum(now, demandSteps)
		if w.n == 0 {
			continue
		}
		some.n, some.k = some.n+w.n, some.k+w.k
		if r.sum >= clearly {
			joint += r.sum
			pure.n, pure.k = pure.n+w.n, pure.k+w.k
		} else {
			well.n, well.k = well.n+w.n, well.k+w.k
		}
	}
	if some.n == 0 {
		return nil
	}
	p := float64(some.k) / float64(some.n)
	for _, r := range c.rows {
		if w := r.recent.sum(now, demandSteps); r.own == nil && w.n >= 2 {
			expected += 1 - math.Pow(p, float64(w.n)) - math.Pow(1-p, float64(w.n))
			if w.k > 0 && w.k < w.n {
				mixed++
			}
		}
	}
	healthy := well.n >= 10 && 2*100*float64(well.k) < c.settings.OpenAbove*float64(well.n)
	split := expected >= 4 && mixed < 0.4*expected
	if !healthy && !split {
		return nil
	}
	for _, r := range c.rows {
		if r.own != nil || r.sum < clearly {
			continue
		}
		if healthy && r.sum >= alone || split && joint >= 2*alone && float64(pure.k) > 0.8*float64(pure.n) {
			sick = append(sick, r)
		}
	}
	return sick
}

// seed takes over a demand that was counted elsewhere.
func (f *flow) seed(now time.Duration, demand *newest) {
	const step = demandSpan / demandSteps
	per := int64(step / fleet.BucketWidth)
	last := int64(now / step)
	for i := max(last-demandSteps+1, demand.head-int64(len(demand.slots))+1, 0); i <= min(last, demand.head); i++ {
		n := float64(demand.slots[i%int64(len(demand.slots))].n)
		for j := range per {
			if s := f.at(time.Duration(i)*step + time.Duration(j)*fleet.BucketWidth); s != nil {
				s.offered += n / float64(per)
			}
		}
	}
}

// patrol looks at what is calm: it learns, and finds queues that grow without a
// failure yet.
func (m *Mind) patrol(c *circuit) {
	m.hearClaims(c)
	t := c.whole
	if !t.calmly() {
		c.record.drop(m.now)
		return
	}
	c.learn(m.now)
	if c.settings.Automatic() && (c.suspected == 0 || !c.callee.failing) {
		if q := t.queue(m.now, 20, c.callTimeout()); q.sudden() || q.fill > 0.2 {
			c.callee.failing = true
		}
	}
	if c.saidHot && !c.hot(m.now) {
		c.dirty = true
	}
}

// learn follows what calm is, once per patrol.
func (c *circuit) learn(now time.Duration) {
	t := c.whole
	if !t.calmly() || now-t.since <= time.Second {
		return
	}
	// Old enough that all have reported.
	s := t.flow.span(now, 3*time.Second, 3*time.Second-patrolInterval)
	c.record.doubt.n += s.calls
	c.record.doubt.k += s.spoilt
	if c.suspected == 0 || now-c.record.learnt >= inDoubt {
		c.record.learn(now) // nothing came of it
	}
	if c.suspected != 0 {
		return
	}
	t.learn(now)
	for _, p := range c.parts {
		p.calm = t.calm
	}
}

// hot reports whether replicas are to send every answer at once.
func (c *circuit) hot(now time.Duration) bool {
	return !c.calmly() || now < c.whole.hotUntil || c.suspected != 0
}

// anyInstanceFails reports whether an instance has failed enough to ask locate.
func (c *circuit) anyInstanceFails() bool {
	for _, x := range c.seen {
		if x.sum >= clearly {
			if p := c.partOf(x.name); p == nil || p.calmly() {
				return true
			}
		}
	}
	return false
}

// partly is the test that brings an instance before locate.
var partly = newTest(0.1, 0.5)

// seenInstance is an instance that calls went to.
type seenInstance struct {
	name string
	at   time.Duration
	sum  float64 // of the test partly
}

// saw counts calls to an instance.
func (c *circuit) saw(now time.Duration, name string) *seenInstance {
	if name == "" {
		return nil
	}
	x := c.seen[name]
	if x == nil {
		if len(c.seen) >= maxInstances {
			return nil
		}
		x = &seenInstance{name: name}
		c.seen[name] = x
	}
	x.at = now
	return x
}
