package control

import (
	"fmt"
	"testing"
)

// BenchmarkLocate is a look at one bad instance of a callee, as it comes ten
// times a second while something fails: nesting, sets, paths and words included.
func BenchmarkLocate(b *testing.B) {
	for _, size := range []struct{ replicas, instances, routes int }{{8, 8, 4}, {16, 32, 8}} {
		cells := labMesh{size.replicas, size.instances, size.routes}.cells(20, func(c *Cell) bool { return c.Instance == "i3" })
		for i := range cells {
			if i%7 == 0 && cells[i].Failed == 0 {
				cells[i].Failed = 1
			}
		}
		b.Run(fmt.Sprint(len(cells), " cells"), func(b *testing.B) {
			ev := (&Evidence{Cells: cells}).evidence()
			b.ReportAllocs()
			for b.Loop() {
				if len(judgeEvidence(ev).named) == 0 {
					b.Fatal("found nothing")
				}
			}
		})
		b.Run(fmt.Sprint(len(cells), " cells, none failing"), func(b *testing.B) {
			ev := (&Evidence{Cells: labMesh{size.replicas, size.instances, size.routes}.cells(20, nil)}).evidence()
			b.ReportAllocs()
			for b.Loop() {
				if judgeEvidence(ev).suspect != nil {
					b.Fatal("suspected something")
				}
			}
		})
	}
}
