package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/datapunk/switchgear/server/api"
	"github.com/datapunk/switchgear/server/policybook"
	"github.com/datapunk/switchgear/server/store"
)

// steward takes rollouts from stage to stage, by the numbers that the owner gives
// it, and finishes what a daemon has left half done. Several daemons may do so at
// once: the store lets one of them.
type steward struct {
	book *policybook.Book
	log  *slog.Logger
	in   chan *api.Progress
	wake chan struct{} // holds one: something may be left to be done
	quit context.CancelFunc
	done chan struct{}
}

// settleAgain is how long after a failure it is tried again.
const settleAgain = 5 * time.Second

// openPolicies puts the stored policies in force.
func (a *App) openPolicies() {
	ctx, cancel := context.WithCancel(context.Background())
	s := &steward{log: a.log, in: make(chan *api.Progress, 1), wake: make(chan struct{}, 1), quit: cancel, done: make(chan struct{})}
	a.policies = policybook.Open(a.store, a.log, func() {
		a.owner.policies.change()
		s.look()
	})
	s.book, a.steward = a.policies, s
	a.owner.policies.inForce, a.owner.policies.steward = a.policies.InForce, s.in
	a.owner.policies.change()
	a.owner.metrics.observePolicies(a.policies)
	s.look()
	go s.run(ctx)
}

// look says that something may be left to be done.
func (s *steward) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *steward) close() {
	s.quit()
	<-s.done
}

func (s *steward) run(ctx context.Context) {
	defer close(s.done)
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-s.in:
			s.move(ctx, p)
			continue
		case <-s.wake:
		case <-again:
		}
		again = nil
		for _, r := range s.book.Unsettled() {
			if err := s.book.Settle(ctx, r); err != nil && !lost(err) {
				s.log.Warn("rollout can't go on", "policy", r.Policy, "stage", r.Stage.String(), "error", err)
				again = time.After(settleAgain)
			}
		}
	}
}

// move judges a stage's numbers.
func (s *steward) move(ctx context.Context, p *api.Progress) {
	r := p.Rollout
	next, why := r.Plan.Decide(r.Stage, p.Lasted, &p.Numbers)
	if next == r.Stage {
		return
	}
	if err := s.book.Advance(ctx, r, next, why, p.Numbers); err != nil && !lost(err) {
		s.log.Warn("rollout can't go on", "policy", r.Policy, "stage", r.Stage.String(), "error", err)
	}
}

// lost reports whether another daemon was first.
func lost(err error) bool {
	var conflict *store.ConflictError
	return errors.As(err, &conflict)
}
