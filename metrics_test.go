package switchgear_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/datapunk/switchgear"
)

// only gives the metrics of the one breaker there is.
func only(t *testing.T, m *switchgear.Manager) switchgear.CircuitMetrics {
	t.Helper()
	var all []switchgear.CircuitMetrics
	for c := range m.Metrics() {
		all = append(all, c)
	}
	if len(all) != 1 || m.Stats().Breakers != 1 {
		t.Fatalf("%d circuits, %d breakers: want one", len(all), m.Stats().Breakers)
	}
	return all[0]
}

func TestMetricsExistFromTheBreakersMaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		m.Breaker(switchgear.Key{Callee: "ledger"})
		time.Sleep(time.Minute)
		c := only(t, m)
		if c.Key != (switchgear.Key{Callee: "ledger", Namespace: "default"}) || c.State != switchgear.Closed || c.Share != 1 || c.InState[switchgear.Closed] != time.Minute {
			t.Errorf("metrics %+v: want a closed breaker of a minute", c)
		}
	})
}

func TestMetricsTellEachBreakerOnceByItsWholeKey(t *testing.T) {
	m := newManager(t)
	m.Breaker(switchgear.Key{Callee: "ledger"})
	m.Breaker(switchgear.Key{Callee: "ledger", Namespace: "default"})
	only(t, m)
}

func TestMetricsCountTransitionsAndTimeInStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, byRate())
		b := m.Breaker(switchgear.Key{Callee: "ledger"})
		time.Sleep(5 * time.Second)
		for range 20 {
			_, _ = switchgear.Do(t.Context(), b, fail)
		}
		_, _ = switchgear.Do(t.Context(), b, work)
		time.Sleep(3 * time.Second)
		for range 3 {
			_, _ = switchgear.Do(t.Context(), b, work)
		}
		c := only(t, m)
		for _, move := range [][2]switchgear.State{{switchgear.Closed, switchgear.Open}, {switchgear.Open, switchgear.HalfOpen}, {switchgear.HalfOpen, switchgear.Closed}} {
			if n := c.Transitions[move[0]][move[1]]; n != 1 {
				t.Errorf("%d transitions %v → %v: want 1", n, move[0], move[1])
			}
		}
		near := func(got, want time.Duration) bool { return (got - want).Abs() <= 2*switchgear.Resolution }
		if !near(c.InState[switchgear.Closed], 5*time.Second) || !near(c.InState[switchgear.Open], 3*time.Second) {
			t.Errorf("time in states %v: want 5 s closed, 3 s open", c.InState)
		}
		if c.Failed != 20 || c.Kinds[switchgear.Application] != 20 || c.Succeeded != 3 || c.Rejected[0] != 1 {
			t.Errorf("counts %+v: want 20 failed, 3 succeeded, 1 rejected", c.Counts)
		}
	})
}

// A counter that shrinks looks like a restart to whoever charts it.
func TestMetricsNeverShrink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settings := switchgear.Settings{}
		settings.Breaker.ConsecutiveFailures = 1
		settings.Breaker.Wait.Base, settings.Breaker.Wait.Max = 10*time.Millisecond, 10*time.Millisecond
		m := newManager(t, switchgear.WithSettings(settings))
		b := m.Breaker(switchgear.Key{Callee: "ledger"})
		_, _ = switchgear.Do(t.Context(), b, work)
		synctest.Wait()
		time.Sleep(27 * time.Millisecond) // 7 ms after the coarse clock's last step
		before := only(t, m).InState
		_, _ = switchgear.Do(t.Context(), b, fail)
		c := only(t, m)
		if c.State != switchgear.Open {
			t.Fatal("it did not open: nothing is shown")
		}
		if c.InState[switchgear.Closed] < before[switchgear.Closed] {
			t.Errorf("time closed shrank from %v to %v", before[switchgear.Closed], c.InState[switchgear.Closed])
		}
	})
}

func TestReadingMetricsIsPure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t, byRate())
		b := m.Breaker(switchgear.Key{Callee: "ledger"})
		for range 20 {
			_, _ = switchgear.Do(t.Context(), b, fail)
		}
		time.Sleep(time.Hour) // its wait is long over, and only a call may say so
		first := only(t, m)
		second := only(t, m)
		if first != second || b.State() != switchgear.Open {
			t.Errorf("reading changed %+v to %+v", first, second)
		}
	})
}

func TestStatsTellOfTheLink(t *testing.T) {
	m := newManager(t)
	p := m.Port()
	p.Linked("d", context.DeadlineExceeded)
	p.Linked("d", nil)
	p.Linked("d", context.Canceled)
	p.Linked("d", nil)
	if s := m.Stats(); s != (switchgear.Stats{Linked: true, LinkUps: 2, LinkFailures: 2}) {
		t.Errorf("stats %+v: want linked twice and failed twice", s)
	}
}

func ExampleManager_Metrics() {
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		panic(err)
	}
	defer m.Close()

	ledger := m.Breaker(switchgear.Key{Callee: "ledger"})
	_, _ = switchgear.Do(context.Background(), ledger, func(context.Context) (int, error) { return 1, nil })
	for c := range m.Metrics() {
		fmt.Println(c.Key, c.State, c.Mode, c.Succeeded)
	}
	// Output: default/ledger closed enforce 1
}

// What reading a thousand breakers costs.
func BenchmarkMetrics(b *testing.B) {
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	for i := range 1000 {
		x := m.Breaker(switchgear.Key{Callee: fmt.Sprintf("callee-%d", i)})
		_, _ = switchgear.Do(b.Context(), x, fail)
	}
	for b.Loop() {
		for range m.Metrics() {
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/breaker")
}

// What a call costs while nobody reads, and while someone reads a thousand times
// a second: far more often than any scrape.
func BenchmarkCallWhileMetricsAreRead(b *testing.B) {
	for name, pause := range map[string]time.Duration{"never": time.Hour, "each_ms": time.Millisecond} {
		b.Run(name, func(b *testing.B) {
			m, err := switchgear.New(switchgear.Config{Service: "checkout"})
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close()
			x := m.Breaker(switchgear.Key{Callee: "ledger"})
			done := make(chan struct{})
			read := time.NewTicker(pause)
			defer read.Stop()
			defer close(done)
			go func() {
				for {
					select {
					case <-done:
						return
					case <-read.C:
						for range m.Metrics() {
						}
					}
				}
			}()
			for b.Loop() {
				p, err := x.Acquire()
				if err != nil {
					b.Fatal(err)
				}
				p.Done(switchgear.Outcome{})
			}
		})
	}
}
