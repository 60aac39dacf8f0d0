package control

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// labMesh has 4 replicas, 5 instances and 3 routes, each cell with calls, of which
// those that bad holds fail.
func labMesh(calls int, bad func(*Cell) bool) []Cell {
	var cells []Cell
	for r := range 4 {
		for i := range 5 {
			for q := range 3 {
				c := Cell{Replica: fmt.Sprint("r", r), Caller: fmt.Sprint("c", r/2), Instance: fmt.Sprint("i", i), Route: fmt.Sprint("/", q), Calls: calls}
				if bad(&c) {
					c.Failed = calls
				}
				cells = append(cells, c)
			}
		}
	}
	return cells
}

func TestLocateSetOfInstances(t *testing.T) {
	found := Locate(labMesh(5, func(c *Cell) bool { return c.Instance == "i1" || c.Instance == "i3" }))
	if len(found) != 1 || !slices.Equal(found[0].Instances, []string{"i1", "i3"}) {
		t.Errorf("found %+v, want just the set of i1 and i3", found)
	}
}

func TestLocateOrderChangesNothing(t *testing.T) {
	cells := labMesh(6, func(c *Cell) bool { return c.Instance == "i2" && c.Route == "/1" })
	want := Locate(cells)
	if len(want) != 1 || want[0].Instance != "i2" || want[0].Route != "/1" {
		t.Fatalf("found %+v, want i2 on /1", want)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		rng.Shuffle(len(cells), func(i, j int) { cells[i], cells[j] = cells[j], cells[i] })
		if got := Locate(cells); !reflect.DeepEqual(names(got), names(want)) {
			t.Fatalf("found %+v in another order, want %+v", got, want)
		}
	}
}

func TestLocateOneObserverClaimsNothingBeyondItself(t *testing.T) {
	for _, f := range Locate(labMesh(5, func(c *Cell) bool {
		if c.Replica == "r0" {
			c.Calls *= 1000
		}
		return false
	})) {
		t.Errorf("found %+v where nothing fails", f)
	}
	cells := labMesh(5, func(c *Cell) bool { return c.Replica == "r0" })
	for i := range cells {
		cells[i].Calls *= 1000
		cells[i].Failed *= 1000
	}
	for _, f := range Locate(cells) {
		if f.Replica != "r0" {
			t.Errorf("found %+v beyond its only observer", f)
		}
	}
}

func names(found []Finding) (s []string) {
	for _, f := range found {
		s = append(s, fmt.Sprint(f.Replica, f.Caller, f.Instance, f.Route, f.Instances))
	}
	return s
}
