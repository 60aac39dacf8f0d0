// Package cause carries through a request's context whether a guarded call that
// was made for it has failed or was not permitted, so that the reply can say
// that its own failure is inherited. Safe for concurrent use.
package cause

import (
	"context"
	"sync/atomic"
)

// Cause collects what went wrong below one request.
type Cause struct{ origin atomic.Pointer[Origin] }

// Origin is where a failure was born, as far as this process knows.
type Origin struct {
	Circuit string // the circuit whose call failed
	Kind    string // the failure kind, or "not_permitted"
	Hops    int    // guarded hops below this one, 0 where it was born
}

type contextKey struct{}

// Watch gives a context whose guarded calls record their failures in the Cause.
func Watch(ctx context.Context) (context.Context, *Cause) {
	c := new(Cause)
	return context.WithValue(ctx, contextKey{}, c), c
}

// Of gives the Cause of the request that ctx belongs to, nil where none is
// watched.
func Of(ctx context.Context) *Cause {
	c, _ := ctx.Value(contextKey{}).(*Cause)
	return c
}

// Record notes a failure; the first stands. Recording in a nil Cause does nothing.
func (c *Cause) Record(o Origin) {
	if c != nil {
		c.origin.CompareAndSwap(nil, &o)
	}
}

// Origin of the failure, nil where no guarded call failed.
func (c *Cause) Origin() *Origin { return c.origin.Load() }
