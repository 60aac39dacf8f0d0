package control

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// lie is anything that a replica can say.
func lie(rng *rand.Rand, from fleet.ReplicaID, s *policy.Settings) Input {
	big := func() uint64 { return rng.Uint64() >> rng.IntN(64) }
	if rng.IntN(4) == 0 {
		var held []fleet.Directive
		for range 1 + rng.IntN(3) {
			held = append(held, fleet.Directive{
				Circuit: edgeTo("pay"), Epoch: fleet.Epoch{Incarnation: big(), Counter: big(), Daemon: "z"}, TTL: time.Minute, Enforce: true,
				Gate:     fleet.Gate{State: breaker.Open, Generation: big(), Reason: "a lie"},
				Parts:    []fleet.Part{{Instance: "10.0.0.1:80", Gate: fleet.Gate{State: breaker.Open, Generation: big()}}},
				Override: &fleet.Override{ID: "o", Mode: breaker.ForcedOpen, Author: "z", Reason: "z", TTL: time.Hour},
			})
		}
		return Input{Hello: &fleet.Hello{Protocol: 1, Replica: from, Held: held}, Observer: from.Name}
	}
	n := uint32(big())
	cr := fleet.CircuitReport{
		Callee: svc("pay"), State: breaker.State(rng.IntN(3)), Generation: big() % 4, Why: "a lie", Settings: s,
		Cells: []fleet.Cell{{Instance: fmt.Sprintf("10.0.0.%d:80", rng.IntN(3)), Generation: big() % 4, Buckets: []fleet.Bucket{{Age: time.Duration(rng.IntN(5)) * fleet.BucketWidth, Counts: bad(n)}}}},
	}
	r := fleet.Report{Circuits: []fleet.CircuitReport{cr}, Answers: []fleet.Answer{{Circuit: edgeTo("pay"), Token: big(), Used: true, Verdict: breaker.Failure}}}
	return Input{Report: &ReplicaReport{From: from, Observer: from.Name, Report: r}}
}

func TestLiarsUnderTheQuorumChangeNothing(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 11))
		quorum := 2 + rng.IntN(4)
		liars, honest := 1+rng.IntN(quorum-1), 2*quorum+rng.IntN(8)
		m := newMesh(Config{Seed: seed}, func(s *policy.Settings) { s.Quorum = quorum })
		m.say(edgeTo("pay"), honest, well(5), "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
		for range 30 {
			for i := range liars {
				from := fleet.ReplicaID{Service: svc("web"), Name: fmt.Sprintf("liar-%d", i), Incarnation: 1}
				m.step(lie(rng, from, &m.settings))
			}
			m.say(edgeTo("pay"), honest, well(3), "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
			m.pass(100 * time.Millisecond)
			v, _ := m.Circuit(edgeTo("pay"))
			if v.State != breaker.Closed || v.Phase != "" || v.Override != nil || len(v.Parts) > 0 {
				t.Fatalf("seed %d: %d liars of %d, quorum %d: %v, parts %+v, override %v: %s", seed, liars, liars+honest, quorum, v.State, v.Parts, v.Override, v.Why)
			}
		}
		for _, o := range m.said {
			if o.To.Name == "" || o.To.Name[0] == 'w' {
				if d := o.Directive; d.State != breaker.Closed || d.Share < 1 || len(d.Parts) > 0 || d.Override != nil {
					t.Fatalf("seed %d: %d liars of %d, quorum %d: said to %q: %+v", seed, liars, liars+honest, quorum, o.To.Name, d)
				}
			}
		}
	}
}

func TestWhatIsHeldIsBelievedOnceAQuorumHoldsIt(t *testing.T) {
	m := newMesh(Config{Incarnation: 2}, nil)
	pay := edgeTo("pay")
	held := fleet.Directive{
		Circuit: pay, Epoch: fleet.Epoch{Incarnation: 1, Counter: 900, Daemon: "d"}, TTL: 30 * time.Second, Enforce: true,
		Gate: fleet.Gate{State: breaker.Open, Generation: 77, Reason: "before"},
	}
	m.say(pay, 1, well(1)) // a replica that has just begun holds nothing
	for i, want := range []breaker.State{breaker.Closed, breaker.Open} {
		from := fleet.ReplicaID{Service: pay.Caller, Name: fmt.Sprintf("old-%d", i), Incarnation: 1}
		m.said = nil
		m.step(Input{Hello: &fleet.Hello{Protocol: 1, Replica: from, Held: []fleet.Directive{held}}, Observer: from.Name})
		cr := fleet.CircuitReport{Callee: pay.Callee, State: breaker.Open, Generation: 77}
		m.step(Input{Report: &ReplicaReport{From: from, Observer: from.Name, Report: fleet.Report{Circuits: []fleet.CircuitReport{cr}}}})
		if v, _ := m.Circuit(pay); (v.State == breaker.Closed) != (want == breaker.Closed) {
			t.Errorf("%d claims: %v, want %v", i+1, v.State, want)
		}
		for _, o := range m.said {
			if o.To.Name == from.Name && o.Directive.State == breaker.Closed {
				t.Errorf("%s, which is open, is told to close", from.Name)
			}
		}
	}
}
