package control

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// set has cells fail as f says.
func set(cells []Cell, f func(*Cell)) []Cell {
	for i := range cells {
		f(&cells[i])
	}
	return cells
}

func TestLocatePairWidensToAParentThatFailsToo(t *testing.T) {
	found := small.locate(set(small.cells(20, nil), func(c *Cell) {
		switch {
		case c.Instance == "i2" && c.Route == "/1":
			c.Failed = 20
		case c.Instance == "i2":
			c.Failed = 5
		}
	}))
	if len(found) != 1 || names(found)[0] != "i2[] []" {
		t.Errorf("found %q, want i2", names(found))
	}
}

func TestLocateSeesAFreshFaultThroughTheCallsBeforeIt(t *testing.T) {
	cells := set(small.cells(500, nil), func(c *Cell) { c.Age = 8 })
	cells = append(cells, small.cells(2, func(c *Cell) bool { return c.Instance == "i2" })...)
	found := small.locate(cells)
	if len(found) != 1 || found[0].Instance != "i2" || !strings.HasPrefix(found[0].Why, "24 of 24 calls to instance i2 failed in the last 8 s") {
		t.Errorf("found %+v, want i2 by 24 of 24 calls", found)
	}
}

func TestLocateLiarWhoReportsSuccessHidesNothing(t *testing.T) {
	found := small.locate(set(small.cells(10, func(c *Cell) bool { return c.Instance == "i2" }), func(c *Cell) {
		if c.Replica == "r0" {
			c.Calls, c.Failed = 1_000_000, 0
		}
	}))
	if len(found) == 0 {
		t.Errorf("one replica's successes hide that an instance fails for all others")
	}
}

func TestLocateWhatFailsMoreEverywhereIsNoPart(t *testing.T) {
	cells := set(small.cells(50, nil), func(c *Cell) {
		if c.Failed = 3; c.Instance == "i2" && c.Replica != "r3" {
			c.Failed = 6
		}
	})
	named, suspected := Locate(&Evidence{Cells: cells, Past: small.past()})
	if len(named) > 0 || suspected != nil {
		t.Errorf("where 6 %% fail everywhere, named %+v, suspected %+v", named, suspected)
	}
}

func TestLocateNarrowsToWhomNobodySeconds(t *testing.T) {
	// Replica r2 makes nearly all of its caller's calls, and all of them fail.
	for _, tt := range []struct {
		calls, failed int // of the caller's other replica
		want          string
	}{
		{0, 0, "r2[] []"},
		{1, 1, "r2[] []"}, // one more can be chance
		{5, 5, "c1[] []"}, // few, and they bear it out
		{5, 0, "r2[] []"},
	} {
		found := small.locate(set(small.cells(100, nil), func(c *Cell) {
			switch c.Replica {
			case "r2":
				c.Failed = 100
			case "r3":
				c.Calls = 0
				if c.Instance == "i0" && c.Route == "/0" {
					c.Calls, c.Failed = tt.calls, tt.failed
				}
			}
		}))
		if len(found) != 1 || names(found)[0] != tt.want {
			t.Errorf("%d of %d calls of the other failed: found %q, want %s", tt.failed, tt.calls, names(found), tt.want)
		}
	}
}

func TestLocateCapsWhatOneObserverSays(t *testing.T) {
	s := newScanner((&Evidence{Cells: set(small.cells(10, nil), func(c *Cell) {
		if c.Replica == "r0" {
			c.Calls, c.Failed = 1_000_000, 500_000
		}
	})}).evidence())
	s.use(0)
	var own, others count
	for i := range s.seen {
		if s.labels[byReplica][s.ids[i][byReplica]] == "r0" {
			own.add(s.seen[i])
		} else {
			others.add(s.seen[i])
		}
	}
	if own.n > observerShare*others.n+0.01 || own.k < 0.499*own.n {
		t.Errorf("one observer speaks with %v, all others with %v", own, others)
	}
}

func TestLocateBesidesAnotherLessIsNeeded(t *testing.T) {
	m := labMesh{6, 5, 3}
	weak := func(c *Cell) {
		if c.Instance == "i2" && c.Route == "/1" && c.Replica != "r5" {
			c.Failed = 1
		}
	}
	cells := set(m.cells(2, nil), weak)
	named, alone := Locate(&Evidence{Cells: cells, Past: m.past()})
	if len(named) > 0 || alone == nil {
		t.Fatalf("alone: named %+v, suspected %+v, want a suspicion", named, alone)
	}
	cells = set(m.cells(2, func(c *Cell) bool { return c.Instance == "i4" }), weak)
	if got := names(m.locate(cells)); len(got) != 2 || !slices.Contains(got, "i2/1[] []") {
		t.Errorf("beside i4 found %q, want i2/1 too; alone it is suspected at %.1f", got, alone.Score)
	}
}

func TestLocateElsewhereTipsTheScale(t *testing.T) {
	e := &Evidence{Past: small.past(), Cells: set(small.cells(20, nil), func(c *Cell) {
		if c.Replica == "r1" {
			c.Failed = 2
		}
	})}
	score := func() float64 {
		named, suspected := Locate(e)
		if len(named) > 0 {
			return named[0].Score
		}
		if suspected == nil {
			return 0
		}
		return suspected.Score
	}
	alone := score()
	for r := range small.replicas {
		e.Elsewhere = append(e.Elsewhere, Other{Replica: fmt.Sprint("r", r), Callee: "stock", Calls: 50})
	}
	e.Elsewhere[1].Failed = 40
	if sick := score(); sick < alone+3.9 || sick > alone+4.1 {
		t.Errorf("a replica that fails elsewhere too scores %v, %v without: want %d more", sick, alone, mostSick)
	}
}

// A cross of an instance and a route, both bad: the first guess alone would be
// neither.
func TestLocateTriesSeveralFirstParts(t *testing.T) {
	m := labMesh{6, 3, 3}
	found := m.locate(set(m.cells(10, nil), func(c *Cell) {
		if c.Instance == "i1" || c.Route == "/2" {
			c.Failed = 5
		}
	}))
	got := names(found)
	slices.Sort(got)
	if !slices.Equal(got, []string{"/2[] []", "i1[] []"}) {
		t.Errorf("found %q, want i1 and /2", got)
	}
}

func TestNormalIsNotLearntFromWhatIsNamed(t *testing.T) {
	f := bareFleet()
	for r := range 4 {
		for i := range 5 {
			ok, failed := uint32(10), uint32(0)
			if i == 2 {
				ok, failed = 0, 10
			}
			f.hear("c", fmt.Sprint("r", r), "cart", fmt.Sprint("i", i), "/", ok, failed)
		}
	}
	ce := f.callees[cart]
	if v := f.look(ce); len(v.named) != 1 || v.named[0].instance != "i2" {
		t.Fatalf("named %+v, want i2", v.named)
	}
	ce.past.turn(f.at + pastTurn)
	ce.past.turn(f.at + 3*pastTurn)
	if got := ce.past.of("/"); got.n != 0 {
		t.Errorf("%v is learnt of a time when an instance was named", got)
	}
}

// The command looks 50,000 times at callees drawn wide.
func TestLocateHealthyLooksRaiseNoAlarm(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	for range 3000 {
		m := labMesh{2 + rng.IntN(4), 1 + rng.IntN(5), 1 + rng.IntN(3)}
		past := m.past()
		var share []float64
		for q := range past {
			share = append(share, 0.05*rng.Float64())
			past[q].Failed = past[q].Calls * share[q]
		}
		rises := 1 + rng.Float64() // up to twice as much is normal
		cells := set(m.cells(0, nil), func(c *Cell) {
			c.Age = rng.IntN(16)
			c.Calls = 1 + rng.IntN(30)
			for range c.Calls {
				if rng.Float64() < rises*share[c.Route[1]-'0'] {
					c.Failed++
				}
			}
		})
		if named, _ := Locate(&Evidence{Cells: cells, Past: past}); len(named) > 0 {
			t.Fatalf("named %+v where nothing is wrong", named)
		}
	}
}
