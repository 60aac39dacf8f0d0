package wire

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// BenchmarkGateway compares the bytes that a second of calm costs on the bus, of
// 1,000 replicas with 20 callees: each report by itself, or merged.
func BenchmarkGateway(b *testing.B) {
	const replicas, callees = 1000, 20
	merger := fleet.NewMerger()
	single := 0
	var reports []fleet.Report
	for range replicas {
		var r fleet.Report
		for j := range callees {
			var x fleet.Cell
			for k := range 10 {
				x.Buckets = append(x.Buckets, fleet.Bucket{Age: time.Duration(k) * fleet.BucketWidth, Counts: fleet.Counts{Offered: 1, Succeeded: 1, Latency: time.Millisecond}})
			}
			r.Circuits = append(r.Circuits, fleet.CircuitReport{Callee: policy.Service{Namespace: "shop", Name: fmt.Sprintf("callee-%d", j)}, Cells: []fleet.Cell{x}})
		}
		single += proto.Size(ToReport(r))
		reports = append(reports, r)
	}
	bytes := 0
	for b.Loop() {
		for i := range reports {
			id := fleet.ReplicaID{Service: web, Name: fmt.Sprintf("web-%d", i)}
			merger.Add(time.Minute, id, id.Name, &reports[i])
		}
		bytes = 0
		for _, row := range merger.Take(time.Minute).Rows {
			bytes += proto.Size(ToReport(fleet.Report{Circuits: []fleet.CircuitReport{row.CircuitReport}}))
		}
	}
	b.ReportMetric(float64(single), "B-single")
	b.ReportMetric(float64(bytes), "B-merged")
}
