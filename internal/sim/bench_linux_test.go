package sim

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

// used is the processor time of this process: on a busy machine the clock says
// little about one core.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it fails only on a wrong argument
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMesh lets replicas of one caller make two calls a second each to
// twenty instances, which are all out from 10 s to 20 s of 30.
func BenchmarkMesh(b *testing.B) {
	for _, replicas := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(replicas), func(b *testing.B) {
			for b.Loop() {
				w := New(1)
				w.StartDaemon(1)
				callee := &Callee{Service: policy.Service{Namespace: "lab", Name: "callee"}}
				for i := range 20 {
					callee.Instances = append(callee.Instances, fmt.Sprintf("10.0.0.%d:80", i+1))
				}
				callee.Answer = func(*Replica, string) breaker.Outcome {
					if now := w.Now(); now >= 10*time.Second && now < 20*time.Second {
						return broken
					}
					return good
				}
				for i := range replicas {
					r := w.AddReplica(policy.Service{Namespace: "lab", Name: "caller"}, fmt.Sprintf("caller-%d", i+1))
					r.Call(callee, 2, policy.Default())
				}
				const length = 30 * time.Second
				start := used()
				w.Run(length)
				s := w.Stats()
				b.ReportMetric(length.Seconds()/(used()-start).Seconds(), "virtual-s/cpu-s")
				b.ReportMetric(float64(s.Events), "events")
				b.ReportMetric(float64(s.Replicas+s.Breakers+s.Parts+s.Labels), "objects")
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.HeapAlloc)/float64(replicas), "heap-B/replica")
				runtime.KeepAlive(w)
			}
		})
	}
}
