package fleet

import (
	"slices"
	"time"
)

// Own control is control over the one replica of a process. It decides for
// circuits without thresholds while the fleet does not: there is no daemon, its
// word has had its time, it only shows what it would do, or the link is lost and the
// word holds nothing back: a fleet that sees nothing must not keep a process from
// protecting itself. Where the fleet's word ends, own control goes on from it.

// Govern says that own control is there: it takes what OwnReport gives, each time
// that Sample was called, and hands its words to ObeyOwn.
func (r *Replica) Govern() { r.isGoverned = true }

// governed reports whether own control may decide for the circuit.
func (c *Circuit) governed() bool { return c.replica.isGoverned && c.Settings().Automatic() }

// alone reports whether own control decides: from one step before the fleet's word
// ends on, so that nothing comes between the two.
func (c *Circuit) alone(now time.Duration) bool {
	return c.governed() && (!c.held.Enforce || c.held.till <= now+BucketWidth || c.held.calm() && c.replica.deaf(now))
}

// deafAfter is how long a link may be lost, as by a daemon's restart, before words
// that hold nothing back are obeyed no more.
const deafAfter = 3 * time.Second

// Linked says that the link is up, or that it is lost.
func (r *Replica) Linked(now time.Duration, up bool) {
	switch {
	case up:
		r.lostAt = 0
	case r.lostAt == 0:
		r.lostAt = now
	}
}

func (r *Replica) deaf(now time.Duration) bool { return r.lostAt != 0 && now-r.lostAt >= deafAfter }

// deciding is the word of who decides.
func (c *Circuit) deciding(now time.Duration) *standing {
	if c.alone(now) {
		return &c.own
	}
	return &c.held
}

// inherit makes the fleet's last word the one that own control goes on from.
func (c *Circuit) inherit() {
	c.own, c.held = c.held, standing{}
	c.own.Override = nil
	c.inherited = true
}

// OwnReport is what own control has to know, and the words that it goes on from;
// ok is false while there is nothing to say, or it can wait.
func (r *Replica) OwnReport(now time.Duration) (rep Report, from []Directive, ok bool) {
	r.drain(now)
	for _, c := range r.active {
		if c.inherited && c.own.till > now {
			c.inherited = false
			from = append(from, c.own.After(c.own.TTL-(c.own.till-now)))
		}
	}
	if len(from) == 0 && r.dueFor(ownControl) > now {
		return Report{}, nil, false
	}
	slices.SortFunc(from, func(a, b Directive) int { return a.Circuit.Compare(b.Circuit) })
	rep = r.reportTo(ownControl, now)
	return rep, from, len(rep.Circuits)+len(from) > 0
}

// ObeyOwn puts own control's word in force, where it is the one that decides.
func (r *Replica) ObeyOwn(now time.Duration, d Directive) {
	c := r.circuits[d.Circuit]
	if c == nil || !c.alone(now) || d.TTL <= 0 {
		return
	}
	r.activate(c, now)
	c.sample(now) // what was counted under the word before
	before := c.own.Parts
	c.own = standing{d, now + d.TTL}
	c.own.Settings, c.own.Override = nil, nil
	c.hot = d.Hot || c.held.Hot
	c.act(now, &c.own, before)
}

// Led counts the active circuits for which the fleet decides, and those for which
// own control does.
func (r *Replica) Led(now time.Duration) (byFleet, byOwn int) {
	for _, c := range r.active {
		switch {
		case c.alone(now):
			byOwn++
		case c.held.till > now && c.held.Enforce:
			byFleet++
		}
	}
	return byFleet, byOwn
}

// release ends own control's word where it may decide no more: the settings have
// thresholds now.
func (c *Circuit) release(now time.Duration) {
	if c.own.till > now && !c.governed() {
		c.own.till = now + BucketWidth
		c.act(now, &c.own, nil)
	}
}
