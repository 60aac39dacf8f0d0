package cli

import (
	"os/exec"
	"testing"

	"github.com/datapunk/switchgear/server/live"
)

// What they measure depends on how busy the machine is, and is judged by the
// command; that they measure it with processes that all end is not.
func TestLiveScenariosAreMeasuredWithProcesses(t *testing.T) {
	binary, err := exec.LookPath("switchgear")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := live.Run(t.Context(), live.Config{Binary: binary, Scenarios: []int{1, 6}, Seed: 1, Say: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	measured, pending := 0, 0
	for _, r := range rows {
		switch {
		case r.Pending != "":
			pending++
		case r.Measured == nil || !r.Live:
			t.Errorf("%s: measured %v, live %v", r.Measure, r.Measured, r.Live)
		default:
			measured++
		}
	}
	if measured != 11 || pending != 0 {
		t.Errorf("%d rows measured and %d pending: want 11 and none", measured, pending)
	}
}
