package control

import (
	"fmt"
	"testing"
	"time"

	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// hear gives the mind one bucket of evidence.
func (f *fleetOf) hear(caller, replica, callee, instance, route string, ok, failed uint32) {
	c := fleet.Counts{Offered: ok + failed, Succeeded: ok, Failed: failed}
	id := fleet.ReplicaID{Service: policy.Service{Namespace: "t", Name: caller}, Name: replica, Incarnation: 1}
	f.step(Input{Report: &ReplicaReport{From: id, Report: fleet.Report{Circuits: []fleet.CircuitReport{{
		Callee: policy.Service{Namespace: "t", Name: callee},
		Cells:  []fleet.Cell{{Instance: instance, Route: route, Buckets: []fleet.Bucket{{Counts: c}}}},
	}}}}})
}

func bareFleet() *fleetOf {
	return &fleetOf{Mind: New(Config{Daemon: "d", Incarnation: 1, Seed: 1}), at: time.Second}
}

func totalOf(ev *evidence) (sum count) {
	for i := range ev.cells {
		sum.add(ev.cells[i].seen[0])
	}
	return sum
}

func TestFoldingKeepsTotals(t *testing.T) {
	for _, m := range []labMesh{{20, 20, 40}, {600, 8, 2}, {2, 6000, 1}, {6000, 1, 1}} {
		ev := &evidence{past: &history{}}
		for _, c := range m.cells(3, nil) {
			x := *cellOf(&c)
			x.seen[0] = count{3, 1}
			ev.cells = append(ev.cells, x)
		}
		want := totalOf(ev)
		ev.settle()
		if got := totalOf(ev); got != want {
			t.Errorf("%v: %v left of %v", m, got, want)
		}
		if n := len(ev.cells); n > maxLocated || n < maxLocated/4 {
			t.Errorf("%v: %d cells are left, at most %d should be, and not many fewer", m, n, maxLocated)
		}
	}
}

func TestFoldingTakesTheSmallestRoutesFirst(t *testing.T) {
	cells := labMesh{20, 20, 20}.cells(1, nil)
	ev := &evidence{past: &history{}}
	for i := range cells {
		x := *cellOf(&cells[i])
		x.seen[0].n = 1
		if x.route == "/7" {
			x.seen[0].n = 5
		}
		ev.cells = append(ev.cells, x)
	}
	ev.settle()
	left := make(map[string]int)
	for i := range ev.cells {
		left[ev.cells[i].route]++
		if ev.cells[i].replica == "" || ev.cells[i].instance == "" {
			t.Fatalf("%+v is folded by more than its route", ev.cells[i])
		}
	}
	if left["/7"] != 400 || left[""] != 400 {
		t.Errorf("left %v, want the greatest route and the rest", left)
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	f := bareFleet()
	sent := 0
	for r := range 40 {
		for i := range 60 {
			for q := range 3 {
				f.hear(fmt.Sprint("c", r/10), fmt.Sprint("r", r), "cart", fmt.Sprint("i", i), fmt.Sprint("/", q), 2, 0)
				sent += 2
			}
		}
	}
	ce := f.callees[cart]
	held := 0
	var sum count
	for _, c := range ce.circuits {
		for _, r := range c.evidenceRows() {
			held += len(r.cells)
			for _, x := range r.cells {
				n := x.window.sum(f.at, 16)
				sum.add(count{float64(n.n), float64(n.k)})
			}
		}
	}
	if held > maxLocated {
		t.Errorf("%d cells are held, at most %d should be", held, maxLocated)
	}
	if sum.n != float64(sent) {
		t.Errorf("%v calls are held of %d", sum.n, sent)
	}
	// An hour of nothing but other instances: those that are gone make room.
	f.at += time.Hour
	f.hear("c0", "r0", "cart", "new", "/0", 1, 0)
	ce.fold(f.at)
	f.hear("c0", "r0", "cart", "newer", "/0", 1, 0)
	if ev := f.evidence(ce); ce.held.cells != 2 || len(ev.cells) > 2 || ev.cells[len(ev.cells)-1].instance != "newer" {
		t.Errorf("%d cells are held, %+v", ce.held.cells, ev.cells)
	}
}

func TestEvidenceElsewhereIsOfOtherCallees(t *testing.T) {
	f := bareFleet()
	f.hear("c0", "r0", "cart", "", "", 5, 5)
	f.hear("c0", "r1", "cart", "", "", 10, 0)
	f.hear("c0", "r0", "stock", "", "", 1, 9)
	f.hear("c0", "r1", "stock", "", "", 10, 0)
	f.hear("c1", "r9", "stock", "", "", 3, 0)
	got := f.elsewhere(f.callees[cart])
	want := "[{r0 t/stock {10 9}} {r1 t/stock {10 0}}]"
	if fmt.Sprint(got) != want {
		t.Errorf("elsewhere %v, want %s", got, want)
	}
}

func TestEvidenceNeverHoldsMoreFailuresThanCalls(t *testing.T) {
	f := bareFleet()
	for range 3 {
		for _, c := range []fleet.Counts{
			{Succeeded: 1, Failed: 10, RetriedSucceeded: 10},
			{Succeeded: 1<<32 - 5, Failed: 10},
			{Succeeded: 1 << 31, Failed: 1 << 31},
			{Succeeded: 1<<31 - 7, Failed: 10},
			{Succeeded: 1<<31 - 12, Failed: 10},
			{Failed: 1<<32 - 1},
		} {
			f.step(Input{Report: &ReplicaReport{From: replica(0), Report: fleet.Report{Circuits: []fleet.CircuitReport{{
				Callee: cart, Cells: []fleet.Cell{{Instance: "i", Buckets: []fleet.Bucket{{Counts: c}}}},
			}}}}})
			for _, x := range f.evidence(f.callees[cart]).cells {
				if x.seen[0].k > x.seen[0].n {
					t.Errorf("after %+v: %v", c, x.seen[0])
				}
			}
		}
	}
	if p := f.callees[cart].past; len(p.routes) > 0 && p.routes[0].recent.k > p.routes[0].recent.n {
		t.Errorf("learns %v", p.routes[0].recent)
	}
}
