package switchgear

import (
	"hash/maphash"
	"sync/atomic"
)

// registry finds breakers by their circuits. Look-ups take no lock; changes are
// made one at a time, under manager.making. Chains lead through the breakers
// themselves, so that one of a million costs some sixteen bytes here, and a look-up
// one hash: a sync.Map takes ten times that for each.
//
// INVARIANT: chains have no circles, also while they are rewired to a larger table;
// a look-up that runs meanwhile may miss a breaker, and whoever misses one looks
// again under the lock before it makes another.
type registry struct {
	seed  maphash.Seed
	table atomic.Pointer[[]atomic.Pointer[Breaker]] // a power of two heads
	count atomic.Int64
	hand  int // where the search for idle ones goes on
}

const leastTable = 16

func (r *registry) init() {
	r.seed = maphash.MakeSeed()
	t := make([]atomic.Pointer[Breaker], leastTable)
	r.table.Store(&t)
}

// slot of a key with its namespace.
func (r *registry) slot(t []atomic.Pointer[Breaker], k Key) *atomic.Pointer[Breaker] {
	return &t[maphash.Comparable(r.seed, k)&uint64(len(t)-1)]
}

// find gives the breaker of a key with its namespace, nil if there is none.
func (r *registry) find(k Key) *Breaker {
	b := r.slot(*r.table.Load(), k).Load()
	for b != nil && !b.guards(k) {
		b = b.next.Load()
	}
	return b
}

// guards reports whether the breaker is that of a key with its namespace.
func (b *Breaker) guards(k Key) bool {
	id := &b.circuit.ID
	return id.Callee.Name == k.Callee && id.Route == k.Route && id.Callee.Namespace == k.Namespace
}

func (r *registry) add(b *Breaker) {
	t := *r.table.Load()
	if int(r.count.Add(1)) > len(t) {
		t = r.grow(t)
	}
	push(r.slot(t, b.canonical()), b)
}

func push(head *atomic.Pointer[Breaker], b *Breaker) {
	b.next.Store(head.Load())
	head.Store(b)
}

func (r *registry) grow(old []atomic.Pointer[Breaker]) []atomic.Pointer[Breaker] {
	t := make([]atomic.Pointer[Breaker], 2*len(old))
	for i := range old {
		for b := old[i].Load(); b != nil; {
			next := b.next.Load()
			push(r.slot(t, b.canonical()), b)
			b = next
		}
	}
	r.table.Store(&t)
	return t
}

// remove takes a breaker out. Look-ups that are at it go on along its chain.
func (r *registry) remove(b *Breaker) {
	at := r.slot(*r.table.Load(), b.canonical())
	for x := at.Load(); x != nil; x = at.Load() {
		if x == b {
			at.Store(b.next.Load())
			r.count.Add(-1)
			return
		}
		at = &x.next
	}
}

// all gives every breaker; under manager.making.
func (r *registry) all() []*Breaker {
	out := make([]*Breaker, 0, r.count.Load())
	for i := range *r.table.Load() {
		for b := (*r.table.Load())[i].Load(); b != nil; b = b.next.Load() {
			out = append(out, b)
		}
	}
	return out
}

// some gives the breakers of the next heads, going round; under manager.making.
func (r *registry) some(heads int) (out []*Breaker) {
	t := *r.table.Load()
	for range min(heads, len(t)) {
		r.hand = (r.hand + 1) & (len(t) - 1)
		for b := t[r.hand].Load(); b != nil; b = b.next.Load() {
			out = append(out, b)
		}
	}
	return out
}
