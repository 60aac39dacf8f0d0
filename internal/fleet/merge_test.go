package fleet

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

type came struct {
	at     time.Duration
	from   ReplicaID
	report Report
}

// drawReports of n replicas of one circuit over half a second.
func drawReports(rng *rand.Rand, n int) (all []came) {
	for i := range n {
		id := ReplicaID{Service: web, Name: fmt.Sprintf("web-%d", i), Incarnation: 1}
		bad := rng.IntN(3) == 0
		for k := range 1 + rng.IntN(3) {
			cr := CircuitReport{Callee: cart, Generation: uint64(rng.IntN(2))}
			for range 1 + rng.IntN(3) {
				x := Cell{Instance: fmt.Sprintf("10.0.0.%d:80", rng.IntN(4)), Generation: uint64(rng.IntN(2))}
				for j := range 1 + rng.IntN(5) {
					c := Counts{Succeeded: uint32(rng.IntN(9)), Latency: time.Millisecond}
					if bad {
						c.Failed = uint32(rng.IntN(5))
						c.Kinds[breaker.Timeout] = c.Failed
					}
					c.Offered = c.Succeeded + c.Failed
					x.Buckets = append(x.Buckets, Bucket{Age: time.Duration(j) * BucketWidth, Counts: c})
				}
				cr.Cells = append(cr.Cells, x)
			}
			all = append(all, came{time.Minute + time.Duration(k)*BucketWidth, id, Report{Circuits: []CircuitReport{cr}}})
		}
	}
	return all
}

func merged(all []came, now time.Duration) Merged {
	g := NewMerger()
	for i := range all {
		g.Add(all[i].at, all[i].from, all[i].from.Name, &all[i].report)
	}
	return g.Take(now)
}

func TestMergingKeepsTotalsAndBoundsRows(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		n := 1 + rng.IntN(200)
		all := drawReports(rng, n)
		now := time.Minute + 500*time.Millisecond
		m := merged(all, now)
		type step struct {
			instance string
			at       time.Duration
		}
		want, got := make(map[step]Counts), make(map[step]Counts)
		add := func(to map[step]Counts, x *Cell, at time.Duration) {
			for _, b := range x.Buckets {
				k := step{x.Instance, at - b.Age}
				c := to[k]
				c.add(b.Counts)
				to[k] = c
			}
		}
		failing := make(map[string]bool)
		for _, r := range all {
			for i := range r.report.Circuits[0].Cells {
				x := &r.report.Circuits[0].Cells[i]
				add(want, x, r.at)
				for _, b := range x.Buckets {
					if b.Failed > 0 {
						failing[r.from.Name] = true
					}
				}
			}
		}
		observers, seeing, own := 0, 0, 0
		for _, r := range m.Rows {
			for i := range r.Cells {
				add(got, &r.Cells[i], now)
			}
			observers += r.Observers
			seeing += r.Failing
			if r.From.Name != "" && r.Failing > 0 {
				own++
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: the evidence has changed", seed)
		}
		if observers != n || seeing != len(failing) || m.Reports != len(all) {
			t.Errorf("seed %d: %d observers, %d of them failing, %d reports: want %d, %d, %d", seed, observers, seeing, m.Reports, n, len(failing), len(all))
		}
		if own > maxRows || len(m.Rows) > maxRows+4 || own < min(len(failing), maxRows) {
			t.Errorf("seed %d: %d rows, %d of one failing replica, of %d that fail: want at most %d, and all up to there", seed, len(m.Rows), own, len(failing), maxRows)
		}
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		// Of one replica the last report counts for state and generation: keep those in order.
		byTime := make([]came, 0, len(all))
		for k := range 3 {
			for _, r := range all {
				if r.at == time.Minute+time.Duration(k)*BucketWidth {
					byTime = append(byTime, r)
				}
			}
		}
		if again := merged(byTime, now); !reflect.DeepEqual(again, m) {
			t.Errorf("seed %d: another order of the replicas gives other rows", seed)
		}
	}
}

func TestReplicasThatAreWellBecomeOneRow(t *testing.T) {
	g := NewMerger()
	settings := policy.Default()
	for i := range 100 {
		cr := CircuitReport{Callee: cart, Generation: 5, Cells: []Cell{{Buckets: []Bucket{{Age: BucketWidth, Counts: Counts{Offered: 2, Succeeded: 2}}}}}}
		switch i {
		case 7:
			cr.Cells[0].Buckets[0].Failed = 1
		case 8:
			cr.State, cr.Why = breaker.Open, "own rule"
		case 9:
			cr.Settings = &settings
		}
		id := ReplicaID{Service: web, Name: fmt.Sprintf("web-%03d", i)}
		g.Add(time.Minute, id, id.Name, &Report{Circuits: []CircuitReport{cr}, Answers: []Answer{{Token: uint64(i)}}})
	}
	m := g.Take(time.Minute + 350*time.Millisecond)
	if len(m.Rows) != 4 || len(m.Answers) != 100 {
		t.Fatalf("%d rows, %d answers: want three of their own and one of the rest, and every answer", len(m.Rows), len(m.Answers))
	}
	for i, name := range []string{"web-007", "web-008", "web-009"} {
		if r := m.Rows[i]; r.From.Name != name || r.Observers != 1 || r.Observer != name {
			t.Errorf("row %d: %+v: want %s", i, r, name)
		}
	}
	rest := m.Rows[3]
	if b := rest.Cells[0].Buckets[0]; rest.Observers != 97 || b.Succeeded != 194 || b.Age != 400*time.Millisecond || rest.Generation != 5 {
		t.Errorf("the rest: %d observers, %+v: want 97, their sum, and the wait added to its age", rest.Observers, b)
	}
	if again := g.Take(time.Minute); len(again.Rows) != 0 || len(again.Answers) != 0 {
		t.Error("what was taken is given again")
	}
}

func BenchmarkMerge(b *testing.B) {
	for _, failing := range []int{0, 50} {
		b.Run(fmt.Sprintf("failing=%d%%", failing), func(b *testing.B) {
			const replicas, callees = 1000, 20
			var all []came
			for i := range replicas {
				id := ReplicaID{Service: web, Name: fmt.Sprintf("web-%d", i)}
				var r Report
				for j := range callees {
					cr := CircuitReport{Callee: policy.Service{Namespace: "t", Name: fmt.Sprintf("c%d", j)}}
					var x Cell
					for k := range 10 {
						c := Counts{Offered: 1, Succeeded: 1, Latency: time.Millisecond}
						if i%100 < failing {
							c.Succeeded, c.Failed = 0, 1
						}
						x.Buckets = append(x.Buckets, Bucket{Age: time.Duration(k) * BucketWidth, Counts: c})
					}
					cr.Cells = []Cell{x}
					r.Circuits = append(r.Circuits, cr)
				}
				all = append(all, came{time.Minute, id, r})
			}
			rows := 0
			for b.Loop() {
				rows = len(merged(all, time.Minute).Rows)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(replicas*callees), "ns/circuit-report")
			b.ReportMetric(float64(replicas*callees)/float64(rows), "rows-in/row-out")
		})
	}
}
