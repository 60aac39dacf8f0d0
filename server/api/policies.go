package api

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear/internal/rollout"
	"github.com/datapunk/switchgear/policy"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
	"github.com/datapunk/switchgear/server/policybook"
	"github.com/datapunk/switchgear/server/store"
)

// Progress is how the rollout that is under way stands, as this daemon sees it.
type Progress struct {
	Rollout *policybook.Rollout
	Lasted  time.Duration
	Numbers rollout.Numbers
}

// Policies answers for apiv1connect.PolicyServiceHandler.
type Policies struct {
	book     *policybook.Book
	progress func() *Progress
	loopback bool
	enforces bool // whatever policies say
}

// NewPolicies lets operators read and change a book. Authors are self-declared, so
// changes are refused unless loopback: only this machine reaches the daemon.
// Progress may give nil.
func NewPolicies(book *policybook.Book, progress func() *Progress, loopback, enforces bool) *Policies {
	return &Policies{book, progress, loopback, enforces}
}

// ListPolicies gives one page of the policies that pass the filter.
func (s *Policies) ListPolicies(_ context.Context, q *apiv1.ListPoliciesRequest) (*apiv1.ListPoliciesResponse, error) {
	size := int(q.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	if size > maxPage {
		return nil, badField("page_size", size, "page_size %d: want 1 to %d, or 0 for %d", size, maxPage, defaultPage)
	}
	after, err := base64.RawURLEncoding.DecodeString(q.GetPageToken())
	if err != nil {
		return nil, badField("page_token", q.GetPageToken(), "page_token: want one that an earlier page gave, or none")
	}
	out := &apiv1.ListPoliciesResponse{Age: durationpb.New(s.book.Age())}
	for _, r := range s.book.List(q.GetNamespace(), q.GetLabels()) {
		out.Total++
		switch {
		case r.Name <= string(after):
		case len(out.Policies) == size:
			out.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(out.Policies[size-1].GetName()))
		default:
			out.Policies = append(out.Policies, policyOf(&r))
		}
	}
	return out, nil
}

// GetPolicy gives one policy, if asked with its history.
func (s *Policies) GetPolicy(ctx context.Context, q *apiv1.GetPolicyRequest) (*apiv1.GetPolicyResponse, error) {
	if err := named(q.GetName()); err != nil {
		return nil, err
	}
	out := &apiv1.GetPolicyResponse{Age: durationpb.New(s.book.Age())}
	r, err := s.book.Get(q.GetName())
	if err == nil {
		out.Policy = policyOf(&r)
	}
	if !q.GetWithHistory() {
		return out, s.problem(err)
	}
	all, err := s.book.History(ctx, q.GetName())
	if err != nil {
		return nil, s.problem(err)
	}
	for i := range all {
		out.History = append(out.History, policyOf(&all[i]))
	}
	return out, nil
}

// ApplyPolicies stores documents, or says what that would do.
func (s *Policies) ApplyPolicies(ctx context.Context, q *apiv1.ApplyPoliciesRequest) (*apiv1.ApplyPoliciesResponse, error) {
	if len(q.GetDocuments()) == 0 {
		return nil, badField("documents", "", "documents: want one at least")
	}
	a := policybook.Apply{
		Who: policybook.Who{Author: q.GetAuthor(), Reason: q.GetReason()}, Documents: documentsOf(q.GetDocuments()),
		Expect: q.GetExpectedVersions(), Prune: q.GetPruneLabels(),
	}
	if !q.GetDryRun() {
		if err := s.mayChange(q.GetAuthor(), q.GetReason()); err != nil {
			return nil, err
		}
	}
	switch {
	case q.GetDryRun():
		out, err := s.book.Plan(a)
		if err != nil {
			return nil, s.problem(err)
		}
		return applied(out), nil
	case q.GetRollout() != nil:
		plan, err := planOf(q.GetRollout())
		if err != nil {
			return nil, err
		}
		r, err := s.book.Start(ctx, a, plan)
		if err != nil {
			return nil, s.problem(err)
		}
		return &apiv1.ApplyPoliciesResponse{Rollout: s.rollout(r)}, nil
	}
	out, err := s.book.Apply(ctx, a)
	if err != nil {
		return nil, s.problem(err)
	}
	return applied(out), nil
}

// DiffPolicies says how documents differ from what is stored.
func (s *Policies) DiffPolicies(_ context.Context, q *apiv1.DiffPoliciesRequest) (*apiv1.DiffPoliciesResponse, error) {
	out, err := s.book.Plan(policybook.Apply{Documents: documentsOf(q.GetDocuments()), Prune: q.GetPruneLabels()})
	if err != nil {
		return nil, s.problem(err)
	}
	resp := &apiv1.DiffPoliciesResponse{}
	for i := range out.Changes {
		if out.Changes[i].Action != policybook.Unchanged {
			resp.Changes = append(resp.Changes, changeOf(&out.Changes[i]))
		}
	}
	return resp, nil
}

// DeletePolicy takes a policy out.
func (s *Policies) DeletePolicy(ctx context.Context, q *apiv1.DeletePolicyRequest) (*apiv1.DeletePolicyResponse, error) {
	if err := s.mayChange(q.GetAuthor(), q.GetReason()); err != nil {
		return nil, err
	}
	if err := named(q.GetName()); err != nil {
		return nil, err
	}
	r, err := s.book.Delete(ctx, q.GetName(), orAny(q.GetExpectedVersion()), policybook.Who{Author: q.GetAuthor(), Reason: q.GetReason()})
	if err != nil {
		return nil, s.problem(err)
	}
	return &apiv1.DeletePolicyResponse{Policy: policyOf(&r)}, nil
}

// RollbackPolicy writes an earlier version once more.
func (s *Policies) RollbackPolicy(ctx context.Context, q *apiv1.RollbackPolicyRequest) (*apiv1.RollbackPolicyResponse, error) {
	if err := s.mayChange(q.GetAuthor(), q.GetReason()); err != nil {
		return nil, err
	}
	if err := named(q.GetName()); err != nil {
		return nil, err
	}
	c, err := s.book.Rollback(ctx, q.GetName(), q.GetToVersion(), orAny(q.GetExpectedVersion()), policybook.Who{Author: q.GetAuthor(), Reason: q.GetReason()})
	if err != nil {
		return nil, s.problem(err)
	}
	return &apiv1.RollbackPolicyResponse{Change: changeOf(&c)}, nil
}

// ExplainCircuit says where a circuit's settings come from.
func (s *Policies) ExplainCircuit(_ context.Context, q *apiv1.ExplainCircuitRequest) (*apiv1.ExplainCircuitResponse, error) {
	if len(q.GetCircuit()) > maxCircuit {
		return nil, badField("circuit", q.GetCircuit(), "circuit of %d bytes: want one such as web..checkout", len(q.GetCircuit()))
	}
	id, err := policy.ParseCircuit(q.GetCircuit())
	if err != nil {
		return nil, badField("circuit", q.GetCircuit(), "%w", err)
	}
	set := s.book.InForce().Set
	e := set.Explain(id)
	out := &apiv1.ExplainCircuitResponse{
		Circuit: id.String(), Policies: e.Policies, Revision: e.Revision, Enforced: s.enforces || set.Enforces(id), Age: durationpb.New(s.book.Age()),
	}
	for i := range e.Fields {
		f := &e.Fields[i]
		m := &apiv1.Field{Field: f.Field, Value: f.Value, Origin: originOf(f.Origin), Note: f.Note}
		for _, l := range f.Losers {
			m.Losers = append(m.Losers, &apiv1.Loser{Value: l.Value, Origin: originOf(l.Origin)})
		}
		out.Fields = append(out.Fields, m)
	}
	return out, nil
}

// GetRollout gives the last rollout of a policy.
func (s *Policies) GetRollout(_ context.Context, q *apiv1.GetRolloutRequest) (*apiv1.GetRolloutResponse, error) {
	if err := named(q.GetName()); err != nil {
		return nil, err
	}
	r, err := s.book.RolloutOf(q.GetName())
	if err != nil {
		return nil, s.problem(err)
	}
	return &apiv1.GetRolloutResponse{Rollout: s.rollout(r)}, nil
}

// AbortRollout takes a change back.
func (s *Policies) AbortRollout(ctx context.Context, q *apiv1.AbortRolloutRequest) (*apiv1.AbortRolloutResponse, error) {
	if err := s.mayChange(q.GetAuthor(), q.GetReason()); err != nil {
		return nil, err
	}
	if err := named(q.GetName()); err != nil {
		return nil, err
	}
	var n rollout.Numbers
	if p := s.progress(); p != nil && p.Rollout.Policy == q.GetName() {
		n = p.Numbers
	}
	r, err := s.book.Abort(ctx, q.GetName(), policybook.Who{Author: q.GetAuthor(), Reason: q.GetReason()}, n)
	if err != nil {
		return nil, s.problem(err)
	}
	return &apiv1.AbortRolloutResponse{Rollout: s.rollout(r)}, nil
}

// mayChange lets a self-declared author change something.
func (s *Policies) mayChange(author, reason string) error {
	if err := (&Overrides{loopback: s.loopback}).mayChange(author); err != nil {
		return err
	}
	if reason == "" {
		return nil
	}
	return validText("reason", reason, maxReason)
}

func named(name string) error {
	if name == "" || len(name) > maxText || strings.ContainsRune(name, 0) {
		return badField("name", name, "name of %d bytes: want a policy's, namespace/name", len(name))
	}
	return nil
}

// orAny is the version that a request expects; 0 is any.
func orAny(version uint64) uint64 {
	if version == 0 {
		return store.Any
	}
	return version
}
