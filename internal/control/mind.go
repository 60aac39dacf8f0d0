package control

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// Config of a mind.
type Config struct {
	Daemon      string // its name, the last word of an epoch
	Incarnation uint64 // rises with each start of the daemon
	Seed        uint64
	// Enforce makes directives act; without it they are only shown.
	Enforce bool
	// Join is how long a mind with peers listens before it owns anything; 0 means
	// that there are none, and that it owns everything from its first input on.
	Join time.Duration `json:",omitempty"`
	// Alone is control within one process: its one replica is the quorum, and says
	// nothing of the namespace that would need a guard.
	Alone bool `json:",omitempty"`
	// Without switches mechanisms off, to measure what they bring.
	Without Without `json:",omitzero"`
	// Checkable are the networks, as CIDR, in which active checks may be made; none
	// is nowhere.
	Checkable []string `json:",omitempty"`
}

// Mind is control: see the package. Create one with New.
type Mind struct {
	cfg         Config
	rng         *rand.Rand
	now         time.Duration
	epoch       uint64
	generations uint64
	tokens      uint64
	members     map[fleet.ReplicaID]*member
	callees     map[policy.Service]*callee
	order       []*callee // by name, so that the same inputs give the same outputs
	count       int       // of circuits
	swept       time.Duration
	patrolled   time.Duration // when what is calm was last looked at
	said        Said

	callers     map[policy.Service][]*circuit
	incarnation uint64  // of what is said: raised above any that is heard
	pauses      []pause // by namespace
	alarms      []alarm
	counts      map[string]*headcount // by namespace, of this step
	markers     map[policy.Service]marked
	checkable   []netip.Prefix

	// Of ownership.
	began     time.Duration
	joined    bool
	peers     peers
	grants    []grant
	answers   []Grant // for those who asked
	asks      bool    // somebody here waits for leave to open
	announced time.Duration
}

// member is one live replica.
type member struct {
	id       fleet.ReplicaID
	circuits []*circuit
}

// callee is a service that is called, with the circuits that lead to it.
type callee struct {
	id       policy.Service
	circuits []*circuit
	owned    bool          // this daemon decides
	second   bool          // it would be next to
	trusting bool          // Without.Quorum
	failing  bool          // evidence of failures has come since the last look
	restless bool          // something is under way
	looked   time.Duration // when locate was last asked
	past     history       // what is normal
	held     holding       // of evidence, within bounds
}

// New makes a mind that knows nothing yet.
func New(cfg Config) *Mind {
	m := &Mind{
		cfg:         cfg,
		rng:         rand.New(rand.NewPCG(cfg.Seed, 0xc0)),
		members:     make(map[fleet.ReplicaID]*member),
		callees:     make(map[policy.Service]*callee),
		callers:     make(map[policy.Service][]*circuit),
		markers:     make(map[policy.Service]marked),
		incarnation: cfg.Incarnation,
		tokens:      weight(cfg.Daemon, "tokens")<<32 ^ cfg.Incarnation<<48,
		joined:      cfg.Join == 0,
	}
	m.checkable = prefixes(cfg.Checkable)
	return m
}

// Step takes one input and returns what there is to say about it, in order. The
// result is the caller's.
func (m *Mind) Step(in Input) Said {
	m.now = max(m.now, in.At)
	m.said, m.counts = Said{}, nil
	m.join()
	m.endPauses()
	switch {
	case in.Hello != nil:
		m.hello(in.Hello, cmp.Or(in.Observer, in.Hello.Replica.Name))
	case in.Gone != nil:
		m.gone(*in.Gone)
	case in.Report != nil:
		m.report(in.Report)
	case in.Order != nil:
		m.command(in.Order)
	case in.Policy != nil:
		m.policy(in.Policy)
	case in.Marker != nil:
		m.mark(in.Marker)
	case in.Member != nil:
		m.member(in.Member)
	case in.Told != nil:
		m.told(in.Told)
	case in.Check != nil:
		m.checked(in.Check)
	}
	m.think(in.Report == nil && in.Told == nil && in.Policy == nil && !in.Tick)
	m.sweep()
	m.calmAlarms()
	m.announce()
	return m.said
}

// Interval is how long to wait at most before the next Tick.
func (m *Mind) Interval() time.Duration {
	if m.Urgent() {
		return urgentInterval
	}
	if m.cfg.Join > 0 {
		return memberInterval
	}
	return calmInterval
}

// Urgent reports whether anything is under way that time itself moves.
func (m *Mind) Urgent() bool {
	for _, ce := range m.order {
		if !ce.owned {
			continue
		}
		if ce.failing || ce.restless {
			return true
		}
	}
	return false
}

// hello welcomes a replica: what it holds is adopted where it is newer than what
// is known here, and it is told of every circuit of its service that is not calm.
func (m *Mind) hello(h *fleet.Hello, observer string) {
	id := h.Replica
	m.gone(id)
	m.members[id] = &member{id: id}
	for i := range h.Held {
		m.adopt(&h.Held[i], observer)
	}
	for _, ce := range m.order {
		for _, c := range ce.circuits {
			if c.id.Caller == id.Service && (!c.calmly() || c.orderEnds != 0) {
				m.tell(c, id, nil)
			}
		}
	}
}

// adopt takes over a directive that a replica still holds, of a daemon that is
// gone: an outage goes on, it does not begin anew. Where others are known who
// could hold it too, as many as make a quorum must say so.
func (m *Mind) adopt(d *fleet.Directive, observer string) {
	if d.Circuit.Validate() != nil || max(d.Epoch.Counter, d.Epoch.Incarnation, d.Generation) > maxCounter {
		return
	}
	c := m.circuit(d.Circuit)
	if c == nil {
		return
	}
	if m.cfg.Alone {
		c.begin()
		m.takeClaim(c, d)
		return
	}
	c.claim(m.now, d, observer)
	if !c.believes(m.now) {
		return
	}
	m.takeClaim(c, d)
}

// takeClaim goes on with what replicas hold.
func (m *Mind) takeClaim(c *circuit, d *fleet.Directive) {
	c.claims.word = nil
	m.hear(d.Epoch)
	m.generations = max(m.generations, d.Generation)
	for _, p := range d.Parts {
		if p.Generation <= maxCounter {
			m.generations = max(m.generations, p.Generation)
		}
	}
	c.whole.adopt(m.now, d.Gate)
	for _, p := range d.Parts {
		c.part(m.now, p.Instance).adopt(m.now, p.Gate)
	}
}

// gone forgets a replica whose stream has ended; its leases are free again.
func (m *Mind) gone(id fleet.ReplicaID) {
	b := m.members[id]
	if b == nil {
		return
	}
	delete(m.members, id)
	for _, c := range b.circuits {
		c.drop(id)
	}
}

// circuit gives the circuit of a name and makes it where there is none; nil
// where there are too many.
func (m *Mind) circuit(id policy.Circuit) *circuit {
	ce := m.callees[id.Callee]
	if ce != nil {
		if at, found := ce.find(id); found {
			return ce.circuits[at]
		}
	}
	if m.count >= maxCircuits || m.cfg.Alone && m.count >= maxAlone {
		return nil
	}
	if ce == nil {
		ce = &callee{id: id.Callee, trusting: m.cfg.Without.Quorum}
		m.callees[id.Callee] = ce
		at, _ := slices.BinarySearchFunc(m.order, ce, func(a, b *callee) int { return a.id.Compare(b.id) })
		m.order = slices.Insert(m.order, at, ce)
		m.assign(ce)
		ce.failing = false
	}
	at, _ := ce.find(id)
	c := newCircuit(m.now, id, ce, &m.generations)
	ce.circuits = slices.Insert(ce.circuits, at, c)
	m.addCaller(c)
	m.count++
	if !m.cfg.Alone {
		m.said.New = append(m.said.New, id)
	}
	return c
}

// known gives the circuit of a name, nil where there is none.
func (m *Mind) known(id policy.Circuit) *circuit {
	ce := m.callees[id.Callee]
	if ce == nil {
		return nil
	}
	if at, found := ce.find(id); found {
		return ce.circuits[at]
	}
	return nil
}

func (ce *callee) find(id policy.Circuit) (at int, found bool) {
	return slices.BinarySearchFunc(ce.circuits, id, func(c *circuit, id policy.Circuit) int { return c.id.Compare(id) })
}

// sweep forgets the circuits that nobody has reported for long.
func (m *Mind) sweep() {
	if m.now-m.swept < forgetCircuit/60 {
		return
	}
	m.swept = m.now
	for _, ce := range m.order {
		kept := slices.DeleteFunc(ce.circuits, func(c *circuit) bool {
			gone := len(c.rows) == 0 && m.now-c.heard > forgetCircuit && c.orderEnds == 0 ||
				m.cfg.Alone && m.now-c.heard > forgetAlone
			if gone {
				m.dropCaller(c)
			}
			return gone
		})
		m.count -= len(ce.circuits) - len(kept)
		ce.circuits = kept
		if len(kept) == 0 {
			delete(m.callees, ce.id)
		}
	}
	m.order = slices.DeleteFunc(m.order, func(ce *callee) bool { return len(ce.circuits) == 0 })
}

func (m *Mind) report(r *ReplicaReport) {
	b := m.members[r.From]
	if b == nil {
		b = &member{id: r.From}
		m.members[r.From] = b
	}
	for _, a := range r.Answers {
		m.answer(a)
	}
	for i := range r.Circuits {
		cr := m.evidenceFor(&r.Circuits[i])
		id := policy.Circuit{Caller: r.From.Service, Callee: cr.Callee, Route: cr.Route}
		if id.Validate() != nil {
			continue
		}
		c := m.circuit(id)
		if c == nil {
			continue
		}
		if c.callee.bystander() {
			only := *cr
			only.Cells = nil
			cr = &only
		}
		first := c.take(m.now, r, cr)
		c.callee.restless = c.callee.restless || c.callee.failing || c.news()
		if first {
			b.circuits = append(b.circuits, c)
			if !c.claimed(cmp.Or(r.Observer, r.From.Name)) && !c.openedBy(r.From) {
				m.tell(c, r.From, nil)
			}
		}
	}
	if r.Final {
		m.gone(r.From)
	}
}

func (m *Mind) answer(a fleet.Answer) {
	if a.Circuit.Validate() != nil {
		return
	}
	if c := m.known(a.Circuit); c != nil {
		if m.cfg.Without.Inherited && a.Verdict == breaker.Inherited {
			a.Verdict = breaker.Failure
		}
		c.answer(m.now, a)
		c.callee.restless = true
	}
}
