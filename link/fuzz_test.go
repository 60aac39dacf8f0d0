package link

import (
	"context"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/link/wire"
	"github.com/datapunk/switchgear/policy"
)

// obedient is a real replica as a link's port, in a time that stands still.
type obedient struct {
	*fleet.Replica
	circuit *fleet.Circuit
	now     time.Duration
}

// quiet is its sink.
type quiet struct{ o *obedient }

func (q quiet) Find(id policy.Circuit) *fleet.Circuit {
	if id == edge {
		return q.o.circuit
	}
	return nil
}

func (quiet) Rejected(_ *fleet.Circuit, _ string, r breaker.Rejection) error { return r.Reason.Err() }
func (quiet) Changed(*fleet.Circuit, string, breaker.Transition)             {}
func (quiet) Due()                                                           {}

func newObedient() *obedient {
	o := &obedient{now: time.Second}
	clock := breaker.NewClock(func() time.Duration { return o.now })
	o.Replica = fleet.NewReplica(fleet.ReplicaID{Service: edge.Caller, Name: "web-1", Incarnation: 1}, clock, 1, quiet{o})
	s := policy.Default()
	o.circuit = o.Guard(edge, &s)
	return o
}

func (o *obedient) link() *Link {
	return &Link{port: obeyed{o}, options: options{log: slog.New(slog.DiscardHandler)}}
}

// state is everything that can be seen of the replica.
func (o *obedient) state() any {
	return []any{o.circuit.Breaker.View(), *o.circuit.Settings(), o.Hello(o.now, ""), o.Final(o.now)}
}

type obeyed struct{ o *obedient }

func (p obeyed) Obey(ds []fleet.Directive) {
	for _, d := range ds {
		p.o.Obey(p.o.now, d)
	}
}
func (p obeyed) Hello() fleet.Hello                         { return fleet.Hello{} }
func (p obeyed) Next(context.Context) (fleet.Report, error) { return fleet.Report{}, fleet.ErrClosing }
func (p obeyed) Linked(string, error)                       {}

// A directive that can't be read changes nothing: the replica is as if it had
// never come, whatever else the message holds.
func FuzzDirectivesOnAReplica(f *testing.F) {
	seed := func(ps ...*linkv1.Directive) {
		b, err := proto.Marshal(&linkv1.Directives{Directives: ps})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	open := wire.ToDirective(&fleet.Directive{
		Circuit: edge, Epoch: fleet.Epoch{Counter: 1}, TTL: time.Minute, Enforce: true, Gate: fleet.Gate{State: breaker.Open, Generation: 1, Reason: "down"},
		Leases: []fleet.Lease{{Token: 1, TTL: time.Second}},
	})
	bad := proto.CloneOf(open)
	bad.Gate.Share = -1
	seed(open)
	seed(bad)
	seed(bad, open)
	seed(open, &linkv1.Directive{}, bad)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(linkv1.Directives)
		if proto.Unmarshal(b, m) != nil {
			return
		}
		fresh, whole, read := newObedient(), newObedient(), newObedient()
		err := whole.link().obey(m)
		any := false
		for _, p := range m.GetDirectives() {
			if one := (&linkv1.Directives{Directives: []*linkv1.Directive{p}}); newObedient().link().obey(one) == nil {
				any = true
				_ = read.link().obey(one)
			}
		}
		got := whole.state()
		if want := read.state(); len(m.GetDirectives()) < 1000 && !reflect.DeepEqual(got, want) {
			t.Errorf("with what can't be read (%v)\n got %+v\nwant %+v", err, got, want)
		}
		if want := fresh.state(); !any && !reflect.DeepEqual(got, want) {
			t.Errorf("nothing could be read (%v)\n got %+v\nwant %+v", err, got, want)
		}
	})
}
