package switchgeartest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breakerhttp"
	"github.com/datapunk/switchgear/switchgeartest"
)

var ledger = switchgear.Key{Callee: "ledger"}

func newManager(t *testing.T) *switchgear.Manager {
	t.Helper()
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func work(context.Context) (string, error) { return "paid", nil }
func fail(context.Context) (string, error) { return "", errors.New("boom") }

// pay is what a team would test: it falls back where the ledger can't be asked.
func pay(ctx context.Context, m *switchgear.Manager) string {
	s, err := switchgear.Do(ctx, m.Breaker(ledger), work)
	if np, ok := errors.AsType[*switchgear.NotPermittedError](err); ok {
		return "later: " + np.Why
	}
	return s
}

func TestControlOpensAndClosesWithoutADaemon(t *testing.T) {
	m := newManager(t)
	control := switchgeartest.NewControl(t, m)
	if got := pay(t.Context(), m); got != "paid" {
		t.Fatalf("got %q before anything was said", got)
	}
	control.Direct(ledger, switchgeartest.Directive{State: switchgear.Open, Why: "the fleet sees failures"})
	if got := pay(t.Context(), m); got != "later: the fleet sees failures" {
		t.Errorf("got %q while open", got)
	}
	control.Direct(ledger, switchgeartest.Directive{State: switchgear.Closed})
	if got := pay(t.Context(), m); got != "paid" {
		t.Errorf("got %q after closing", got)
	}
	if !m.Stats().Linked {
		t.Error("the manager does not know that it is linked")
	}
}

func TestAWordEndsWithItsTimeAndTheManagerGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		events := switchgeartest.Record(t, m)
		control := switchgeartest.NewControl(t, m)
		control.Direct(ledger, switchgeartest.Directive{State: switchgear.Open, TTL: 20 * time.Second, Why: "control says so"})
		control.Stop()
		switchgeartest.Turn(19 * time.Second)
		if got := pay(t.Context(), m); !strings.HasPrefix(got, "later") {
			t.Errorf("got %q: the word still stands", got)
		}
		switchgeartest.Turn(time.Minute)
		for range 3 {
			if got := pay(t.Context(), m); got != "paid" {
				t.Errorf("got %q: want the manager's own probes", got)
			}
		}
		switchgeartest.Turn(time.Second)
		if s := events.String(); !strings.HasPrefix(s, "ledger closed → open: control says so\n") || !strings.Contains(s, "half_open → closed: a probe answered well") {
			t.Errorf("events\n%s", s)
		}
	})
}

func TestLeasesAreProbesAndReportsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		control := switchgeartest.NewControl(t, m)
		control.Direct(ledger, switchgeartest.Directive{State: switchgear.Open, Leases: 2, Why: "two may try"})
		paid := 0
		for range 5 {
			if pay(t.Context(), m) == "paid" {
				paid++
			}
		}
		switchgeartest.Turn(2 * time.Second)
		if paid != 2 || control.Answered() != 2 {
			t.Errorf("%d calls got through, %d leases answered: want 2", paid, control.Answered())
		}
		if n := control.Calls(ledger); n.Succeeded != 2 || n.Rejected != 3 {
			t.Errorf("reported %+v: want 2 and 3 rejected", n)
		}
	})
}

func TestAnOverrideStandsUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		control := switchgeartest.NewControl(t, m)
		control.Override(ledger, switchgear.ForcedOpen, "maintenance", time.Minute)
		if m.Breaker(ledger).Mode() != switchgear.ForcedOpen || !strings.HasPrefix(pay(t.Context(), m), "later") {
			t.Errorf("mode %v: want it forced open", m.Breaker(ledger).Mode())
		}
		switchgeartest.Turn(time.Minute + time.Second)
		if mode := m.Breaker(ledger).Mode(); mode != switchgear.Enforce {
			t.Errorf("mode %v after its end", mode)
		}
	})
}

func TestAnInstanceIsLeftOut(t *testing.T) {
	served := make([]int, 2)
	var addresses []string
	for i := range served {
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served[i]++ }))
		defer s.Close()
		addresses = append(addresses, s.Listener.Addr().String())
	}
	m := newManager(t)
	client := &http.Client{Transport: breakerhttp.Transport(m, nil, breakerhttp.WithInstances(addresses...))}
	switchgeartest.NewControl(t, m).Direct(ledger, switchgeartest.Directive{Instances: addresses[:1], Why: "it alone is ill"})
	for range 10 {
		res, err := client.Get("http://ledger/")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	if served[0] != 0 || served[1] != 10 {
		t.Errorf("served %v: want all by the second", served)
	}
	for c := range m.Metrics() {
		if c.Instances != 2 || c.InstancesOpen != 1 {
			t.Errorf("%d instances, %d open: want 2 and 1", c.Instances, c.InstancesOpen)
		}
	}
}

func TestWaitingForAnEventEndsWithItsContext(t *testing.T) {
	m := newManager(t)
	events := switchgeartest.Record(t, m)
	for range 20 {
		_, _ = switchgear.Do(t.Context(), m.Breaker(ledger), fail)
	}
	e, err := events.Wait(t.Context(), func(e switchgear.Event) bool { return e.To == switchgear.Open })
	if err != nil || e.Key != ledger {
		t.Errorf("event %+v, %v: want the opening", e, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := events.Wait(ctx, func(e switchgear.Event) bool { return e.To == switchgear.HalfOpen }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v: want the context's end", err)
	}
}

// A test of one's own: a fault, an hour, and what came of it. TestAWordEnds… above
// runs the like.
func ExampleTurn() {
	var t *testing.T // the test's own
	synctest.Test(t, func(t *testing.T) {
		m, err := switchgear.New(switchgear.Config{Service: "checkout"})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		events := switchgeartest.Record(t, m)
		for range 20 {
			_, _ = switchgear.Do(t.Context(), m.Breaker(ledger), fail)
		}
		switchgeartest.Turn(time.Hour)
		fmt.Print(pay(t.Context(), m), events)
	})
}

// A control plane says that a circuit is open; the code under test must cope.
func ExampleNewControl() {
	var (
		t *testing.T          // the test's own
		m *switchgear.Manager // of the code under test
	)
	control := switchgeartest.NewControl(t, m)
	control.Direct(ledger, switchgeartest.Directive{State: switchgear.Open, Why: "a test"})
	fmt.Println(pay(context.Background(), m)) // the fallback
}

// What the fleet does not see any more it must not keep a process from.
func TestAProcessWhoseDaemonIsGoneProtectsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		control := switchgeartest.NewControl(t, m)
		control.Direct(ledger, switchgeartest.Directive{State: switchgear.Closed, Why: "all is well"})
		_ = pay(t.Context(), m)
		control.Stop()
		switchgeartest.Turn(5 * time.Second)
		b, through := m.Breaker(ledger), 0
		for range 500 {
			_, _ = switchgear.Do(t.Context(), b, func(context.Context) (int, error) {
				through++
				return 0, errors.New("down")
			})
			switchgeartest.Turn(20 * time.Millisecond)
		}
		if through > 100 {
			t.Errorf("%d of 500 calls let through to what is down, with a word of a minute that says closed", through)
		}
	})
}
