package control

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// labMesh is how many replicas (two to a caller), instances and routes there are.
type labMesh struct{ replicas, instances, routes int }

var small = labMesh{4, 5, 3}

// cells, each with calls, of which those that bad holds fail.
func (m labMesh) cells(calls int, bad func(*Cell) bool) []Cell {
	var cells []Cell
	for r := range m.replicas {
		for i := range m.instances {
			for q := range m.routes {
				c := Cell{Replica: fmt.Sprint("r", r), Caller: fmt.Sprint("c", r/2), Instance: fmt.Sprint("i", i), Route: fmt.Sprint("/", q), Calls: calls}
				if bad != nil && bad(&c) {
					c.Failed = calls
				}
				cells = append(cells, c)
			}
		}
	}
	return cells
}

// past gives every route of the labMesh a good one.
func (m labMesh) past() (p []Past) {
	for q := range m.routes {
		p = append(p, Past{Route: fmt.Sprint("/", q), Calls: 10_000, Failed: 10})
	}
	return p
}

func (m labMesh) locate(cells []Cell) []Finding {
	named, _ := Locate(&Evidence{Cells: cells, Past: m.past()})
	return named
}

func names(found []Finding) (s []string) {
	for _, f := range found {
		s = append(s, fmt.Sprint(f.Replica, f.Caller, f.Instance, f.Route, f.Instances, f.Replicas))
	}
	return s
}

// random draws a labMesh with a little noise and a bad part of one label or two.
func random(rng *rand.Rand) (m labMesh, cells []Cell, bad func(*Cell) bool) {
	m = labMesh{3 + rng.IntN(6), 2 + rng.IntN(6), 2 + rng.IntN(4)}
	at := Cell{Replica: fmt.Sprint("r", rng.IntN(m.replicas)), Instance: fmt.Sprint("i", rng.IntN(m.instances)), Route: fmt.Sprint("/", rng.IntN(m.routes))}
	use := 1 + rng.IntN(7)
	bad = func(c *Cell) bool {
		return (use&1 == 0 || c.Replica == at.Replica) && (use&2 == 0 || c.Instance == at.Instance) && (use&4 == 0 || c.Route == at.Route)
	}
	strength := 0.2 + 0.8*rng.Float64()
	cells = m.cells(0, nil)
	for i := range cells {
		c := &cells[i]
		c.Age = rng.IntN(16)
		for range 5 + rng.IntN(40) {
			c.Calls++
			if rng.Float64() < 0.005 || bad(c) && rng.Float64() < strength {
				c.Failed++
			}
		}
	}
	return m, cells, bad
}

func TestLocateKinds(t *testing.T) {
	for _, tt := range []struct {
		bad  func(*Cell) bool
		want string
		side string
	}{
		{func(*Cell) bool { return true }, "[] []", "callee"},
		{func(c *Cell) bool { return c.Instance == "i2" }, "i2[] []", "callee"},
		{func(c *Cell) bool { return c.Route == "/1" }, "/1[] []", "callee"},
		{func(c *Cell) bool { return c.Caller == "c1" }, "c1[] []", "caller or path"},
		{func(c *Cell) bool { return c.Replica == "r3" }, "r3[] []", "caller or path"},
		{func(c *Cell) bool { return c.Instance == "i2" && c.Route == "/1" }, "i2/1[] []", "callee"},
		{func(c *Cell) bool { return c.Caller == "c1" && c.Route == "/1" }, "c1/1[] []", "caller"},
		{func(c *Cell) bool { return c.Replica == "r3" && c.Instance == "i2" }, "r3i2[] []", "path"},
		{func(c *Cell) bool { return c.Caller == "c1" && c.Instance == "i2" }, "c1i2[] []", "path"},
		{func(c *Cell) bool { return c.Instance == "i1" || c.Instance == "i3" }, "[i1 i3] []", "callee"},
		{func(c *Cell) bool {
			return (c.Instance == "i1" || c.Instance == "i3") && (c.Replica == "r1" || c.Replica == "r2")
		}, "[i1 i3] [r1 r2]", "path"},
	} {
		found := small.locate(small.cells(10, tt.bad))
		if len(found) != 1 || names(found)[0] != tt.want || found[0].Side != tt.side {
			t.Errorf("found %q, %+v, want just %q, %s", names(found), found, tt.want, tt.side)
		}
	}
}

func TestLocateTwoFaultsAsTwo(t *testing.T) {
	found := small.locate(small.cells(10, func(c *Cell) bool { return c.Instance == "i1" || c.Route == "/2" }))
	got := names(found)
	slices.Sort(got)
	if want := []string{"/2[] []", "i1[] []"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	for _, f := range found {
		if !strings.Contains(f.Why, "other bad parts") {
			t.Errorf("%q does not speak of the other", f.Why)
		}
	}
}

func TestLocateTellsCallerFromPath(t *testing.T) {
	bad := func(c *Cell) bool { return c.Replica == "r1" }
	for _, tt := range []struct {
		own, others int // failed of 50 calls to another callee
		want        string
	}{
		{45, 0, "caller"},
		{0, 0, "path"},
		{45, 45, "path"}, // the other callee fails for all
	} {
		e := &Evidence{Cells: small.cells(10, bad), Past: small.past()}
		for r := range small.replicas {
			x := Other{Replica: fmt.Sprint("r", r), Callee: "stock", Calls: 50, Failed: tt.others}
			if r == 1 {
				x.Failed = tt.own
			}
			e.Elsewhere = append(e.Elsewhere, x)
		}
		found, _ := Locate(e)
		if len(found) != 1 || found[0].Replica != "r1" || found[0].Side != tt.want {
			t.Errorf("%d of 50 calls failed elsewhere, of others' %d: found %+v, want r1, %s", tt.own, tt.others, found, tt.want)
		}
	}
}

func TestLocateOrderAndSplittingChangeNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		m, cells, _ := random(rng)
		want := m.locate(cells)
		var split []Cell
		for _, c := range cells {
			a, b := c, c
			a.Calls = rng.IntN(c.Calls + 1)
			a.Failed = max(0, c.Failed-(c.Calls-a.Calls))
			b.Calls, b.Failed = c.Calls-a.Calls, c.Failed-a.Failed
			split = append(split, a, b)
		}
		rng.Shuffle(len(split), func(i, j int) { split[i], split[j] = split[j], split[i] })
		if got := m.locate(split); !reflect.DeepEqual(got, want) {
			t.Fatalf("found %+v in another order, want %+v", got, want)
		}
	}
}

func TestLocateIDsPermuteTheVerdict(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		m, cells, _ := random(rng)
		r, i := rng.Perm(m.replicas), rng.Perm(m.instances)
		// Callers go with their replicas: r is renamed to x + its new number.
		other := func(c Cell) Cell {
			n, _ := strconv.Atoi(c.Replica[1:])
			c.Replica = fmt.Sprint("x", r[n])
			n, _ = strconv.Atoi(c.Instance[1:])
			c.Instance = fmt.Sprint("y", i[n])
			return c
		}
		renamed := slices.Clone(cells)
		for j := range renamed {
			renamed[j] = other(renamed[j])
		}
		a, b := m.locate(cells), m.locate(renamed)
		if len(a) != len(b) {
			t.Fatalf("found %+v, and %+v under other names", a, b)
		}
		for j := range a {
			if math.Abs(a[j].Score-b[j].Score) > 1e-6 {
				t.Fatalf("found %+v, and %+v under other names", a, b)
			}
			fa, fb := findingOf(&a[j]), findingOf(&b[j])
			for _, c := range cells {
				d := other(c)
				if fa.matches(cellOf(&c)) != fb.matches(cellOf(&d)) {
					t.Fatalf("found %+v, and %+v under other names", a, b)
				}
			}
		}
	}
}

func cellOf(c *Cell) *evidenceCell {
	return &evidenceCell{replica: c.Replica, caller: c.Caller, instance: c.Instance, route: c.Route}
}

func findingOf(f *Finding) *finding {
	x := finding{instance: f.Instance, route: f.Route, caller: f.Caller, replica: f.Replica}
	if f.Instances != nil {
		x.set = &nameSet{f.Instances}
	}
	if f.Replicas != nil {
		x.replicas = &nameSet{f.Replicas}
	}
	return &x
}

func TestLocateMoreFailuresInsideNeverClear(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 30 {
		m, cells, bad := random(rng)
		was := len(m.locate(cells))
		for range 6 {
			for i := range cells {
				if c := &cells[i]; bad(c) && rng.IntN(3) == 0 {
					c.Calls++
					c.Failed++
				}
			}
			now := m.locate(cells)
			if was > 0 && len(now) == 0 {
				t.Fatalf("nothing is found any more after more failures")
			}
			was = len(now)
		}
	}
}

func TestLocateSuccessesInsideNeverRaiseTheScore(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		var s slot
		p := 0.01 + 0.2*rng.Float64()
		var gain [len(strengths)]float64
		for j, f := range strengths {
			gain[j] = math.Log1p(f * (1 - p) / p)
		}
		s.add(&count{n: float64(rng.IntN(50)) + 1, k: 1}, &gain)
		before := s.likelihood()
		s.add(&count{n: 1 + float64(rng.IntN(10))}, &gain)
		if after := s.likelihood(); after >= before {
			t.Fatalf("successes inside raise the score from %v to %v", before, after)
		}
	}
}

func TestLocateOneObserverClaimsNothingBeyondItself(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 40 {
		m, cells, _ := random(rng)
		for i := range cells {
			c := &cells[i]
			c.Failed = 0
			if c.Replica == "r0" && rng.IntN(3) > 0 {
				c.Calls *= 1000
				c.Failed = c.Calls
			}
		}
		for _, f := range m.locate(cells) {
			if f.Replica != "r0" {
				t.Errorf("found %+v beyond its only observer", f)
			}
		}
	}
}

func TestLocateWidthNeedsTwoObservers(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 40 {
		m, cells, _ := random(rng)
		for i := range cells {
			if cells[i].Replica != "r1" {
				cells[i].Failed = 0
			}
		}
		for _, f := range m.locate(cells) {
			if f.Replica != "r1" {
				t.Errorf("found %+v, which one replica alone saw failing", f)
			}
		}
	}
}

func TestLocateNotEnoughEvidence(t *testing.T) {
	few := small.cells(2, nil)
	for i := range few {
		if c := &few[i]; c.Instance == "i2" && c.Route == "/1" {
			c.Failed = 1
		}
	}
	named, suspected := Locate(&Evidence{Cells: few, Past: small.past()})
	if len(named) > 0 || suspected == nil || suspected.Instance != "i2" {
		t.Errorf("named %+v, suspected %+v, want a suspicion of i2", named, suspected)
	}
	if suspected != nil && (suspected.Score < suspectScore || suspected.Score >= nameScore) {
		t.Errorf("suspected with a score of %v", suspected.Score)
	}
}

func TestLocateNewRouteIsBlamedOverAHalfOnly(t *testing.T) {
	for _, tt := range []struct {
		failed int // of 20
		named  bool
	}{{0, false}, {6, false}, {9, false}, {19, true}} {
		cells := small.cells(20, nil)
		for i := range cells {
			if cells[i].Route == "/1" {
				cells[i].Failed = tt.failed
			}
		}
		past := slices.DeleteFunc(small.past(), func(p Past) bool { return p.Route == "/1" })
		named, suspected := Locate(&Evidence{Cells: cells, Past: past})
		if (len(named) > 0) != tt.named || !tt.named && suspected != nil {
			t.Errorf("%d of 20 failed on a new route: named %+v, suspected %+v", tt.failed, named, suspected)
		}
	}
	cells := small.cells(20, func(c *Cell) bool { return c.Instance == "i1" })
	if found, _ := Locate(&Evidence{Cells: cells}); len(found) != 1 || found[0].Instance != "i1" {
		t.Errorf("without any past, found %+v, want i1", found)
	}
}

func TestLocateTwiceThePastIsNormal(t *testing.T) {
	for failed, want := range map[int]bool{10: false, 19: false, 45: true} {
		cells := small.cells(50, nil)
		for i := range cells {
			if cells[i].Route == "/1" {
				cells[i].Failed = failed
			}
		}
		past := small.past()
		past[1].Failed = past[1].Calls / 5
		if found, _ := Locate(&Evidence{Cells: cells, Past: past}); (len(found) > 0) != want {
			t.Errorf("%d of 50 fail where 10 always do: found %+v", failed, found)
		}
	}
}

func TestLocateFewFailuresAreNoPart(t *testing.T) {
	cells := labMesh{10, 10, 1}.cells(60, nil)
	cells[0].Calls, cells[0].Failed = 4, 4 // one call and three retries that nobody marked
	named, suspected := Locate(&Evidence{Cells: cells, Past: small.past()})
	if len(named) > 0 || suspected == nil || suspected.Replica != "r0" {
		t.Errorf("named %+v, suspected %+v, want a suspicion of r0", named, suspected)
	}
}

func TestLocateFewColludingLiarsGetNoFurtherThanTheirWays(t *testing.T) {
	m := labMesh{12, 5, 3}
	cells := m.cells(5, func(c *Cell) bool { return c.Instance == "i2" && (c.Replica == "r1" || c.Replica == "r4") })
	for i := range cells {
		if cells[i].Failed > 0 {
			cells[i].Calls, cells[i].Failed = 5000, 5000
		}
	}
	found := m.locate(cells)
	if len(found) != 1 || !slices.Equal(found[0].Replicas, []string{"r1", "r4"}) || !slices.Equal(found[0].Instances, []string{"i2"}) {
		t.Errorf("found %+v, want the ways of r1 and r4 to i2", found)
	}
}

func TestLocateNothingFailsNothingScanned(t *testing.T) {
	ev := (&Evidence{Cells: small.cells(50, nil)}).evidence()
	if n := testing.AllocsPerRun(10, func() { judgeEvidence(ev) }); n != 0 {
		t.Errorf("a look at calls that are all well allocates %v times", n)
	}
}
