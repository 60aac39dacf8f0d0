package story

import (
	"runtime"
	"sync"
	"testing"

	"github.com/datapunk/switchgear/internal/control"
)

// measure plays all jobs on all processors.
func measure(t *testing.T, o Options) []Row {
	t.Helper()
	jobs := Jobs(o)
	results := make([]Result, len(jobs))
	var wait sync.WaitGroup
	var mu sync.Mutex
	next := 0
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(jobs) {
					return
				}
				var err error
				if results[i], err = jobs[i].Run(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	return Rows(o, results)
}

func TestX(t *testing.T) {
	for _, r := range measure(t, Options{Seeds: 2, Without: control.Without{}}) {
		m := -1.0
		if r.Measured != nil {
			m = *r.Measured
		}
		t.Logf("%2d %v %s %s %v: %.3f %v %s", r.Scenario, r.Kept, r.Measure, r.Op, r.Promised, m, r.Peers, r.Pending)
	}
}
