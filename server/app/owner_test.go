package app

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/link/wire"
	"github.com/datapunk/switchgear/policy"
	busv1 "github.com/datapunk/switchgear/server/gen/switchgear/bus/v1"
)

// brokenMind panics on a replica's end.
type brokenMind struct{ steps chan control.Input }

func (m brokenMind) Step(in control.Input) control.Said {
	if in.Gone != nil {
		panic("broken")
	}
	m.steps <- in
	return control.Said{}
}
func (brokenMind) Interval() time.Duration         { return time.Hour }
func (brokenMind) Live() int                       { return 1 }
func (brokenMind) Farewell() control.Member        { return control.Member{} }
func (brokenMind) Circuits() []control.CircuitView { return nil }
func (brokenMind) Known() []policy.Circuit         { return nil }
func (brokenMind) Native(policy.Circuit) (policy.Settings, bool) {
	return policy.Settings{}, false
}

func testOwner(t *testing.T) (*owner, brokenMind) {
	t.Helper()
	m := brokenMind{make(chan control.Input, 2*queueLength)}
	return newOwner("d1", m, nil, nil, newMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler)), m
}

func evidence(r *linkv1.Report) *busv1.Evidence {
	return &busv1.Evidence{
		From:  wire.ToReplica(fleet.ReplicaID{Service: web, Name: "web-1"}),
		Event: &busv1.Evidence_Report{Report: r},
	}
}

func TestAPanicInControlDoesNotEndTheDaemon(t *testing.T) {
	o, m := testOwner(t)
	o.start()
	defer o.stop()
	<-m.steps // its first tick
	o.hear(&busv1.Evidence{From: wire.ToReplica(fleet.ReplicaID{Service: web, Name: "web-1"}), Event: &busv1.Evidence_Gone{Gone: &busv1.Gone{}}})
	o.hear(evidence(&linkv1.Report{Sequence: 2}))
	if in := <-m.steps; in.Report == nil || in.Report.Sequence != 2 {
		t.Errorf("%+v: want the next report", in)
	}
	if n := testutil.ToFloat64(o.metrics.panics); n != 1 {
		t.Errorf("%v panics counted", n)
	}
}

func TestEvidenceIsShedBeforeAnythingElse(t *testing.T) {
	o, _ := testOwner(t) // it takes nothing
	for range queueLength {
		o.hear(evidence(&linkv1.Report{}))
	}
	if len(o.in) != shedAt || testutil.ToFloat64(o.metrics.dropped) != queueLength-shedAt {
		t.Errorf("%d wait, %v dropped: want %d to wait and the rest counted", len(o.in), testutil.ToFloat64(o.metrics.dropped), shedAt)
	}
	settings := policy.Default()
	withSettings := wire.ToReport(fleet.Report{Circuits: []fleet.CircuitReport{{Callee: checkout, Settings: &settings}}})
	answer := wire.ToReport(fleet.Report{Answers: []fleet.Answer{{Circuit: policy.Circuit{Caller: web, Callee: checkout}, Token: 1}}})
	for _, r := range []*linkv1.Report{withSettings, answer, {Final: true}} {
		o.hear(evidence(r))
	}
	if len(o.in) != shedAt+3 {
		t.Errorf("%d wait: want answers, settings and ends kept", len(o.in))
	}
}

func TestWaitingMakesEvidenceOlder(t *testing.T) {
	r := &control.ReplicaReport{Report: fleet.Report{Circuits: []fleet.CircuitReport{{Cells: []fleet.Cell{{Buckets: []fleet.Bucket{{Age: 100 * time.Millisecond}}}}}}}}
	older(r, 250*time.Millisecond)
	if age := r.Circuits[0].Cells[0].Buckets[0].Age; age != 300*time.Millisecond {
		t.Errorf("age %v: want 300ms, in whole steps", age)
	}
}
