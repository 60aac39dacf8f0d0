package control

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
)

// What control keeps so that it need not walk over all rows says what a walk over
// them would: who has a word of its own, who sees what, and whose end is whose.
func TestWhatIsKeptBesideTheRowsSaysWhatTheyDo(t *testing.T) {
	own, strays := 0, 0
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 12))
		m := New(Config{Daemon: "d", Seed: seed, Enforce: true})
		for at := time.Second; at < 12*time.Second; at += 20 * time.Millisecond {
			m.Step(chance(rng, at, m))
			for _, ce := range m.order {
				for _, c := range ce.circuits {
					own += keptRight(t, seed, c)
					if c.strays {
						strays++
					}
				}
			}
			ends := 0
			for id, b := range m.members {
				for _, e := range b.ends {
					if at, found := e.circuit.findRow(id); !found || e.circuit.rows[at] != e.row {
						t.Fatalf("seed %d: an end of %s to %s is not among the rows", seed, id.Name, e.circuit.id)
					}
				}
				ends += len(b.ends)
			}
			rows := 0
			for _, c := range m.Circuits() {
				rows += len(c.Replicas)
			}
			if ends != rows {
				t.Fatalf("seed %d: %d ends of %d rows", seed, ends, rows)
			}
		}
	}
	if own == 0 || strays == 0 {
		t.Errorf("%d rows with a word of their own, %d strays: the test sees too little", own, strays)
	}
}

func keptRight(t *testing.T, seed uint64, c *circuit) (own int) {
	t.Helper()
	rows := make(map[*observer]int)
	for _, r := range c.rows {
		rows[r.observer]++
		if r.own != nil {
			own++
		}
	}
	if own > 0 && (!c.apart || !c.standing()) {
		t.Fatalf("seed %d: %s: %d replicas have a word of their own, apart %v, standing %v", seed, c.id, own, c.apart, c.standing())
	}
	for name, o := range c.observers {
		if o.rows != rows[o] || o.rows == 0 && !c.strays {
			t.Fatalf("seed %d: %s: observer %s sees %d rows, counted %d", seed, c.id, name, rows[o], o.rows)
		}
		delete(rows, o)
	}
	if len(rows) > 0 {
		t.Fatalf("seed %d: %s: %d observers are forgotten", seed, c.id, len(rows))
	}
	return own
}

// chance is an input of a fleet in which replicas come and go, change their
// address, fail alone and open by their own rule.
func chance(rng *rand.Rand, at time.Duration, m *Mind) Input {
	id := replica(rng.IntN(8))
	switch rng.IntN(40) {
	case 0:
		return Input{At: at, Gone: &id}
	case 1:
		return Input{At: at, Hello: &fleet.Hello{Protocol: fleet.Protocol, Replica: id}, Observer: "x"}
	case 2:
		return Input{At: at, Tick: true}
	}
	r := &ReplicaReport{From: id, Observer: fmt.Sprintf("%s-%d", id.Name, rng.IntN(60)/59)}
	for _, callee := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		if rng.IntN(3) == 0 {
			continue
		}
		cr := fleet.CircuitReport{Callee: svc(callee), Cells: []fleet.Cell{{Buckets: []fleet.Bucket{{Counts: well(3)}}}}}
		if callee == "a" {
			cr.Settings = explicit()
		}
		if c := m.known(edgeTo(callee)); c != nil {
			cr.Generation = c.whole.gate.Generation
		}
		if id == replica(0) {
			cr.Cells[0].Buckets[0].Counts = bad(5)
			if callee == "a" {
				cr.State, cr.Why = breaker.Open, "its own rule"
			}
		}
		r.Circuits = append(r.Circuits, cr)
	}
	if rng.IntN(4) == 0 {
		slices.Reverse(r.Circuits)
	}
	return Input{At: at, Report: r}
}
