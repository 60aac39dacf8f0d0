package switchgear

import (
	"runtime"
	"time"
	"weak"
)

const (
	// defaultMaxBreakers is far above the callees and named routes of any service:
	// more is a key made of what callers send.
	defaultMaxBreakers = 10_000

	idleAfter    = 10 * time.Minute // without a call a breaker is given up
	idleAtCap    = 10 * time.Second // where there are too many
	headsAtOnce  = 256              // looked at each time
	overflowName = "other"
)

// evict gives breakers up that nobody has called for long. What is open, on its way
// back or under an operator's word stays. It looks at a few of them at a time.
func (m *Manager) evict(now, since time.Duration) {
	m.making.Lock()
	defer m.making.Unlock()
	m.makeRoom(now, since)
}

// full reports whether there is no room for another breaker, under manager.making.
// Where nobody was idle a moment ago it is not asked again.
func (m *Manager) full(now time.Duration) bool {
	if m.breakers.count.Load() < int64(m.maxBreakers) {
		return false
	}
	if now < m.fullTill {
		return true
	}
	if m.makeRoom(now, idleAtCap) > 0 {
		return false
	}
	m.fullTill = now + 100*time.Millisecond
	return true
}

// makeRoom is evict under manager.making.
func (m *Manager) makeRoom(now, since time.Duration) (evicted int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.breakers.some(headsAtOnce) {
		if now-b.made < since || !b.circuit.Idle(now, since) {
			continue
		}
		m.breakers.remove(b)
		m.replica.Forget(b.circuit)
		m.remember(b)
		evicted++
	}
	m.evicted.Add(uint64(evicted))
	return evicted
}

// remember lets an evicted breaker be found again while somebody still holds it, so
// that a key never has two.
func (m *Manager) remember(b *Breaker) {
	k := b.canonical()
	m.gone[k] = weak.Make(b)
	runtime.AddCleanup(b, m.forget, k)
}

func (m *Manager) forget(k Key) {
	m.making.Lock()
	defer m.making.Unlock()
	if w, ok := m.gone[k]; ok && w.Value() == nil {
		delete(m.gone, k)
	}
}

// comeBack gives the breaker of a key that was evicted and is still held.
func (m *Manager) comeBack(k Key) *Breaker {
	w, ok := m.gone[k]
	if !ok {
		return nil
	}
	delete(m.gone, k)
	b := w.Value()
	if b != nil {
		m.breakers.add(b)
	}
	return b
}

// overflows gives the breaker that keys beyond the limit share.
func (m *Manager) overflows(k Key) *Breaker {
	if m.overflowed.Add(1) == 1 {
		m.log.Warn("too many breakers: further keys share one; name callees and route templates, never what callers send",
			"most", m.maxBreakers, "key", k.String())
	}
	other := m.circuitOf(Key{Callee: overflowName})
	if b := m.breakers.find(Key{Callee: overflowName, Namespace: other.Callee.Namespace}); b != nil {
		return b
	}
	return m.add(other, m.now())
}

// all gives every breaker that anybody can have, also those evicted and still held.
func (m *Manager) all() []*Breaker {
	m.making.Lock()
	defer m.making.Unlock()
	out := m.breakers.all()
	for _, w := range m.gone {
		if b := w.Value(); b != nil {
			out = append(out, b)
		}
	}
	return out
}
