// Package api is what operators, scripts and pages ask the daemon: Connect, gRPC,
// gRPC-Web and JSON over one handler. Reads are answered from an immutable
// snapshot in memory, and say how old it is.
package api

import (
	"context"
	"encoding/base64"
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
}

// NewCircuits reads from what snapshot returns, which may never be nil.
func NewCircuits(snapshot func() *Snapshot) *Circuits { return &Circuits{snapshot} }

const (
	defaultPage = 500
	maxPage     = 1000
	maxText     = 2048 // bytes of a name that is asked for
)

// ListCircuits gives one page of the circuits that pass the filter.
func (c *Circuits) ListCircuits(_ context.Context, q *apiv1.ListCircuitsRequest) (*apiv1.ListCircuitsResponse, error) {
	size := int(q.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	if size > maxPage {
		return nil, invalid("page_size %d: want 1 to %d, or 0 for %d", size, maxPage, defaultPage)
	}
	if len(q.GetPrefix()) > maxText {
		return nil, invalid("prefix of %d bytes: want at most %d", len(q.GetPrefix()), maxText)
	}
	after, err := base64.RawURLEncoding.DecodeString(q.GetPageToken())
	if err != nil {
		return nil, invalid("page_token %q: want one that an earlier page gave, or none", cut(q.GetPageToken(), 64))
	}
	s := c.snapshot()
	match := matcher(q.GetPrefix())
	out := &apiv1.ListCircuitsResponse{Age: durationpb.New(time.Since(s.At))}
	last := ""
	for i := range s.Circuits {
		v, name := &s.Circuits[i], s.names[i]
		if len(q.GetStates()) > 0 && !slices.Contains(q.GetStates(), stateOf(v.State)) ||
			q.GetNamespace() != "" && q.GetNamespace() != v.Circuit.Callee.Namespace || !match(name) {
			continue
		}
		out.Total++
		if name <= string(after) {
			continue
		}
		if len(out.Circuits) == size {
			out.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(last))
			continue
		}
		out.Circuits = append(out.Circuits, message(v, name, time.Since(s.At)))
		last = name
	}
	return out, nil
}

// GetCircuit gives the one circuit that is named, with its evidence.
func (c *Circuits) GetCircuit(_ context.Context, q *apiv1.GetCircuitRequest) (*apiv1.GetCircuitResponse, error) {
	if q.GetName() == "" || len(q.GetName()) > maxText {
		return nil, invalid("name of %d bytes: want a circuit such as web..checkout", len(q.GetName()))
	}
	s := c.snapshot()
	found := s.find(q.GetName())
	switch len(found) {
	case 1:
	case 0:
		return nil, connect.NewError(connect.CodeNotFound, s.unknown(q.GetName()))
	default:
		var names []string
		for _, i := range found[:min(5, len(found))] {
			names = append(names, s.names[i])
		}
		return nil, invalid("%q is the beginning of %d circuits: say which one: %s", q.GetName(), len(found), strings.Join(names, ", "))
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

func invalid(format string, args ...any) error {
	return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf(format, args...))
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
