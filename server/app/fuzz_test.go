package app

import (
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/link/wire"
	busv1 "github.com/datapunk/switchgear/server/gen/switchgear/bus/v1"
)

// deaf is a bus that takes everything.
type deaf struct{}

func (deaf) PublishOrders(*busv1.Orders) error { return nil }
func (deaf) PublishMember(*busv1.Member) error { return nil }

// busy is an owner that knows one open circuit, and is stepped by hand.
func busy(tb testing.TB) *owner {
	tb.Helper()
	o := newOwner("d1", control.New(control.Config{Daemon: "d1", Incarnation: 1, Enforce: true, Join: time.Second}), deaf{}, nil,
		newMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	tb.Cleanup(o.checker.close)
	o.peers = true
	held := []fleet.Directive{{Circuit: circuitToCheckout, Epoch: fleet.Epoch{Incarnation: 1, Counter: 1}, TTL: time.Minute, Enforce: true, Gate: fleet.Gate{State: breaker.Open, Generation: 1, Reason: "down"}}}
	for _, name := range []string{"web-1", "web-2"} { // one alone is not believed at once
		id := fleet.ReplicaID{Service: web, Name: name, Incarnation: 1}
		o.hear(&busv1.Evidence{From: wire.ToReplica(id), Observer: name, Event: &busv1.Evidence_Hello{Hello: wire.ToHello(fleet.Hello{Protocol: 1, Replica: id, Held: held})}})
	}
	drain(o)
	if cs := o.mind.Circuits(); len(cs) != 1 || cs[0].State != breaker.Open {
		tb.Fatalf("control knows %+v: want one open circuit", cs)
	}
	return o
}

// drain steps control with all that waits, and says how much that was.
func drain(o *owner) (n int) {
	for len(o.in) > 0 {
		h := <-o.in
		h.at = time.Now()
		o.step(h)
		n++
	}
	return n
}

// known is what control knows, but for ages.
func known(o *owner) []control.CircuitView {
	views := o.mind.Circuits()
	for i := range views {
		views[i].Since, views[i].NextProbe = 0, 0
		for j := range views[i].Parts {
			views[i].Parts[j].Since = 0
		}
		for j := range views[i].Replicas {
			views[i].Replicas[j].Age = 0
		}
	}
	return views
}

// Messages of replicas and of other daemons, as they come from the bus: whatever
// is in them control does not panic, and what can't be read changes nothing.
func FuzzWhatTheOwnerHears(f *testing.F) {
	seed := func(kind byte, m proto.Message) {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(kind, b)
	}
	from := wire.ToReplica(fleet.ReplicaID{Service: web, Name: "web-1", Incarnation: 1})
	good := &linkv1.Report{Circuits: []*linkv1.CircuitReport{{Callee: &linkv1.Service{Namespace: "default", Name: "checkout"}, Cells: []*linkv1.Cell{{Buckets: []*linkv1.Bucket{{Offered: 9, Failed: 9}}}}}}}
	bad := proto.CloneOf(good)
	bad.Circuits[0].Callee.Name = "a\nb"
	for _, r := range []*linkv1.Report{good, bad} {
		seed(0, &busv1.Evidence{From: from, Observer: "b", Event: &busv1.Evidence_Report{Report: r}})
	}
	seed(0, &busv1.Evidence{From: from, Event: &busv1.Evidence_Gone{Gone: &busv1.Gone{}}})
	seed(1, &busv1.Member{Daemon: "d2", Circuits: []*busv1.CircuitSummary{{Circuit: wire.ToCircuit(circuitToCheckout), Open: true, MaxOpenPercent: 200}}})
	seed(1, &busv1.Member{Daemon: "d2", Leaving: true})
	seed(2, &busv1.Orders{Daemon: "d2", Orders: []*busv1.Order{{To: from, Directive: word(3, "", "x")}, {To: from, Directive: &linkv1.Directive{}}}})
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		o := busy(t)
		before := known(o)
		refused := false
		switch kind % 3 {
		case 0:
			e := new(busv1.Evidence)
			if proto.Unmarshal(b, e) != nil {
				return
			}
			_, err := inputOf(e)
			refused = err != nil
			o.hear(e)
		case 1:
			m := new(busv1.Member)
			if proto.Unmarshal(b, m) != nil {
				return
			}
			_, err := fromMember(m)
			refused = err != nil
			o.member(m)
		case 2:
			orders := new(busv1.Orders)
			if proto.Unmarshal(b, orders) != nil || len(orders.GetOrders()) > 1000 {
				return
			}
			refused = true
			for _, x := range orders.GetOrders() {
				_, errTo := wire.FromAddressee(x.GetTo())
				_, errDirective := wire.FromDirective(x.GetDirective())
				refused = refused && (errTo != nil || errDirective != nil)
			}
			o.told(orders)
		}
		if n := drain(o); refused && n > 0 {
			t.Errorf("%d inputs of what can't be read", n)
		}
		if after := known(o); refused && !reflect.DeepEqual(before, after) {
			t.Errorf("what can't be read changed\n%+v\nto\n%+v", before, after)
		}
		if n := testutil.ToFloat64(o.metrics.panics); n > 0 {
			t.Error("control panicked")
		}
	})
}
