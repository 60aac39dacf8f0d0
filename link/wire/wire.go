// Package wire turns fleet's messages into the link's proto messages and back.
//
// The functions named To… take what this program made and can't fail. The ones
// named From… take what somebody else sent: they are total, bound what they
// accept, copy nothing that could change later, and give back only what is
// valid. Values that a newer release may have added fail safe: an unknown state
// or mode is never enforced, an unknown verdict is neutral.
package wire

import (
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/policy"
)

// Bounds of what a message may hold; beyond them it is refused whole.
const (
	MaxMessageBytes = 4 << 20
	maxHeld         = 10_000
	maxCircuits     = 10_000
	maxCells        = 4096
	maxBuckets      = 128
	maxAnswers      = 10_000
	maxParts        = 4096
	maxLeases       = 1024
	maxDirectives   = 10_000
	maxFeatures     = 64
	maxText         = 1024 // bytes of a reason; longer ones are cut
	maxAge          = time.Hour
	maxTTL          = 24 * time.Hour
	maxOverride     = 30 * 24 * time.Hour
	maxDuration     = 100 * 365 * 24 * time.Hour
)

func atMost(what string, n, most int) error {
	if n > most {
		return fmt.Errorf("%d %s: at most %d in one message", n, what, most)
	}
	return nil
}

// duration reads a duration from 0 to most; longer ones are cut to most.
func duration(what string, d *durationpb.Duration, most time.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	if err := d.CheckValid(); err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	v := d.AsDuration()
	if v < 0 {
		return 0, fmt.Errorf("%s %v: want 0 or more", what, v)
	}
	return min(v, most), nil
}

func toDuration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// name reads a name that may be empty.
func optionalName(what, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if err := policy.ValidName(s); err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	return s, nil
}

// text cuts what people read to maxText, at a whole character.
func text(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

func share(v float64) (float64, error) {
	if !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("share %v: want 0 to 1", v)
	}
	if v == 0 {
		return 0, nil // without the sign
	}
	return v, nil
}

func finite(what string, v float64) (float64, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%s %v: want a number", what, v)
	}
	return v, nil
}

func toService(s policy.Service) *linkv1.Service {
	return &linkv1.Service{Namespace: s.Namespace, Name: s.Name}
}

func fromService(p *linkv1.Service) (policy.Service, error) {
	s := policy.Service{Namespace: p.GetNamespace(), Name: p.GetName()}
	if err := policy.ValidName(s.Namespace); err != nil {
		return policy.Service{}, fmt.Errorf("namespace: %w", err)
	}
	if err := policy.ValidName(s.Name); err != nil {
		return policy.Service{}, fmt.Errorf("service: %w", err)
	}
	return s, nil
}

// ToCircuit gives the wire form of a circuit.
func ToCircuit(c policy.Circuit) *linkv1.Circuit {
	return &linkv1.Circuit{Caller: toService(c.Caller), Callee: toService(c.Callee), Route: c.Route}
}

// FromCircuit reads a circuit.
func FromCircuit(p *linkv1.Circuit) (policy.Circuit, error) {
	c := policy.Circuit{
		Caller: policy.Service{Namespace: p.GetCaller().GetNamespace(), Name: p.GetCaller().GetName()},
		Callee: policy.Service{Namespace: p.GetCallee().GetNamespace(), Name: p.GetCallee().GetName()},
		Route:  p.GetRoute(),
	}
	if err := c.Validate(); err != nil {
		return policy.Circuit{}, err
	}
	return c, nil
}

// ToReplica gives the wire form of a replica's identity.
func ToReplica(r fleet.ReplicaID) *linkv1.Replica {
	return &linkv1.Replica{Service: toService(r.Service), Name: r.Name, Incarnation: r.Incarnation}
}

// FromReplica reads one replica's identity.
func FromReplica(p *linkv1.Replica) (fleet.ReplicaID, error) {
	r, err := FromAddressee(p)
	if err == nil && r.Name == "" {
		err = fmt.Errorf("replica of %s: empty name", r.Service)
	}
	if err != nil {
		return fleet.ReplicaID{}, err
	}
	return r, nil
}

// FromAddressee reads a replica's identity whose name is empty where all
// replicas of the service are meant.
func FromAddressee(p *linkv1.Replica) (fleet.ReplicaID, error) {
	s, err := fromService(p.GetService())
	if err != nil {
		return fleet.ReplicaID{}, fmt.Errorf("replica: %w", err)
	}
	n, err := optionalName("replica", p.GetName())
	if err != nil {
		return fleet.ReplicaID{}, err
	}
	return fleet.ReplicaID{Service: s, Name: n, Incarnation: p.GetIncarnation()}, nil
}

func toState(s breaker.State) linkv1.State { return linkv1.State(s) + 1 }

func fromState(s linkv1.State) (state breaker.State, known bool) {
	if s < linkv1.State_STATE_CLOSED || s > linkv1.State_STATE_HALF_OPEN {
		return breaker.Closed, false
	}
	return breaker.State(s - 1), true
}

func toMode(m breaker.Mode) linkv1.Mode { return linkv1.Mode(m) + 1 }

func fromMode(m linkv1.Mode) breaker.Mode {
	if m < linkv1.Mode_MODE_ENFORCE || m > linkv1.Mode_MODE_FORCED_OPEN {
		return breaker.MetricsOnly
	}
	return breaker.Mode(m - 1)
}

func fromVerdict(v linkv1.Verdict) breaker.Verdict {
	if v < linkv1.Verdict_VERDICT_SUCCESS || v > linkv1.Verdict_VERDICT_INHERITED {
		return breaker.Ignored
	}
	return breaker.Verdict(v - 1)
}

func fromKind(k linkv1.Kind) breaker.Kind {
	if k < 0 || k >= linkv1.Kind(breaker.Kinds) {
		return breaker.NoKind
	}
	return breaker.Kind(k)
}
