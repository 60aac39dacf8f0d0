// Package breakerotel shows a manager's breakers to OpenTelemetry: Register for
// metrics, Do and Transport to have rejections on the spans of their callers.
// It needs OpenTelemetry's API only; the program chooses the SDK.
//
// Everything is safe for concurrent use, and metrics cost calls nothing: they
// are read when the SDK collects them. docs/metrics.md lists the names.
package breakerotel

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	api "go.opentelemetry.io/otel/metric"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/internal/metric"
)

// Option is a rarer choice of Register.
type Option func(*options)

type options struct{ most int }

// WithMaxCircuits bounds how many circuits have series of their own, 180 by
// default; each costs 44. Those beyond are summed under the callee "other" and
// counted in switchgear.breakers.folded.
func WithMaxCircuits(n int) Option {
	return func(o *options) { o.most = n }
}

// Register makes meter show m's metrics until the registration is ended: end it
// when the manager is closed.
func Register(m *switchgear.Manager, meter api.Meter, opts ...Option) (api.Registration, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	instruments := make([]api.Float64Observable, len(metric.List))
	all := make([]api.Observable, len(metric.List))
	for i := range metric.List {
		x := &metric.List[i]
		var err error
		if x.Counter {
			instruments[i], err = meter.Float64ObservableCounter(x.OTelName(), api.WithUnit(x.Unit), api.WithDescription(x.Help))
		} else {
			instruments[i], err = meter.Float64ObservableGauge(x.OTelName(), api.WithUnit(x.Unit), api.WithDescription(x.Help))
		}
		if err != nil {
			return nil, fmt.Errorf("make instrument %s: %w", x.OTelName(), err)
		}
		all[i] = instruments[i]
	}
	r := metric.NewReader(m, o.most)
	registration, err := meter.RegisterCallback(func(_ context.Context, to api.Observer) error {
		r.Read(func(s metric.Sample) {
			to.ObserveFloat64(instruments[s.Metric], s.Value, api.WithAttributes(attributes(m, s)...))
		}, nil)
		return nil
	}, all...)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return registration, nil
}

// attributes are the labels of a sample, those without value left out.
func attributes(m *switchgear.Manager, s metric.Sample) []attribute.KeyValue {
	x := &metric.List[s.Metric]
	kvs := make([]attribute.KeyValue, 1, len(s.Labels)+1)
	kvs[0] = attribute.String("caller", m.Service())
	for i, v := range s.Labels {
		if v == "" {
			continue
		}
		name := ""
		switch own := i - len(metric.CircuitLabels); {
		case !x.OfCircuit():
			name = x.Labels[i]
		case own < 0:
			name = metric.CircuitLabels[i]
		default:
			name = x.Labels[own]
		}
		kvs = append(kvs, attribute.String(name, v))
	}
	return kvs
}
