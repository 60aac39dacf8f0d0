package metric_test

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/internal/metric"
)

var update = flag.Bool("update", false, "write the list of metrics into docs/metrics.md")

func newManager(t *testing.T) *switchgear.Manager {
	t.Helper()
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func call(t *testing.T, m *switchgear.Manager, callee string) {
	t.Helper()
	_, err := switchgear.Do(t.Context(), m.Breaker(switchgear.Key{Callee: callee}), func(context.Context) (int, error) { return 1, nil })
	if err != nil {
		t.Fatal(err)
	}
}

// read gives the values by series.
func read(r *metric.Reader) map[string]float64 {
	got := make(map[string]float64)
	r.Read(func(s metric.Sample) {
		got[metric.List[s.Metric].Name+"{"+strings.Join(s.Labels, ",")+"}"] = s.Value
	}, nil)
	return got
}

func TestEverySampleHasItsLabels(t *testing.T) {
	m := newManager(t)
	m.Breaker(switchgear.Key{Callee: "ledger"})
	seen, series := make(map[int]bool), 0
	metric.NewReader(m, 0).Read(func(s metric.Sample) {
		x := &metric.List[s.Metric]
		want := len(x.Labels)
		if x.OfCircuit() {
			want += len(metric.CircuitLabels)
			series++
		}
		if len(s.Labels) != want {
			t.Errorf("%s has %d values for %d labels", x.Name, len(s.Labels), want)
		}
		seen[s.Metric] = true
	}, nil)
	if len(seen) != len(metric.List) {
		t.Errorf("a new breaker has %d of %d metrics: want all from the start", len(seen), len(metric.List))
	}
	if series != 44 {
		t.Errorf("%d series a circuit: DefaultCircuits and docs/metrics.md say 44", series)
	}
}

func TestCircuitsBeyondTheCapAreSummed(t *testing.T) {
	m := newManager(t)
	r := metric.NewReader(m, 3)
	for i := range 3 {
		call(t, m, fmt.Sprintf("own-%d", i))
	}
	read(r)
	for i := range 100 {
		call(t, m, fmt.Sprintf("late-%d", i))
	}
	first, second := read(r), read(r)
	if !slices.Equal(slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(second))) {
		t.Error("other series from one reading to the next")
	}
	for series, want := range map[string]float64{
		"calls{default,own-0,,success}": 1, "calls{default,own-2,,success}": 1,
		"calls{,other,,success}": 100, "breakers{}": 103, "breakers.folded{}": 100,
	} {
		if got, there := second[series]; !there || got != want {
			t.Errorf("%s is %v: want %v", series, got, want)
		}
	}
	for series := range second {
		if strings.Contains(series, "late-") {
			t.Errorf("%s has a series of its own beyond the cap", series)
		}
		if strings.HasPrefix(series, "breaker.state{,other") {
			t.Errorf("%s: a sum is in no one state", series)
		}
	}
}

// source is a manager whose breakers come and go as a test wants.
type source map[string]uint64 // callee → successes

func (s source) Metrics() iter.Seq[switchgear.CircuitMetrics] {
	return func(yield func(switchgear.CircuitMetrics) bool) {
		for callee, n := range s {
			c := switchgear.CircuitMetrics{Key: switchgear.Key{Callee: callee, Namespace: "default"}, Share: 1}
			c.Succeeded = n
			if !yield(c) {
				return
			}
		}
	}
}

func (s source) Stats() switchgear.Stats { return switchgear.Stats{Breakers: len(s)} }

func TestTheSumOfOthersNeverShrinks(t *testing.T) {
	s := source{"own": 5}
	r := metric.NewReader(s, 1)
	read(r)
	s["a"], s["b"] = 70, 30
	for _, step := range []struct {
		why    string
		change func()
		want   float64
	}{
		{"two are folded", func() {}, 100},
		{"one has gone", func() { delete(s, "a") }, 100},
		{"what is left goes on", func() { s["b"] = 40 }, 110},
		{"all have gone", func() { delete(s, "b") }, 110},
		{"another comes", func() { s["c"] = 1 }, 111},
	} {
		step.change()
		if got := read(r)["calls{,other,,success}"]; got != step.want {
			t.Errorf("%s: the sum is %v, want %v", step.why, got, step.want)
		}
	}
}

func TestACircuitThatIsGoneLeavesItsPlaceToAnother(t *testing.T) {
	s := source{"first": 1}
	r := metric.NewReader(s, 1)
	read(r)
	delete(s, "first")
	read(r)
	s["second"] = 1
	if _, own := read(r)["calls{default,second,,success}"]; !own {
		t.Error("the second has no series of its own")
	}
}

func TestPrometheusNamesFollowFromUnits(t *testing.T) {
	want := map[string]string{
		"breaker.state": "switchgear_breaker_state", "breaker.state.time": "switchgear_breaker_state_time_seconds_total",
		"breaker.share": "switchgear_breaker_share_ratio", "calls": "switchgear_calls_total", "link.up": "switchgear_link_up",
	}
	for _, m := range metric.List {
		if w, asked := want[m.Name]; asked && m.PrometheusName() != w {
			t.Errorf("%s is %s: want %s", m.Name, m.PrometheusName(), w)
		}
		delete(want, m.Name)
	}
	if len(want) > 0 {
		t.Errorf("not in the list: %v", want)
	}
}

// The document is for people; the list is what exporters read.
func TestTheDocumentListsEveryMetric(t *testing.T) {
	const path, begin, end = "../../docs/metrics.md", "<!-- library: begin -->\n", "<!-- library: end -->\n"
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(doc), begin)
	body, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the list", path)
	}
	want := "| Prometheus | OpenTelemetry | type | unit | labels | meaning |\n| --- | --- | --- | --- | --- | --- |\n"
	for _, m := range metric.List {
		labels := m.Labels
		if m.OfCircuit() {
			labels = append(slices.Clone(metric.CircuitLabels), labels...)
		}
		want += fmt.Sprintf("| `%s` | `%s` | %s | %s | %s | %s |\n", m.PrometheusName(), m.OTelName(), m.Type(), m.Unit, strings.Join(labels, ", "), m.Help)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Log("written; run again to check")
		return
	}
	if body != want {
		t.Errorf("%s says\n%s\nwant\n%s\n(go test ./internal/metric -update)", path, body, want)
	}
}
