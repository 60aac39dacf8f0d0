package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear/policy"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

// Orders keeps operators' words. What it has acknowledged is durable and on its
// way to whoever decides. Its errors are *Problem, or internal.
type Orders interface {
	// Force keeps o in place of the override of that revision; 0 is none.
	Force(ctx context.Context, o *apiv1.StandingOverride, expected uint64) (*apiv1.StandingOverride, error)
	// Release ends an override; expected 0 is whichever stands.
	Release(ctx context.Context, o *apiv1.StandingOverride, expected uint64) (*apiv1.StandingOverride, error)
	// Override that stands on a part of a circuit, nil if none does.
	Override(circuit, instance string) *apiv1.StandingOverride
	// Overrides that stand, by circuit and instance.
	Overrides() []*apiv1.StandingOverride
	Pause(ctx context.Context, p *apiv1.StandingPause) (*apiv1.StandingPause, error)
	Resume(ctx context.Context, p *apiv1.StandingPause) (*apiv1.StandingPause, error)
	// Pauses that stand, by namespace.
	Pauses() []*apiv1.StandingPause
	Mark(ctx context.Context, m *apiv1.Marker) (*apiv1.Marker, error)
}

// Overrides answers for apiv1connect.OverrideServiceHandler.
type Overrides struct {
	orders   Orders
	snapshot func() *Snapshot
	loopback bool
	longest  time.Duration
}

// NewOverrides lets operators say what orders keeps, each for the longest time at
// most. Authors are self-declared, so changes are refused unless loopback: only
// this machine reaches the daemon.
func NewOverrides(orders Orders, snapshot func() *Snapshot, loopback bool, longest time.Duration) *Overrides {
	return &Overrides{orders, snapshot, loopback, longest}
}

const (
	maxReason  = 1024
	maxAuthor  = 253
	maxCircuit = 4096 // bytes of a text form: five names, escaped
)

// Force takes an override.
func (s *Overrides) Force(ctx context.Context, q *apiv1.ForceRequest) (*apiv1.ForceResponse, error) {
	if err := s.mayChange(q.GetAuthor()); err != nil {
		return nil, err
	}
	id, err := s.validForce(q)
	if err != nil {
		return nil, err
	}
	o, err := s.orders.Force(ctx, &apiv1.StandingOverride{
		Circuit: id.String(), Instance: q.GetInstance(), Mode: q.GetMode(), Author: q.GetAuthor(), Reason: q.GetReason(), TimeToLive: q.GetTimeToLive(),
	}, q.GetExpectedRevision())
	if err != nil {
		return nil, err
	}
	return &apiv1.ForceResponse{Override: s.beside(o)}, nil
}

// validForce checks all that a force says but who says it.
func (s *Overrides) validForce(q *apiv1.ForceRequest) (policy.Circuit, error) {
	id, err := circuitOf(q.GetCircuit(), q.GetInstance())
	if err != nil {
		return id, err
	}
	switch q.GetMode() {
	case apiv1.Mode_MODE_FORCED_OPEN, apiv1.Mode_MODE_METRICS_ONLY, apiv1.Mode_MODE_OFF:
	default:
		return id, badField("mode", q.GetMode(), "mode %v: want MODE_FORCED_OPEN, MODE_METRICS_ONLY or MODE_OFF", q.GetMode())
	}
	if err := validText("reason", q.GetReason(), maxReason); err != nil {
		return id, err
	}
	if err := s.validTime(q.GetTimeToLive()); err != nil {
		return id, err
	}
	if snapshot := s.snapshot(); !q.GetAllowUnknown() && snapshot.at(id.String()) == nil {
		return id, &Problem{
			Code: connect.CodeNotFound, Field: "circuit", Value: cut(q.GetCircuit(), maxValue), Err: snapshot.unknown(q.GetCircuit()),
			Advice: "correct the name, or set allow_unknown to force it before any replica reports it",
		}
	}
	return id, nil
}

// Release ends an override.
func (s *Overrides) Release(ctx context.Context, q *apiv1.ReleaseRequest) (*apiv1.ReleaseResponse, error) {
	if err := s.mayChange(q.GetAuthor()); err != nil {
		return nil, err
	}
	id, err := circuitOf(q.GetCircuit(), q.GetInstance())
	if err != nil {
		return nil, err
	}
	if q.GetReason() != "" {
		if err := validText("reason", q.GetReason(), maxReason); err != nil {
			return nil, err
		}
	}
	o, err := s.orders.Release(ctx, &apiv1.StandingOverride{
		Circuit: id.String(), Instance: q.GetInstance(), Author: q.GetAuthor(), Reason: q.GetReason(),
	}, q.GetExpectedRevision())
	if err != nil {
		return nil, err
	}
	return &apiv1.ReleaseResponse{Override: s.beside(o)}, nil
}

// ListOverrides gives one page of the overrides that pass the filter.
func (s *Overrides) ListOverrides(_ context.Context, q *apiv1.ListOverridesRequest) (*apiv1.ListOverridesResponse, error) {
	p, err := newPage[*apiv1.StandingOverride](q)
	if err != nil {
		return nil, err
	}
	match := matcher(q.GetPrefix())
	for _, o := range s.orders.Overrides() {
		if id, err := policy.ParseCircuit(o.GetCircuit()); err != nil || q.GetNamespace() != "" && q.GetNamespace() != id.Callee.Namespace {
			continue
		}
		if match(o.GetCircuit()) {
			p.add(overrideKey(o.GetCircuit(), o.GetInstance()), func() *apiv1.StandingOverride { return s.beside(o) })
		}
	}
	return &apiv1.ListOverridesResponse{Overrides: p.items, NextPageToken: p.next, Total: p.total}, nil
}

// Pause holds automation.
func (s *Overrides) Pause(ctx context.Context, q *apiv1.PauseRequest) (*apiv1.PauseResponse, error) {
	if err := s.mayChange(q.GetAuthor()); err != nil {
		return nil, err
	}
	if err := s.validPause(q); err != nil {
		return nil, err
	}
	p, err := s.orders.Pause(ctx, &apiv1.StandingPause{
		Namespace: q.GetNamespace(), Author: q.GetAuthor(), Reason: q.GetReason(), TimeToLive: q.GetTimeToLive(),
	})
	if err != nil {
		return nil, err
	}
	return &apiv1.PauseResponse{Pause: p}, nil
}

func (s *Overrides) validPause(q *apiv1.PauseRequest) error {
	if err := validScope(q.GetNamespace(), q.GetAll()); err != nil {
		return err
	}
	if err := validText("reason", q.GetReason(), maxReason); err != nil {
		return err
	}
	return s.validTime(q.GetTimeToLive())
}

// Resume ends a pause.
func (s *Overrides) Resume(ctx context.Context, q *apiv1.ResumeRequest) (*apiv1.ResumeResponse, error) {
	if err := s.mayChange(q.GetAuthor()); err != nil {
		return nil, err
	}
	if err := validScope(q.GetNamespace(), q.GetAll()); err != nil {
		return nil, err
	}
	p, err := s.orders.Resume(ctx, &apiv1.StandingPause{Namespace: q.GetNamespace(), Author: q.GetAuthor()})
	if err != nil {
		return nil, err
	}
	return &apiv1.ResumeResponse{Pause: p}, nil
}

// ListPauses gives the pauses that stand.
func (s *Overrides) ListPauses(context.Context, *apiv1.ListPausesRequest) (*apiv1.ListPausesResponse, error) {
	return &apiv1.ListPausesResponse{Pauses: s.orders.Pauses()}, nil
}

// MarkDeployment tells that a service was changed.
func (s *Overrides) MarkDeployment(ctx context.Context, q *apiv1.MarkDeploymentRequest) (*apiv1.MarkDeploymentResponse, error) {
	if err := s.mayChange(q.GetAuthor()); err != nil {
		return nil, err
	}
	id, err := ServiceOf(q.GetService())
	if err != nil {
		return nil, badField("service", q.GetService(), "%w", err)
	}
	if err := validText("version", q.GetVersion(), maxAuthor); err != nil {
		return nil, err
	}
	m, err := s.orders.Mark(ctx, &apiv1.Marker{Service: id.String(), Version: q.GetVersion(), Author: q.GetAuthor()})
	if err != nil {
		return nil, err
	}
	return &apiv1.MarkDeploymentResponse{Marker: m}, nil
}

// mayChange lets a self-declared author change something.
func (s *Overrides) mayChange(author string) error {
	if !s.loopback {
		return &Problem{
			Code: connect.CodePermissionDenied, Field: "author", Value: cut(author, maxValue),
			Err:    errors.New("authors are self-declared, and other machines reach this daemon: nobody may change anything here"),
			Advice: "ask the daemon on a loopback address",
		}
	}
	return validText("author", author, maxAuthor)
}

func (s *Overrides) validTime(d *durationpb.Duration) error {
	const field = "time_to_live"
	switch ttl := d.AsDuration(); {
	case d == nil:
		return badField(field, "", "time_to_live is missing: everything that is said here ends; want 1s to %v", s.longest)
	case d.CheckValid() != nil || ttl < time.Second || ttl > s.longest:
		return badField(field, ttl, "time_to_live %v: want 1s to %v", ttl, s.longest)
	}
	return nil
}

// beside gives an override with the state that is calculated below it.
func (s *Overrides) beside(o *apiv1.StandingOverride) *apiv1.StandingOverride {
	v := s.snapshot().at(o.GetCircuit())
	if v == nil {
		return o
	}
	o.State = stateOf(v.State)
	if o.GetInstance() != "" {
		o.State = apiv1.State_STATE_CLOSED
		for _, p := range v.Parts {
			if p.Instance == o.GetInstance() {
				o.State = stateOf(p.State)
			}
		}
	}
	return o
}

func circuitOf(text, instance string) (policy.Circuit, error) {
	if text == "" || len(text) > maxCircuit {
		return policy.Circuit{}, badField("circuit", text, "circuit of %d bytes: want one such as web..checkout", len(text))
	}
	id, err := policy.ParseCircuit(text)
	if err != nil {
		return id, badField("circuit", text, "%w", err)
	}
	if instance != "" {
		if err := policy.ValidName(instance); err != nil {
			return id, badField("instance", instance, "instance: %w", err)
		}
	}
	return id, nil
}

// ServiceOf reads a service's text form, namespace/name; without a namespace it is
// in the default one.
func ServiceOf(text string) (policy.Service, error) {
	const callee = "x"
	if len(text) <= maxCircuit {
		id, err := policy.ParseCircuit(text + ".." + callee)
		if err == nil && id.Callee.Name == callee {
			return id.Caller, nil
		}
	}
	return policy.Service{}, fmt.Errorf("service %q: want a name such as checkout or shop/checkout", cut(text, maxValue))
}

func validScope(namespace string, all bool) error {
	switch {
	case all && namespace != "":
		return badField("namespace", namespace, "namespace %q and all: want one of the two", cut(namespace, maxValue))
	case all:
		return nil
	case namespace == "":
		return badField("namespace", "", "namespace is missing: name one, or set all for every one")
	}
	if err := policy.ValidName(namespace); err != nil {
		return badField("namespace", namespace, "namespace: %w", err)
	}
	return nil
}

// validText is for what people read: it is said on one line of many terminals.
func validText(field, text string, most int) error {
	switch {
	case strings.TrimSpace(text) == "":
		return badField(field, "", "%s is missing: it is shown to everybody who meets this", field)
	case len(text) > most:
		return badField(field, text, "%s of %d bytes: want at most %d", field, len(text), most)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return badField(field, fmt.Sprintf("%q", text), "%s: want UTF-8 without control characters", field)
	}
	return nil
}

// overrideKey orders overrides: by circuit, the whole of it first.
func overrideKey(circuit, instance string) string { return circuit + "@" + instance }
