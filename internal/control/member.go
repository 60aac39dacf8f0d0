package control

import (
	"cmp"
	"slices"
	"time"

	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// Member is what one daemon tells the others: that it lives, and a small summary
// of what it owns. In calm it is a heartbeat of some bytes.
type Member struct {
	Daemon  string
	Joining bool        `json:",omitempty"` // it listens, and owns nothing yet
	Leaving bool        `json:",omitempty"` // it ends in good order
	Epoch   fleet.Epoch // the greatest that it has said or heard
	// Namespaces, by name: the circuits to callees that it owns.
	Namespaces []NamespaceSummary `json:",omitempty"`
	// Circuits of its own that are not calm.
	Circuits []CircuitSummary `json:",omitempty"`
	// Grants are its words to those who asked for leave to open, as the owner of
	// their namespace.
	Grants []Grant `json:",omitempty"`
}

// NamespaceSummary counts a namespace's circuits.
type NamespaceSummary struct {
	Namespace string
	Circuits  int
}

// CircuitSummary is what other owners need to know of a circuit: for the guard
// and for grading.
type CircuitSummary struct {
	Circuit         policy.Circuit
	Open            bool   // it counts for the guard
	Wants           bool   // it is to be opened, and waits for leave
	Calls, Troubled uint32 // of the newest seconds
	MaxOpenPercent  float64
}

// Grant is leave to open, or why not.
type Grant struct {
	Circuit policy.Circuit
	Why     string `json:",omitempty"`
}

// peer is another daemon as it was last heard.
type peer struct {
	Member
	at time.Duration
}

// peers are the other daemons, by name.
type peers []*peer

// Bounds of what one daemon is believed.
const (
	maxDaemons   = 64
	maxSummaries = 4096
	maxObservers = 64
)

// live are the daemons that own something.
func (ps peers) live() (names []string) {
	for _, p := range ps {
		if !p.Joining {
			names = append(names, p.Daemon)
		}
	}
	return names
}

func (ps peers) find(daemon string) (at int, found bool) {
	return slices.BinarySearchFunc(ps, daemon, func(p *peer, name string) int { return cmp.Compare(p.Daemon, name) })
}

// census adds what other owners have to a namespace's circuits and open ones.
func (ps peers) census(ns string, circuits, open int) (int, int) {
	for _, p := range ps {
		for _, n := range p.Namespaces {
			if n.Namespace == ns {
				circuits += max(n.Circuits, 0)
			}
		}
		for _, c := range p.Circuits {
			if c.Circuit.Callee.Namespace == ns && c.Open {
				open++
			}
		}
	}
	return circuits, open
}

// opened reports whether its owner says that a circuit is open.
func (ps peers) opened(id policy.Circuit) bool {
	for _, p := range ps {
		for _, c := range p.Circuits {
			if c.Circuit == id && c.Open {
				return true
			}
		}
	}
	return false
}

// behind adds the circuits of a caller that others own.
func (ps peers) behind(s policy.Service, all []behind) []behind {
	for _, p := range ps {
		for _, c := range p.Circuits {
			if c.Circuit.Caller == s && !slices.ContainsFunc(all, func(b behind) bool { return b.id == c.Circuit }) {
				all = append(all, behind{c.Circuit, c.Open, tally{c.Calls, min(c.Troubled, c.Calls)}})
			}
		}
	}
	return all
}

// grant is leave that was given and not yet used.
type grant struct {
	circuit policy.Circuit
	until   time.Duration
}

// member hears another daemon: its life, its summary, its questions and answers.
func (m *Mind) member(in *Member) {
	if policy.ValidName(in.Daemon) != nil || in.Daemon == m.cfg.Daemon || len(in.Namespaces) > maxSummaries || len(in.Circuits) > maxSummaries || len(in.Grants) > maxSummaries {
		return
	}
	m.hear(in.Epoch)
	at, found := m.peers.find(in.Daemon)
	changed := !found || m.peers[at].Joining != in.Joining
	switch {
	case in.Leaving:
		if found {
			m.peers = slices.Delete(m.peers, at, at+1)
			m.assignAll()
		}
		return
	case !found && len(m.peers) >= maxDaemons:
		return
	case !found:
		m.peers = slices.Insert(m.peers, at, &peer{})
	}
	m.peers[at].Member, m.peers[at].at = cloneMember(in), m.now
	if changed {
		m.greet()
	}
	for _, g := range in.Grants {
		c := m.known(g.Circuit)
		if c == nil || !c.callee.owned || m.now-c.wants > grantFor {
			continue
		}
		if g.Why != "" {
			c.held, c.heldAt = g.Why, m.now
			continue
		}
		c.granted = m.now + grantFor
		c.callee.failing, c.callee.looked = true, m.now-lookInterval
	}
	m.answerWants(in)
}

// greet tells a daemon that is new of all that is not calm here, before it owns
// any of it.
func (m *Mind) greet() {
	for _, ce := range m.order {
		for _, c := range ce.circuits {
			if ce.owned && (!c.calmly() || c.orderEnds != 0) {
				c.dirty = true
				m.say(c)
			}
		}
	}
	m.assignAll()
}

func cloneMember(in *Member) Member {
	c := *in
	c.Namespaces, c.Circuits, c.Grants = slices.Clone(in.Namespaces), slices.Clone(in.Circuits), nil
	return c
}

// answerWants gives leave to open, as the owner of a namespace, or says why not.
func (m *Mind) answerWants(in *Member) {
	for i := range in.Circuits {
		w := &in.Circuits[i]
		if !w.Wants || w.Open || m.ranking("ns:" + w.Circuit.Callee.Namespace)[0] != m.cfg.Daemon || !m.joined {
			continue
		}
		why := ""
		j := slices.IndexFunc(m.grants, func(g grant) bool { return g.circuit == w.Circuit })
		if j < 0 {
			if why = m.ration(w.Circuit, w.MaxOpenPercent); why == "" {
				m.grants = append(m.grants, grant{w.Circuit, m.now + 2*grantFor})
			}
		}
		m.answers = append(m.answers, Grant{w.Circuit, why})
	}
}

// awaited counts the grants of a namespace that are out and not yet seen as open.
func (m *Mind) awaited(ns string, but policy.Circuit) (n int) {
	m.grants = slices.DeleteFunc(m.grants, func(g grant) bool { return g.until <= m.now || m.peers.opened(g.circuit) })
	for _, g := range m.grants {
		if g.circuit.Callee.Namespace == ns && g.circuit != but {
			n++
		}
	}
	return n
}

// announce tells the other daemons, where there may be some: a heartbeat in calm,
// more often when something is under way, at once when somebody waits for it.
func (m *Mind) announce() {
	if m.cfg.Join == 0 {
		return
	}
	known := len(m.peers)
	m.peers = slices.DeleteFunc(m.peers, func(p *peer) bool { return m.now-p.at >= memberSilence })
	if len(m.peers) < known {
		m.assignAll()
	}
	since := m.now - m.announced
	if since < memberInterval && len(m.answers) == 0 && !m.asks && (since < memberUrgent || !m.Urgent()) && m.announced != 0 {
		return
	}
	m.announced, m.asks = m.now, false
	say := Member{
		Daemon: m.cfg.Daemon, Joining: !m.joined,
		Epoch:  m.lastEpoch(),
		Grants: m.answers,
	}
	m.answers = nil
	for _, ce := range m.order {
		if !ce.owned {
			continue
		}
		last := len(say.Namespaces) - 1
		if last < 0 || say.Namespaces[last].Namespace != ce.id.Namespace {
			if last+1 >= maxSummaries {
				break
			}
			say.Namespaces = append(say.Namespaces, NamespaceSummary{Namespace: ce.id.Namespace})
			last++
		}
		for _, c := range ce.circuits {
			if c.counts() {
				say.Namespaces[last].Circuits++
			}
			if s, tell := m.summary(c); tell && len(say.Circuits) < maxSummaries {
				say.Circuits = append(say.Circuits, s)
			}
		}
	}
	m.said.Members = append(m.said.Members, say)
}

func (m *Mind) summary(c *circuit) (CircuitSummary, bool) {
	t := c.strain.tally(m.now)
	s := CircuitSummary{
		Circuit: c.id, Open: c.occupies(), Wants: !c.occupies() && m.now-c.wants < grantFor,
		Calls: t.n, Troubled: t.k, MaxOpenPercent: c.settings.MaxOpenPercent,
	}
	return s, s.Open || s.Wants || t.k >= 3
}

// Live is how many daemons own something, as this one sees it.
func (m *Mind) Live() int {
	n := len(m.peers.live())
	if m.joined {
		n++
	}
	return n
}

// Farewell is the last word of a daemon that ends in good order, so that others
// take over at once.
func (m *Mind) Farewell() Member {
	return Member{Daemon: m.cfg.Daemon, Leaving: true, Epoch: m.lastEpoch()}
}
