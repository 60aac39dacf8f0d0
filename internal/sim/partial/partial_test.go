package partial

import (
	"reflect"
	"slices"
	"testing"
)

func TestDraw(t *testing.T) {
	for _, kind := range slices.Concat(Faults, Negatives) {
		for seed := range uint64(10) {
			c := Draw(kind, seed)
			if !reflect.DeepEqual(c, Draw(kind, seed)) {
				t.Fatalf("%s, seed %d: drawn twice, two cases", kind, seed)
			}
			bad := slices.Contains(Faults, kind)
			if bad != (len(c.Truth) > 0) {
				t.Errorf("%s, seed %d: truth %v", kind, seed, c.Truth)
			}
			if bad && (c.Strength < 0.12 || c.Strength > 1 || c.Age < 1 || c.Age > Seconds) {
				t.Errorf("%s, seed %d: strength %v, age %d", kind, seed, c.Strength, c.Age)
			}
			if lies := kind == "liar" || kind == "colluding liars"; lies != (len(c.Liars) > 0) {
				t.Errorf("%s, seed %d: liars %v", kind, seed, c.Liars)
			}
			for _, o := range c.Elsewhere {
				if o.Failed > o.Calls {
					t.Fatalf("%s, seed %d: elsewhere %+v", kind, seed, o)
				}
			}
			for i := range c.Cells {
				x := &c.Cells[i]
				if x.Failed+x.Slow > x.Calls || x.Calls < 1 || x.Second < 0 || x.Second >= Seconds {
					t.Fatalf("%s, seed %d: cell %+v", kind, seed, x)
				}
			}
		}
	}
}
