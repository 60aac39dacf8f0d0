package evaluate

import (
	"io"
	"testing"
)

// The figures of docs/evaluation.md come from the command, on other seeds and
// more cases; these are loose enough to hold on few.
func TestLocateKeepsItsPromise(t *testing.T) {
	got, err := Locate(t.Context(), 900_000, 6, 200, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got.Exact < 0.8 || got.Collateral > 0.01 || got.FalseAlarmsPerLook > 0 {
		t.Errorf("%.3f exact, %.4f collateral, %v false alarms per look", got.Exact, got.Collateral, got.FalseAlarmsPerLook)
	}
	for _, k := range got.Kinds {
		if sum := k.Exact + k.Unnamed + k.Wrong; sum < 0.999 || sum > 1.001 {
			t.Errorf("%s: %v exact, %v unnamed and %v wrong don't add up", k.Kind, k.Exact, k.Unnamed, k.Wrong)
		}
		if k.Right > k.Told || k.Suspected > k.Unnamed {
			t.Errorf("%s: %+v", k.Kind, k)
		}
	}
}
