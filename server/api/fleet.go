package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

// Fleet answers for apiv1connect.FleetServiceHandler.
type Fleet struct {
	snapshot func() *Snapshot
}

// NewFleet reads from what snapshot returns, which may never be nil.
func NewFleet(snapshot func() *Snapshot) *Fleet { return &Fleet{snapshot} }

// ListReplicas gives one page of the replicas that pass the filter.
func (f *Fleet) ListReplicas(_ context.Context, q *apiv1.ListReplicasRequest) (*apiv1.ListReplicasResponse, error) {
	p, err := newPage[*apiv1.FleetReplica](q)
	if err != nil {
		return nil, err
	}
	s := f.snapshot()
	match := matcher(q.GetPrefix())
	passes := make(map[policy.Service]bool)
	found := make(map[fleet.ReplicaID]*apiv1.FleetReplica)
	age := time.Since(s.At)
	for i := range s.Circuits {
		caller := s.Circuits[i].Circuit.Caller
		pass, asked := passes[caller]
		if !asked {
			pass = (q.GetNamespace() == "" || q.GetNamespace() == caller.Namespace) && match(caller.String())
			passes[caller] = pass
		}
		if !pass {
			continue
		}
		for _, r := range s.Circuits[i].Replicas {
			m := found[r.Replica]
			if m == nil {
				m = &apiv1.FleetReplica{
					Service: caller.String(), Name: r.Replica.Name, Incarnation: r.Replica.Incarnation, Age: durationpb.New(r.Age + age),
				}
				found[r.Replica] = m
			}
			m.Breakers++
			if r.State != breaker.Closed {
				m.Open++
			}
			if a := r.Age + age; a < m.GetAge().AsDuration() {
				m.Age = durationpb.New(a)
			}
		}
	}
	all := make([]*apiv1.FleetReplica, 0, len(found))
	for _, m := range found {
		all = append(all, m)
	}
	key := func(m *apiv1.FleetReplica) string {
		return fmt.Sprintf("%s\x00%s\x00%020d", m.GetService(), m.GetName(), m.GetIncarnation())
	}
	slices.SortFunc(all, func(a, b *apiv1.FleetReplica) int { return cmp.Compare(key(a), key(b)) })
	for _, m := range all {
		p.add(key(m), func() *apiv1.FleetReplica { return m })
	}
	return &apiv1.ListReplicasResponse{Replicas: p.items, NextPageToken: p.next, Total: p.total, Age: durationpb.New(age)}, nil
}

// ListEdges gives one page of the edges that pass the filter.
func (f *Fleet) ListEdges(_ context.Context, q *apiv1.ListEdgesRequest) (*apiv1.ListEdgesResponse, error) {
	p, err := newPage[*apiv1.Edge](q)
	if err != nil {
		return nil, err
	}
	s := f.snapshot()
	match := matcher(q.GetPrefix())
	found := make(map[string]*apiv1.Edge)
	for i := range s.Circuits {
		v := &s.Circuits[i]
		edge := policy.Circuit{Caller: v.Circuit.Caller, Callee: v.Circuit.Callee}
		name := edge.String()
		if q.GetNamespace() != "" && q.GetNamespace() != edge.Callee.Namespace || !match(name) {
			continue
		}
		m := found[name]
		if m == nil {
			m = &apiv1.Edge{Caller: edge.Caller.String(), Callee: edge.Callee.String()}
			found[name] = m
		}
		m.Circuits++
		if v.State != breaker.Closed {
			m.Open++
		}
		m.Replicas = max(m.Replicas, uint32(max(v.Breakers, 0)))
		if calls := m.CallsPerSecond + v.CallsPerSecond; calls > 0 {
			m.FailureRate = (m.FailureRate*m.CallsPerSecond + v.FailureRate*v.CallsPerSecond) / calls
			m.CallsPerSecond = calls
		} else {
			m.FailureRate = max(m.FailureRate, v.FailureRate)
		}
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p.add(name, func() *apiv1.Edge { return found[name] })
	}
	return &apiv1.ListEdgesResponse{Edges: p.items, NextPageToken: p.next, Total: p.total, Age: durationpb.New(time.Since(s.At))}, nil
}
