package scenario

import (
	"math"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
)

// lie makes every call that a replica reports so many failures.
func lie(factor float64) func(*fleet.Report) {
	return func(r *fleet.Report) {
		for i := range r.Circuits {
			for j := range r.Circuits[i].Cells {
				buckets := r.Circuits[i].Cells[j].Buckets
				for k := range buckets {
					b := &buckets[k]
					n := uint32(min(float64(b.Offered)*factor, math.MaxUint32))
					b.Counts = fleet.Counts{Offered: n, Failed: n}
					b.Kinds[breaker.Timeout] = n
				}
			}
		}
	}
}
