// Package outbound is one guarded call as every transport makes it: permit,
// instance, route, outcome, and what the request that it is made for learns of
// it. Transports add how to send and how to judge.
package outbound

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/cause"
	"github.com/datapunk/switchgear/internal/fleet"
)

// Call is one call under way. It ends by Done or Release, whichever comes first.
// Safe for concurrent use: a stream ends where it is read, or where it is given up.
type Call struct {
	Breaker *switchgear.Breaker

	manager *switchgear.Manager
	gaveUp  func() error // the context's error: nil while the caller waits
	cause   *cause.Cause
	route   string
	start   time.Time

	mu       sync.Mutex // guards what follows; Classify is never called under it
	ended    bool
	attempt  uint8
	latency  time.Duration
	permit   switchgear.Permit
	instance *fleet.Instance
	part     breaker.Permit
	label    string // the instance's name, also where it has no breaker
	apart    bool   // the instance is judged by itself: the circuit learns nothing
}

// Begin asks for leave. The error is the breaker's; nothing may be sent then.
func Begin(ctx context.Context, m *switchgear.Manager, b *switchgear.Breaker, route string) (*Call, error) {
	c := &Call{
		Breaker: b, manager: m, gaveUp: ctx.Err, cause: cause.Of(ctx), route: route,
		attempt: switchgear.Attempt(ctx), start: time.Now(),
	}
	if end, ok := ctx.Deadline(); ok {
		b.Circuit().Deadline(end.Sub(c.start))
	}
	var err error
	if c.permit, err = b.Acquire(); err != nil {
		c.rejected()
		return nil, err
	}
	return c, nil
}

func (c *Call) rejected() {
	c.cause.Record(cause.Origin{Circuit: c.Breaker.Circuit().ID.String(), Kind: "not_permitted"})
}

// SetAttempt says which attempt is under way, where the context does not.
func (c *Call) SetAttempt(n uint8) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempt = max(c.attempt, n)
}

// Choose takes an instance for the call, before anything is sent; x is nil where
// there are too many to have a breaker each. Choosing again gives the instance
// before back: nothing went to it.
func (c *Call) Choose(name string, x *fleet.Instance) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil
	}
	c.unchoose()
	if x != nil {
		part, err := x.Acquire()
		if err != nil {
			return err
		}
		c.part, c.instance = part, x
		c.apart = x.View().State != breaker.Closed
	}
	c.label = name
	return nil
}

func (c *Call) unchoose() {
	if c.instance != nil {
		c.part.Release()
	}
	c.instance, c.label, c.apart = nil, "", false
}

// Refuse ends a call that no instance takes.
func (c *Call) Refuse() {
	c.rejected()
	c.Release()
}

// Answered stops the clock of the call: what comes later is not latency.
func (c *Call) Answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered()
}

func (c *Call) answered() {
	if c.latency == 0 {
		c.latency = max(1, time.Since(c.start))
	}
}

// Done reports the outcome to circuit, instance and labels, and a failure to the
// request that the call was made for; mark is what the callee says of its origin.
func (c *Call) Done(err error, status int, o switchgear.Outcome, mark *cause.Origin) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended = true
	c.answered()
	c.mu.Unlock() // whoever sees ended touches nothing more
	o.Latency, o.Attempt = c.latency, c.attempt
	c.short(&o)
	o = c.manager.Classify(switchgear.Result{Err: err, Status: status, Default: o})
	if o.Verdict == breaker.Failure || o.Verdict == breaker.Inherited {
		from := cause.Origin{Circuit: c.Breaker.Circuit().ID.String(), Kind: o.Kind.String()}
		if o.Verdict == breaker.Inherited && mark != nil {
			from = *mark
		}
		c.cause.Record(from)
	}
	counted := true
	if c.apart {
		c.permit.Release()
	} else {
		counted = c.permit.Done(o)
	}
	if c.instance != nil {
		counted = c.part.Done(o) && counted
	}
	if tally := c.Breaker.Circuit().Tally(c.route, c.label); counted && tally != nil {
		tally.Add(o, o.Latency)
	}
}

// short takes the callee's side where its caller had hardly any time: less than
// half of what calls on this circuit have. Such a time-out says that somebody was
// late before, not that the callee is slow.
func (c *Call) short(o *switchgear.Outcome) {
	if o.Kind == breaker.Timeout && errors.Is(c.gaveUp(), context.DeadlineExceeded) && o.Latency < c.Breaker.Circuit().CallTimeout()/2 {
		o.Verdict, o.Kind = breaker.Ignored, breaker.CallerDeadline
	}
}

// Release ends a call of which nothing is known, such as one that panicked.
func (c *Call) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	c.permit.Release()
	c.unchoose()
}
