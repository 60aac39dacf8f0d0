package breakerprom_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breakerprom"
)

var update = flag.Bool("update", false, "write the names into testdata")

func newManager(t *testing.T, service string) *switchgear.Manager {
	t.Helper()
	var settings switchgear.Settings
	settings.Breaker.Wait.Base, settings.Breaker.Wait.Max = time.Hour, time.Hour // open for all of a test
	m, err := switchgear.New(switchgear.Config{Service: service}, switchgear.WithSettings(settings))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func fail(context.Context) (int, error) { return 0, errors.New("boom") }

// gathered gives values by series, "name{value,…}" with the labels' values in
// their order, and the names with their types.
func gathered(t *testing.T, r prometheus.Gatherer) (values map[string]float64, names []string) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values = make(map[string]float64)
	for _, f := range families {
		names = append(names, f.GetName()+" "+strings.ToLower(f.GetType().String()))
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			series := f.GetName() + "{" + strings.Join(labels, ",") + "}"
			switch {
			case m.GetCounter() != nil:
				values[series] = m.GetCounter().GetValue()
			case m.GetGauge() != nil:
				values[series] = m.GetGauge().GetValue()
			default:
				values[series+" count"] = float64(m.GetSummary().GetSampleCount())
				values[series+" sum"] = m.GetSummary().GetSampleSum()
			}
		}
	}
	slices.Sort(names)
	return values, names
}

func TestNamesAreThoseOfTheGoldenFileFromTheStart(t *testing.T) {
	m := newManager(t, "checkout")
	m.Breaker(switchgear.Key{Callee: "ledger"})
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(breakerprom.Collector(m, breakerprom.WithResilience4j()))
	_, names := gathered(t, r)
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
	document, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range names {
		name, kind, _ := strings.Cut(line, " ")
		row := slices.IndexFunc(strings.Split(string(document), "\n"), func(l string) bool {
			return strings.HasPrefix(l, "| `"+name+"` |") && strings.Contains(l, "| "+kind+" |")
		})
		if row < 0 {
			t.Errorf("docs/metrics.md has no row for %s, a %s", name, kind)
		}
	}
}

func TestPrometheusLinterHasNothingToSay(t *testing.T) {
	m := newManager(t, "checkout")
	m.Breaker(switchgear.Key{Callee: "ledger", Route: "/users/{id}"})
	problems, err := testutil.CollectAndLint(breakerprom.Collector(m, breakerprom.WithResilience4j()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestManagersOfDifferentServicesShareARegistry(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	for _, service := range []string{"checkout", "users"} {
		m := newManager(t, service)
		m.Breaker(switchgear.Key{Callee: "ledger"})
		r.MustRegister(breakerprom.Collector(m))
	}
	values, _ := gathered(t, r)
	for _, caller := range []string{"checkout", "users"} {
		if n := values["switchgear_breakers{caller=default/"+caller+"}"]; n != 1 {
			t.Errorf("%v breakers of %s: want 1", n, caller)
		}
	}
}

func TestCircuitsBeyondTheCapAreOneAndCounted(t *testing.T) {
	m := newManager(t, "checkout")
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(breakerprom.Collector(m, breakerprom.WithMaxCircuits(10), breakerprom.WithResilience4j()))
	for i := range 1000 {
		_, _ = switchgear.Do(t.Context(), m.Breaker(switchgear.Key{Callee: fmt.Sprintf("callee-%d", i)}), fail)
	}
	values, _ := gathered(t, r)
	if n := values["switchgear_calls_total{callee=other,caller=default/checkout,namespace=,outcome=failure,route=}"]; n != 990 {
		t.Errorf("%v failures of the others: want 990", n)
	}
	if n := values["switchgear_breakers_folded{caller=default/checkout}"]; n != 990 {
		t.Errorf("%v folded: want 990", n)
	}
	if len(values) > 1000 {
		t.Errorf("%d series of ten circuits", len(values))
	}
}

// What resilience4j's dashboards ask for, as they ask for it.
func TestResilience4jNamesSayWhatItsDashboardsExpect(t *testing.T) {
	m := newManager(t, "checkout")
	b := m.Breaker(switchgear.Key{Callee: "ledger"})
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(breakerprom.Collector(m, breakerprom.WithResilience4j()))
	value := func(name, labels string) float64 {
		t.Helper()
		values, _ := gathered(t, r)
		series := "resilience4j_circuitbreaker_" + name + "{caller=default/checkout,"
		kind, rest, _ := strings.Cut(labels, " ")
		if strings.HasPrefix(kind, "kind=") {
			series += kind + ",name=default/ledger}"
		} else {
			series += strings.TrimSuffix("name=default/ledger,"+kind, ",") + "}"
		}
		if rest != "" {
			series += " " + rest
		}
		v, there := values[series]
		if !there {
			t.Fatalf("no series %s", series)
		}
		return v
	}
	if v := value("failure_rate", ""); v != -1 {
		t.Errorf("failure rate %v before the minimum of calls: want -1", v)
	}
	if v := value("state", "state=closed"); v != 1 {
		t.Errorf("closed is %v: want 1", v)
	}
	for range 10 {
		_, _ = switchgear.Do(t.Context(), b, func(context.Context) (int, error) { return 1, nil })
	}
	for range 19 {
		_, _ = switchgear.Do(t.Context(), b, fail)
	}
	_, _ = switchgear.Do(t.Context(), b, fail)
	if open, closed := value("state", "state=open"), value("state", "state=closed"); open != 1 || closed != 0 {
		t.Errorf("open %v, closed %v: want 1 and 0", open, closed)
	}
	values, _ := gathered(t, r)
	sum := 0.0
	for series, v := range values {
		if strings.HasPrefix(series, "resilience4j_circuitbreaker_calls_seconds{") && strings.HasSuffix(series, " count") {
			sum += v
		}
	}
	if n := value("not_permitted_calls_total", "kind=not_permitted"); sum+n != 30 || n < 1 {
		t.Errorf("%v calls and %v not permitted: want 30 together", sum, n)
	}
	if s := value("calls_seconds", "kind=failed sum"); !math.IsNaN(s) {
		t.Errorf("failed calls took %v: it is not known, and must not look so", s)
	}
	b.Circuit().Breaker.SetMode(switchgear.Off, "the test says so")
	if v := value("state", "state=disabled"); v != 1 {
		t.Errorf("disabled is %v under mode off: want 1", v)
	}
}
