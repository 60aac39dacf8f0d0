package store

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// watcher is told of each change of a kind.
type watcher struct {
	kind string
	tell func(Record)
	// queue is what it has not been told yet; guarded by the store's mu.
	queue []Record
	wake  chan struct{}
}

// Watch calls f with every record of a kind that there is, by name, and then with
// each that changes or is deleted, in the order of the changes. A slow f misses
// none but those that a later version has replaced. Stop waits for f to return.
func (s *Store) Watch(kind string, f func(Record)) (stop func()) {
	w := &watcher{kind: kind, tell: f, wake: make(chan struct{}, 1)}
	quit, ended := make(chan struct{}), make(chan struct{})
	s.mu.Lock()
	w.queue = s.list(kind)
	s.watchers[w] = true
	s.mu.Unlock()
	w.wake <- struct{}{}
	go func() {
		defer close(ended)
		for {
			select {
			case <-w.wake:
				for _, r := range s.take(w) {
					f(r)
				}
			case <-quit:
				return
			}
		}
	}()
	return func() {
		s.mu.Lock()
		delete(s.watchers, w)
		s.mu.Unlock()
		close(quit)
		<-ended
	}
}

func (s *Store) take(w *watcher) []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := w.queue
	w.queue = nil
	return all
}

// put adds a record, in place of an older version of the same one: what waits is
// bounded by the number of names.
func (w *watcher) put(r Record) {
	for i := range w.queue {
		if w.queue[i].Name == r.Name {
			w.queue = append(w.queue[:i], w.queue[i+1:]...)
			break
		}
	}
	w.queue = append(w.queue, r)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// follow fills the copy in memory and keeps it so.
func (s *Store) follow(opening context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	all, err := s.kv.WatchAll(ctx)
	if err != nil {
		cancel()
		return fmt.Errorf("open store: watch it: %w", err)
	}
	complete := make(chan struct{})
	s.done.Add(2)
	go func() {
		defer s.done.Done()
		defer func() { _ = all.Stop() }()
		for {
			select {
			case e, ok := <-all.Updates():
				if !ok {
					return
				}
				if e == nil {
					close(complete) // what was there is here
					continue
				}
				s.heard(e)
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() {
		defer s.done.Done()
		tick := time.NewTicker(confirmInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.confirm(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
	select {
	case <-complete:
	case <-opening.Done():
		s.Close()
		return fmt.Errorf("open store: read what is there: %w", opening.Err())
	}
	s.mu.Lock()
	s.confirmed = time.Now()
	s.mu.Unlock()
	return nil
}

func (s *Store) heard(e jetstream.KeyValueEntry) {
	r, err := decode(e)
	if err != nil {
		s.log.Error("record in the store was ignored", "error", err)
		r = Record{revision: e.Revision()}
	}
	s.apply(r, e.Delta() == 0)
}

// apply takes a record into the copy, unless a later one is there already. What
// this daemon writes itself comes twice: at once, and by the watch.
func (s *Store) apply(r Record, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last {
		s.applied = max(s.applied, r.revision)
		s.confirmed = time.Now()
	}
	kind, known := s.records[r.Kind]
	if !known {
		return // of a newer daemon
	}
	before := kind[r.Name]
	if before.revision >= r.revision {
		return
	}
	kind[r.Name] = r
	s.sizes[r.Kind] += len(r.Body) - len(before.Body)
	if before.Version > 0 && !before.Deleted {
		s.live[r.Kind]--
	}
	if !r.Deleted {
		s.live[r.Kind]++
	}
	for w := range s.watchers {
		if w.kind == r.Kind {
			w.put(r)
		}
	}
}

// confirm asks how far the store is: where the copy is as far, it is complete.
func (s *Store) confirm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	asked := time.Now()
	status, err := s.kv.Status(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Warn("the store does not answer; reads go on from memory", "age", s.Age(), "error", err)
		}
		return
	}
	info, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.applied >= info.StreamInfo().State.LastSeq {
		s.confirmed = asked
	}
}
