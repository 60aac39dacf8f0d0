package control

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
)

// Told is what another daemon has said to replicas.
type Told struct {
	Daemon string
	Output
}

// ranking orders the live daemons for a key: the first owns what it names, the
// second follows it (rendezvous hashing: who leaves takes only what was its own).
// Each daemon that sees the same ones live comes to the same order.
func (m *Mind) ranking(key string) []string {
	names := m.peers.live()
	if m.joined || len(names) == 0 {
		names = append(names, m.cfg.Daemon)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(weight(b, key), weight(a, key)), cmp.Compare(a, b))
	})
	return names
}

// weight is a daemon's claim to a key.
func weight(daemon, key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(daemon))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(key))
	x := h.Sum64() // and its bits mixed: FNV alone hardly spreads names that end alike
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// assign says what this daemon is to a callee.
func (m *Mind) assign(ce *callee) {
	rank := m.ranking(ce.id.String())
	was := ce.owned
	ce.owned = m.joined && rank[0] == m.cfg.Daemon
	ce.second = m.joined && len(rank) > 1 && rank[1] == m.cfg.Daemon
	if !ce.owned || was {
		return
	}
	// A takeover: what replicas hold goes on, under a greater epoch.
	ce.failing = true
	for _, c := range ce.circuits {
		c.dirty = true
	}
}

func (m *Mind) assignAll() {
	for _, ce := range m.order {
		m.assign(ce)
	}
}

// join lets a mind that has listened for long enough own something.
func (m *Mind) join() {
	if m.began == 0 {
		m.began = max(m.now, 1)
	}
	if !m.joined && m.now-m.began >= m.cfg.Join {
		m.joined = true
		m.assignAll()
	}
}

// hear raises what this mind says above what it has heard. What replicas say is
// bounded below what daemons may, so that none of them can exhaust the numbers
// or make daemons deaf to each other.
func (m *Mind) hear(e fleet.Epoch) {
	if e.Incarnation > maxHeard || e.Counter > maxHeard {
		return
	}
	m.incarnation = max(m.incarnation, e.Incarnation)
	m.epoch = max(m.epoch, e.Counter)
}

// lastEpoch is the greatest that this mind has said or heard.
func (m *Mind) lastEpoch() fleet.Epoch {
	return fleet.Epoch{Incarnation: m.incarnation, Counter: m.epoch, Daemon: m.cfg.Daemon}
}

// told follows what another daemon says, so that a takeover goes on where it was.
// Where both believe to own the callee, as in a partition, the later verdict
// stands, and is said once more under a greater epoch.
func (m *Mind) told(t *Told) {
	d := &t.Directive
	if t.Daemon == m.cfg.Daemon || d.Circuit.Validate() != nil || max(d.Epoch.Counter, d.Epoch.Incarnation, d.Generation) > maxHeard {
		return
	}
	m.hear(d.Epoch)
	m.generations = max(m.generations, d.Generation)
	c := m.circuit(d.Circuit)
	if c == nil {
		return
	}
	c.heard = m.now
	c.callee.restless = true
	newer := false
	if t.To.Name != "" && d.Generation != c.whole.gate.Generation {
		m.toldOne(c, t)
	} else if c.whole.takeOver(m.now, d.Gate) {
		newer = true
		c.restart()
	}
	for _, p := range d.Parts {
		if p.Generation > maxHeard || c.partOf(p.Instance) == nil && len(c.parts) >= maxInstances {
			continue
		}
		m.generations = max(m.generations, p.Generation)
		x := c.part(m.now, p.Instance)
		newer = x.takeOver(m.now, p.Gate) || newer
	}
	if !c.callee.owned {
		m.followOwner(c, d)
	} else if newer {
		c.dirty = true
	}
}

// followOwner takes over what only an owner may say: whose overrides stand, and
// which parts have no verdict of their own any more.
func (m *Mind) followOwner(c *circuit, d *fleet.Directive) {
	c.whole.override = heardOverride(m.now, d.Override)
	for _, p := range c.parts {
		i := slices.IndexFunc(d.Parts, func(x fleet.Part) bool { return x.Instance == p.instance })
		if i >= 0 {
			p.override = heardOverride(m.now, d.Parts[i].Override)
			continue
		}
		p.override = nil
		if !p.calmly() {
			p.gate = fleet.Gate{Share: 1, Generation: p.gate.Generation}
			p.since = m.now
			p.flow.forget()
		}
	}
	m.endOrders(c)
}

// toldOne follows a word that is for one replica alone.
func (m *Mind) toldOne(c *circuit, t *Told) {
	at, found := c.findRow(t.To)
	if !found || !c.whole.calmly() || c.callee.owned {
		return
	}
	r := c.rows[at]
	if t.Directive.State == breaker.Closed && t.Directive.Phase == "" {
		r.own, r.local, r.alone = nil, "", ""
		return
	}
	if r.own == nil {
		r.own, c.apart = c.target(m.now), true
		r.alone = t.Directive.Reason
	}
	r.own.takeOver(m.now, t.Directive.Gate)
}

func heardOverride(now time.Duration, o *fleet.Override) *override {
	if o == nil || o.TTL <= 0 {
		return nil
	}
	return &override{*o, now + o.TTL}
}

// takeOver goes on from a gate that another owner has said, and reports whether it
// is a newer verdict. Its probes are its own: who takes over gives new ones.
func (t *target) takeOver(now time.Duration, g fleet.Gate) (newer bool) {
	if g.Generation < t.gate.Generation {
		return false
	}
	if g.Generation == t.gate.Generation {
		t.admit(g.Share)
		return false
	}
	if g.State != t.gate.State || g.Phase != t.gate.Phase {
		t.since = now
	}
	if t.calmly() {
		t.outage, t.trials = now, 0
	}
	t.gate = g
	t.admit(g.Share)
	t.flow.forget()
	t.ask(now + settleIn)
	if g.State == breaker.Closed && g.Phase != "" {
		t.ramp = ramp{adopted: g.Share, stepped: now}
	}
	return true
}

// claims counts who says to hold a word that nobody here has said: one voice
// among others is not believed.
type claims struct {
	generation uint64
	since      time.Duration
	observers  []string
	word       *fleet.Directive // that waits for others to be heard
}

// waits reports whether what is claimed may yet turn out to be open.
func (c *claims) waits() bool {
	return c.word != nil && (c.word.State != breaker.Closed || c.word.Phase == "ramp")
}

// claim notes that an observer holds a word.
func (c *circuit) claim(now time.Duration, d *fleet.Directive, observer string) {
	if d.Generation != c.claims.generation {
		word := *d
		word.Parts = slices.Clone(d.Parts)
		c.claims = claims{generation: d.Generation, since: now, word: &word}
	}
	if !slices.Contains(c.claims.observers, observer) && len(c.claims.observers) < maxObservers {
		c.claims.observers = append(c.claims.observers, observer)
	}
}

// believes reports whether enough observers hold a word for it to be taken over:
// a quorum, or, once all had the time to be heard, as many of it as there are. The
// first one to say hello may hold what was said to it alone.
func (c *circuit) believes(now time.Duration) bool {
	claimed := len(c.claims.observers)
	if claimed >= c.quorum(math.MaxInt) {
		return true
	}
	present := slices.Clone(c.claims.observers)
	for _, r := range c.rows {
		if now-r.at < silentReplica {
			present = append(present, r.by())
		}
	}
	return now-c.claims.since >= hearClaims && claimed >= c.quorum(distinct(present))
}

// hearClaims takes over what was held by too few, where there are no others.
func (m *Mind) hearClaims(c *circuit) {
	word := c.claims.word
	if word == nil || m.now-c.claims.since < hearClaims {
		return
	}
	c.claims.word = nil
	if word.Generation > c.whole.gate.Generation && c.believes(m.now) {
		m.takeClaim(c, word)
		c.dirty = true
	}
}

// claimed reports whether an observer holds a word that is not believed yet: it
// is not told another one meanwhile, or an outage would flash closed there.
func (c *circuit) claimed(observer string) bool {
	return c.claims.generation > c.whole.gate.Generation && slices.Contains(c.claims.observers, observer)
}

// keepWarm lets the next in rank know what calm is, so that it can go on at once.
func (ce *callee) keepWarm(now time.Duration) {
	if !ce.second {
		return
	}
	for _, c := range ce.circuits {
		c.learn(now)
	}
}

// bystander reports whether a callee is none of this daemon's business: then
// its circuits are shown, but not judged.
func (ce *callee) bystander() bool { return !ce.owned && !ce.second }
