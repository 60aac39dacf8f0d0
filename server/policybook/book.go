// Package policybook keeps the daemon's policies: documents, checked strictly, each
// with versions of its own in the store, and compiled into the one set that is in
// force. It is safe for concurrent use.
package policybook

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/datapunk/switchgear/internal/rollout"
	"github.com/datapunk/switchgear/policy"
	"github.com/datapunk/switchgear/server/policies"
	"github.com/datapunk/switchgear/server/store"
)

// Policies and Rollouts are what the book keeps in the store. What raising a bound
// costs: each daemon holds all bodies in memory, compiled too, and all their
// history lies on the disk.
var (
	Policies = store.Kind{
		Name: "policy", MaxRecords: policy.MaxPolicies, MaxBody: 64 << 10, MaxTotal: 64 << 20,
		WritesPerSecond: 20, Burst: 2000,
	}
	Rollouts = store.Kind{
		Name: "rollout", MaxRecords: 1000, MaxBody: 512 << 10, MaxTotal: 32 << 20,
		WritesPerSecond: 5, Burst: 100,
	}
)

// register is the store, as far as the book needs it.
type register interface {
	Get(kind, name string) (store.Record, bool)
	List(kind string) []store.Record
	Age() time.Duration
	History(ctx context.Context, kind, name string) ([]store.Record, error)
	Put(context.Context, store.Change) (store.Record, error)
	Delete(context.Context, store.Change) (store.Record, error)
	Watch(kind string, f func(store.Record)) (stop func())
}

// Book is the daemon's policies. Create one with Open.
type Book struct {
	store register
	log   *slog.Logger
	stop  []func()
	wake  chan struct{} // holds one: something is stored anew
	quit  chan struct{}
	done  chan struct{}

	inForce atomic.Pointer[Edition]

	mu      sync.Mutex // one compiling at a time
	changed func()
}

// Edition is all policies as they are in force, and what a rollout compares them
// with. It never changes.
type Edition struct {
	Set *policy.Set
	// Rollout is the one that is under way, nil if there is none. Beside is the set
	// with its change while that is tried, and without it once it is in force.
	Rollout *Rollout
	Beside  *policy.Set
	serial  uint64
}

// Sides gives the set without the change of the rollout that is under way, and
// with it.
func (e *Edition) Sides() (now, then *policy.Set) {
	if e.Rollout.Stage == rollout.Enforce {
		return e.Beside, e.Set
	}
	return e.Set, e.Beside
}

// Open reads what is stored, and calls changed after each later change. What can't
// be read is left out, and said as an error.
func Open(s register, log *slog.Logger, changed func()) *Book {
	b := &Book{store: s, log: log, changed: func() {}, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	b.inForce.Store(&Edition{Set: none()})
	b.compile()
	b.changed = changed
	for _, kind := range []string{Policies.Name, Rollouts.Name} {
		b.stop = append(b.stop, s.Watch(kind, func(store.Record) { b.look() }))
	}
	go b.follow()
	return b
}

// look says that something is stored anew. Many changes at once are compiled once.
func (b *Book) look() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *Book) follow() {
	defer close(b.done)
	for {
		select {
		case <-b.wake:
			b.compile()
		case <-b.quit:
			return
		}
	}
}

// Close ends the watching.
func (b *Book) Close() {
	for _, stop := range b.stop {
		stop()
	}
	close(b.quit)
	<-b.done
}

// InForce is the edition that is in force.
func (b *Book) InForce() *Edition { return b.inForce.Load() }

// Age is how old what is read here can be.
func (b *Book) Age() time.Duration { return b.store.Age() }

// none is a set without policies.
func none() *policy.Set {
	set, err := policy.DecodeSources()
	if err == nil {
		set, err = set.With(policy.Environment{})
	}
	if err != nil {
		panic(err) // nothing was read
	}
	return set
}

// compile puts what is stored in force, unless it is in force already.
func (b *Book) compile() {
	b.mu.Lock()
	defer b.mu.Unlock()
	records := b.store.List(Policies.Name)
	now, serial := b.inForce.Load(), sum(records)
	next := &Edition{Set: now.Set, serial: serial, Rollout: b.underWay()}
	fresh := serial != now.serial
	if fresh {
		next.Set = b.decode(records)
	}
	if r := next.Rollout; r != nil {
		switch same := now.Rollout; {
		case !fresh && same != nil && same.Policy == r.Policy && same.Began.Equal(r.Began) && same.Stage == r.Stage:
			next.Beside = now.Beside
		default:
			beside, err := b.with(records, r)
			if err != nil {
				b.log.Error("rollout was ignored", "policy", r.Policy, "error", err)
				next.Rollout = nil
			}
			next.Beside = beside
		}
	}
	if !fresh && next.Rollout.same(now.Rollout) {
		return
	}
	b.inForce.Store(next)
	if fresh {
		b.log.Info("policies changed", "policies", next.Set.Len())
	}
	b.changed()
}

// sum tells two lists of records apart.
func sum(records []store.Record) (sum uint64) {
	for i := range records {
		for _, c := range []byte(records[i].Name) {
			sum = (sum ^ uint64(c)) * 0x100000001b3
		}
		sum = (sum ^ records[i].Version<<8) * 0x100000001b3
	}
	return sum
}

// decode compiles records. Those that this daemon can't read, which another one
// has written, are left out.
func (b *Book) decode(records []store.Record) *policy.Set {
	set, err := decode(records)
	if err == nil {
		return set
	}
	var well []store.Record
	for _, r := range records {
		if _, err := decode([]store.Record{r}); err != nil {
			b.log.Error("stored policy was left out: this daemon can't read it", "policy", r.Name, "version", r.Version, "error", err)
			continue
		}
		well = append(well, r)
	}
	if set, err = decode(well); err != nil {
		b.log.Error("stored policies contradict each other; the last good ones stay", "error", err)
		return b.inForce.Load().Set
	}
	return set
}

func decode(records []store.Record) (*policy.Set, error) {
	var sources []policy.Source
	for i := range records {
		r := &records[i]
		src, err := source(r.Name, r.Version, r.Body)
		if err != nil {
			return nil, err
		}
		sources = append(sources, src)
	}
	set, err := policy.DecodeSources(sources...)
	if err != nil {
		return nil, err
	}
	return set.With(policy.Environment{})
}

// source names a stored document by its policy and version, as explanations do.
func source(title string, version uint64, body []byte) (policy.Source, error) {
	nodes, err := policies.Parse("stored.yaml", body)
	if err != nil || len(nodes) != 1 {
		return policy.Source{}, fmt.Errorf("%s: %d documents: %w", title, len(nodes), err)
	}
	return policy.Source{File: fmt.Sprintf("%s@%d", title, version), Node: nodes[0]}, nil
}
