package control

import (
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// ownRule has replicas run a strategy, which control only knows by its name.
func (f *fleetOf) ownRule(i int, state breaker.State) {
	s := policy.Settings{Strategy: "error-budget"}.WithDefaults()
	c := fleet.Counts{Offered: 5, Failed: 5}
	c.Kinds[breaker.ServerError] = 5
	cr := fleet.CircuitReport{Callee: cart, Settings: &s, Generation: f.generation(i), State: state, Cells: []fleet.Cell{{Buckets: []fleet.Bucket{{Counts: c}}}}}
	if state == breaker.Open {
		cr.Why = "the budget is spent"
	}
	f.step(Input{Report: &ReplicaReport{From: replica(i), Report: fleet.Report{Circuits: []fleet.CircuitReport{cr}}}})
}

func TestControlLeavesAStrategyToItsReplicasAndSaysSo(t *testing.T) {
	f := &fleetOf{Mind: New(Config{Daemon: "d", Incarnation: 1, Seed: 1, Enforce: true}), at: time.Second}
	for i := range 4 {
		f.step(Input{Hello: &fleet.Hello{Protocol: fleet.Protocol, Replica: replica(i)}})
	}
	for range 30 {
		for i := range 4 {
			f.ownRule(i, breaker.Closed)
		}
		f.pass(100 * time.Millisecond)
	}
	v, _ := f.Circuit(edge)
	if v.State != breaker.Closed {
		t.Fatalf("control opened by a rule of its own: %s", v.Why)
	}
	if want := `its replicas open by their own strategy "error-budget", which control neither runs nor pools`; !strings.Contains(v.Why, want) {
		t.Errorf("why: %q: want %q", v.Why, want)
	}
	for range 10 {
		for i := range 3 {
			f.ownRule(i, breaker.Open)
		}
		f.pass(100 * time.Millisecond)
	}
	if v, _ = f.Circuit(edge); v.State == breaker.Closed || !strings.Contains(v.Why, "have opened by their own rule") {
		t.Errorf("%v, %q: want what most replicas' strategies say to be the fleet's word", v.State, v.Why)
	}
}
