package app

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/link"
	"github.com/datapunk/switchgear/policy"
	"github.com/datapunk/switchgear/server/bus"
)

// peersOf are daemons on one bus, whose server is the first one's.
func peersOf(t *testing.T, n int) (apps []*App, stops []func()) {
	t.Helper()
	host, err := bus.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Close)
	for i := range n {
		a, stop := running(t, func(c *Config) { c.Name, c.Bus = fmt.Sprintf("d%d", i+1), host })
		apps, stops = append(apps, a), append(stops, stop)
	}
	return apps, stops
}

func opened(a *App, c policy.Circuit) bool {
	for _, v := range a.owner.snapshot().Circuits {
		if v.Circuit == c {
			return v.State != breaker.Closed
		}
	}
	return false
}

// Replicas attached to different daemons fail together; one daemon decides for
// all, the others see it, and when it ends another one goes on.
func TestThreeDaemonsDecideAsOneAndTheNextTakesOver(t *testing.T) {
	apps, stops := peersOf(t, 3)
	var breakers []*switchgear.Breaker
	fail := func() {
		for _, b := range breakers {
			for range 10 {
				if p, err := b.Acquire(); err == nil {
					p.Done(switchgear.Outcome{Verdict: breaker.Failure, Kind: breaker.ServerError})
				}
			}
		}
	}
	for i := range 3 {
		m := manager(t, "web", fmt.Sprintf("web-%d", i+1))
		l, err := link.Connect(m, "http://"+apps[i].Address())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		breakers = append(breakers, m.Breaker(switchgear.Key{Callee: "checkout"}))
	}
	eventually(t, "one attached to each", func() bool {
		return apps[0].gateway.attached() == 1 && apps[1].gateway.attached() == 1 && apps[2].gateway.attached() == 1
	})
	eventually(t, "all three know each other", func() bool {
		for _, a := range apps {
			if a.owner.live.Load() != 3 {
				return false
			}
		}
		return true
	})
	fail()
	edge := policy.Circuit{Caller: web, Callee: checkout}
	for i, a := range apps {
		eventually(t, fmt.Sprintf("open as daemon %d sees it", i+1), func() bool { return opened(a, edge) })
	}
	eventually(t, "open in each replica", func() bool {
		for _, b := range breakers {
			if b.State() == breaker.Closed {
				return false
			}
		}
		return true
	})
	owner := -1
	for i, a := range apps {
		if testutil.ToFloat64(a.owner.metrics.decided) > 0 {
			if owner >= 0 {
				t.Fatalf("daemons %d and %d both decide", owner+1, i+1)
			}
			owner = i
		}
	}
	if owner < 0 {
		t.Fatal("nobody decides")
	}
	stops[owner]()
	eventually(t, "another one decides", func() bool {
		for i, a := range apps {
			if i != owner && testutil.ToFloat64(a.owner.metrics.decided) > 0 {
				return opened(a, edge)
			}
		}
		return false
	})
	for i, b := range breakers {
		if i != owner && b.State() == breaker.Closed {
			t.Errorf("replica %d is closed after the takeover", i+1)
		}
	}
}

func TestWhatDaemonsTellEachOtherIsReadAsItWasSaid(t *testing.T) {
	edge := policy.Circuit{Caller: web, Callee: checkout, Route: "/x"}
	want := control.Member{
		Daemon: "d1", Joining: true, Leaving: true, Epoch: fleet.Epoch{Incarnation: 3, Counter: 4, Daemon: "d1"},
		Namespaces: []control.NamespaceSummary{{Namespace: "default", Circuits: 7}},
		Circuits:   []control.CircuitSummary{{Circuit: edge, Open: true, Wants: true, Calls: 9, Troubled: 5, MaxOpenPercent: 40}},
		Grants:     []control.Grant{{Circuit: edge, Why: "the guard holds"}},
	}
	got, err := fromMember(toMember(&want))
	if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
	bad := toMember(&want)
	bad.Circuits[0].Circuit.Callee.Name = "a\nb"
	if _, err := fromMember(bad); err == nil {
		t.Error("a circuit that is none was read")
	}
	bad = toMember(&want)
	bad.Circuits[0].MaxOpenPercent = -1
	if _, err := fromMember(bad); err == nil {
		t.Error("a percentage that is none was read")
	}
}
