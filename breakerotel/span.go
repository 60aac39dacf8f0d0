package breakerotel

import (
	"context"
	"errors"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/datapunk/switchgear"
)

// NotPermitted is the name of the span event of a rejection.
const NotPermitted = "switchgear.not_permitted"

// Record adds an event to ctx's span if err says that a call was not permitted,
// with the circuit's key, state, mode and reason. It reports whether it did. Call
// it wherever a call's error and its context meet: in a gRPC interceptor, say.
func Record(ctx context.Context, err error) bool {
	np, ok := errors.AsType[*switchgear.NotPermittedError](err)
	if !ok {
		return false
	}
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return false
	}
	kvs := []attribute.KeyValue{
		attribute.String("switchgear.key", np.Key.String()),
		attribute.String("switchgear.state", np.State.String()),
		attribute.String("switchgear.mode", np.Mode.String()),
		attribute.String("switchgear.reason", np.Reason.String()),
	}
	if np.Instance != "" {
		kvs = append(kvs, attribute.String("switchgear.instance", np.Instance))
	}
	if np.Why != "" {
		kvs = append(kvs, attribute.String("switchgear.why", np.Why))
	}
	if np.RetryAfter > 0 {
		kvs = append(kvs, attribute.Float64("switchgear.retry_after", np.RetryAfter.Seconds()))
	}
	span.AddEvent(NotPermitted, trace.WithAttributes(kvs...))
	return true
}

// Do is switchgear.Do, with a rejection on ctx's span.
func Do[T any](ctx context.Context, b *switchgear.Breaker, fn func(context.Context) (T, error)) (T, error) {
	v, err := switchgear.Do(ctx, b, fn)
	if err != nil {
		Record(ctx, err)
	}
	return v, err
}

// Transport records rejections of the guarded transport inside it, usually
// breakerhttp's, on the spans of the requests.
func Transport(guarded http.RoundTripper) http.RoundTripper {
	return transport{guarded}
}

type transport struct{ guarded http.RoundTripper }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.guarded.RoundTrip(req)
	if err != nil {
		Record(req.Context(), err)
	}
	return res, err
}
