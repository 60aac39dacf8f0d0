package live

import (
	"testing"

	"github.com/datapunk/switchgear/internal/sim/story"
)

// Each measure that is taken in a process is a row of the scenarios, and kept.
func TestWhatTheLibraryKeepsByItselfIsMeasured(t *testing.T) {
	rows := story.Rows(story.Options{}, nil)
	settled := 0
	if err := InProcess(rows); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Measured == nil {
			continue
		}
		settled++
		if !r.Kept || r.Pending != "" {
			t.Errorf("scenario %d, %s: measured %v, promised %s %v, pending %q", r.Scenario, r.Measure, *r.Measured, r.Op, r.Promised, r.Pending)
		}
	}
	if settled != len(inProcess) {
		t.Errorf("%d rows settled: want %d", settled, len(inProcess))
	}
}
