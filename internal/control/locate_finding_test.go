package control

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var sentence = regexp.MustCompile(`^(\d+) of (\d+) calls(.*) failed in the last (\d+) s \(normal [\d.]+ %\), seen by (\d+) of (\d+) replicas; (?:other bad parts (\d+) of (\d+); )?everything else (\d+) of (\d+)`)

func TestLocateSentenceAddsUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	sentences, twice := 0, 0
	for range 60 {
		m, cells, _ := random(rng)
		for i := range cells { // and a second fault
			if c := &cells[i]; c.Instance == "i0" {
				c.Failed = c.Calls
			}
		}
		found := m.locate(cells)
		for _, f := range found {
			sentences++
			if strings.Contains(f.Why, "other bad parts") {
				twice++
			}
			said := sentence.FindStringSubmatch(f.Why)
			if said == nil {
				t.Fatalf("%q is not such a sentence", f.Why)
			}
			n := func(i int) int { x, _ := strconv.Atoi(said[i]); return x }
			var k, calls, inK, inN, restK, restN int
			present, failing := make(map[string]bool), make(map[string]bool)
			part := findingOf(&f)
			for _, c := range cells {
				if c.Age >= n(4) {
					continue
				}
				k += c.Failed
				calls += c.Calls
				if !slices.ContainsFunc(found, func(f Finding) bool { return findingOf(&f).matches(cellOf(&c)) }) {
					restK += c.Failed
					restN += c.Calls
				}
				if part.matches(cellOf(&c)) {
					inK += c.Failed
					inN += c.Calls
					present[c.Replica] = true
					if c.Failed > 0 {
						failing[c.Replica] = true
					}
				}
			}
			// Parts may overlap: then the other's are counted without what is inside.
			if n(1) != inK || n(2) != inN || n(1)+n(7)+n(9) != k || n(2)+n(8)+n(10) != calls || n(9) != restK || n(10) != restN || n(5) != len(failing) || n(6) != len(present) {
				t.Errorf("%q: there are %d of %d inside, seen by %d of %d, and %d of %d in all", f.Why, inK, inN, len(failing), len(present), k, calls)
			}
		}
	}
	if sentences < 60 || twice < 30 {
		t.Errorf("only %d sentences, %d of them of one of several parts", sentences, twice)
	}
}

func TestLocateSentence(t *testing.T) {
	found := small.locate(small.cells(5, func(c *Cell) bool { return c.Instance == "i2" && c.Route == "/1" }))
	const want = "20 of 20 calls to instance i2 on route /1 failed in the last 16 s (normal 0.5 %), seen by 4 of 4 replicas; everything else 0 of 280; next best "
	if len(found) != 1 || !strings.HasPrefix(found[0].Why, want) {
		t.Errorf("said %+v, want %q…", found, want)
	}
}

func TestFindingsAsGatesOfInstances(t *testing.T) {
	for _, tt := range []struct {
		f       finding
		caller  string
		names   string
		exactly bool
	}{
		{finding{instance: "i1"}, "a", "[i1]", true},
		{finding{instance: "i1", route: "/"}, "a", "[i1]", false},
		{finding{set: &nameSet{[]string{"i1", "i2"}}}, "a", "[i1 i2]", true},
		{finding{instance: "i1", caller: "a"}, "a", "[i1]", true},
		{finding{instance: "i1", caller: "b"}, "a", "[]", false},
		{finding{instance: "i1", replica: "r"}, "a", "[]", false},
		{finding{set: &nameSet{[]string{"i1"}}, replicas: &nameSet{[]string{"r", "s"}}}, "a", "[]", false},
		{finding{route: "/"}, "a", "[]", false},
		{finding{}, "a", "[]", false},
	} {
		if names, exactly := tt.f.instances(tt.caller); fmt.Sprint(names) != tt.names || exactly != tt.exactly {
			t.Errorf("%s: gates %v, exactly: %v, want %s, %v", tt.f.String(), names, exactly, tt.names, tt.exactly)
		}
	}
}

func TestLongSetsAreToldInShort(t *testing.T) {
	eight := &nameSet{strings.Fields("a b c d e f g h")}
	ten := &nameSet{strings.Fields("a b c d e f g h i j")}
	if got := eight.String() + "; " + ten.String(); got != "a b c d e f g h; a b c d e f g and 3 more" {
		t.Error(got)
	}
}

func (f *finding) matches(x *evidenceCell) bool {
	return (f.instance == "" || f.instance == x.instance) && (f.route == "" || f.route == x.route) &&
		(f.caller == "" || f.caller == x.caller) && (f.replica == "" || f.replica == x.replica) &&
		(f.set == nil || f.set.has(x.instance)) && (f.replicas == nil || f.replicas.has(x.replica))
}

func (s *nameSet) has(name string) bool {
	_, found := slices.BinarySearch(s.names, name)
	return found
}
