package evaluate

import (
	"math"
	"testing"
)

// A single replica that meets a bad run may open for a moment: it is told apart by
// the fast test, whatever openAbove says.
func TestSteadyFailuresOpenAboveAndNeverFarBelow(t *testing.T) {
	for _, s := range SteadyRows() {
		if off := math.Abs(s.Failing - s.OpenAbove); s.Rate != 50 || off < 10 || off > 20 {
			continue
		}
		switch s = s.Play(3); {
		case s.Failing >= s.OpenAbove+10 && (s.Opens < 0 || s.Opens > 60):
			t.Errorf("%+v: want it open within a minute", s)
		case s.Failing <= s.OpenAbove-15 && (s.Opens >= 0 || s.Admitted < .995):
			t.Errorf("%+v: want it closed", s)
		}
	}
}
