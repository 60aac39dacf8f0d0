package control

import (
	"fmt"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// automatic is a mind with six replicas on untouched settings, which call three
// instances.
type automatic struct {
	fleetOf
	calls int
}

func newAutomatic() *automatic {
	return &automatic{fleetOf: fleetOf{Mind: New(Config{Daemon: "d", Incarnation: 1, Seed: 1, Enforce: true}), at: time.Second}}
}

// play has every replica make a call each 100 ms, of which so many of a hundred
// fail, evenly.
func (f *automatic) play(d time.Duration, percent int) {
	s := policy.Default()
	for end := f.at + d; f.at < end; f.pass(100 * time.Millisecond) {
		for i := range 6 {
			f.calls++
			var c fleet.Counts
			if c.Offered = 1; f.calls*percent%100 < percent {
				c.Failed, c.Kinds[breaker.ServerError] = 1, 1
			} else {
				c.Succeeded, c.Latency = 1, time.Millisecond
			}
			f.step(Input{Report: &ReplicaReport{From: replica(i), Report: fleet.Report{Circuits: []fleet.CircuitReport{{
				Callee: cart, Settings: &s, Generation: f.generation(i),
				Cells: []fleet.Cell{{Instance: fmt.Sprintf("cart-%d", f.calls%3), Buckets: []fleet.Bucket{{Counts: c}}}},
			}}}}})
		}
		f.out = f.out[max(0, len(f.out)-64):]
	}
}

func TestWhatIsSuspectedForLongIsHowTheCircuitIs(t *testing.T) {
	f := newAutomatic()
	f.play(2*time.Minute, 2)
	c := f.known(edge)
	if n := c.record.normal(); n > 0.1 {
		t.Fatalf("%.2f normal at 2 %%", n)
	}
	f.play(3*time.Minute, 34)
	if c.suspected == 0 {
		t.Error("34 % are not suspected: the test shows nothing")
	}
	if n := c.record.normal(); n < 0.2 {
		t.Errorf("%.2f normal after three minutes at 34 %%: only the better times were learnt", n)
	}
}

func TestWhatFailsTeachesNothing(t *testing.T) {
	f := newAutomatic()
	f.play(2*time.Minute, 2)
	f.step(Input{Order: &Order{ID: "o", Action: Pause, Namespace: "t", Author: "alice", Reason: "drill", TTL: 10 * time.Minute}})
	before := f.known(edge).record.normal()
	f.play(time.Minute, 100)
	if f.state() != breaker.Closed {
		t.Fatal("it opens though automation is paused")
	}
	f.play(time.Minute, 2)
	if n := f.known(edge).record.normal(); n > before+0.02 {
		t.Errorf("%.3f normal after an outage that nobody opened, %.3f before", n, before)
	}
}
