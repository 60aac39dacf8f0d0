package switchgear

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

// StateCache keeps what a manager's breakers know over a restart of the process, so
// that an outage goes on where it was. FileCache is one; thirty lines make another
// ([examples/redis]). The state is opaque, and checked by the manager: a cache need
// not be trusted. Load is called once, by New; Save from one goroutine of the
// manager, at most once a second; Close, if it has one, when the manager is closed.
// Errors are logged once, and cost nothing else.
//
// [examples/redis]: https://github.com/datapunk/switchgear/tree/main/examples/redis
type StateCache interface {
	// Load gives what a process of the service saved last, nil if nothing.
	Load(service string) ([]byte, error)
	// Save keeps a state in place of the one before.
	Save(service string, state []byte) error
}

// WithStateCache lets breakers begin with the state of the process before, if that
// is not older than five minutes, and keeps theirs.
func WithStateCache(c StateCache) Option {
	return optionFunc(func(m *Manager) error {
		if c == nil {
			return errors.New("state cache: nil")
		}
		m.cache = &stateCache{store: c, dirty: make(chan struct{}, 1), saved: make(map[place]savedBreaker)}
		return nil
	})
}

const (
	stateFormat = "switchgear-state/1"
	// A state that is older says little about the callee of now.
	maxStateAge = 5 * time.Minute
	// Open breakers seldom change; what was saved must not grow old meanwhile.
	refreshState = time.Minute
	saveInterval = time.Second

	maxSaved = 1000    // breakers
	maxState = 4 << 20 // bytes
	maxWhy   = 1 << 10 // bytes of a reason
)

// stateCache is a manager's side of its StateCache.
type stateCache struct {
	store StateCache
	dirty chan struct{}
	// saved is what breakers that are not made yet begin with; under manager.making.
	saved map[place]savedBreaker
	said  bool // that it can't be saved
}

// place is a breaker's: a circuit's, or that of one of its instances.
type place struct {
	Key
	instance string
}

type savedState struct {
	Service string         `json:"service"`
	SavedAt time.Time      `json:"savedAt"`
	Saved   []savedBreaker `json:"breakers"`
}

type savedBreaker struct {
	Namespace string `json:"namespace"`
	Callee    string `json:"callee"`
	Route     string `json:"route,omitempty"`
	Instance  string `json:"instance,omitempty"`

	State        string        `json:"state"`
	Age          time.Duration `json:"age"` // all durations in ns
	Wait         time.Duration `json:"wait,omitempty"`
	OutageAge    time.Duration `json:"outageAge,omitempty"`
	FailedTrials int           `json:"failedTrials,omitempty"`
	Share        float64       `json:"share"`
	Why          string        `json:"why"`
}

// encode puts format and checksum before the document.
func (s *savedState) encode() ([]byte, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return append(fmt.Appendf(nil, "%s %s\n", stateFormat, hex.EncodeToString(sum[:])), body...), nil
}

// decodeState reads what a process of the service saved not long before now.
func decodeState(data []byte, service string, now time.Time) (*savedState, error) {
	if len(data) > maxState {
		return nil, fmt.Errorf("%d bytes: want %d at most", len(data), maxState)
	}
	head, body, ok := bytes.Cut(data, []byte("\n"))
	format, sum, _ := bytes.Cut(head, []byte(" "))
	if !ok || string(format) != stateFormat {
		return nil, fmt.Errorf("it does not begin with %s: it is not a state, or of another version", stateFormat)
	}
	if want := sha256.Sum256(body); string(sum) != hex.EncodeToString(want[:]) {
		return nil, errors.New("its checksum differs: it is damaged")
	}
	var s savedState
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, err
	}
	age := now.Sub(s.SavedAt)
	switch {
	case s.Service != service:
		return nil, fmt.Errorf("it is of the service %.300q, not of %q", s.Service, service)
	case age > maxStateAge:
		return nil, fmt.Errorf("it is %v old: want %v at most", age.Round(time.Second), maxStateAge)
	case age < -saveInterval:
		return nil, fmt.Errorf("it is %v from the future: a clock was set", -age.Round(time.Second))
	case len(s.Saved) > maxSaved:
		return nil, fmt.Errorf("%d breakers: want %d at most", len(s.Saved), maxSaved)
	}
	for i := range s.Saved {
		s.Saved[i].pass(max(age, 0))
	}
	return &s, nil
}

// pass lets time go by for what was saved.
func (b *savedBreaker) pass(d time.Duration) {
	b.Age += d
	b.Wait = max(b.Wait-d, 0)
	if b.OutageAge > 0 {
		b.OutageAge += d
	}
}

func (b *savedBreaker) snapshot() (breaker.Snapshot, bool) {
	s := breaker.Snapshot{
		Age: b.Age, Wait: b.Wait, OutageAge: b.OutageAge, FailedTrials: b.FailedTrials, Share: b.Share,
		Why: fmt.Sprintf("as before the restart %v ago: %.*s", b.Age.Round(time.Second), maxWhy, b.Why),
	}
	for _, state := range []State{Closed, Open, HalfOpen} {
		if state.String() == b.State {
			s.State = state
			return s, true
		}
	}
	return s, false
}

// load takes what the process before has saved, and makes the breakers of it.
func (m *Manager) load() {
	c := m.cache
	data, err := c.store.Load(m.Service())
	if err == nil && len(data) == 0 {
		return
	}
	var s *savedState
	if err == nil {
		s, err = decodeState(data, m.Service(), time.Now())
	}
	if err != nil {
		m.log.Warn("state cache: what was saved is not used; breakers begin closed", "error", err)
		return
	}
	var keys []Key
	for _, b := range s.Saved {
		at := place{Key{Callee: b.Callee, Namespace: b.Namespace, Route: b.Route}, b.Instance}
		if m.circuitOf(at.Key).Validate() != nil || b.Instance != "" && policy.ValidName(b.Instance) != nil {
			continue
		}
		c.saved[at] = b
		keys = append(keys, at.Key)
	}
	for _, k := range keys {
		m.Breaker(k)
	}
	m.log.Info("state cache: breakers go on from before the restart", "breakers", len(c.saved))
	c.saved = nil
}

// restore puts a new breaker, and those of its instances, where they were.
func (m *Manager) restore(b *Breaker) {
	if m.cache == nil {
		return
	}
	k := b.canonical()
	for at, saved := range m.cache.saved {
		if at.Key != k {
			continue
		}
		s, ok := saved.snapshot()
		if !ok {
			continue
		}
		if at.instance == "" {
			b.engine.Restore(s)
		} else if x := b.circuit.Instance(at.instance); x != nil {
			x.Restore(s)
		}
	}
}

// changed says that there is something to save.
func (c *stateCache) changed() {
	if c == nil {
		return
	}
	select {
	case c.dirty <- struct{}{}:
	default:
	}
}

// close lets go of what the cache holds, if it is an io.Closer.
func (c *stateCache) close() error {
	if c == nil {
		return nil
	}
	if closer, ok := c.store.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// keepState saves what has changed until the manager is closed, then once more.
func (m *Manager) keepState() {
	refresh := time.NewTicker(refreshState)
	defer refresh.Stop()
	standing := false
	for {
		select {
		case <-m.done:
			m.save()
			return
		case <-refresh.C:
			if !standing {
				continue
			}
		case <-m.cache.dirty:
		}
		standing = m.save() > 0
		select {
		case <-m.done:
		case <-time.After(saveInterval):
		}
	}
}

// save keeps every breaker that is not plainly closed.
func (m *Manager) save() (standing int) {
	s := savedState{Service: m.Service(), SavedAt: time.Now().Round(0)}
	for _, b := range m.all() {
		s.add(b, "", b.engine)
		for _, x := range b.circuit.Instances() {
			s.add(b, x.Name, x.Breaker)
		}
	}
	data, err := s.encode()
	if err == nil {
		err = m.cache.store.Save(s.Service, data)
	}
	if err != nil && !m.cache.said {
		m.log.Warn("state cache: can't save; a restart will begin closed", "error", err)
	}
	m.cache.said = err != nil
	return len(s.Saved)
}

func (s *savedState) add(b *Breaker, instance string, of *breaker.Breaker) {
	if len(s.Saved) >= maxSaved || !of.Standing() {
		return
	}
	k, from := b.canonical(), of.Snapshot()
	s.Saved = append(s.Saved, savedBreaker{
		Namespace: k.Namespace, Callee: k.Callee, Route: k.Route, Instance: instance,
		State: from.State.String(), Age: from.Age, Wait: from.Wait, OutageAge: from.OutageAge,
		FailedTrials: from.FailedTrials, Share: from.Share, Why: from.Why[:min(len(from.Why), maxWhy)],
	})
}
