package live

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/datapunk/switchgear"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAProcessThatEndsByItselfEndsTheMeasurement(t *testing.T) {
	rows, err := Run(t.Context(), Config{Binary: "/bin/false", Scenarios: []int{1}, Say: func(string) {}})
	if err == nil || !strings.Contains(err.Error(), "scenario 1, explicit: daemon ended by itself") || len(rows) > 0 {
		t.Errorf("%d rows, %v: want what ended, and none", len(rows), err)
	}
}

func TestAnInterruptedMeasurementEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Config{Binary: "/bin/cat", Scenarios: []int{1}, Say: func(string) {}}); err == nil {
		t.Error("no error after an interrupt")
	}
}

func TestScenariosAreTheChaptersNumbers(t *testing.T) {
	if n := Scenarios(); !slices.Equal(n, []int{1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("%v", n)
	}
}

// seen gives a mesh that has heard this.
func seen(calls []told[call], changes []told[change]) *mesh {
	return &mesh{origin: time.Now().Add(-time.Hour), calls: calls, changes: changes}
}

func TestAllOpenIsWhenTheLastOneIs(t *testing.T) {
	to := func(at time.Duration, replica, instance string, from, to switchgear.State) told[change] {
		return told[change]{at, replica, change{Instance: instance, From: from, To: to}}
	}
	m := seen(nil, []told[change]{
		to(3*time.Second, "web-2", "", switchgear.Closed, switchgear.Open), // told late
		to(1*time.Second, "web-1", "", switchgear.Closed, switchgear.Open),
		to(2*time.Second, "web-2", "10.0.0.1:80", switchgear.Closed, switchgear.Open),
		to(4*time.Second, "web-1", "", switchgear.Open, switchgear.Closed),
	})
	for n, want := range map[int]time.Duration{1: time.Second, 2: 3 * time.Second, 3: 0} {
		if at := m.allOpen(n, 0); at != want {
			t.Errorf("%d open at %v, want %v", n, at, want)
		}
	}
	if at := m.allOpen(1, 1500*time.Millisecond); at != 3*time.Second {
		t.Errorf("from 1.5 s on at %v, want 3 s", at)
	}
}

func TestFullIsFromWhenOnNearlyAllIsLetThrough(t *testing.T) {
	var calls []told[call]
	for i := range 1000 {
		at := time.Duration(i) * 10 * time.Millisecond
		calls = append(calls, told[call]{at, "web-1", call{Rejected: at < 2500*time.Millisecond && i%2 == 0 || i == 700}})
	}
	m := seen(calls, nil)
	m.origin = time.Now().Add(-10 * time.Second)
	if at := m.full(0); at != 3*time.Second {
		t.Errorf("full from %v on, want 3 s", at)
	}
	m.origin = time.Now().Add(-4500 * time.Millisecond)
	if at := m.full(0); at != 0 {
		t.Errorf("full from %v on after a second and a half of it, want not yet", at)
	}
}
