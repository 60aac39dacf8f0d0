package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/datapunk/switchgear/internal/rollout"
	"github.com/datapunk/switchgear/policy"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
	"github.com/datapunk/switchgear/server/policybook"
	"github.com/datapunk/switchgear/server/store"
)

func policyOf(r *store.Record) *apiv1.Policy {
	return &apiv1.Policy{
		Name: r.Name, Version: r.Version, Time: timestamppb.New(r.At), Author: r.Author, Reason: r.Reason, Deleted: r.Deleted, Document: string(r.Body),
	}
}

func documentsOf(all []*apiv1.Document) (docs []policybook.Document) {
	for i, d := range all {
		docs = append(docs, policybook.Document{File: cmp.Or(cut(d.GetFile(), maxText), fmt.Sprintf("document %d", i+1)), Text: d.GetText()})
	}
	return docs
}

func applied(out policybook.Outcome) *apiv1.ApplyPoliciesResponse {
	resp := &apiv1.ApplyPoliciesResponse{}
	for i := range out.Changes {
		resp.Changes = append(resp.Changes, changeOf(&out.Changes[i]))
	}
	for _, f := range out.Findings {
		resp.Findings = append(resp.Findings, &apiv1.Finding{Code: f.Code, Policy: f.Policy, File: f.File, Line: uint32(max(f.Line, 0)), Says: f.Says})
	}
	return resp
}

var actions = map[policybook.Action]apiv1.Action{
	policybook.Created: apiv1.Action_ACTION_CREATED, policybook.Configured: apiv1.Action_ACTION_CONFIGURED,
	policybook.Unchanged: apiv1.Action_ACTION_UNCHANGED, policybook.Deleted: apiv1.Action_ACTION_DELETED,
}

func changeOf(c *policybook.Change) *apiv1.Change {
	return &apiv1.Change{Name: c.Title, Action: actions[c.Action], FromVersion: c.From, Version: c.Version, Diff: c.Diff}
}

func originOf(o policy.Origin) *apiv1.Origin {
	return &apiv1.Origin{Word: o.Word, Policy: o.Policy, Preset: o.Preset, File: o.File, Line: uint32(max(o.Line, 0))}
}

// planOf reads a plan; what is 0 is the usual.
func planOf(p *apiv1.RolloutPlan) (rollout.Plan, error) {
	usual := rollout.Usual()
	plan := rollout.Plan{
		StageDuration:     cmp.Or(p.GetStageDuration().AsDuration(), usual.StageDuration),
		CanaryPercent:     cmp.Or(p.GetCanaryPercent(), usual.CanaryPercent),
		MinimumCalls:      cmp.Or(float64(p.GetMinimumCalls()), usual.MinimumCalls),
		MaxBlockedPercent: cmp.Or(p.GetMaxBlockedPercent(), usual.MaxBlockedPercent),
		MaxPassedPercent:  cmp.Or(p.GetMaxPassedPercent(), usual.MaxPassedPercent),
	}
	plan.MaxBlockedPercent, plan.MaxPassedPercent = max(plan.MaxBlockedPercent, 0), max(plan.MaxPassedPercent, 0)
	if err := plan.Validate(); err != nil {
		return plan, badField("rollout", "", "rollout: %w", err)
	}
	return plan, nil
}

// rollout gives a rollout's wire form, with the numbers of the stage that goes on.
func (s *Policies) rollout(r *policybook.Rollout) *apiv1.Rollout {
	m := &apiv1.Rollout{
		Policy: r.Policy, Stage: r.Stage.String(), Why: r.Why, Author: r.Author, Reason: r.Reason, Began: timestamppb.New(r.Began),
		Plan: &apiv1.RolloutPlan{
			StageDuration: durationpb.New(r.Plan.StageDuration), CanaryPercent: r.Plan.CanaryPercent, MinimumCalls: uint64(r.Plan.MinimumCalls),
			MaxBlockedPercent: r.Plan.MaxBlockedPercent, MaxPassedPercent: r.Plan.MaxPassedPercent,
		},
		BaseVersion: r.Base, WrittenVersion: r.Written,
	}
	for i := range r.Passed {
		p := &r.Passed[i]
		m.Passed = append(m.Passed, &apiv1.RolloutStage{Stage: p.Stage.String(), Time: timestamppb.New(p.At), Numbers: numbersOf(&p.Numbers), Why: p.Why})
	}
	if p := s.progress(); p != nil && !r.Stage.Over() && p.Rollout.Policy == r.Policy && p.Rollout.Began.Equal(r.Began) && p.Rollout.Stage == r.Stage {
		m.Numbers, m.Lasted = numbersOf(&p.Numbers), durationpb.New(p.Lasted)
		_, m.Why = r.Plan.Decide(r.Stage, p.Lasted, &p.Numbers)
	}
	return m
}

func numbersOf(n *rollout.Numbers) *apiv1.RolloutNumbers {
	side := func(s *rollout.Side) *apiv1.RolloutSide {
		return &apiv1.RolloutSide{
			GoodCalls: s.Good, BadCalls: s.Bad, BlockedPercent: s.BlockedPercent(), PassedPercent: s.PassedPercent(), Opened: uint64(max(s.Opened, 0)),
		}
	}
	return &apiv1.RolloutNumbers{
		Calls: n.Calls, UnknownPercent: n.UnknownPercent(), Candidate: side(&n.Candidate), Current: side(&n.Current),
		Circuits: uint32(max(n.Circuits, 0)), Replicas: uint32(max(n.Replicas, 0)), OnTrial: uint32(max(n.OnTrial, 0)),
	}
}

// problem gives an error of the book its place in the API.
func (s *Policies) problem(err error) error {
	var problems *policy.Problems
	var text *policybook.TextError
	var conflict *store.ConflictError
	var missing *store.NotFoundError
	var limit *store.LimitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &problems):
		p := &Problem{Code: connect.CodeInvalidArgument, Err: problems, Advice: "correct the documents and apply again"}
		if len(problems.List) > 0 {
			first := &problems.List[0]
			p.Field, p.Value = first.Path, first.Value
		}
		p.Details = []proto.Message{problemsOf(problems)}
		return p
	case errors.As(err, &text):
		return &Problem{Code: connect.CodeInvalidArgument, Field: "documents", Err: text, Advice: "correct the documents and apply again"}
	case errors.As(err, &conflict):
		d := &apiv1.Conflict{Name: conflict.Name, ExpectedVersion: conflict.Expected, Current: policyOf(&conflict.Current)}
		var part *policybook.PartError
		if errors.As(err, &part) {
			for i := range part.Done {
				d.Done = append(d.Done, changeOf(&part.Done[i]))
			}
		}
		return &Problem{
			Code: connect.CodeAborted, Field: "expected_version", Value: fmt.Sprint(conflict.Expected), Err: err, Details: []proto.Message{d},
			Advice: fmt.Sprintf("read what is stored with 'switchgear get policies %s -o yaml', and decide again", conflict.Name),
		}
	case errors.As(err, &missing):
		return &Problem{Code: connect.CodeNotFound, Field: "name", Value: missing.Name, Err: err, Advice: "list what there is with 'switchgear get policies'"}
	case errors.As(err, &limit):
		d := &apiv1.Limit{What: limit.What}
		advice := "delete what is not needed, or make it smaller"
		if limit.RetryAfter > 0 {
			d.RetryAfter = durationpb.New(limit.RetryAfter)
			advice = "apply again in a moment: what was written stands"
		}
		return &Problem{Code: connect.CodeResourceExhausted, Err: err, Advice: advice, Details: []proto.Message{d}}
	case errors.Is(err, policybook.ErrBusy):
		return &Problem{Code: connect.CodeFailedPrecondition, Err: err, Advice: "wait for its end, or abort it"}
	case errors.Is(err, policybook.ErrNothing):
		return &Problem{Code: connect.CodeNotFound, Err: err, Advice: "look at the versions with 'switchgear policy history NAME'"}
	case errors.Is(err, store.ErrInvalid):
		return &Problem{Code: connect.CodeInvalidArgument, Err: err}
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return &Problem{Code: connect.CodeUnavailable, Err: err, Advice: "read what is stored before you try again: it may have been written"}
	}
	return err
}

func problemsOf(all *policy.Problems) *apiv1.Problems {
	m := &apiv1.Problems{More: uint32(max(all.More, 0))}
	for i := range all.List {
		p := &all.List[i]
		hint := fmt.Sprintf("correct line %d", p.Line)
		if p.File != "" {
			hint += " of " + p.File
		}
		m.Problems = append(m.Problems, &apiv1.Problem{File: p.File, Line: uint32(max(p.Line, 0)), Field: p.Path, Value: p.Value, Reason: p.Reason, Hint: hint})
	}
	return m
}
