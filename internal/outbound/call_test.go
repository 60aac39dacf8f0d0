package outbound_test

import (
	"testing"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/outbound"
)

func begin(t *testing.T, m *switchgear.Manager) *outbound.Call {
	t.Helper()
	c, err := outbound.Begin(t.Context(), m, m.Breaker(switchgear.Key{Callee: "callee"}), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestChoosingAgainGivesTheFirstInstanceBack: a balancer may pick twice for one
// call, and a probe's permit must not be lost with the first pick.
func TestChoosingAgainGivesTheFirstInstanceBack(t *testing.T) {
	m, err := switchgear.New(switchgear.Config{Service: "web"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	x := m.Breaker(switchgear.Key{Callee: "callee"}).Circuit().Instance("a")
	x.Direct(breaker.Direction{State: breaker.HalfOpen, Generation: 1, Until: time.Hour})
	x.Grant(7, time.Hour)
	c := begin(t, m)
	if err := c.Choose("a", x); err != nil {
		t.Fatal(err)
	}
	if err := begin(t, m).Choose("a", x); err == nil {
		t.Fatal("the one probe was given twice")
	}
	if err := c.Choose("b", nil); err != nil {
		t.Fatal(err)
	}
	m.Port().Hello()
	for {
		r, err := m.Port().Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Answers) == 0 {
			continue
		}
		if a := r.Answers[0]; a.Token != 7 || a.Used {
			t.Errorf("answered %+v: want token 7 given back unused", a)
		}
		return
	}
}

func TestACallEndsOnce(t *testing.T) {
	m, err := switchgear.New(switchgear.Config{Service: "web"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c := begin(t, m)
	c.Done(nil, 200, switchgear.Outcome{}, nil)
	c.Done(nil, 500, switchgear.Outcome{Verdict: switchgear.Failure}, nil)
	c.Release()
	if n := c.Breaker.Circuit().Breaker.Counts(); n.Succeeded != 1 || n.Failed != 0 {
		t.Errorf("%d succeeded, %d failed: want 1, 0", n.Succeeded, n.Failed)
	}
}
