package switchgear

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/cause"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// Breaker guards the calls of this process to one callee. Keep it: a call
// through a kept one costs no look-up. Safe for concurrent use.
type Breaker struct {
	engine  *breaker.Breaker
	next    atomic.Pointer[Breaker] // in the registry's chain
	manager *Manager
	circuit *fleet.Circuit
	whole   atomic.Bool         // Undivided was said
	full    atomic.Bool         // no further route
	routes  map[string]struct{} // with breakers of their own; guarded by manager.making
	made    time.Duration
	history atomic.Pointer[history]
}

// Permit is the right to make one call. Done reports its outcome; Release frees
// it if Done did not come first. A permit is for one goroutine.
type Permit = breaker.Permit

// Acquire asks to make one call. The error is a *NotPermittedError.
func (b *Breaker) Acquire() (Permit, error) { return b.engine.Acquire() }

// Key of the breaker, without the manager's own namespace.
func (b *Breaker) Key() Key {
	k := b.canonical()
	if k.Namespace == b.manager.service.Namespace {
		k.Namespace = ""
	}
	return k
}

// State that the breaker has calculated or was told. Reading never changes it.
func (b *Breaker) State() State { return b.engine.View().State }

// Mode says what is done with the state.
func (b *Breaker) Mode() Mode { return b.engine.View().Mode }

// Explain says of each field of the settings that the breaker runs on now which
// policy gave it, and which were overruled.
func (b *Breaker) Explain() policy.Explanation { return b.circuit.Settings().Explain(b.circuit.ID) }

// Circuit is the fleet's half of the breaker, for switchgear's own transports.
func (b *Breaker) Circuit() *fleet.Circuit { return b.circuit }

// Undivided is for transports: the callee has one address, so that an instance
// behind it can't be told apart. The log says so, once.
func (b *Breaker) Undivided() {
	if !b.whole.Load() && b.whole.CompareAndSwap(false, true) {
		b.manager.log.Info("callee has one address: an instance behind it can't be left out", "circuit", b.circuit.ID.String())
	}
}

// Divided reports whether the callee's instances can be left out one by one, as
// far as calls have shown.
func (b *Breaker) Divided() bool {
	instances, _ := b.circuit.Size()
	return instances > 0
}

// Do calls fn if the breaker permits it, classifies its error and returns what
// fn returned. An error that wraps ErrNotPermitted means that fn did not run. A
// panic counts as a failure and goes on.
func Do[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error)) (T, error) {
	p, err := b.engine.Acquire()
	if err != nil {
		var zero T
		cause.Of(ctx).Record(cause.Origin{Circuit: b.circuit.ID.String(), Kind: "not_permitted"})
		return zero, err
	}
	if end, ok := ctx.Deadline(); ok {
		b.circuit.Deadline(time.Until(end))
	}
	panicked := true
	defer func() {
		if panicked {
			p.Done(Outcome{Verdict: Failure, Kind: Application})
		}
	}()
	v, err := fn(ctx)
	panicked = false
	if err == nil {
		p.Done(Outcome{Attempt: Attempt(ctx)})
		return v, nil
	}
	p.Done(b.classify(ctx, err))
	return v, err
}

// classify is Do's way from an error to an outcome.
func (b *Breaker) classify(ctx context.Context, err error) Outcome {
	judged := ClassifyError(err)
	judged.Attempt = Attempt(ctx)
	o := b.manager.Classify(Result{Err: err, Default: judged})
	if o.Verdict == Failure || o.Verdict == Inherited {
		cause.Of(ctx).Record(cause.Origin{Circuit: b.circuit.ID.String(), Kind: o.Kind.String()})
	}
	return o
}
