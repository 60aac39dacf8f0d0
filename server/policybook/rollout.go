package policybook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/datapunk/switchgear/internal/rollout"
	"github.com/datapunk/switchgear/policy"
	"github.com/datapunk/switchgear/server/store"
)

// Rollout is a change of one policy on its way. It is kept in the store, so that
// it goes on over a restart, and is the same for all daemons.
type Rollout struct {
	Policy    string        `json:"policy"`
	Base      uint64        `json:"base"` // version that it is made from, 0 if there was none
	Before    string        `json:"before,omitempty"`
	Candidate string        `json:"candidate"`
	Plan      rollout.Plan  `json:"plan"`
	Stage     rollout.Stage `json:"stage"`
	// Why it is where it is.
	Why    string    `json:"why,omitempty"`
	Author string    `json:"author"`
	Reason string    `json:"reason"`
	Began  time.Time `json:"began"`
	Passed []Passed  `json:"passed,omitempty"`
	// Written is the version of the policy that the last stage wrote; Settled says
	// that nothing is left to be done.
	Written uint64 `json:"written,omitempty"`
	Settled bool   `json:"settled,omitempty"`

	version uint64
}

// Passed is a stage that is over, with its numbers.
type Passed struct {
	Stage   rollout.Stage   `json:"stage"`
	At      time.Time       `json:"at"`
	Numbers rollout.Numbers `json:"numbers"`
	Why     string          `json:"why"`
}

// ErrBusy is an error of a rollout while another one is under way.
var ErrBusy = errors.New("a rollout is under way")

// same reports whether nothing has changed from one to the other.
func (r *Rollout) same(o *Rollout) bool {
	if r == nil || o == nil {
		return r == o
	}
	return r.Policy == o.Policy && r.version == o.version
}

func rolloutOf(record store.Record) (*Rollout, error) {
	r := &Rollout{}
	if err := json.Unmarshal(record.Body, r); err != nil {
		return nil, fmt.Errorf("rollout of %s: %w", record.Name, err)
	}
	if err := r.Plan.Validate(); err != nil || r.Policy != record.Name {
		return nil, fmt.Errorf("rollout of %s is damaged: %w", record.Name, err)
	}
	r.version = record.Version
	return r, nil
}

// Rollouts gives all that are kept, by policy.
func (b *Book) Rollouts() (all []*Rollout) {
	for _, record := range b.store.List(Rollouts.Name) {
		r, err := rolloutOf(record)
		if err != nil {
			b.log.Error("stored rollout was left out", "error", err)
			continue
		}
		all = append(all, r)
	}
	return all
}

// RolloutOf gives the last rollout of a policy.
func (b *Book) RolloutOf(title string) (*Rollout, error) {
	record, ok := b.store.Get(Rollouts.Name, title)
	if !ok {
		return nil, &store.NotFoundError{Kind: Rollouts.Name, Name: title}
	}
	return rolloutOf(record)
}

// underWay is the rollout that goes on, the oldest one where daemons have begun
// several at once; nil if there is none.
func (b *Book) underWay() (first *Rollout) {
	for _, r := range b.Rollouts() {
		if !r.Stage.Over() && (first == nil || r.Began.Before(first.Began)) {
			first = r
		}
	}
	return first
}

// with compiles the set that the one in force is compared with: while the change
// is tried that with it, and once it is in force that without.
func (b *Book) with(records []store.Record, r *Rollout) (*policy.Set, error) {
	text := r.Candidate
	if r.Stage == rollout.Enforce {
		text = r.Before
	}
	records = slices.DeleteFunc(slices.Clone(records), func(x store.Record) bool { return x.Name == r.Policy })
	if text != "" {
		records = append(records, store.Record{Name: r.Policy, Version: r.Base + 1, Body: []byte(text)})
	}
	return decode(records)
}

// Start begins the rollout of what a plan found to change, which must be one
// policy, and no deletion.
func (b *Book) Start(ctx context.Context, a Apply, plan rollout.Plan) (*Rollout, error) {
	out, err := b.Plan(a)
	if err != nil {
		return nil, err
	}
	changes := slices.DeleteFunc(out.Changes, func(c Change) bool { return c.Action == Unchanged })
	if len(changes) != 1 || changes[0].Action == Deleted {
		return nil, fmt.Errorf("%w: a rollout changes one policy: these documents change %d", store.ErrInvalid, len(changes))
	}
	c := changes[0]
	if v, said := a.Expect[c.Title]; said && v != c.From {
		current, _ := b.store.Get(Policies.Name, c.Title)
		return nil, &store.ConflictError{Kind: Policies.Name, Name: c.Title, Expected: v, Current: current}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.underWay(); r != nil {
		return nil, fmt.Errorf("%w: that of %s, in stage %s: wait for its end, or end it with 'switchgear policy rollout %s --abort'", ErrBusy, r.Policy, r.Stage, r.Policy)
	}
	b.forget(ctx)
	r := &Rollout{Policy: c.Title, Base: c.From, Candidate: c.body, Plan: plan, Author: a.Author, Reason: a.Reason, Began: time.Now().UTC(), Why: "it has just begun"}
	if before, ok := b.store.Get(Policies.Name, c.Title); ok {
		r.Before = string(before.Body)
	}
	last, there := b.store.Get(Rollouts.Name, c.Title)
	if there {
		r.version = last.Version
	}
	return r, b.save(ctx, r)
}

// maxEnded is how many rollouts that have ended are kept.
const maxEnded = 500

// forget takes out the oldest rollouts that have ended, where there are too many.
func (b *Book) forget(ctx context.Context) {
	ended := slices.DeleteFunc(b.Rollouts(), func(r *Rollout) bool { return !r.Stage.Over() || !r.Settled })
	slices.SortFunc(ended, func(x, y *Rollout) int { return x.Began.Compare(y.Began) })
	for _, r := range ended[:max(len(ended)-maxEnded, 0)] {
		_, err := b.store.Delete(ctx, store.Change{Kind: Rollouts.Name, Name: r.Policy, Author: r.Author, Reason: "there are newer ones", Expect: r.version})
		if err != nil {
			b.log.Warn("old rollouts were not forgotten", "error", err)
			return
		}
	}
}

// save writes a rollout over the version that it was read from. The texts of one
// that has ended are in the policy's history.
func (b *Book) save(ctx context.Context, r *Rollout) error {
	kept := *r
	if r.Settled {
		kept.Before, kept.Candidate = "", ""
	}
	body, err := json.Marshal(&kept)
	if err != nil {
		return fmt.Errorf("write the rollout of %s: %w", r.Policy, err)
	}
	record, err := b.store.Put(ctx, store.Change{Kind: Rollouts.Name, Name: r.Policy, Body: body, Author: r.Author, Reason: r.Why, Expect: r.version})
	r.version = record.Version
	return err
}

// Advance takes a rollout to another stage. Another daemon may have done so; then
// it is a *store.ConflictError, and nothing has changed.
func (b *Book) Advance(ctx context.Context, r *Rollout, next rollout.Stage, why string, n rollout.Numbers) error {
	moved := *r
	moved.Passed = append(slices.Clone(r.Passed), Passed{r.Stage, time.Now().UTC(), n, why})
	moved.Stage, moved.Why = next, why
	moved.Settled = next == rollout.Done || next == rollout.RolledBack && r.Written == 0
	if err := b.save(ctx, &moved); err != nil {
		return err
	}
	b.log.Info("rollout moves on", "policy", r.Policy, "stage", next.String(), "why", why)
	return b.Settle(ctx, &moved)
}

// Abort takes a rollout back by an operator's word.
func (b *Book) Abort(ctx context.Context, title string, who Who, n rollout.Numbers) (*Rollout, error) {
	r, err := b.RolloutOf(title)
	if err != nil {
		return nil, err
	}
	if r.Stage.Over() {
		return nil, fmt.Errorf("%w: the rollout of %s has ended: it is %s", store.ErrInvalid, title, r.Stage)
	}
	if err := b.Advance(ctx, r, rollout.RolledBack, fmt.Sprintf("ended by %s: %s", who.Author, who.Reason), n); err != nil {
		return nil, err
	}
	return b.RolloutOf(title)
}

// Settle does what a rollout's stage asks for and is not done yet: the change is
// written, or taken back. It is the same however often it is done, since a daemon
// may end in its middle.
func (b *Book) Settle(ctx context.Context, r *Rollout) error {
	current, there := b.store.Get(Policies.Name, r.Policy)
	moved := *r
	switch {
	case r.Settled:
		return nil
	case r.Stage < rollout.Enforce:
		if version := current.Version; there && version != r.Base || !there && r.Base != 0 {
			moved.Stage, moved.Settled = rollout.RolledBack, true
			moved.Why = fmt.Sprintf("the policy was changed meanwhile: it was made from version %d", r.Base)
			return b.save(ctx, &moved)
		}
		return nil
	case r.Stage == rollout.Enforce && r.Written == 0:
		written := current
		if !there || string(current.Body) != r.Candidate {
			var err error
			written, err = b.store.Put(ctx, store.Change{
				Kind: Policies.Name, Name: r.Policy, Body: []byte(r.Candidate), Author: r.Author, Expect: r.Base,
				Reason: words("rollout: " + r.Why + ": " + r.Reason),
			})
			var conflict *store.ConflictError
			if errors.As(err, &conflict) && string(conflict.Current.Body) != r.Candidate {
				moved.Stage, moved.Settled, moved.Why = rollout.RolledBack, true, "the policy was changed meanwhile: "+err.Error()
				return b.save(ctx, &moved)
			}
			if err != nil && conflict == nil {
				return err
			}
			if conflict != nil {
				written = conflict.Current
			}
		}
		moved.Written = written.Version
		return b.save(ctx, &moved)
	case r.Stage == rollout.Enforce:
		if !there || current.Version != r.Written {
			moved.Stage, moved.Settled = rollout.Done, true
			moved.Why = fmt.Sprintf("the policy was changed meanwhile: version %d is in force no more", r.Written)
			return b.save(ctx, &moved)
		}
		return nil
	case r.Stage == rollout.RolledBack:
		change := store.Change{Kind: Policies.Name, Name: r.Policy, Body: []byte(r.Before), Author: r.Author, Expect: r.Written, Reason: words("rolled back by itself: " + r.Why)}
		write := b.store.Put
		if r.Before == "" {
			write = b.store.Delete
		}
		// Whoever has changed it since knows better, and so does another daemon.
		var conflict *store.ConflictError
		var gone *store.NotFoundError
		if _, err := write(ctx, change); err != nil && !errors.As(err, &conflict) && !errors.As(err, &gone) {
			return err
		}
		moved.Settled = true
		return b.save(ctx, &moved)
	}
	return nil
}

// Unsettled are rollouts that something is left to be done for.
func (b *Book) Unsettled() []*Rollout {
	return slices.DeleteFunc(b.Rollouts(), func(r *Rollout) bool { return r.Settled })
}

// words fits a reason into its bound.
func words(s string) string {
	const most = 1000
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
