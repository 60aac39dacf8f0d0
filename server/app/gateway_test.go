package app

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/link/gen/switchgear/link/v1/linkv1connect"
	"github.com/datapunk/switchgear/link/wire"
	"github.com/datapunk/switchgear/policy"
	busv1 "github.com/datapunk/switchgear/server/gen/switchgear/bus/v1"
)

var (
	web      = policy.Service{Namespace: "default", Name: "web"}
	checkout = policy.Service{Namespace: "default", Name: "checkout"}

	circuitToCheckout = policy.Circuit{Caller: web, Callee: checkout}
)

// raw is a replica by the bare protocol.
type raw struct {
	*connect.BidiStreamForClientSimple[linkv1.AttachRequest, linkv1.AttachResponse]
	id fleet.ReplicaID
}

func attach(t *testing.T, a *App, name string) *raw {
	t.Helper()
	r := bare(t, a)
	r.id = fleet.ReplicaID{Service: web, Name: name, Incarnation: 1}
	hello := wire.ToHello(fleet.Hello{Protocol: 1, Replica: r.id})
	if err := r.Send(&linkv1.AttachRequest{Message: &linkv1.AttachRequest_Hello{Hello: hello}}); err != nil {
		t.Fatal(err)
	}
	if m, err := r.Receive(); err != nil || m.GetWelcome() == nil {
		t.Fatalf("%v, %v: want welcome", m, err)
	}
	return r
}

func bare(t *testing.T, a *App) *raw {
	t.Helper()
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: p}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		transport.CloseIdleConnections()
	})
	s, err := linkv1connect.NewLinkServiceClient(&http.Client{Transport: transport}, "http://"+a.Address()).Attach(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &raw{BidiStreamForClientSimple: s}
}

// heard waits for a directive with this reason.
func (r *raw) heard(reason string) error {
	for {
		m, err := r.Receive()
		if err != nil {
			return fmt.Errorf("%s: %w", r.id.Name, err)
		}
		for _, d := range m.GetDirectives().GetDirectives() {
			if d.GetGate().GetReason() == reason {
				return nil
			}
		}
	}
}

func word(counter uint64, route, reason string) *linkv1.Directive {
	return wire.ToDirective(&fleet.Directive{
		Circuit: policy.Circuit{Caller: web, Callee: checkout, Route: route}, Epoch: fleet.Epoch{Incarnation: 1, Counter: counter},
		TTL: time.Minute, Enforce: true, Gate: fleet.Gate{State: breaker.Open, Reason: reason},
	})
}

func order(to fleet.ReplicaID, d *linkv1.Directive) *busv1.Orders {
	return &busv1.Orders{Orders: []*busv1.Order{{To: wire.ToReplica(to), Directive: d}}}
}

func TestADirectiveReachesFiftyReplicas(t *testing.T) {
	a, _ := running(t, nil)
	heard := make(chan error)
	for i := range 50 {
		r := attach(t, a, fmt.Sprintf("web-%d", i))
		go func() { heard <- r.heard("down") }()
	}
	eventually(t, "all attached", func() bool { return a.gateway.attached() == 50 })
	if err := a.bus.PublishOrders(order(fleet.ReplicaID{Service: web}, word(1, "", "down"))); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := <-heard; err != nil {
			t.Error(err)
		}
	}
}

func TestADirectiveForOneReplicaReachesThatOneAlone(t *testing.T) {
	a, _ := running(t, nil)
	one, two := attach(t, a, "web-1"), attach(t, a, "web-2")
	eventually(t, "both attached", func() bool { return a.gateway.attached() == 2 })
	for _, o := range []*busv1.Orders{order(one.id, word(1, "", "for one")), order(two.id, word(2, "", "for two"))} {
		if err := a.bus.PublishOrders(o); err != nil {
			t.Fatal(err)
		}
	}
	for r, want := range map[*raw]string{one: "for one", two: "for two"} {
		m, err := r.Receive()
		if err != nil || m.GetDirectives().GetDirectives()[0].GetGate().GetReason() != want {
			t.Errorf("%v, %v: want %q first", m, err, want)
		}
	}
}

func TestAReplicaThatReadsNothingKeepsNobodyWaiting(t *testing.T) {
	a, stop := running(t, nil)
	slow, quick := attach(t, a, "web-slow"), attach(t, a, "web-quick")
	eventually(t, "both attached", func() bool { return a.gateway.attached() == 2 })
	heard := make(chan error, 1)
	go func() { heard <- quick.heard("last") }()
	// Far more than every window between here and there holds: a slow replica's
	// stream is stuck, and then gets the latest word of each circuit, not all.
	long := strings.Repeat("x", 1000)
	counter := uint64(0)
	for range 200 {
		orders := &busv1.Orders{}
		for route := range 100 {
			counter++
			orders.Orders = append(orders.Orders, order(fleet.ReplicaID{Service: web}, word(counter, fmt.Sprintf("r%d", route), long)).Orders...)
		}
		if err := a.bus.PublishOrders(orders); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.bus.PublishOrders(order(fleet.ReplicaID{Service: web}, word(counter+1, "r0", "last"))); err != nil {
		t.Fatal(err)
	}
	if err := <-heard; err != nil {
		t.Fatal(err)
	}
	a.gateway.mu.RLock()
	o := a.gateway.seats[web][slow.id].outbox
	a.gateway.mu.RUnlock()
	o.mu.Lock()
	waiting := len(o.order)
	o.mu.Unlock()
	if waiting > 100 {
		t.Errorf("%d directives wait for the slow replica: want at most one for each of 100 circuits", waiting)
	}
	stop() // and it ends, though the slow one never reads
}

func TestAReplicaThatAttachesAnewReplacesItself(t *testing.T) {
	apps, _ := peersOf(t, 1) // on a bus that others hear
	a := apps[0]
	gone := make(chan *busv1.Evidence, 10)
	unhear, err := a.bus.SubscribeEvidence(func(e *busv1.Evidence) {
		if e.GetGone() != nil {
			gone <- e
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unhear()
	old := attach(t, a, "web-1")
	eventually(t, "attached", func() bool { return a.gateway.attached() == 1 })
	anew := attach(t, a, "web-1")
	for err == nil {
		_, err = old.Receive()
	}
	if connect.CodeOf(err) != connect.CodeAborted {
		t.Errorf("the old stream ended with %v: want aborted", err)
	}
	if n := a.gateway.attached(); n != 1 {
		t.Errorf("%d attached", n)
	}
	_ = anew.CloseRequest()
	if e := <-gone; e.GetFrom().GetName() != "web-1" || len(gone) != 0 {
		t.Errorf("gone %v, and %d more: want it said once, at the end", e, len(gone))
	}
}

func TestHostileStreamsAreEndedAndTheRestGoesOn(t *testing.T) {
	a, _ := running(t, nil)
	report := &linkv1.AttachRequest{Message: &linkv1.AttachRequest_Report{Report: &linkv1.Report{}}}
	for what, m := range map[string]*linkv1.AttachRequest{
		"a report first": report,
		"an empty hello": {Message: &linkv1.AttachRequest_Hello{Hello: &linkv1.Hello{}}},
		"nothing":        {},
	} {
		r := bare(t, a)
		err := r.Send(m)
		for err == nil {
			_, err = r.Receive()
		}
		if connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v: want invalid_argument", what, err)
		}
	}
	r := attach(t, a, "web-1")
	err := r.Send(&linkv1.AttachRequest{Message: &linkv1.AttachRequest_Report{Report: &linkv1.Report{Circuits: []*linkv1.CircuitReport{{}}}}})
	for err == nil {
		_, err = r.Receive()
	}
	if connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("a report without a callee: %v", err)
	}
	attach(t, a, "web-2")
}

func TestAStreamEndsAtItsAge(t *testing.T) {
	a, _ := running(t, func(c *Config) { c.StreamAge = 50 * time.Millisecond })
	if err := attach(t, a, "web-1").heard("nothing"); err == nil || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("%v: want the stream's good end", err)
	}
}

func TestObserversAreCountedByAddress(t *testing.T) {
	for peer, want := range map[string]string{
		"10.0.0.1:5000": "10.0.0.1", "127.0.0.1:5000": "127.0.0.1:5000", "[::1]:5000": "[::1]:5000", "[2001:db8::1]:80": "2001:db8::1", "pipe": "pipe",
	} {
		if got := observerOf(peer); got != want {
			t.Errorf("%s: %s, want %s", peer, got, want)
		}
	}
}
