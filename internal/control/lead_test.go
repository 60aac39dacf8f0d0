package control

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
)

// half lets a fleet open and come to its first leases.
func (f *fleetOf) half(n int) map[string][]fleet.Lease {
	f.outage(n)
	f.leases()
	for range 12 {
		f.ask(n, breaker.Open)
		if f.pass(100 * time.Millisecond); f.state() == breaker.HalfOpen {
			break
		}
	}
	return f.leases()
}

// ask lets replicas but some report calls that were rejected, which are demand.
func (f *fleetOf) ask(n int, state breaker.State, but ...string) {
	for i := range n {
		if slices.Contains(but, replica(i).Name) {
			continue
		}
		c := fleet.Counts{Offered: 3, Rejected: 3}
		f.step(Input{Report: &ReplicaReport{From: replica(i), Report: fleet.Report{Circuits: []fleet.CircuitReport{{
			Callee: cart, State: state, Generation: f.generation(i), Cells: []fleet.Cell{{Buckets: []fleet.Bucket{{Counts: c}}}},
		}}}}})
	}
}

func TestProbesAreInTheBudgetAndGivenAgain(t *testing.T) {
	f := newFleet(10)
	given := f.half(10)
	if len(given) != 3 {
		t.Fatalf("leases %v: want one each for three replicas", given)
	}
	f.pass(2 * time.Second)
	if again := f.leases(); len(again) > 0 {
		t.Errorf("leases %v while three are out", again)
	}
	// One holder dies; its lease, and only its, is given again at once.
	for name := range given {
		var i int
		_, _ = fmt.Sscanf(name, "web-%d", &i)
		gone := replica(i)
		f.step(Input{Gone: &gone})
		break
	}
	f.pass(100 * time.Millisecond)
	if again := f.leases(); len(again) != 1 {
		t.Errorf("leases %v after one holder died: want one more", again)
	}
	// The others hang: given again when their time is over.
	for range 110 {
		f.ask(10, breaker.HalfOpen)
		f.pass(100 * time.Millisecond)
	}
	total := 0
	for _, l := range f.leases() {
		total += len(l)
	}
	if total != 3 {
		t.Errorf("%d leases given again after all holders hung: want 3", total)
	}
}

func TestALeaseIsGivenAgainWhenItsHolderIsSilent(t *testing.T) {
	f := newFleet(10)
	given := f.half(10)
	silent := slices.Sorted(maps.Keys(given))[0]
	for i := range 32 {
		f.ask(10, breaker.HalfOpen, silent)
		f.pass(100 * time.Millisecond)
		again := f.leases()
		if len(again) > 0 && i < 28 {
			t.Fatalf("leases %v after %d00 ms: too soon", again, i)
		}
		if len(again) > 0 {
			if len(again) != 1 || len(again[silent]) > 0 {
				t.Errorf("leases %v after %s was silent: want one for another", again, silent)
			}
			return
		}
	}
	t.Error("the lease of a silent holder is not given again within 3 s")
}

func TestTheWaitIsBetweenProbesNotAfterOneThatHung(t *testing.T) {
	for _, c := range []struct{ hung, least, most time.Duration }{
		{0, 1200 * time.Millisecond, 1800 * time.Millisecond},
		{600 * time.Millisecond, 800 * time.Millisecond, 1200 * time.Millisecond},
		{5 * time.Second, 0, 100 * time.Millisecond},
	} {
		f := newFleet(10)
		given := f.half(10)
		for i := time.Duration(0); i < c.hung; i += 100 * time.Millisecond {
			f.ask(10, breaker.HalfOpen)
			f.pass(100 * time.Millisecond)
		}
		for name, leases := range given {
			for _, l := range leases {
				var i int
				_, _ = fmt.Sscanf(name, "web-%d", &i)
				f.step(Input{Report: &ReplicaReport{From: replica(i), Report: fleet.Report{Answers: []fleet.Answer{
					{Circuit: edge, Token: l.Token, Used: true, Verdict: breaker.Failure, Kind: breaker.Timeout, Latency: c.hung},
				}}}})
			}
		}
		if again := f.leases(); len(again) > 0 && c.hung < time.Second {
			t.Fatalf("hung %v: leases %v as soon as all probes had failed", c.hung, again)
		}
		waited := time.Duration(0)
		for ; waited < 3*time.Second && f.state() == breaker.Open; waited += 20 * time.Millisecond {
			f.ask(10, breaker.Open)
			f.pass(20 * time.Millisecond)
		}
		if waited < c.least || waited > c.most {
			t.Errorf("hung %v: open for %v, want %v to %v", c.hung, waited, c.least, c.most)
		}
	}
}

func TestAShareOfProbesIsSaidAgainBeforeItEnds(t *testing.T) {
	f := newFleet(3)
	c := f.known(edge)
	c.whole.set(f.at, breaker.HalfOpen, "", 0.1, "probing")
	f.out = nil
	f.pass(fleet.ProbesStand)
	said := 0
	for _, o := range f.out {
		if o.To.Name == "" && o.Directive.State == breaker.HalfOpen {
			said++
		}
	}
	if said < 2 || said > 3 {
		t.Errorf("said %d times in %v: want two or three, so that one may be lost", said, fleet.ProbesStand)
	}
}
