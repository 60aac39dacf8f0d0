package control

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

var (
	web  = policy.Service{Namespace: "t", Name: "web"}
	cart = policy.Service{Namespace: "t", Name: "cart"}
	edge = policy.Circuit{Caller: web, Callee: cart}
)

// fleetOf is a mind with replicas that report by hand.
type fleetOf struct {
	*Mind
	at  time.Duration
	out []Output
}

// explicit settings, as people set them.
func explicit() *policy.Settings {
	s := policy.Settings{Breaker: breaker.Default()}.WithDefaults()
	return &s
}

func newFleet(replicas int) *fleetOf {
	f := &fleetOf{Mind: New(Config{Daemon: "d", Incarnation: 1, Seed: 1, Enforce: true}), at: time.Second}
	for i := range replicas {
		f.step(Input{Hello: &fleet.Hello{Protocol: fleet.Protocol, Replica: replica(i)}})
		f.reports(i, 0, 0)
	}
	return f
}

func replica(i int) fleet.ReplicaID {
	return fleet.ReplicaID{Service: web, Name: fmt.Sprintf("web-%d", i), Incarnation: 1}
}

func (f *fleetOf) step(in Input) {
	in.At = f.at
	f.out = append(f.out, f.Step(in).Directives...)
}

func (f *fleetOf) pass(d time.Duration) {
	for end := f.at + d; f.at < end; f.at += 20 * time.Millisecond {
		f.step(Input{Tick: true})
	}
}

// reports has a replica report so many answers under the word that it holds.
func (f *fleetOf) reports(i int, ok, failed uint32) {
	c := fleet.Counts{Offered: ok + failed, Succeeded: ok, Failed: failed}
	c.Kinds[breaker.ServerError] = failed
	cr := fleet.CircuitReport{Callee: cart, Settings: explicit(), Generation: f.generation(i), Cells: []fleet.Cell{{Buckets: []fleet.Bucket{{Counts: c}}}}}
	f.step(Input{Report: &ReplicaReport{From: replica(i), Report: fleet.Report{Circuits: []fleet.CircuitReport{cr}}}})
}

// generation that a replica holds, by what it was told last.
func (f *fleetOf) generation(i int) (g uint64) {
	for _, o := range f.out {
		if o.To.Name == "" || o.To == replica(i) {
			g = o.Directive.Generation
		}
	}
	return g
}

func (f *fleetOf) state() breaker.State {
	v, _ := f.Circuit(edge)
	return v.State
}

// leases that were given since the last call, by replica.
func (f *fleetOf) leases() map[string][]fleet.Lease {
	given := make(map[string][]fleet.Lease)
	for _, o := range f.out {
		if len(o.Directive.Leases) > 0 {
			given[o.To.Name] = append(given[o.To.Name], o.Directive.Leases...)
		}
	}
	f.out = nil
	return given
}

func (f *fleetOf) outage(replicas int) {
	for range 5 {
		for i := range replicas {
			f.reports(i, 0, 5)
		}
		f.pass(100 * time.Millisecond)
	}
}

func TestQuorumOpens(t *testing.T) {
	f := newFleet(4)
	f.outage(4)
	if f.state() != breaker.Open {
		t.Errorf("state %v with all replicas failing: want open", f.state())
	}
}

func TestOneLiarOpensNothing(t *testing.T) {
	f := newFleet(5)
	for range 50 {
		f.reports(0, 0, 20_000)
		for i := 1; i < 5; i++ {
			f.reports(i, 20, 0)
		}
		f.pass(100 * time.Millisecond)
	}
	if f.state() != breaker.Closed {
		t.Errorf("one replica at 1,000 times the volume opened it: %+v", f.out[len(f.out)-1].Directive.Gate)
	}
}

// reportsOpen has a replica say that it has opened by its own rule.
func (f *fleetOf) reportsOpen(i int, failed uint32) {
	c := fleet.Counts{Offered: failed, Failed: failed}
	cr := fleet.CircuitReport{Callee: cart, Settings: explicit(), Generation: f.generation(i), State: breaker.Open, Why: "own rule", Cells: []fleet.Cell{{Buckets: []fleet.Bucket{{Counts: c}}}}}
	f.step(Input{Report: &ReplicaReport{From: replica(i), Report: fleet.Report{Circuits: []fleet.CircuitReport{cr}}}})
}

func TestWhatMostOpenAloneTheFleetOpens(t *testing.T) {
	f := newFleet(3)
	f.reportsOpen(0, 20)
	f.pass(400 * time.Millisecond)
	if v, _ := f.Circuit(edge); v.State != breaker.Closed || !strings.Contains(v.Why, "1 of 3 replicas have opened by their own rule: own rule") {
		t.Errorf("one alone: %v, %q: want closed, and who is open", v.State, v.Why)
	}
	f.reportsOpen(1, 20)
	f.pass(400 * time.Millisecond)
	if v, _ := f.Circuit(edge); v.State != breaker.Open || !strings.Contains(v.Why, "2 of 3 replicas") {
		t.Errorf("two of three: %v, %q: want open for all", v.State, v.Why)
	}
}

func TestOneObserverUnderManyNamesIsOne(t *testing.T) {
	f := newFleet(2)
	for range 50 {
		for i := range 10 {
			c := fleet.Counts{Offered: 50, Failed: 50}
			cr := fleet.CircuitReport{Callee: cart, Settings: explicit(), Generation: f.generation(i), Cells: []fleet.Cell{{Buckets: []fleet.Bucket{{Counts: c}}}}}
			from := replica(100 + i)
			f.step(Input{Report: &ReplicaReport{From: from, Observer: "10.0.0.66", Report: fleet.Report{Circuits: []fleet.CircuitReport{cr}}}})
		}
		f.reports(0, 20, 0)
		f.reports(1, 20, 0)
		f.pass(100 * time.Millisecond)
	}
	if f.state() != breaker.Closed {
		t.Error("one address with ten names opened the circuit for all")
	}
}

func TestMaxEjectedIsExactForSmallNumbers(t *testing.T) {
	for _, c := range []struct {
		n       int
		percent float64
		want    int
	}{
		{1, 50, 0},
		{1, 100, 0},
		{2, 50, 1},
		{2, 49, 0},
		{3, 34, 1},
		{3, 33, 0},
		{3, 67, 2},
		{3, 100, 2},
		{4, 50, 2},
		{10, 10, 1},
		{10, 30, 3},
		{0, 50, 0},
		{10, 0, 0},
	} {
		if got := maxEjected(c.n, c.percent); got != c.want {
			t.Errorf("%v %% of %d: %d, want %d", c.percent, c.n, got, c.want)
		}
	}
}

func TestHeldDirectiveIsAdopted(t *testing.T) {
	f := &fleetOf{Mind: New(Config{Daemon: "d", Incarnation: 2, Seed: 1, Enforce: true}), at: time.Second}
	held := fleet.Directive{
		Circuit: edge, Epoch: fleet.Epoch{Incarnation: 1, Counter: 900, Daemon: "d"}, TTL: 30 * time.Second, Enforce: true,
		Gate: fleet.Gate{State: breaker.Open, Generation: 77, Reason: "before"},
	}
	f.step(Input{Hello: &fleet.Hello{Protocol: fleet.Protocol, Replica: replica(0), Held: []fleet.Directive{held}}})
	for end := f.at + hearClaims; f.at < end; {
		cr := fleet.CircuitReport{Callee: cart, State: breaker.Open, Generation: 77}
		f.step(Input{Report: &ReplicaReport{From: replica(0), Report: fleet.Report{Circuits: []fleet.CircuitReport{cr}}}})
		f.pass(100 * time.Millisecond)
		for _, o := range f.out {
			if o.Directive.State == breaker.Closed {
				t.Fatalf("told to close at %v: %+v", f.at, o)
			}
		}
	}
	f.pass(patrolInterval)
	if f.state() == breaker.Closed {
		t.Fatalf("closed %v after the only replica said that it is open", hearClaims)
	}
	last := f.out[len(f.out)-1].Directive
	if !held.Epoch.Less(last.Epoch) || last.Generation < 77 || last.State == breaker.Closed {
		t.Errorf("told %+v: want open, of a newer epoch", last)
	}
}

func TestWhatOneReplicaHoldsOpensNothingForOthers(t *testing.T) {
	f := &fleetOf{Mind: New(Config{Daemon: "d", Incarnation: 2, Seed: 1, Enforce: true}), at: time.Second}
	held := fleet.Directive{
		Circuit: edge, Epoch: fleet.Epoch{Incarnation: 1, Counter: 900, Daemon: "d"}, TTL: 30 * time.Second, Enforce: true,
		Gate: fleet.Gate{State: breaker.Open, Generation: 77, Reason: "this replica alone is sick"},
	}
	f.step(Input{Hello: &fleet.Hello{Protocol: fleet.Protocol, Replica: replica(0), Held: []fleet.Directive{held}}})
	for i := 1; i < 4; i++ {
		f.step(Input{Hello: &fleet.Hello{Protocol: fleet.Protocol, Replica: replica(i)}})
		f.reports(i, 10, 0)
	}
	for range 50 {
		f.pass(100 * time.Millisecond)
		if f.state() != breaker.Closed {
			t.Fatalf("%v for all at %v, by the word that one of four holds", f.state(), f.at)
		}
	}
}

func TestHostileReportsChangeNothing(t *testing.T) {
	f := newFleet(2)
	bad := []fleet.CircuitReport{
		{Callee: policy.Service{}},
		{Callee: policy.Service{Namespace: "t", Name: "a\nb"}},
		{Callee: cart, Settings: &policy.Settings{}},
		{Callee: cart, Generation: 1 << 60, Cells: []fleet.Cell{{Buckets: []fleet.Bucket{{Counts: fleet.Counts{Failed: 1 << 31}}}}}},
		{Callee: cart, Cells: []fleet.Cell{{Buckets: []fleet.Bucket{{Age: -time.Hour, Counts: fleet.Counts{Failed: 1 << 31}}}}}},
		{Callee: cart, Cells: []fleet.Cell{{Buckets: []fleet.Bucket{{Age: 1 << 62, Counts: fleet.Counts{Failed: 1 << 31}}}}}},
		{Callee: cart, Generation: 1 << 60, Cells: []fleet.Cell{{Buckets: []fleet.Bucket{{Counts: fleet.Counts{Failed: 5, RetriedFailed: 1 << 31}}}}}},
	}
	for i := range 2 {
		f.step(Input{Report: &ReplicaReport{From: replica(i), Report: fleet.Report{Circuits: bad, Answers: []fleet.Answer{{Token: 5}, {Circuit: edge, Token: 6, Used: true}}}}})
		f.pass(time.Second)
	}
	if f.state() != breaker.Closed || len(f.Circuits()) != 1 {
		t.Errorf("state %v, %d circuits: want closed and one", f.state(), len(f.Circuits()))
	}
}

func TestReadingChangesNothing(t *testing.T) {
	run := func(read bool) []byte {
		f := newFleet(4)
		for range 30 {
			for i := range 4 {
				f.reports(i, 2, 3)
			}
			if read {
				f.Circuits()
				f.Circuit(edge)
				f.Urgent()
				f.Interval()
				f.State()
				f.Live()
				f.Farewell()
			}
			f.pass(100 * time.Millisecond)
		}
		return fmt.Append(nil, f.out)
	}
	if !bytes.Equal(run(true), run(false)) {
		t.Error("reading changed what was said")
	}
}

func TestCircuitsAreBoundedAndForgotten(t *testing.T) {
	f := newFleet(1)
	for i := range maxCircuits + 100 {
		callee := policy.Service{Namespace: "t", Name: fmt.Sprintf("callee-%d", i%2000)}
		cr := fleet.CircuitReport{Callee: callee, Route: fmt.Sprintf("r%d", i/2000)}
		f.report(&ReplicaReport{From: replica(0), Report: fleet.Report{Circuits: []fleet.CircuitReport{cr}}})
	}
	if n := len(f.Circuits()); n != maxCircuits {
		t.Errorf("%d circuits: want %d", n, maxCircuits)
	}
	gone := replica(0)
	f.step(Input{Gone: &gone})
	f.at += forgetCircuit + time.Minute
	f.step(Input{Tick: true})
	if n := len(f.Circuits()); n != 0 {
		t.Errorf("%d circuits an hour after the last replica left: want none", n)
	}
}

func TestEveryDefaultHasAReason(t *testing.T) {
	seen := make(map[string]bool)
	for _, d := range Defaults() {
		if seen[d.Name] || d.Value == "" || len(d.Why) < 10 {
			t.Errorf("default %+v: want one name, a value and a reason", d)
		}
		seen[d.Name] = true
	}
}
