package switchgear_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/datapunk/switchgear"
)

// traffic calls n times a second for a while and counts who got through.
func traffic(t *testing.T, b *switchgear.Breaker, n int, span time.Duration, fn func(context.Context) (int, error)) (through int) {
	t.Helper()
	for range int(span.Seconds() * float64(n)) {
		_, _ = switchgear.Do(t.Context(), b, func(ctx context.Context) (int, error) {
			through++
			return fn(ctx)
		})
		time.Sleep(time.Second / time.Duration(n))
	}
	return through
}

func TestWithoutADaemonTheProcessRunsControlOverItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		var why []string
		go func() {
			for e := range m.Events(t.Context()) {
				why = append(why, e.From.String()+"→"+e.To.String()+" "+e.Why)
			}
		}()
		b := m.Breaker(switchgear.Key{Callee: "ledger"})
		if n := traffic(t, b, 50, 20*time.Second, work); n != 1000 {
			t.Fatalf("%d of 1000 good calls permitted", n)
		}
		failed := traffic(t, b, 50, 30*time.Second, fail)
		if failed > 120 {
			t.Errorf("%d of 1500 calls let through while all failed: want some to find out, and probes", failed)
		}
		good := traffic(t, b, 50, 10*time.Second, work)
		if good < 350 || b.State() != switchgear.Closed {
			t.Errorf("%d of 500 calls let through after the outage, state %v: want most, closed", good, b.State())
		}
		_ = m.Close()
		synctest.Wait()
		if len(why) == 0 || !strings.Contains(why[0], "newest") || !strings.Contains(why[0], "1 of 1 replicas") {
			t.Errorf("events %q: want the engine's reason first, with its numbers", why)
		}
	})
}

// A steady share of failures below openAbove opens nothing; the plain rule of a
// breaker alone counts windows, and would by chance.
func TestWithoutADaemonOpenAboveIsWhatCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(t)
		b := m.Breaker(switchgear.Key{Callee: "ledger"})
		i := 0
		n := traffic(t, b, 20, 5*time.Minute, func(ctx context.Context) (int, error) {
			if i++; i%10 < 4 {
				return fail(ctx)
			}
			return work(ctx)
		})
		if n != 6000 {
			t.Errorf("%d of 6000 calls permitted at a steady 40 %% of failures: want all", n)
		}
	})
}
