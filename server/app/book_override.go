package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/policy"
	"github.com/datapunk/switchgear/server/api"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
	"github.com/datapunk/switchgear/server/store"
)

// Force keeps o in place of the override of that revision; 0 is none.
func (b *book) Force(ctx context.Context, o *apiv1.StandingOverride, expected uint64) (*apiv1.StandingOverride, error) {
	name := overrideName(o.GetCircuit(), o.GetInstance())
	b.mu.RLock()
	before := b.overrides[name]
	b.mu.RUnlock()
	there := before
	if before != nil && leftOfOverride(before) <= 0 {
		there = nil // it has ended, and only waits to be cleared
		if expected == 0 {
			expected = before.GetRevision()
		}
	}
	if there != nil && there.GetRevision() != expected {
		return nil, overrideConflict(there, expected)
	}
	o.Id, o.Began = newID(), timestamppb.Now()
	r, err := b.put(ctx, store.Change{Kind: overrideKind, Name: name, Author: o.GetAuthor(), Reason: o.GetReason(), Expect: expected}, o)
	if err != nil {
		return nil, err
	}
	b.log.Info("override was taken", "circuit", o.GetCircuit(), "instance", o.GetInstance(), "mode", api.Word(o.GetMode()),
		"author", o.GetAuthor(), "reason", o.GetReason(), "time_to_live", o.GetTimeToLive().AsDuration(), "id", o.GetId(), "revision", r.Version)
	o.Revision, o.Left = r.Version, durationpb.New(leftOfOverride(o))
	return o, nil
}

// Release ends an override; expected 0 is whichever stands.
func (b *book) Release(ctx context.Context, o *apiv1.StandingOverride, expected uint64) (*apiv1.StandingOverride, error) {
	there := b.Override(o.GetCircuit(), o.GetInstance())
	if there == nil {
		what := "override on " + o.GetCircuit()
		if o.GetInstance() != "" {
			what = fmt.Sprintf("override on instance %s of %s", o.GetInstance(), o.GetCircuit())
		}
		return nil, noSuch(what)
	}
	if expected != 0 && expected != there.GetRevision() {
		return nil, overrideConflict(there, expected)
	}
	err := b.end(ctx, store.Change{
		Kind: overrideKind, Name: overrideName(o.GetCircuit(), o.GetInstance()), Author: o.GetAuthor(), Reason: o.GetReason(), Expect: there.GetRevision(),
	})
	if err != nil {
		return nil, err
	}
	b.log.Info("override was released", "circuit", o.GetCircuit(), "instance", o.GetInstance(), "author", o.GetAuthor(), "reason", o.GetReason(), "id", there.GetId())
	return there, nil
}

// Override that stands on a part of a circuit, nil if none does.
func (b *book) Override(circuit, instance string) *apiv1.StandingOverride {
	b.mu.RLock()
	defer b.mu.RUnlock()
	o := b.overrides[overrideName(circuit, instance)]
	if o == nil || leftOfOverride(o) <= 0 {
		return nil
	}
	c, ok := proto.Clone(o).(*apiv1.StandingOverride)
	if !ok {
		return nil
	}
	c.Left = durationpb.New(leftOfOverride(c))
	return c
}

// Overrides that stand, by circuit and instance.
func (b *book) Overrides() []*apiv1.StandingOverride {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := standing(b.overrides, leftOfOverride, func(o *apiv1.StandingOverride) string { return o.GetCircuit() + "@" + o.GetInstance() })
	for _, o := range all {
		o.Left = durationpb.New(leftOfOverride(o))
	}
	return all
}

func leftOfOverride(o *apiv1.StandingOverride) time.Duration {
	return left(o.GetBegan(), o.GetTimeToLive())
}

// keepOverride holds a record, and gives the order that it is.
func (b *book) keepOverride(r *store.Record) (*control.Order, error) {
	o, a := b.overrides[r.Name], control.Release
	delete(b.overrides, r.Name)
	if !r.Deleted {
		o, a = &apiv1.StandingOverride{}, control.Rule
		if err := read(r, o); err != nil {
			return nil, err
		}
		o.Revision = r.Version
	}
	if o == nil {
		return nil, nil // it was never heard of, or ignored
	}
	id, err := policy.ParseCircuit(o.GetCircuit())
	if err != nil {
		return nil, err
	}
	order := said(a, r, o.GetId(), o.GetBegan().AsTime(), o.GetTimeToLive().AsDuration())
	order.Circuit, order.Instance = id, o.GetInstance()
	order.Mode = breaker.Mode(o.GetMode() - apiv1.Mode_MODE_ENFORCE)
	if r.Deleted {
		return order, nil
	}
	b.overrides[r.Name] = o
	if order.TTL < time.Second {
		return nil, nil // replicas end the rest of a second themselves
	}
	return order, order.Validate()
}

// overrideName of a record: the circuit and instance, or their hash where those are
// longer than a name may be.
func overrideName(circuit, instance string) string {
	name := circuit + "@" + instance
	if len(name) <= 900 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func overrideConflict(there *apiv1.StandingOverride, expected uint64) error {
	return &api.Problem{
		Code: connect.CodeAborted, Field: "expected_revision", Value: fmt.Sprint(expected),
		Err: fmt.Errorf("expected revision %d, and there is revision %d: %s by %s for another %s: %s", expected, there.GetRevision(),
			api.Word(there.GetMode()), there.GetAuthor(), api.Age(leftOfOverride(there)), there.GetReason()),
		Advice: fmt.Sprintf("read it, and name revision %d if it is the one that you mean", there.GetRevision()),
	}
}
