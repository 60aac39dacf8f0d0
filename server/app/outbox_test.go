package app

import (
	"testing"
	"time"

	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

func directive(route string, counter uint64, leases ...fleet.Lease) fleet.Directive {
	return fleet.Directive{Circuit: policy.Circuit{Caller: web, Callee: checkout, Route: route}, Epoch: fleet.Epoch{Counter: counter}, TTL: time.Minute, Leases: leases}
}

func TestTheOutboxKeepsTheLatestOfEachCircuit(t *testing.T) {
	o, now := newOutbox(), time.Now()
	o.put(now, directive("a", 1))
	o.put(now, directive("b", 2))
	o.put(now, directive("a", 3))
	o.put(now, directive("b", 1)) // older than what waits
	ds, _ := o.take(now, 10)
	if len(ds) != 2 || ds[0].Circuit.Route != "a" || ds[0].Epoch.Counter != 3 || ds[1].Epoch.Counter != 2 {
		t.Errorf("%+v", ds)
	}
	if ds, _ := o.take(now, 10); len(ds) != 0 {
		t.Errorf("%+v: want nothing twice", ds)
	}
}

func TestWaitingTakesFromTheTimeToLive(t *testing.T) {
	o, now := newOutbox(), time.Now()
	o.put(now, directive("a", 1, fleet.Lease{Token: 1, TTL: 5 * time.Second}, fleet.Lease{Token: 2, TTL: 20 * time.Second}))
	short := directive("b", 1)
	short.TTL = time.Second
	o.put(now, short)
	ds, waited := o.take(now.Add(10*time.Second), 10)
	if len(ds) != 1 || ds[0].TTL != 50*time.Second || len(ds[0].Leases) != 1 || ds[0].Leases[0].TTL != 10*time.Second {
		t.Errorf("%+v: want one directive with 50 s and one lease with 10 s", ds)
	}
	if waited[0] != 10*time.Second {
		t.Errorf("waited %v", waited)
	}
}

func TestLeasesOutliveTheDirectiveThatTheyCameWith(t *testing.T) {
	o, now := newOutbox(), time.Now()
	o.put(now, directive("a", 1, fleet.Lease{Token: 1, TTL: 5 * time.Second}))
	o.put(now.Add(time.Second), directive("a", 2, fleet.Lease{Token: 2, TTL: 5 * time.Second}))
	ds, _ := o.take(now.Add(2*time.Second), 10)
	if l := ds[0].Leases; len(l) != 2 || l[0].TTL != 3*time.Second || l[1].TTL != 4*time.Second {
		t.Errorf("%+v", l)
	}
	for i := range uint64(10 * maxPendingLeases) {
		o.put(now, directive("a", 3+i, fleet.Lease{Token: i, TTL: time.Second}))
	}
	if ds, _ := o.take(now, 1); len(ds[0].Leases) != maxPendingLeases {
		t.Errorf("%d leases wait: want at most %d", len(ds[0].Leases), maxPendingLeases)
	}
}

func TestATakeInPartsGivesEverything(t *testing.T) {
	o, now := newOutbox(), time.Now()
	for i := range 5 {
		o.put(now, directive(string(rune('a'+i)), 1))
	}
	got := 0
	for range 3 {
		<-o.ready
		ds, _ := o.take(now, 2)
		got += len(ds)
	}
	if got != 5 || len(o.ready) != 0 {
		t.Errorf("%d directives, %d more said to be ready", got, len(o.ready))
	}
}
