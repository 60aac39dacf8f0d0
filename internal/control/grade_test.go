package control

import (
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

func payTo(db string) policy.Circuit {
	return policy.Circuit{Caller: svc("pay"), Callee: svc(db)}
}

// opensAfter is how long web → pay fails until it opens; 0 is never, in 6 s.
// behind says what pay reports of its calls to db meanwhile.
func opensAfter(m *mesh, behind fleet.Counts) time.Duration {
	// Others, so that the guard is not what holds.
	for _, name := range []string{"a", "b", "c"} {
		m.say(edgeTo(name), 3, well(1))
	}
	m.say(edgeTo("pay"), 3, well(1))
	m.say(payTo("db"), 3, well(1))
	began := m.at
	for m.at < began+6*time.Second {
		m.say(edgeTo("pay"), 3, bad(4))
		m.say(payTo("db"), 3, behind)
		m.pass(100 * time.Millisecond)
		if v, _ := m.Circuit(edgeTo("pay")); v.State != breaker.Closed {
			return m.at - began
		}
	}
	return 0
}

func TestACircuitWaitsForThoseBehindItsCalleeAndNoLonger(t *testing.T) {
	suspicious := fleet.Counts{Offered: 10, Succeeded: 6, Failed: 4} // under its own threshold: it never opens
	hung := fleet.Counts{Offered: 10, Ignored: 10}
	hung.Kinds[breaker.CallerDeadline] = 10
	for _, c := range []struct {
		name     string
		behind   fleet.Counts
		without  bool
		delay    time.Duration
		from, to time.Duration
	}{
		{"its callee's calls are well", well(10), false, 0, 200 * time.Millisecond, 800 * time.Millisecond},
		{"its callee calls nobody", fleet.Counts{}, false, 0, 200 * time.Millisecond, 800 * time.Millisecond},
		{"its callee's calls fail too", suspicious, false, 0, 2200 * time.Millisecond, 3 * time.Second},
		{"its callee's calls are given up by callers", hung, false, 0, 2200 * time.Millisecond, 3 * time.Second},
		{"another delay", suspicious, false, time.Second, 1200 * time.Millisecond, 2 * time.Second},
		{"without grading", suspicious, true, 0, 200 * time.Millisecond, 800 * time.Millisecond},
		{"far fewer fail there", fleet.Counts{Offered: 2, Succeeded: 1, Failed: 1}, false, 0, 200 * time.Millisecond, 800 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMesh(Config{Without: Without{Grading: c.without}}, func(s *policy.Settings) {
				if c.delay > 0 {
					s.GradingDelay = c.delay
				}
			})
			got := opensAfter(m, c.behind)
			if got < c.from || got > c.to {
				t.Errorf("open after %v: want %v to %v", got, c.from, c.to)
			}
			v, _ := m.Circuit(edgeTo("pay"))
			if waited := strings.Contains(v.Why, "it waited"); waited != (c.from > time.Second) || waited != (m.alerts("grading") == 1) {
				t.Errorf("%d findings; why: %s", m.alerts("grading"), v.Why)
			}
		})
	}
}

func TestAGradedCircuitSaysForWhatItWaits(t *testing.T) {
	m := newMesh(Config{}, func(s *policy.Settings) { s.GradingDelay = time.Minute })
	opensAfter(m, fleet.Counts{Offered: 10, Succeeded: 6, Failed: 4})
	v, _ := m.Circuit(edgeTo("pay"))
	if v.State != breaker.Closed || !strings.Contains(v.Held, "graded: shop/pay..shop/db explains it") {
		t.Errorf("%v, held because %q", v.State, v.Held)
	}
}
