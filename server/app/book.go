package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/server/api"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
	"github.com/datapunk/switchgear/server/store"
)

// book keeps operators' words in the store, and gives control each of them: at the
// start what stands, then what changes, whichever daemon took it. So every daemon
// knows all of them, and the one that owns the callee acts.
type book struct {
	store *store.Store
	give  func(control.Input)
	log   *slog.Logger
	stops []func() // the watching
	quit  chan struct{}
	done  chan struct{}

	mu        sync.RWMutex
	overrides map[string]*apiv1.StandingOverride // by the record's name, as all of these
	pauses    map[string]*apiv1.StandingPause
	markers   map[string]*apiv1.Marker
	given     map[string]uint64 // the version that control was last given, by kind and name
	news      chan struct{}     // closed when control is given something
}

const (
	giveWait = 2 * time.Second
	// What has ended stays for a while: the clock of the daemon that clears away may
	// be ahead.
	clearAfter    = time.Minute
	clearInterval = 10 * time.Second
	clearAtOnce   = 100 // or operators would wait for leave to write
	markerStays   = 24 * time.Hour
)

func newBook(s *store.Store, give func(control.Input), log *slog.Logger) *book {
	b := &book{
		store: s, give: give, log: log, quit: make(chan struct{}), done: make(chan struct{}),
		overrides: make(map[string]*apiv1.StandingOverride), pauses: make(map[string]*apiv1.StandingPause), markers: make(map[string]*apiv1.Marker),
		given: make(map[string]uint64), news: make(chan struct{}),
	}
	for _, kind := range []string{overrideKind, pauseKind, markerKind} {
		for _, r := range s.List(kind) {
			b.keep(&r) // who asks right after the start is told of it
		}
		b.stops = append(b.stops, s.Watch(kind, b.heard))
	}
	go b.clear()
	return b
}

func (b *book) close() {
	close(b.quit)
	for _, stop := range b.stops {
		stop()
	}
	<-b.done
}

// heard takes a record from the store and tells control.
func (b *book) heard(r store.Record) {
	in := b.keep(&r)
	if in.Order != nil || in.Marker != nil {
		b.give(in)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.given[r.Kind+" "+r.Name] = r.Version
	if r.Deleted {
		delete(b.given, r.Kind+" "+r.Name)
	}
	close(b.news)
	b.news = make(chan struct{})
}

// keep holds a record in memory, and gives what it means to control, nothing where
// it has ended already.
func (b *book) keep(r *store.Record) (in control.Input) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	switch r.Kind {
	case overrideKind:
		in.Order, err = b.keepOverride(r)
	case pauseKind:
		in.Order, err = b.keepPause(r)
	case markerKind:
		in.Marker, err = b.keepMarker(r)
	}
	if err != nil {
		b.log.Error("operator's word in the store was ignored", "kind", r.Kind, "name", r.Name, "version", r.Version, "error", err)
		return control.Input{}
	}
	return in
}

// read decodes a record's body. Fields of a newer daemon are ignored.
func read(r *store.Record, into proto.Message) error {
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(r.Body, into)
}

// said is the order in which a kept word goes to control, or its end.
func said(a control.Action, r *store.Record, id string, began time.Time, ttl time.Duration) *control.Order {
	return &control.Order{
		ID: id, Action: a, Author: cmp.Or(r.Author, "unknown"), Reason: cmp.Or(r.Reason, "no reason was given"),
		TTL: api.LeftOf(began, ttl, time.Now()),
	}
}

// put writes a word and waits until it is durable and control was given it.
func (b *book) put(ctx context.Context, c store.Change, m proto.Message) (store.Record, error) {
	var err error
	if c.Body, err = protojson.Marshal(m); err != nil {
		return store.Record{}, fmt.Errorf("encode %s: %w", c.Kind, err)
	}
	r, err := b.store.Put(ctx, c)
	if err != nil {
		return r, problemOf(err)
	}
	b.wait(ctx, &r)
	return r, nil
}

func (b *book) end(ctx context.Context, c store.Change) error {
	r, err := b.store.Delete(ctx, c)
	if err != nil {
		return problemOf(err)
	}
	b.wait(ctx, &r)
	return nil
}

// wait returns when control was given a record. It is durable in any case.
func (b *book) wait(ctx context.Context, r *store.Record) {
	late := time.NewTimer(giveWait)
	defer late.Stop()
	for {
		b.mu.RLock()
		version, standing := b.given[r.Kind+" "+r.Name]
		news := b.news
		b.mu.RUnlock()
		if r.Deleted && !standing || !r.Deleted && version >= r.Version {
			return
		}
		select {
		case <-news:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		case <-b.quit:
			return
		}
	}
}

// clear takes what has ended out of the store. Control has ended it long before.
func (b *book) clear() {
	defer close(b.done)
	tick := time.NewTicker(clearInterval)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, c := range b.ended(now) {
				if _, err := b.store.Delete(context.Background(), c); err != nil {
					b.log.Debug("what has ended was not cleared", "kind", c.Kind, "name", c.Name, "error", err) // by another daemon, or next time
				}
			}
		case <-b.quit:
			return
		}
	}
}

func (b *book) ended(now time.Time) (all []store.Change) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	add := func(kind, name string, version uint64, began *timestamppb.Timestamp, stays time.Duration) {
		if len(all) < clearAtOnce && now.Sub(began.AsTime()) > stays+clearAfter {
			all = append(all, store.Change{Kind: kind, Name: name, Author: "switchgear", Reason: "it has ended", Expect: version})
		}
	}
	for name, o := range b.overrides {
		add(overrideKind, name, o.GetRevision(), o.GetBegan(), o.GetTimeToLive().AsDuration())
	}
	for name, p := range b.pauses {
		add(pauseKind, name, p.GetRevision(), p.GetBegan(), p.GetTimeToLive().AsDuration())
	}
	for name, m := range b.markers {
		add(markerKind, name, m.GetRevision(), m.GetAt(), markerStays)
	}
	return all
}

// newID names one word of an operator, in logs and on replicas.
func newID() string { return "o-" + strings.ToLower(rand.Text()[:10]) }

// left is what a kept word has left by the wall's clock.
func left(began *timestamppb.Timestamp, ttl *durationpb.Duration) time.Duration {
	return api.LeftOf(began.AsTime(), ttl.AsDuration(), time.Now())
}

// standing are those of all that have not ended, in order, each a copy.
func standing[T proto.Message](all map[string]T, left func(T) time.Duration, key func(T) string) []T {
	var out []T
	for _, m := range all {
		if left(m) > 0 {
			if c, ok := proto.Clone(m).(T); ok {
				out = append(out, c)
			}
		}
	}
	slices.SortFunc(out, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	return out
}

func noSuch(what string) error {
	return &api.Problem{Code: connect.CodeNotFound, Err: fmt.Errorf("there is no %s", what), Advice: "list what stands"}
}
