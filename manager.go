package switchgear

import (
	"cmp"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// Manager holds every breaker of a process. Close ends all that it started.
type Manager struct {
	service  policy.Service
	log      *slog.Logger
	classify func(Result) Outcome

	env      policy.Environment
	policies atomic.Pointer[policy.Set]
	swapping sync.Mutex // one change of policies at a time
	file     *policyFile
	cache    *stateCache // nil without one

	origin                time.Time
	clock                 *breaker.Clock
	breakers              registry
	maxBreakers           int
	making                sync.Mutex // one change of breakers at a time; before mu
	gone                  map[Key]weak.Pointer[Breaker]
	fullTill              time.Duration // no breaker is idle until then
	evicted, overflowed   atomic.Uint64
	misnamed              atomic.Uint64
	events                hub
	linked                atomic.Bool
	linkUps, linkFailures atomic.Uint64
	readAt                atomic.Int64 // up to when readers of metrics were told

	mu      sync.Mutex // one goroutine at a time in replica and own
	replica *fleet.Replica
	own     *control.Solo // decides while no fleet does

	due    chan struct{} // a report may be due sooner
	wake   chan struct{} // a call found the clock parked
	done   chan struct{} // closed by Close
	life   sync.Mutex    // guards pulsing and closed
	pulses bool
	closed bool
	wg     sync.WaitGroup
}

func newManager(cfg Config) *Manager {
	m := &Manager{
		service:  policy.Service{Namespace: cmp.Or(cfg.Namespace, policy.DefaultNamespace), Name: cfg.Service},
		log:      cfg.Logger,
		classify: cfg.Classify,
		env:      policy.Environment{Labels: cfg.Labels, Strategies: make(map[string]breaker.Strategy)},
		origin:   time.Now(),
		due:      make(chan struct{}, 1),
		wake:     make(chan struct{}, 1),
		done:     make(chan struct{}),

		maxBreakers: cmp.Or(cfg.MaxBreakers, defaultMaxBreakers),
		gone:        make(map[Key]weak.Pointer[Breaker]),
	}
	m.breakers.init()
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.clock = breaker.NewClock(m.now).OnWake(m.woken)
	id := fleet.ReplicaID{Service: m.service, Name: cfg.Replica, Incarnation: incarnation()}
	if id.Name == "" {
		id.Name = replicaName()
	}
	m.replica = fleet.NewReplica(id, m.clock, id.Incarnation, (*sink)(m))
	m.own = control.NewSolo(m.replica, id.Incarnation)
	return m
}

func (m *Manager) id() fleet.ReplicaID { return m.replica.ID() }

// now is the manager's monotonic time; never 0, which means "none" elsewhere.
func (m *Manager) now() time.Duration { return time.Since(m.origin) + 1 }

// Breaker gives the breaker of a key, and makes it at first use: one, whoever
// asks at the same time. A key that names nothing valid, and those beyond
// Config.MaxBreakers, share the breaker of the callee "other".
func (m *Manager) Breaker(k Key) *Breaker {
	if k.Namespace == "" {
		k.Namespace = m.service.Namespace
	}
	if b := m.breakers.find(k); b != nil {
		return b
	}
	return m.make(k)
}

func (m *Manager) make(k Key) *Breaker {
	id := m.circuitOf(k)
	if err := id.Validate(); err != nil {
		if m.misnamed.Add(1) == 1 {
			m.log.Warn("key names no circuit: it shares the breaker of the callee other, as all such do", "key", k.String(), "error", err)
		}
		return m.Breaker(Key{Callee: overflowName})
	}
	m.making.Lock()
	defer m.making.Unlock()
	if b := m.breakers.find(k); b != nil {
		return b
	}
	if b := m.comeBack(k); b != nil {
		return b
	}
	now := m.now()
	if k.Callee != overflowName && m.full(now) {
		return m.overflows(k)
	}
	return m.add(id, now)
}

// add makes a breaker; under making.
func (m *Manager) add(id policy.Circuit, now time.Duration) *Breaker {
	b := &Breaker{manager: m, made: now}
	policies := m.policies.Load()
	b.circuit = m.replica.Guard(id, policies.Settings(id))
	b.circuit.Owner = b
	b.engine = b.circuit.Breaker
	m.breakers.add(b)
	m.catchUp(b, policies)
	m.restore(b)
	return b
}

// Classify judges a result as the manager was configured to.
func (m *Manager) Classify(r Result) Outcome {
	if m.classify == nil {
		return r.Default
	}
	return m.classify(r)
}

// Service is the manager's own name, namespace/name.
func (m *Manager) Service() string { return m.service.String() }

// Port is where package link connects the manager to a daemon.
func (m *Manager) Port() fleet.Port { return (*port)(m) }

// Close ends the manager's goroutines and its event iterators, saves the state
// where there is a cache, and has a link send what is left and end: to wait for
// that, close the link first. Breakers go on deciding by themselves.
func (m *Manager) Close() error {
	m.life.Lock()
	if !m.closed {
		m.closed = true
		close(m.done)
	}
	m.life.Unlock()
	m.wg.Wait()
	m.clock.Park()
	m.events.close()
	return m.cache.close()
}

// sink is what the fleet's half tells, from within calls: never blocking.
type sink Manager

func (s *sink) Rejected(c *fleet.Circuit, instance string, r breaker.Rejection) error {
	b, _ := c.Owner.(*Breaker)
	e := &NotPermittedError{Instance: instance, State: r.State, Mode: r.Mode, Reason: r.Reason, RetryAfter: r.RetryAfter, Why: r.Why}
	if b != nil {
		e.Key = b.Key()
	}
	return e
}

func (s *sink) Changed(c *fleet.Circuit, instance string, t breaker.Transition) {
	b, _ := c.Owner.(*Breaker)
	if b == nil {
		return
	}
	b.changed(t)
	s.cache.changed()
	s.events.publish(Event{
		Key: b.Key(), Instance: instance, At: s.origin.Add(t.At),
		From: t.From, To: t.To, FromMode: t.FromMode, Mode: t.ToMode, Generation: t.Generation, Why: t.Why,
	})
	s.Due()
}

func (s *sink) Find(id policy.Circuit) *fleet.Circuit {
	b := s.breakers.find(Key{Callee: id.Callee.Name, Namespace: id.Callee.Namespace, Route: id.Route})
	if b == nil || id.Caller != s.service {
		return nil
	}
	return b.circuit
}

func (s *sink) Due() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}
