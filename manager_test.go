package switchgear_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/datapunk/switchgear"
)

var errBoom = errors.New("boom")

func fail(context.Context) (int, error) { return 0, errBoom }
func work(context.Context) (int, error) { return 1, nil }

func newManager(t *testing.T, options ...switchgear.Option) *switchgear.Manager {
	t.Helper()
	m, err := switchgear.New(switchgear.Config{Service: "checkout"}, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// byRate makes breakers decide by themselves, by the usual threshold.
func byRate() switchgear.Option {
	var s switchgear.Settings
	s.Breaker.FailureRateThreshold = 50
	return switchgear.WithSettings(s)
}

func TestBreakerOpensWaitsAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, byRate())
		b := m.Breaker(switchgear.Key{Callee: "ledger"})
		for range 20 {
			if _, err := switchgear.Do(t.Context(), b, fail); !errors.Is(err, errBoom) {
				t.Fatalf("got %v: want the function's own error", err)
			}
		}
		_, err := switchgear.Do(t.Context(), b, work)
		np, ok := errors.AsType[*switchgear.NotPermittedError](err)
		if !ok || !errors.Is(err, switchgear.ErrNotPermitted) || !errors.Is(err, switchgear.ErrOpen) {
			t.Fatalf("got %v: want a rejection", err)
		}
		if np.Key.Callee != "ledger" || np.State != switchgear.Open || !strings.Contains(np.Why, "20 of 20") {
			t.Errorf("rejection %+v: want key, state and the numbers", np)
		}
		time.Sleep(3 * time.Second)
		for i := range 3 {
			if _, err := switchgear.Do(t.Context(), b, work); err != nil {
				t.Fatalf("probe %d: %v", i, err)
			}
		}
		if b.State() != switchgear.Closed {
			t.Errorf("state %v after three good probes: want closed", b.State())
		}
	})
}

func TestOneBreakerUnderConcurrentCreation(t *testing.T) {
	m := newManager(t)
	var wg sync.WaitGroup
	made := make([]*switchgear.Breaker, 32)
	for i := range made {
		wg.Go(func() { made[i] = m.Breaker(switchgear.Key{Callee: "ledger"}) })
	}
	wg.Wait()
	for _, b := range made {
		if b != made[0] {
			t.Fatal("two breakers for one key")
		}
	}
	if m.Breaker(switchgear.Key{Callee: "ledger", Namespace: "default"}) != made[0] {
		t.Error("the manager's own namespace, said or not, names another circuit")
	}
}

func TestHostileKeysShareOneBreaker(t *testing.T) {
	m := newManager(t)
	other := m.Breaker(switchgear.Key{Callee: "other"})
	for _, k := range []switchgear.Key{{}, {Callee: "a\nb"}, {Callee: strings.Repeat("x", 254)}, {Callee: "x", Route: "\x00"}, {Callee: "x", Namespace: "\xff"}} {
		if m.Breaker(k) != other {
			t.Errorf("key %q has a breaker of its own", k)
		}
	}
}

func TestPanicCountsAsFailureAndGoesOn(t *testing.T) {
	m := newManager(t)
	b := m.Breaker(switchgear.Key{Callee: "ledger"})
	for range 20 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_, _ = switchgear.Do(t.Context(), b, func(context.Context) (int, error) { panic("boom") })
		}()
	}
	if b.State() != switchgear.Open {
		t.Errorf("state %v after 20 panics: want open", b.State())
	}
}

func TestEventsAreOrderedAndEndWithTheManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, byRate())
		var got []switchgear.Event
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e := range m.Events(t.Context()) {
				got = append(got, e)
			}
		}()
		synctest.Wait()
		b := m.Breaker(switchgear.Key{Callee: "ledger"})
		for range 20 {
			_, _ = switchgear.Do(t.Context(), b, fail)
		}
		time.Sleep(3 * time.Second)
		_, _ = switchgear.Do(t.Context(), b, work)
		synctest.Wait()
		_ = m.Close()
		<-done
		if len(got) != 2 || got[0].To != switchgear.Open || got[1].From != switchgear.Open || got[1].To != switchgear.HalfOpen {
			t.Fatalf("events %+v: want closed → open → half_open", got)
		}
		if got[0].Why == "" || got[0].Missed != 0 {
			t.Errorf("first event %+v: want a reason and nothing missed", got[0])
		}
	})
}

func TestEventReaderThatIsSlowLosesAndIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settings := switchgear.Settings{}
		settings.Breaker.ConsecutiveFailures = 1
		settings.Breaker.Wait.Base = 10 * time.Millisecond
		settings.Breaker.Wait.Max = 10 * time.Millisecond
		m := newManager(t, switchgear.WithSettings(settings))
		b := m.Breaker(switchgear.Key{Callee: "ledger"})
		change := func() { // two events: half_open and open again
			time.Sleep(20 * time.Millisecond)
			_, _ = switchgear.Do(t.Context(), b, fail)
		}
		hold, missing := make(chan struct{}), make(chan uint64, 1)
		go func() {
			for e := range m.Events(t.Context()) {
				<-hold
				if e.Missed > 0 {
					missing <- e.Missed
					return
				}
			}
		}()
		synctest.Wait()
		for range 1200 {
			change()
		}
		close(hold)
		synctest.Wait()
		change()
		missed := <-missing
		if missed < 1000 {
			t.Errorf("%d events missed: want over 1000", missed)
		}
	})
}

func TestNewRefusesWhatNamesNothing(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "policy.json")
	if err := os.WriteFile(broken, []byte("{\n \"apiVersion\": \"switchgear/v1\",\n \"kind\": \"CircuitPolicy\",\n \"metadata\": {\"name\": \"p\"},\n \"spec\": {\"failureRateTreshold\": 40}\n}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		cfg     switchgear.Config
		options []switchgear.Option
		want    string
	}{
		{"no service", switchgear.Config{}, nil, "Config.Service is empty"},
		{"control characters", switchgear.Config{Service: "a\tb"}, nil, "control characters"},
		{"no such file", switchgear.Config{Service: "a"}, []switchgear.Option{switchgear.WithPolicyFile(filepath.Join(dir, "none"))}, "read policies"},
		{"broken file", switchgear.Config{Service: "a"}, []switchgear.Option{switchgear.WithPolicyFile(broken)}, "line 5: spec.failureRateTreshold: unknown field"},
		{"bad settings", switchgear.Config{Service: "a"}, []switchgear.Option{switchgear.WithSettings(badSettings())}, "quorum -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := switchgear.New(c.cfg, c.options...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v: want %q", err, c.want)
			}
		})
	}
}

func badSettings() switchgear.Settings { return switchgear.Settings{Quorum: -1} }

func TestPolicyFileSelectsAndMerges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "policy.json")
		document := `[
		 {"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":"all"},"spec":{"consecutiveFailures":7,"failureRateThreshold":0}},
		 {"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":"ledger"},"spec":{"selector":{"callee":"led*"},"consecutiveFailures":3}}]`
		if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
		m := newManager(t, switchgear.WithPolicyFile(path))
		for callee, want := range map[string]int{"ledger": 3, "users": 7} {
			b := m.Breaker(switchgear.Key{Callee: callee})
			failed := 0
			for b.State() == switchgear.Closed && failed < 100 {
				_, _ = switchgear.Do(t.Context(), b, fail)
				failed++
			}
			if failed != want {
				t.Errorf("%s opened after %d failures: want %d", callee, failed, want)
			}
		}
	})
}

func TestAPolicyChoosesAStrategyByName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.json")
	document := `{"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":"p"},"spec":{"failureRateThreshold":0,"strategy":"error-budget"}}`
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := switchgear.New(switchgear.Config{Service: "a"}, switchgear.WithPolicyFile(path)); err == nil || !strings.Contains(err.Error(), `policy "p", line 1: strategy "error-budget" is not there`) {
		t.Errorf("got %v: want the strategy that is missing", err)
	}
	m := newManager(t, switchgear.WithPolicyFile(path), switchgear.WithStrategy("error-budget", func(w switchgear.Window) (bool, string) {
		return w.Failed >= 5, "the budget of 5 is spent"
	}))
	b := m.Breaker(switchgear.Key{Callee: "ledger"})
	for range 5 {
		_, _ = switchgear.Do(t.Context(), b, fail)
	}
	if _, err := switchgear.Do(t.Context(), b, work); err == nil || !strings.Contains(err.Error(), "the budget of 5 is spent") {
		t.Errorf("got %v: want a rejection with the strategy's own reason", err)
	}
}

func TestClassifyDecidesWhatCounts(t *testing.T) {
	business, neutral := errors.New("no such account"), errors.New("asked wrongly")
	m, err := switchgear.New(switchgear.Config{Service: "checkout", Classify: func(r switchgear.Result) switchgear.Outcome {
		switch {
		case errors.Is(r.Err, business):
			return switchgear.Outcome{}
		case errors.Is(r.Err, neutral):
			return switchgear.Outcome{Verdict: switchgear.Ignored, Kind: switchgear.BadRequest}
		}
		return r.Default
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	b := m.Breaker(switchgear.Key{Callee: "ledger"})
	for _, err := range []error{business, neutral, errBoom, context.DeadlineExceeded} {
		if _, got := switchgear.Do(t.Context(), b, func(context.Context) (int, error) { return 0, err }); !errors.Is(got, err) {
			t.Fatalf("got %v: want %v", got, err)
		}
	}
	n := b.Circuit().Breaker.Counts()
	if n.Succeeded != 1 || n.Ignored != 1 || n.Failed != 2 || n.Kinds[switchgear.Application] != 1 || n.Kinds[switchgear.Timeout] != 1 {
		t.Errorf("counts %+v: want one success, one ignored, one application's and one time-out", n)
	}
}

func TestKeyOfHost(t *testing.T) {
	for host, want := range map[string]switchgear.Key{
		"payments":                         {Callee: "payments"},
		"Payments:8443":                    {Callee: "payments"},
		"payments.shop.svc.cluster.local.": {Callee: "payments", Namespace: "shop"},
		"payments.shop.svc:443":            {Callee: "payments", Namespace: "shop"},
		"api.example.com.":                 {Callee: "api.example.com"},
		"10.0.0.7:8080":                    {Callee: "10.0.0.7:8080"},
		"[::ffff:10.0.0.7]:80":             {Callee: "10.0.0.7:80"},
		"[::1]":                            {Callee: "::1"},
	} {
		if got := switchgear.KeyOfHost(host); got != want {
			t.Errorf("KeyOfHost(%q) = %+v: want %+v", host, got, want)
		}
	}
}
