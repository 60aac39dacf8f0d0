package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/policy"
)

var (
	checkout = policy.Service{Namespace: "demo", Name: "checkout"}
	payments = policy.Service{Namespace: "demo", Name: "payments"}
)

// story is the demo's first chapter: four replicas of checkout, 25 calls a
// second each, payments failing outright from 5 s to 15 s.
type story struct {
	*World
	replicas []*Replica
	failing  bool
	failed   int // answers that payments failed
	calls    int
	rejected int
	arrivals []time.Duration
	inputs   []control.Input
	outputs  []control.Output
}

func tellStory(seed uint64) *story {
	s := &story{World: New(seed)}
	s.Inputs = func(in control.Input) { s.inputs = append(s.inputs, in) }
	s.Outputs = func(out control.Output) { s.outputs = append(s.outputs, out) }
	s.StartDaemon(1)
	settings := policy.Default()
	settings.Breaker.FailureRateThreshold = 50
	settings.Breaker.MinimumNumberOfCalls = 20
	for i := range 4 {
		r := s.AddReplica(checkout, fmt.Sprintf("checkout-%d", i+1))
		s.replicas = append(s.replicas, r)
		c := r.Guard(payments, settings)
		var call func()
		call = func() {
			s.calls++
			if p, err := c.Breaker.Acquire(); err != nil {
				s.rejected++
			} else {
				s.arrivals = append(s.arrivals, s.Now())
				failing := s.failing
				s.After(8*time.Millisecond, func() {
					o := breaker.Outcome{Latency: 8 * time.Millisecond}
					if failing {
						s.failed++
						o.Verdict, o.Kind = breaker.Failure, breaker.ServerError
					}
					p.Done(o)
				})
			}
			s.After(time.Duration(36+s.Rand().IntN(9))*time.Millisecond, call)
		}
		s.After(time.Duration(s.Rand().IntN(40))*time.Millisecond, call)
	}
	s.At(5*time.Second, func() { s.failing = true })
	s.At(15*time.Second, func() { s.failing = false })
	s.Run(30 * time.Second)
	return s
}

func (s *story) arrivalsBetween(from, to time.Duration) (n int) {
	for _, at := range s.arrivals {
		if at >= from && at < to {
			n++
		}
	}
	return n
}

func TestOutageOpensAllAndRecoversAsOne(t *testing.T) {
	s := tellStory(1)
	var lastOpen time.Duration
	for _, r := range s.replicas {
		opened := time.Duration(0)
		relapses := 0
		for _, c := range r.Changes {
			if c.To == breaker.Open && opened == 0 {
				opened = c.At
			}
			if c.To == breaker.Open && c.At > 16*time.Second {
				relapses++
			}
		}
		if opened < 5*time.Second || opened > 6*time.Second {
			t.Errorf("%s opened at %v: want within a second of the fault", r.Name, opened)
		}
		if relapses > 0 {
			t.Errorf("%s opened %d times after the cure", r.Name, relapses)
		}
		lastOpen = max(lastOpen, opened)
	}
	if s.failed > 60 {
		t.Errorf("%d calls failed in the outage: want at most 60", s.failed)
	}
	// Waits grow with the outage's age: at most 9 trials of 3 probes in 9 seconds.
	if probes := s.arrivalsBetween(lastOpen+50*time.Millisecond, 15*time.Second); probes > 27 || probes < 3 {
		t.Errorf("%d probes in the outage: want 3 to 27", probes)
	}
	for at := lastOpen + 50*time.Millisecond; at < 14*time.Second; at += 100 * time.Millisecond {
		if n := s.arrivalsBetween(at, at+500*time.Millisecond); n > 3 {
			t.Errorf("%d probes in half a second at %v: want at most 3", n, at)
		}
	}
	if n := s.arrivalsBetween(24*time.Second, 26*time.Second); n < 190 {
		t.Errorf("%d calls let through in 2 s after the recovery: want all 200 or so", n)
	}
}

func TestSameSeedSameDecisions(t *testing.T) {
	a, b := tellStory(7), tellStory(7)
	if x, y := encode(t, a.outputs), encode(t, b.outputs); !bytes.Equal(x, y) {
		t.Error("two runs of one seed said different things")
	}
}

func TestReplayGivesTheSameDirectives(t *testing.T) {
	s := tellStory(3)
	m := control.New(control.Config{Daemon: "sim", Incarnation: 1, Seed: 3, Enforce: true})
	var outputs []control.Output
	for _, in := range s.inputs {
		outputs = append(outputs, m.Step(in)...)
	}
	if len(outputs) == 0 {
		t.Fatal("control said nothing")
	}
	if !bytes.Equal(encode(t, s.outputs), encode(t, outputs)) {
		t.Error("the replayed evidence gave other directives")
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
