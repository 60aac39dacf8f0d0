package breakerotel_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breakerhttp"
	"github.com/datapunk/switchgear/breakerotel"
)

var update = flag.Bool("update", false, "write the names into testdata")

func newManager(t *testing.T) *switchgear.Manager {
	t.Helper()
	var settings switchgear.Settings
	settings.Breaker.Wait.Base, settings.Breaker.Wait.Max = time.Hour, time.Hour // open for all of a test
	m, err := switchgear.New(switchgear.Config{Service: "checkout"}, switchgear.WithSettings(settings))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func fail(context.Context) (int, error) { return 0, errors.New("boom") }

// opened gives a breaker that is open.
func opened(t *testing.T, m *switchgear.Manager, callee string) *switchgear.Breaker {
	t.Helper()
	b := m.Breaker(switchgear.Key{Callee: callee})
	for range 20 {
		_, _ = switchgear.Do(t.Context(), b, fail)
	}
	if b.State() != switchgear.Open {
		t.Fatal("it did not open")
	}
	return b
}

// collected gives the values by name and attributes, and the names with their types.
func collected(t *testing.T, r *metric.ManualReader) (values map[string]float64, names []string) {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	values = make(map[string]float64)
	add := func(name string, points []metricdata.DataPoint[float64]) {
		for _, p := range points {
			values[name+"{"+p.Attributes.Encoded(attribute.DefaultEncoder())+"}"] = p.Value
		}
	}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			kind := "gauge"
			switch d := m.Data.(type) {
			case metricdata.Sum[float64]:
				if kind = "counter"; !d.IsMonotonic {
					t.Errorf("%s is no counter", m.Name)
				}
				add(m.Name, d.DataPoints)
			case metricdata.Gauge[float64]:
				add(m.Name, d.DataPoints)
			default:
				t.Errorf("%s is a %T", m.Name, d)
			}
			names = append(names, strings.TrimSpace(m.Name+" "+kind+" "+m.Unit))
		}
	}
	slices.Sort(names)
	return values, names
}

func TestNamesAreThoseOfTheGoldenFileFromTheStart(t *testing.T) {
	m := newManager(t)
	m.Breaker(switchgear.Key{Callee: "ledger"})
	reader := metric.NewManualReader()
	registration, err := breakerotel.Register(m, metric.NewMeterProvider(metric.WithReader(reader)).Meter("switchgear"))
	if err != nil {
		t.Fatal(err)
	}
	_, names := collected(t, reader)
	got := strings.Join(names, "\n") + "\n"
	if *update {
		if err := os.WriteFile("testdata/metrics.txt", []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/metrics.txt")
	if err != nil || got != string(want) {
		t.Errorf("%v\ngot\n%s\nwant\n%s", err, got, want)
	}
	if err := registration.Unregister(); err != nil {
		t.Fatal(err)
	}
	if values, _ := collected(t, reader); len(values) > 0 {
		t.Errorf("%d values after the registration has ended", len(values))
	}
}

func TestValuesAreTheManagersOwn(t *testing.T) {
	m := newManager(t)
	b := opened(t, m, "ledger")
	_, _ = switchgear.Do(t.Context(), b, fail)
	for i := range 5 {
		m.Breaker(switchgear.Key{Callee: fmt.Sprintf("more-%d", i)})
	}
	reader := metric.NewManualReader()
	if _, err := breakerotel.Register(m, metric.NewMeterProvider(metric.WithReader(reader)).Meter("switchgear"), breakerotel.WithMaxCircuits(6)); err != nil {
		t.Fatal(err)
	}
	m.Breaker(switchgear.Key{Callee: "beyond", Route: "/users/{id}"})
	_, _ = collected(t, reader) // who comes first keeps a series
	values, _ := collected(t, reader)
	if n := values["switchgear.breakers.folded{caller=default/checkout}"]; n != 1 {
		t.Errorf("%v breakers folded: want 1", n)
	}
	for _, series := range []string{
		"switchgear.breakers{caller=default/checkout} 7",
		"switchgear.link.up{caller=default/checkout} 0",
	} {
		name, want, _ := strings.Cut(series, "} ")
		if got, there := values[name+"}"]; !there || fmt.Sprint(got) != want {
			t.Errorf("%s is %v: want %s", name, got, want)
		}
	}
	all, failed, rejected := 0.0, 0.0, 0.0
	for name, v := range values {
		switch {
		case strings.HasPrefix(name, "switchgear.calls{"):
			if all += v; strings.Contains(name, "outcome=failure") {
				failed += v
			}
		case strings.HasPrefix(name, "switchgear.rejections{"):
			rejected += v
		}
	}
	if all != 20 || failed != 20 || rejected != 1 {
		t.Errorf("%v calls, %v failures, %v rejections: want 20, 20, 1", all, failed, rejected)
	}
}

// Beyond its limit the SDK folds series by itself, and what is what is lost.
func TestTheDefaultCapStaysBelowTheSDKsLimit(t *testing.T) {
	m := newManager(t)
	for i := range 300 {
		m.Breaker(switchgear.Key{Callee: fmt.Sprintf("callee-%d", i)})
	}
	reader := metric.NewManualReader()
	if _, err := breakerotel.Register(m, metric.NewMeterProvider(metric.WithReader(reader)).Meter("switchgear")); err != nil {
		t.Fatal(err)
	}
	values, _ := collected(t, reader)
	for name := range values {
		if strings.Contains(name, "otel.metric.overflow") {
			t.Fatalf("the SDK folded %s", name)
		}
	}
	if n := values["switchgear.breakers.folded{caller=default/checkout}"]; n != 120 {
		t.Errorf("%v breakers folded: want 120", n)
	}
}

// recorded runs f in a span and gives its events.
func recorded(t *testing.T, f func(context.Context)) []trace.Event {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(recorder))
	ctx, span := provider.Tracer("test").Start(t.Context(), "call")
	f(ctx)
	span.End()
	return recorder.Ended()[0].Events()
}

func TestARejectionIsASpanEvent(t *testing.T) {
	m := newManager(t)
	b := opened(t, m, "ledger")
	opened(t, m, "127.0.0.1:1")
	client := &http.Client{Transport: breakerotel.Transport(breakerhttp.Transport(m, nil))}
	for name, call := range map[string]func(context.Context){
		"ledger": func(ctx context.Context) { _, _ = breakerotel.Do(ctx, b, fail) },
		"127.0.0.1:1": func(ctx context.Context) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:1/", nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Do(req)
			if err == nil {
				res.Body.Close()
				t.Fatal("it was permitted")
			}
		},
	} {
		events := recorded(t, call)
		if len(events) != 1 || events[0].Name != breakerotel.NotPermitted {
			t.Fatalf("%s: events %+v: want one rejection", name, events)
		}
		got := attribute.NewSet(events[0].Attributes...)
		for key, want := range map[attribute.Key]string{"switchgear.key": name, "switchgear.state": "open", "switchgear.mode": "enforce", "switchgear.reason": "open"} {
			if v, _ := got.Value(key); v.AsString() != want {
				t.Errorf("%s: %s is %q: want %q", name, key, v.AsString(), want)
			}
		}
		if v, _ := got.Value("switchgear.retry_after"); v.AsFloat64() <= 0 {
			t.Errorf("%s: no word on when to try again", name)
		}
	}
}

func TestOtherErrorsAreNoEvents(t *testing.T) {
	m := newManager(t)
	b := m.Breaker(switchgear.Key{Callee: "ledger"})
	if events := recorded(t, func(ctx context.Context) { _, _ = breakerotel.Do(ctx, b, fail) }); len(events) > 0 {
		t.Errorf("events %+v of a call that was made", events)
	}
	if breakerotel.Record(t.Context(), switchgear.ErrOpen) || breakerotel.Record(t.Context(), nil) {
		t.Error("recorded what is no rejection")
	}
}
