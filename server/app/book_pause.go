package app

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/server/api"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
	"github.com/datapunk/switchgear/server/store"
)

// Pause keeps p in place of whatever pause stands there.
func (b *book) Pause(ctx context.Context, p *apiv1.StandingPause) (*apiv1.StandingPause, error) {
	p.Id, p.Began = newID(), timestamppb.Now()
	r, err := b.put(ctx, store.Change{
		Kind: pauseKind, Name: pauseName(p.GetNamespace()), Author: p.GetAuthor(), Reason: p.GetReason(), Expect: store.Any,
	}, p)
	if err != nil {
		return nil, err
	}
	b.log.Warn("automation is paused", "namespace", p.GetNamespace(), "author", p.GetAuthor(), "reason", p.GetReason(),
		"time_to_live", p.GetTimeToLive().AsDuration(), "id", p.GetId())
	p.Revision, p.Left = r.Version, durationpb.New(leftOfPause(p))
	return p, nil
}

// Resume ends a pause.
func (b *book) Resume(ctx context.Context, p *apiv1.StandingPause) (*apiv1.StandingPause, error) {
	for _, there := range b.Pauses() {
		if there.GetNamespace() != p.GetNamespace() {
			continue
		}
		err := b.end(ctx, store.Change{Kind: pauseKind, Name: pauseName(p.GetNamespace()), Author: p.GetAuthor(), Reason: "resumed", Expect: store.Any})
		if err == nil {
			b.log.Info("automation goes on", "namespace", p.GetNamespace(), "author", p.GetAuthor(), "id", there.GetId())
		}
		return there, err
	}
	if p.GetNamespace() == "" {
		return nil, noSuch("pause of all namespaces")
	}
	return nil, noSuch(fmt.Sprintf("pause of namespace %q", p.GetNamespace()))
}

// Pauses that stand, by namespace.
func (b *book) Pauses() []*apiv1.StandingPause {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := standing(b.pauses, leftOfPause, (*apiv1.StandingPause).GetNamespace)
	for _, p := range all {
		p.Left = durationpb.New(leftOfPause(p))
	}
	return all
}

func leftOfPause(p *apiv1.StandingPause) time.Duration { return left(p.GetBegan(), p.GetTimeToLive()) }

// keepPause holds a record, and gives the order that it is.
func (b *book) keepPause(r *store.Record) (*control.Order, error) {
	p, a := b.pauses[r.Name], control.Resume
	delete(b.pauses, r.Name)
	if !r.Deleted {
		p, a = &apiv1.StandingPause{}, control.Pause
		if err := read(r, p); err != nil {
			return nil, err
		}
		p.Revision = r.Version
	}
	if p == nil {
		return nil, nil
	}
	order := said(a, r, p.GetId(), p.GetBegan().AsTime(), p.GetTimeToLive().AsDuration())
	order.Namespace = p.GetNamespace()
	if r.Deleted {
		return order, nil
	}
	b.pauses[r.Name] = p
	if order.TTL < time.Second {
		return nil, nil
	}
	return order, order.Validate()
}

// pauseName of a record: a namespace may have any name, so that of all begins
// differently.
func pauseName(namespace string) string {
	if namespace == "" {
		return "all"
	}
	return "/" + namespace
}

// Mark keeps m as the last deployment of its service.
func (b *book) Mark(ctx context.Context, m *apiv1.Marker) (*apiv1.Marker, error) {
	m.At = timestamppb.Now()
	r, err := b.put(ctx, store.Change{Kind: markerKind, Name: m.GetService(), Author: m.GetAuthor(), Reason: "deployment", Expect: store.Any}, m)
	if err != nil {
		return nil, err
	}
	b.log.Info("deployment was marked", "service", m.GetService(), "version", m.GetVersion(), "author", m.GetAuthor())
	m.Revision = r.Version
	return m, nil
}

// keepMarker holds a record, and gives the marker that it is.
func (b *book) keepMarker(r *store.Record) (*control.Marker, error) {
	delete(b.markers, r.Name)
	if r.Deleted {
		return nil, nil
	}
	m := &apiv1.Marker{}
	if err := read(r, m); err != nil {
		return nil, err
	}
	id, err := api.ServiceOf(m.GetService())
	if err != nil {
		return nil, err
	}
	m.Revision = r.Version
	b.markers[r.Name] = m
	return &control.Marker{
		Service: id, Text: fmt.Sprintf("version %s, by %s", m.GetVersion(), m.GetAuthor()), Ago: max(time.Since(m.GetAt().AsTime()), 0),
	}, nil
}
