// Package api is what operators, scripts and pages ask the daemon: Connect, gRPC,
// gRPC-Web and JSON over one handler. Reads are answered from an immutable
// snapshot in memory, and say how old it is.
package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

// Circuits answers for apiv1connect.CircuitServiceHandler.
type Circuits struct {
	snapshot func() *Snapshot
	feed     *Feed
}

// NewCircuits reads from what snapshot returns, which may never be nil; who watches
// is told by feed.
func NewCircuits(snapshot func() *Snapshot, feed *Feed) *Circuits { return &Circuits{snapshot, feed} }

const (
	defaultPage = 500
	maxPage     = 1000
	maxText     = 2048 // bytes of a name that is asked for
)

// ListCircuits gives one page of the circuits that pass the filter.
func (c *Circuits) ListCircuits(_ context.Context, q *apiv1.ListCircuitsRequest) (*apiv1.ListCircuitsResponse, error) {
	p, err := newPage[*apiv1.Circuit](q)
	if err != nil {
		return nil, err
	}
	s := c.snapshot()
	pass := newFilter(q)
	age := time.Since(s.At)
	for i := range s.Circuits {
		v, name := &s.Circuits[i], s.names[i]
		if pass.circuit(v, name) {
			p.add(name, func() *apiv1.Circuit { return message(v, name, age) })
		}
	}
	return &apiv1.ListCircuitsResponse{Circuits: p.items, NextPageToken: p.next, Total: p.total, Age: durationpb.New(age)}, nil
}

// filter is what a list or a watch of circuits is narrowed to.
type filter struct {
	states    []apiv1.State
	namespace string
	match     func(string) bool
}

func newFilter(q interface {
	GetStates() []apiv1.State
	GetNamespace() string
	GetPrefix() string
},
) *filter {
	return &filter{q.GetStates(), q.GetNamespace(), matcher(q.GetPrefix())}
}

func (f *filter) circuit(v *control.CircuitView, name string) bool {
	return (len(f.states) == 0 || slices.Contains(f.states, stateOf(v.State))) &&
		(f.namespace == "" || f.namespace == v.Circuit.Callee.Namespace) && f.match(name)
}

// GetCircuit gives the one circuit that is named, with its evidence.
func (c *Circuits) GetCircuit(_ context.Context, q *apiv1.GetCircuitRequest) (*apiv1.GetCircuitResponse, error) {
	if q.GetName() == "" || len(q.GetName()) > maxText {
		return nil, badField("name", q.GetName(), "name of %d bytes: want a circuit such as web..checkout", len(q.GetName()))
	}
	s := c.snapshot()
	found := s.find(q.GetName())
	switch len(found) {
	case 1:
	case 0:
		return nil, &Problem{
			Code: connect.CodeNotFound, Field: "name", Value: cut(q.GetName(), maxValue), Advice: "list circuits, and name one of them", Err: s.unknown(q.GetName()),
		}
	default:
		return nil, s.ambiguous("name", q.GetName(), found)
	}
	v, name := &s.Circuits[found[0]], s.names[found[0]]
	age := time.Since(s.At)
	m := message(v, name, age)
	for _, p := range v.Parts {
		m.Parts = append(m.Parts, &apiv1.Part{
			Instance: p.Instance, State: stateOf(p.State), Phase: p.Phase, Share: p.Share, Since: durationpb.New(p.Since + age), Why: p.Why,
			Override: overrideOf(p.Override, age),
		})
	}
	for _, r := range v.Replicas {
		m.Replicas = append(m.Replicas, &apiv1.Replica{
			Name: r.Replica.Name, State: stateOf(r.State), Mode: modeOf(r.Mode), Generation: r.Generation, Age: durationpb.New(r.Age + age),
		})
	}
	return &apiv1.GetCircuitResponse{Circuit: m, Sentence: sentence(v, name, s.At, s.At.Add(age)), Age: durationpb.New(age)}, nil
}

func (s *Snapshot) unknown(text string) error {
	switch near := s.nearest(text, 3); {
	case len(s.names) == 0:
		return fmt.Errorf("no circuit %q: no replica has reported one so far", text)
	case len(near) == 0:
		return fmt.Errorf("no circuit %q among the %d that are known", text, len(s.names))
	default:
		return fmt.Errorf("no circuit %q; did you mean %s?", text, strings.Join(near, " or "))
	}
}

func message(v *control.CircuitView, name string, age time.Duration) *apiv1.Circuit {
	return &apiv1.Circuit{
		Name: name, State: stateOf(v.State), Mode: modeOf(v.Mode), Phase: v.Phase, Since: durationpb.New(v.Since + age),
		FailureRate: v.FailureRate, CallsPerSecond: v.CallsPerSecond,
		Override: overrideOf(v.Override, age), Held: v.Held, Revision: v.Revision,
		Breakers: uint32(max(v.Breakers, 0)), Open: uint32(max(v.Open, 0)), Share: v.Share, Why: v.Why,
	}
}

func overrideOf(o *fleet.Override, age time.Duration) *apiv1.Override {
	if o == nil {
		return nil
	}
	return &apiv1.Override{Id: o.ID, Mode: modeOf(o.Mode), Author: o.Author, Reason: o.Reason, Left: durationpb.New(max(o.TTL-age, 0))}
}

func stateOf(s breaker.State) apiv1.State { return apiv1.State(s) + 1 }

func modeOf(m breaker.Mode) apiv1.Mode { return apiv1.Mode(m) + 1 }

// Word is the word for a state or mode of the API, as everywhere else.
func Word(enum fmt.Stringer) string {
	for _, prefix := range []string{"STATE_", "MODE_"} {
		if w, ok := strings.CutPrefix(enum.String(), prefix); ok {
			return strings.ToLower(w)
		}
	}
	return "unknown"
}

// StateOf reads the word for a state.
func StateOf(word string) (apiv1.State, error) {
	var s breaker.State
	if err := s.UnmarshalText([]byte(word)); err != nil {
		return 0, err
	}
	return stateOf(s), nil
}
