package api

import (
	"context"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

// Preview says what an action would hit; it checks the action as that itself is
// checked, and changes nothing.
func (s *Overrides) Preview(_ context.Context, q *apiv1.PreviewRequest) (*apiv1.PreviewResponse, error) {
	switch {
	case q.GetForce() != nil:
		f := q.GetForce()
		if name, err := s.resolve(f.GetCircuit()); err != nil {
			return nil, err
		} else if name != "" {
			f.Circuit = name
		}
		id, err := s.validForce(f)
		if err != nil {
			return nil, err
		}
		r := s.hits(id.String(), f.GetInstance())
		r.Sentence = sayForce(r, f)
		return r, nil
	case q.GetRelease() != nil:
		x := q.GetRelease()
		if name, err := s.resolve(x.GetCircuit()); err != nil {
			return nil, err
		} else if name != "" {
			x.Circuit = name
		}
		id, err := circuitOf(x.GetCircuit(), x.GetInstance())
		if err != nil {
			return nil, err
		}
		r := s.hits(id.String(), x.GetInstance())
		r.Sentence = fmt.Sprintf("%s has no override.", target(r.GetCircuit(), x.GetInstance()))
		if o := r.GetOverride(); o != nil {
			r.Sentence = fmt.Sprintf("%s by %s ends: %s, another %s were left.", Word(o.GetMode()), o.GetAuthor(), o.GetReason(), Age(o.GetLeft().AsDuration()))
		}
		return r, nil
	case q.GetPause() != nil:
		p := q.GetPause()
		if err := s.validPause(p); err != nil {
			return nil, err
		}
		r := s.sum(func(v *control.CircuitView) bool { return p.GetAll() || v.Circuit.Callee.Namespace == p.GetNamespace() })
		where := "everywhere"
		if !p.GetAll() {
			where = "in namespace " + p.GetNamespace()
		}
		r.Sentence = fmt.Sprintf("Automation opens nothing more %s for %s: %s. What is open is led back; overrides stay.",
			where, Age(p.GetTimeToLive().AsDuration()), sayHits(r))
		return r, nil
	}
	return nil, badField("action", "", "action is missing: want force, release or pause")
}

// resolve gives the full name of the one circuit that text names or begins; ""
// where it names none.
func (s *Overrides) resolve(text string) (string, error) {
	if text == "" || len(text) > maxText {
		return "", nil
	}
	snapshot := s.snapshot()
	if id, err := circuitOf(text, ""); err == nil && (snapshot.at(id.String()) != nil || s.orders.Override(id.String(), "") != nil) {
		return id.String(), nil
	}
	switch found := snapshot.find(text); len(found) {
	case 0:
		return "", nil
	case 1:
		return snapshot.names[found[0]], nil
	default:
		return "", snapshot.ambiguous("circuit", text, found)
	}
}

// hits counts what stands and happens on a circuit.
func (s *Overrides) hits(circuit, instance string) *apiv1.PreviewResponse {
	r := s.sum(func(v *control.CircuitView) bool { return v.Circuit.String() == circuit })
	r.Circuit = circuit
	if o := s.orders.Override(circuit, instance); o != nil {
		r.Override = s.beside(o)
	}
	return r
}

func (s *Overrides) sum(hit func(*control.CircuitView) bool) *apiv1.PreviewResponse {
	r := &apiv1.PreviewResponse{}
	replicas := make(map[fleet.ReplicaID]bool)
	snapshot := s.snapshot()
	for i := range snapshot.Circuits {
		v := &snapshot.Circuits[i]
		if !hit(v) {
			continue
		}
		r.Circuits++
		if v.State != breaker.Closed {
			r.Open++
		}
		r.CallsPerSecond += v.CallsPerSecond
		for _, x := range v.Replicas {
			replicas[x.Replica] = true
		}
	}
	r.Replicas = uint32(len(replicas))
	return r
}

func sayForce(r *apiv1.PreviewResponse, f *apiv1.ForceRequest) string {
	what := map[apiv1.Mode]string{
		apiv1.Mode_MODE_FORCED_OPEN:  "rejects every call",
		apiv1.Mode_MODE_METRICS_ONLY: "rejects no call, and goes on judging",
		apiv1.Mode_MODE_OFF:          "rejects no call, and judges nothing",
	}[f.GetMode()]
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s for %s: %s.", target(r.GetCircuit(), f.GetInstance()), what, Age(f.GetTimeToLive().AsDuration()), sayHits(r))
	if f.GetInstance() != "" {
		b.WriteString(" That is the whole circuit's; the instance gets a part of it.")
	}
	if o := r.GetOverride(); o != nil {
		fmt.Fprintf(&b, " It replaces %s by %s, which has another %s: %s.", Word(o.GetMode()), o.GetAuthor(), Age(o.GetLeft().AsDuration()), o.GetReason())
	}
	return b.String()
}

func sayHits(r *apiv1.PreviewResponse) string {
	return fmt.Sprintf("%s (%d not closed), %s, %.1f calls/s",
		plural(int(r.GetCircuits()), "circuit", "circuits"), r.GetOpen(), plural(int(r.GetReplicas()), "replica", "replicas"), r.GetCallsPerSecond())
}

func target(circuit, instance string) string {
	if instance == "" {
		return circuit
	}
	return "instance " + instance + " of " + circuit
}

// ambiguous is a beginning that several circuits have.
func (s *Snapshot) ambiguous(field, text string, found []int) error {
	var names []string
	for _, i := range found[:min(5, len(found))] {
		names = append(names, s.names[i])
	}
	return &Problem{
		Code: connect.CodeInvalidArgument, Field: field, Value: cut(text, maxValue), Advice: "name one of them in full",
		Err: fmt.Errorf("%q is the beginning of %d circuits: say which one: %s", cut(text, maxValue), len(found), strings.Join(names, ", ")),
	}
}

// LeftOf is what is left of something that was said for a time, by the wall's
// clock: never more than all of it, whatever that clock does.
func LeftOf(began time.Time, ttl time.Duration, now time.Time) time.Duration {
	return min(max(ttl-now.Sub(began), 0), ttl)
}
