package story

import (
	"slices"
	"testing"

	"github.com/datapunk/switchgear/internal/control"
)

// measure plays all jobs of these scenarios with one seed, without peers.
func measure(t *testing.T, without string, scenarios ...int) []Row {
	t.Helper()
	w, err := control.ParseWithout(without)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Seeds: 1, NoPeers: true, Without: w, Scenarios: scenarios}
	var results []Result
	for _, j := range Jobs(o) {
		r, err := j.Run()
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	return Rows(o, results)
}

func TestWhatIsMeasuredIsKept(t *testing.T) {
	seen := make(map[int]bool)
	for _, r := range measure(t, "", 1, 2, 3, 7, 8, 10) {
		seen[r.Scenario] = true
		if r.Pending == "" && !r.Kept {
			t.Errorf("scenario %d, %s: measured %v, want %s %v", r.Scenario, r.Measure, *r.Measured, r.Op, r.Promised)
		}
		if r.Pending != "" && r.Kept {
			t.Errorf("scenario %d, %s: pending and kept", r.Scenario, r.Measure)
		}
	}
	if len(seen) != 6 {
		t.Errorf("scenarios %v: want six", seen)
	}
}

// TestEachAblationBreaksAPromise: a promise that nothing can break is not
// measured.
func TestEachAblationBreaksAPromise(t *testing.T) {
	for word, scenarios := range map[string][]int{
		"coordination": {1}, "locate": {3}, "guard": {10}, "inherited": {8}, "quorum": {2}, "grading": {8},
	} {
		if !slices.ContainsFunc(measure(t, word, scenarios...), func(r Row) bool { return r.Pending == "" && !r.Kept }) {
			t.Errorf("without %s everything of scenarios %v is kept", word, scenarios)
		}
	}
}

func TestTheWorstSeedDecides(t *testing.T) {
	for _, c := range []struct{ op, want string }{{"<=", "3"}, {">=", "1"}, {"=", "3"}} {
		p := promise{op: c.op, promised: 1}
		worst := none
		for _, x := range []float64{2, 1, 3} {
			worst = p.worse(worst, x)
		}
		if got := map[float64]string{1: "1", 2: "2", 3: "3"}[worst]; got != c.want {
			t.Errorf("%s: the worst of 1, 2 and 3 is %s, want %s", c.op, got, c.want)
		}
	}
}
