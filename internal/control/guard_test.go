package control

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

func TestMaxOpenIsExactForSmallNumbers(t *testing.T) {
	for _, c := range []struct {
		n       int
		percent float64
		want    int
	}{
		{0, 50, 1},
		{1, 50, 1},
		{1, 1, 1},
		{2, 50, 1},
		{2, 99, 1},
		{2, 100, 2},
		{3, 33, 1},
		{3, 34, 1},
		{3, 66, 1},
		{3, 67, 2},
		{4, 50, 2},
		{10, 29, 2},
		{10, 30, 3},
		{100, 60, 60},
	} {
		if got := maxOpen(c.n, c.percent); got != c.want {
			t.Errorf("%v %% of %d: %d, want %d", c.percent, c.n, got, c.want)
		}
	}
}

// mesh is a mind, and callers of many callees in one namespace, by hand.
type mesh struct {
	*Mind
	at       time.Duration
	settings policy.Settings
	found    []Notice
	said     []Output
}

func newMesh(cfg Config, change func(*policy.Settings)) *mesh {
	cfg.Daemon, cfg.Enforce = "d", true
	m := &mesh{Mind: New(cfg), at: time.Second, settings: policy.Default()}
	if change != nil {
		change(&m.settings)
	}
	return m
}

func (m *mesh) step(in Input) {
	in.At = m.at
	said := m.Step(in)
	m.found = append(m.found, said.Findings...)
	m.said = append(m.said, said.Directives...)
}

func (m *mesh) pass(d time.Duration) {
	for end := m.at + d; m.at < end; m.at += 20 * time.Millisecond {
		m.step(Input{Tick: true})
	}
}

// say has replicas of a circuit's caller report under the word that stands.
func (m *mesh) say(id policy.Circuit, replicas int, c fleet.Counts, instances ...string) {
	v, _ := m.Circuit(id)
	generation := uint64(0)
	if x := m.known(id); x != nil {
		generation = x.whole.gate.Generation
	}
	for i := range replicas {
		cr := fleet.CircuitReport{Callee: id.Callee, Route: id.Route, Settings: &m.settings, State: v.State, Generation: generation}
		if len(instances) == 0 {
			instances = []string{""}
		}
		for _, name := range instances {
			cr.Cells = append(cr.Cells, fleet.Cell{Instance: name, Buckets: []fleet.Bucket{{Counts: c}}})
		}
		from := fleet.ReplicaID{Service: id.Caller, Name: fmt.Sprintf("%s-%d", id.Caller.Name, i), Incarnation: 1}
		m.step(Input{Report: &ReplicaReport{From: from, Observer: from.Name, Report: fleet.Report{Circuits: []fleet.CircuitReport{cr}}}})
	}
}

func bad(n uint32) fleet.Counts {
	c := fleet.Counts{Offered: n, Failed: n}
	c.Kinds[breaker.ServerError] = n
	return c
}

func well(n uint32) fleet.Counts { return fleet.Counts{Offered: n, Succeeded: n} }

func (m *mesh) open() (n int) {
	for _, v := range m.Circuits() {
		if v.State != breaker.Closed {
			n++
		}
	}
	return n
}

func edgeTo(callee string) policy.Circuit {
	return policy.Circuit{Caller: svc("web"), Callee: svc(callee)}
}

func (m *mesh) alerts(kind string) (n int) {
	for _, f := range m.found {
		if f.Kind == kind && !f.Ended {
			n++
		}
	}
	return n
}

func TestNeverAboveTheGuard(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n := 1 + rng.IntN(12)
		percent := float64(1 + rng.IntN(100))
		failing := make([]bool, n)
		without := seed%4 == 3
		m := newMesh(Config{Seed: seed, Without: Without{Guard: without}}, func(s *policy.Settings) { s.MaxOpenPercent = percent })
		for i := range n {
			m.say(edgeTo(fmt.Sprintf("c%d", i)), 3, well(1))
		}
		most := 0
		for round := range 30 {
			if round < 20 {
				failing[rng.IntN(n)] = true
			}
			if round < 20 && rng.IntN(6) == 0 {
				failing[rng.IntN(n)] = false
			}
			for i := range n {
				what := well(8)
				if failing[i] {
					what = bad(8)
				}
				m.say(edgeTo(fmt.Sprintf("c%d", i)), 3, what)
				most = max(most, m.open())
			}
			m.pass(200 * time.Millisecond)
			most = max(most, m.open())
			if most > maxOpen(n, percent) && !without {
				t.Fatalf("seed %d: %d of %d circuits open at %v %%: want at most %d", seed, most, n, percent, maxOpen(n, percent))
			}
		}
		all := 0
		for i := range n {
			if failing[i] {
				all++
			}
		}
		if !without && all > maxOpen(n, percent) && (most != maxOpen(n, percent) || m.alerts("guard") == 0) {
			t.Errorf("seed %d: %d of %d circuits fail, %d open at %v %%, %d alerts: want exactly %d and an alert", seed, all, n, most, percent, m.alerts("guard"), maxOpen(n, percent))
		}
	}
}

func TestWithoutTheGuardAllOpen(t *testing.T) {
	for guard, want := range map[bool]int{true: 3, false: 6} {
		m := newMesh(Config{Without: Without{Guard: !guard}}, nil)
		for range 10 {
			for i := range 6 {
				m.say(edgeTo(fmt.Sprintf("c%d", i)), 3, bad(8))
			}
			m.pass(100 * time.Millisecond)
		}
		if m.open() != want {
			t.Errorf("guard %v: %d of 6 are open: want %d", guard, m.open(), want)
		}
	}
}

func TestAHeldCircuitSaysWhyAndTheAlertIsOneAndEnds(t *testing.T) {
	m := newMesh(Config{}, nil)
	for range 20 {
		for i := range 2 {
			m.say(edgeTo(fmt.Sprintf("c%d", i)), 3, bad(8))
		}
		m.pass(100 * time.Millisecond)
	}
	held := 0
	for _, v := range m.Circuits() {
		if v.Held != "" {
			held++
			if v.State != breaker.Closed || !strings.Contains(v.Held, "1 of the 2 circuits of namespace shop are open, and automation may open 1 (maxOpenPercent 50)") {
				t.Errorf("%v, held because %q: want closed, with the numbers", v.State, v.Held)
			}
		}
	}
	if held != 1 || m.alerts("guard") != 1 {
		t.Errorf("%d held, %d alerts: want one of each", held, m.alerts("guard"))
	}
	m.pass(alarmEnds + 20*time.Second)
	if last := m.found[len(m.found)-1]; !last.Ended {
		t.Errorf("last finding %+v: want the end of the guard's", last)
	}
}

func TestWhenEveryInstanceIsBadThePolicyDecides(t *testing.T) {
	const instances = 4
	var names []string
	for i := range instances {
		names = append(names, fmt.Sprintf("10.0.0.%d:80", i+1))
	}
	for word, want := range map[policy.WhenAllBad]breaker.State{policy.FailFast: breaker.Open, policy.Panic: breaker.Closed} {
		m := newMesh(Config{}, func(s *policy.Settings) { s.WhenAllBad = word })
		for range 20 {
			m.say(edgeTo("pay"), 3, bad(3), names...)
			m.pass(100 * time.Millisecond)
		}
		v, _ := m.Circuit(edgeTo("pay"))
		if (v.State == breaker.Closed) != (want == breaker.Closed) {
			t.Errorf("%v: %v, held because %q", word, v.State, v.Held)
		}
		if word == policy.Panic && (!strings.Contains(v.Held, "every instance is bad (4 of 4)") || len(v.Parts) > 0) {
			t.Errorf("panic: held because %q, parts %v: want all let through", v.Held, v.Parts)
		}
	}
}

func TestInheritedOutcomesNeverCount(t *testing.T) {
	for _, without := range []bool{false, true} {
		m := newMesh(Config{Without: Without{Inherited: without}}, nil)
		for range 10 {
			m.say(edgeTo("pay"), 4, fleet.Counts{Offered: 10, Inherited: 9, Succeeded: 1})
			m.pass(100 * time.Millisecond)
		}
		v, _ := m.Circuit(edgeTo("pay"))
		if open := v.State != breaker.Closed; open != without {
			t.Errorf("without %v: open %v", without, open)
		}
		if !without && v.Inherited != 360 {
			t.Errorf("%d inherited ones in the view: want all 360", v.Inherited)
		}
	}
}

func TestOneObserverOpensOnlyWithoutTheQuorum(t *testing.T) {
	for _, without := range []bool{false, true} {
		m := newMesh(Config{Without: Without{Quorum: without}}, nil)
		m.say(edgeTo("pay"), 5, well(5))
		for range 20 {
			m.say(edgeTo("pay"), 5, well(5))
			m.say(edgeTo("pay"), 1, bad(2000))
			m.pass(100 * time.Millisecond)
		}
		if open := m.open() > 0; open != without {
			t.Errorf("without %v: open %v", without, open)
		}
	}
}

func TestWithoutCoordinationNothingIsSaid(t *testing.T) {
	m := newMesh(Config{Without: Without{Coordination: true}}, nil)
	for range 10 {
		m.say(edgeTo("pay"), 4, bad(10))
		m.pass(100 * time.Millisecond)
	}
	if len(m.said) > 0 {
		t.Errorf("%d directives", len(m.said))
	}
}

func TestWithoutLocateNoPartIsTakenOut(t *testing.T) {
	for _, without := range []bool{false, true} {
		m := newMesh(Config{Without: Without{Locate: without}}, nil)
		for range 10 {
			m.say(edgeTo("pay"), 4, bad(5), "10.0.0.1:80")
			m.say(edgeTo("pay"), 4, well(5), "10.0.0.2:80", "10.0.0.3:80")
			m.pass(100 * time.Millisecond)
		}
		v, _ := m.Circuit(edgeTo("pay"))
		if parts := len(v.Parts) > 0; parts == without {
			t.Errorf("without %v: parts %+v", without, v.Parts)
		}
	}
}

func TestTheEjectionGuardHoldsAloud(t *testing.T) {
	m := newMesh(Config{}, func(s *policy.Settings) { s.MaxEjectionPercent = 34 })
	for range 20 {
		m.say(edgeTo("pay"), 4, bad(5), "10.0.0.1:80", "10.0.0.2:80")
		m.say(edgeTo("pay"), 4, well(20), "10.0.0.3:80")
		m.pass(100 * time.Millisecond)
	}
	v, _ := m.Circuit(edgeTo("pay"))
	if len(v.Parts) != 1 || !strings.Contains(v.Held, "1 of 3 instances are out, and automation may take out 1 (maxEjectionPercent 34") || m.alerts("guard") != 1 {
		t.Errorf("parts %+v, held because %q, %d alerts: want one out, the other held, and one alert", v.Parts, v.Held, m.alerts("guard"))
	}
}

func TestWithoutIsReadByItsWords(t *testing.T) {
	w, err := ParseWithout("guard,quorum")
	if err != nil || w != (Without{Guard: true, Quorum: true}) {
		t.Errorf("%+v, %v", w, err)
	}
	if _, err := ParseWithout("guard,luck"); err == nil || !strings.Contains(err.Error(), `"luck"`) {
		t.Errorf("%v: want the unknown word named", err)
	}
}
