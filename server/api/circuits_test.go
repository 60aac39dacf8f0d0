package api

import (
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

func circuits(t *testing.T, names ...string) *Circuits {
	t.Helper()
	var views []control.CircuitView
	for _, n := range names {
		id, err := policy.ParseCircuit(n)
		if err != nil {
			t.Fatal(err)
		}
		views = append(views, control.CircuitView{Circuit: id, Share: 1, Breakers: 2})
	}
	s := NewSnapshot(time.Now(), views)
	return circuitsOf(t, func() *Snapshot { return s })
}

func circuitsOf(t *testing.T, snapshot func() *Snapshot) *Circuits {
	t.Helper()
	f := NewFeed(snapshot)
	t.Cleanup(f.Close)
	return NewCircuits(snapshot, f)
}

func listed(t *testing.T, c *Circuits, q *apiv1.ListCircuitsRequest) (names []string, r *apiv1.ListCircuitsResponse) {
	t.Helper()
	r, err := c.ListCircuits(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.GetCircuits() {
		names = append(names, x.GetName())
	}
	return names, r
}

func TestListFilters(t *testing.T) {
	c := circuits(t, "web..checkout", "web..search", "checkout..ops/ledger", "ops/batch..checkout")
	c.snapshot().Circuits[0].State = breaker.Open // by name: default/checkout..ops/ledger
	for what, x := range map[string]struct {
		q    *apiv1.ListCircuitsRequest
		want string
	}{
		"all":       {&apiv1.ListCircuitsRequest{}, "default/checkout..ops/ledger default/web..default/checkout default/web..default/search ops/batch..default/checkout"},
		"state":     {&apiv1.ListCircuitsRequest{States: []apiv1.State{apiv1.State_STATE_OPEN}}, "default/checkout..ops/ledger"},
		"namespace": {&apiv1.ListCircuitsRequest{Namespace: "ops"}, "default/checkout..ops/ledger"},
		"prefix":    {&apiv1.ListCircuitsRequest{Prefix: "web..s"}, "default/web..default/search"},
		"full":      {&apiv1.ListCircuitsRequest{Prefix: "ops/"}, "ops/batch..default/checkout"},
		"none":      {&apiv1.ListCircuitsRequest{Prefix: "nobody"}, ""},
	} {
		if names, r := listed(t, c, x.q); strings.Join(names, " ") != x.want || int(r.GetTotal()) != len(names) {
			t.Errorf("%s: %v, total %d: want %s", what, names, r.GetTotal(), x.want)
		}
	}
}

func TestPagesHoldEachCircuitOnce(t *testing.T) {
	c := circuits(t, "a..x", "b..x", "c..x", "d..x", "e..x")
	var all []string
	q := &apiv1.ListCircuitsRequest{PageSize: 2}
	for pages := 1; ; pages++ {
		names, r := listed(t, c, q)
		all = append(all, names...)
		if r.GetTotal() != 5 {
			t.Errorf("total %d", r.GetTotal())
		}
		if q.PageToken = r.GetNextPageToken(); q.PageToken == "" {
			if pages != 3 || len(all) != 5 {
				t.Errorf("%d pages, %v", pages, all)
			}
			return
		}
	}
}

func TestWhatCantBeAskedIsInvalid(t *testing.T) {
	c := circuits(t, "web..checkout", "web..search")
	for _, q := range []*apiv1.ListCircuitsRequest{{PageSize: 1001}, {PageToken: "%"}, {Prefix: strings.Repeat("x", 5000)}} {
		if _, err := c.ListCircuits(t.Context(), q); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", q, err)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", 5000), "web"} {
		if _, err := c.GetCircuit(t.Context(), &apiv1.GetCircuitRequest{Name: name}); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

func TestACircuitIsFoundByItsBeginning(t *testing.T) {
	c := circuits(t, "web..checkout", "web..checkout-old", "web..search")
	for text, want := range map[string]string{
		"web..checkout":                 "default/web..default/checkout", // exact, though another begins so
		"web..s":                        "default/web..default/search",
		"default/web..default/checkout": "default/web..default/checkout",
	} {
		r, err := c.GetCircuit(t.Context(), &apiv1.GetCircuitRequest{Name: text})
		if err != nil || r.GetCircuit().GetName() != want {
			t.Errorf("%s: %v, %v: want %s", text, r.GetCircuit().GetName(), err, want)
		}
	}
}

func TestAnUnknownCircuitNamesTheNearest(t *testing.T) {
	c := circuits(t, "web..checkout", "web..search")
	for text, want := range map[string]string{"web..chekout": "default/web..default/checkout", "zzzzzzzzzzzzzzzzzzzzzzzz": "among the 2"} {
		_, err := c.GetCircuit(t.Context(), &apiv1.GetCircuitRequest{Name: text})
		if connect.CodeOf(err) != connect.CodeNotFound || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v: want not_found with %q", text, err, want)
		}
	}
	if _, err := circuits(t).GetCircuit(t.Context(), &apiv1.GetCircuitRequest{Name: "x"}); !strings.Contains(err.Error(), "no replica") {
		t.Error(err)
	}
}

func TestTheSentenceTellsWhatGoesOn(t *testing.T) {
	id, _ := policy.ParseCircuit("web..checkout")
	v := control.CircuitView{
		Circuit: id, State: breaker.Open, Mode: breaker.MetricsOnly, Since: 12 * time.Second, Breakers: 3, Open: 2,
		Why:      "80 % of 50 calls failed",
		Parts:    []control.PartView{{Instance: "10.0.0.1:80", State: breaker.Open, Why: "it fails alone"}},
		Replicas: []control.ReplicaView{{Replica: fleet.ReplicaID{Service: id.Caller, Name: "web-1"}, Age: time.Second}},
	}
	at := time.Date(2026, 3, 1, 12, 3, 23, 0, time.UTC)
	want := "default/web..default/checkout is open since 12:03:11 (12s): 80 % of 50 calls failed. 0 % of its calls are admitted; " +
		"2 of 3 breakers are not closed. Mode metrics_only: this is only shown, and replicas decide alone. " +
		"Instance 10.0.0.1:80 has a verdict of its own: open, because it fails alone."
	if got := sentence(&v, id.String(), at, at); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	v = control.CircuitView{Circuit: id, Phase: "ramp", Share: .5, Since: 2 * time.Second, Breakers: 1}
	want = "default/web..default/checkout is closed, on its way back to full traffic, since 12:03:21 (2s). 50 % of its calls are admitted; 0 of 1 breaker is not closed."
	if got := sentence(&v, id.String(), at, at); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheSentenceTellsWhatComesNextAndWhoHoldsIt(t *testing.T) {
	id, _ := policy.ParseCircuit("web..checkout")
	at := time.Date(2026, 3, 1, 12, 3, 23, 0, time.UTC)
	v := control.CircuitView{
		Circuit: id, State: breaker.Open, Since: 12 * time.Second, Breakers: 8, Open: 8, Revision: "shop-7", Inherited: 4,
		Why:       "61 of 100 calls in 10 s failed (61 % ≥ 50 %, minimum 20); 58 timeout, 3 server_error; seen by 7 of 8 replicas",
		NextProbe: 4 * time.Second, Holders: []string{"checkout-3"}, Marker: "checkout was changed 30 s ago: v2",
	}
	want := "default/web..default/checkout is open since 12:03:11 (13s): 61 of 100 calls in 10 s failed (61 % ≥ 50 %, minimum 20); " +
		"58 timeout, 3 server_error; seen by 7 of 8 replicas; 4 more failed because of what the callee calls, and do not count; next probe in 3s; " +
		"the next probe is held by checkout-3; checkout was changed 30 s ago: v2; settings shop-7. 0 % of its calls are admitted; 8 of 8 breakers are not closed."
	if got := sentence(&v, id.String(), at, at.Add(time.Second)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	v = control.CircuitView{
		Circuit: id, Mode: breaker.ForcedOpen, Since: 30 * time.Hour, Breakers: 1, Held: "the guard holds",
		Override: &fleet.Override{ID: "o1", Mode: breaker.ForcedOpen, Author: "ada", Reason: "migration", TTL: time.Minute},
		Parts:    []control.PartView{{Instance: "10.0.0.7:8080", State: breaker.Open}},
	}
	want = "default/web..default/checkout is closed since 2026-02-28 06:03:23 (1d6h): only instance 10.0.0.7:8080. It is held: the guard holds. " +
		"Mode forced_open by ada, for another 1m0s: migration (o1). Every call is rejected; the state stands still. " +
		"Instance 10.0.0.7:8080 has a verdict of its own: open."
	if got := sentence(&v, id.String(), at, at); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheSentenceTellsOfAPauseOnce(t *testing.T) {
	id, _ := policy.ParseCircuit("web..checkout")
	at := time.Date(2026, 3, 1, 12, 3, 23, 0, time.UTC)
	v := control.CircuitView{Circuit: id, Paused: "automation is paused by ada for another 5 s: night"}
	want := "default/web..default/checkout is closed since 12:03:23 (0s). Automation is paused by ada for another 5 s: night."
	if got := sentence(&v, id.String(), at, at); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	v.Held = v.Paused
	if got := sentence(&v, id.String(), at, at); strings.Count(got, "paused") != 1 {
		t.Error(got)
	}
}

func TestAgesAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "0s", 344 * time.Millisecond: "340ms", 12900 * time.Millisecond: "12s", 184 * time.Second: "3m4s",
		125 * time.Minute: "2h5m", 76 * time.Hour: "3d4h",
	} {
		if got := Age(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
