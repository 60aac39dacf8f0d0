package app

import (
	"time"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/rollout"
	"github.com/datapunk/switchgear/policy"
	"github.com/datapunk/switchgear/server/api"
	"github.com/datapunk/switchgear/server/policybook"
)

// policies is the owner's part in what the daemon's policies say: it tells control
// of each circuit, and evaluates the rollout that is under way. All of it belongs
// to the owner's goroutine but what is said otherwise.
type policies struct {
	inForce func() *policybook.Edition
	changed chan struct{} // holds one: the edition in force is another
	told    map[policy.Circuit]control.Policy

	trial   *rollout.Trial
	on      *policybook.Rollout // that the trial is of
	since   time.Duration       // when its stage was first seen
	judged  time.Duration       // when the steward was last told
	steward chan<- *api.Progress
}

// judgeInterval is between two looks at a rollout's numbers, which cost a walk over
// its replicas.
const judgeInterval = 500 * time.Millisecond

func noPolicies() policies {
	e := &policybook.Edition{}
	return policies{inForce: func() *policybook.Edition { return e }, changed: make(chan struct{}, 1), told: make(map[policy.Circuit]control.Policy)}
}

// change says from any goroutine that another edition is in force.
func (p *policies) change() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// policyOf is what an edition says of a circuit.
func policyOf(e *policybook.Edition, id policy.Circuit) control.Policy {
	p := control.Policy{Circuit: id}
	if e.Set == nil {
		return p
	}
	p.Enforce = e.Set.Enforces(id)
	if len(e.Set.Selecting(id)) > 0 {
		p.Settings = e.Set.Settings(id)
	}
	if r := e.Rollout; r != nil && r.Stage == rollout.Canary && len(e.Beside.Selecting(id)) > 0 {
		if s := e.Beside.Settings(id); p.Settings == nil || !s.Same(p.Settings) {
			p.Canary, p.CanaryPercent = s, r.Plan.CanaryPercent
		}
	}
	return p
}

// samePolicy reports whether two say the same.
func samePolicy(a, b *control.Policy) bool {
	same := func(a, b *policy.Settings) bool {
		if a == nil || b == nil {
			return a == b
		}
		return a.Same(b)
	}
	return a.Enforce == b.Enforce && a.CanaryPercent == b.CanaryPercent && same(a.Settings, b.Settings) && same(a.Canary, b.Canary)
}

// rule tells control what the edition in force says of circuits, where that is news
// to it.
func (o *owner) rule(circuits []policy.Circuit) {
	e := o.policies.inForce()
	for _, id := range circuits {
		p, before := policyOf(e, id), o.policies.told[id]
		if samePolicy(&p, &before) {
			continue
		}
		o.policies.told[id] = p
		o.step(heard{control.Input{Policy: &p}, time.Now()})
	}
}

// ruleAll does so for all that control knows, and forgets the others.
func (o *owner) ruleAll() {
	known := o.mind.Known()
	kept := make(map[policy.Circuit]control.Policy, len(o.policies.told))
	for _, id := range known {
		if p, told := o.policies.told[id]; told {
			kept[id] = p
		}
	}
	o.policies.told = kept
	o.rule(known)
	o.try()
}

// try follows the rollout that is under way.
func (o *owner) try() {
	p := &o.policies
	e := p.inForce()
	r, now := e.Rollout, time.Since(o.began)
	if r == nil {
		p.trial, p.on = nil, nil
		return
	}
	if p.on == nil || p.on.Policy != r.Policy || !p.on.Began.Equal(r.Began) {
		now, then := e.Sides()
		p.trial = rollout.NewTrial(1, func(id policy.Circuit) (a, b *policy.Settings) {
			return o.settings(now, id), o.settings(then, id)
		})
		p.on = nil
	}
	if p.on == nil || p.on.Stage != r.Stage {
		p.trial.Stage(r.Stage)
		p.since = now
	}
	p.on = r
}

// settings of a circuit under a set: where no policy selects it, those that its
// replicas run on.
func (o *owner) settings(set *policy.Set, id policy.Circuit) *policy.Settings {
	if len(set.Selecting(id)) > 0 {
		return set.Settings(id)
	}
	if s, ok := o.mind.Native(id); ok {
		return &s
	}
	s := policy.Default()
	return &s
}

// evaluate gives the trial what control was given.
func (o *owner) evaluate(in *control.Input) {
	switch t := o.policies.trial; {
	case t == nil:
	case in.Report != nil:
		t.Report(in.At, in.Report)
	case in.Gone != nil:
		t.Gone(*in.Gone)
	}
}

// progress plays what is complete, and tells the steward.
func (o *owner) progress() {
	p := &o.policies
	if p.trial == nil {
		return
	}
	now := time.Since(o.began)
	p.trial.Advance(now)
	if now-p.judged < judgeInterval {
		return
	}
	p.judged = now
	progress := &api.Progress{Rollout: p.on, Lasted: now - p.since, Numbers: p.trial.Numbers()}
	o.tried.Store(progress)
	select {
	case p.steward <- progress:
	default: // it is busy with an earlier one
	}
}
