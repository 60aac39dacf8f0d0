package switchgear

import "context"

type attemptKey struct{}

// WithAttempt says which attempt the calls made with ctx are: 1 for the first,
// 2 for its first retry. Faults are located by first attempts only, since
// retries fail with what they retry. Without it the attempt is not known.
func WithAttempt(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, attemptKey{}, uint8(min(max(n, 0), 255)))
}

// Attempt that the calls made with ctx are; 0 where it is not known.
func Attempt(ctx context.Context) uint8 {
	n, _ := ctx.Value(attemptKey{}).(uint8)
	return n
}
