package switchgear

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/datapunk/switchgear/internal/fleet"
)

// While control asks for every answer at once, a success must not wait for the
// calm report.
func TestHotSuccessesAreReportedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := New(Config{Service: "web", Replica: "web-1"})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		b := m.Breaker(Key{Callee: "db"})
		call := func() {
			p, err := b.Acquire()
			if err != nil {
				t.Fatal(err)
			}
			p.Done(Outcome{})
		}
		call()
		p := (*port)(m)
		p.Hello()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var oldest time.Duration // evidence, once hot
		reported, hot := uint32(0), false
		go func() {
			for {
				r, err := p.Next(ctx)
				if err != nil {
					return
				}
				for _, x := range r.Circuits[0].Cells {
					for _, c := range x.Buckets {
						if hot {
							oldest = max(oldest, c.Age)
							reported += c.Succeeded
						}
					}
				}
			}
		}()
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		hot = true
		p.Obey([]fleet.Directive{{
			Circuit: b.Circuit().ID, Epoch: fleet.Epoch{Incarnation: 1, Counter: 1}, TTL: time.Minute, Enforce: true, Hot: true,
			Gate: fleet.Gate{Share: 1, Generation: 1},
		}})
		for range 15 {
			time.Sleep(100 * time.Millisecond)
			call()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if reported != 15 || oldest > fleet.UrgentInterval+fleet.UrgentGather {
			t.Errorf("%d of 15 successes reported, at an age of up to %v: want all within %v", reported, oldest, fleet.UrgentInterval+fleet.UrgentGather)
		}
	})
}

func TestAClosedManagerTellsAllThatIsLeftAndEndsItsLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := New(Config{Service: "web", Replica: "web-1"})
		if err != nil {
			t.Fatal(err)
		}
		p := m.Port()
		p.Hello()
		_, _ = Do(t.Context(), m.Breaker(Key{Callee: "ledger"}), func(context.Context) (int, error) { return 1, nil })
		go func() {
			synctest.Wait()
			_ = m.Close()
		}()
		for range 3 {
			r, err := p.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if r.Final {
				return
			}
		}
		t.Error("no final report after the manager's end")
	})
}
