package control

import (
	"fmt"
	"testing"
	"time"

	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// BenchmarkReport is what a circuit's report costs control, of 1,000 replicas
// with 20 callees in calm: ten buckets each.
func BenchmarkReport(b *testing.B) {
	const replicas, callees = 1000, 20
	m := New(Config{Daemon: "d"})
	var reports []*ReplicaReport
	for i := range replicas {
		r := &ReplicaReport{From: fleet.ReplicaID{Service: web, Name: fmt.Sprintf("web-%d", i)}, Observer: fmt.Sprint(i)}
		for j := range callees {
			var x fleet.Cell
			for k := range 10 {
				x.Buckets = append(x.Buckets, fleet.Bucket{Age: time.Duration(k) * fleet.BucketWidth, Counts: fleet.Counts{Offered: 1, Succeeded: 1}})
			}
			r.Circuits = append(r.Circuits, fleet.CircuitReport{Callee: policy.Service{Namespace: "t", Name: fmt.Sprintf("c%d", j)}, Cells: []fleet.Cell{x}})
		}
		reports = append(reports, r)
	}
	at := time.Second
	for b.Loop() {
		at += time.Second
		for _, r := range reports {
			m.Step(Input{At: at, Report: r})
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(replicas*callees), "ns/circuit-report")
}
