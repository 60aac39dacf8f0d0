package scenario

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// used is the processor time of this process: on a busy machine the clock says
// little about one core.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it fails only on a wrong argument
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFleet plays 10,000 replicas with one request a second each: of one
// service, or of a hundred that call two of twenty each. A callee is out from
// 10 s to 20 s of 30.
func BenchmarkFleet(b *testing.B) {
	const length = 30 * time.Second
	one := func() *Scenario {
		return New("one", 1, length).
			Add(Service{Name: "web", Replicas: 10_000, Load: &Load{PerSecond: 1}, Calls: []Call{{To: "db0"}}}).
			Add(Service{Name: "db0", Replicas: 20})
	}
	hundred := func() *Scenario {
		s := New("hundred", 1, length)
		for i := range 100 {
			s.Add(Service{Name: fmt.Sprint("web", i), Replicas: 100, Load: &Load{PerSecond: 1}, Calls: []Call{
				{To: fmt.Sprint("db", i%20)}, {To: fmt.Sprint("db", (i+7)%20)},
			}})
		}
		for i := range 20 {
			s.Add(Service{Name: fmt.Sprint("db", i), Replicas: 5})
		}
		return s
	}
	for _, bench := range []struct {
		name string
		make func() *Scenario
	}{{"one service", one}, {"a hundred services", hundred}} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				s := bench.make().Break(Fault{Kind: "outage", Service: "db0", At: 10 * time.Second, For: 10 * time.Second})
				var heap runtime.MemStats
				start := used()
				r, err := Run(s, Options{Heap: func() uint64 {
					runtime.ReadMemStats(&heap)
					return heap.HeapAlloc
				}})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(length.Seconds()/(used()-start).Seconds(), "virtual-s/cpu-s")
				b.ReportMetric(float64(r.Stats.Objects), "objects")
				b.ReportMetric(float64(r.Stats.Events), "events")
				b.ReportMetric(float64(r.Stats.Bytes), "heap-B")
			}
		})
	}
}
