package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/policy"
)

// story is the demo's mesh in small: four replicas of checkout, 25 calls a
// second each, to three instances of payments.
type story struct {
	*World
	payments *Callee
	replicas []*Replica
	loads    []*Load
	trace    bytes.Buffer
	outputs  []control.Output
}

const latency = 8 * time.Millisecond

var (
	good   = breaker.Outcome{Latency: latency}
	broken = breaker.Outcome{Latency: latency, Verdict: breaker.Failure, Kind: breaker.ServerError}
)

// tell plays a story: fail says which calls fail, and when.
func tell(seed uint64, fail func(now time.Duration, from *Replica, instance string) bool) *story {
	return tellOf(seed, 3, fail)
}

// tellOf has so many instances of payments.
func tellOf(seed uint64, instances int, fail func(now time.Duration, from *Replica, instance string) bool) *story {
	s := &story{World: New(seed)}
	cfg := control.Config{Daemon: "sim", Incarnation: 1, Seed: seed, Enforce: true}
	s.trace.Write(control.AppendHeader(nil, cfg))
	s.Inputs = func(in control.Input) {
		line, err := control.AppendInput(nil, in)
		if err != nil {
			panic(err) // the simulator has made a number that is none
		}
		s.trace.Write(line)
	}
	s.Outputs = func(out control.Output) { s.outputs = append(s.outputs, out) }
	s.payments = &Callee{Service: policy.Service{Namespace: "demo", Name: "payments"}}
	for i := range instances {
		s.payments.Instances = append(s.payments.Instances, fmt.Sprintf("10.0.0.%d:80", i+1))
	}
	s.payments.Answer = func(from *Replica, instance string) breaker.Outcome {
		if fail(s.Now(), from, instance) {
			return broken
		}
		return good
	}
	s.StartDaemon(1)
	settings := policy.Settings{Breaker: breaker.Default()}.WithDefaults() // as people set them
	for i := range 4 {
		r := s.AddReplica(policy.Service{Namespace: "demo", Name: "checkout"}, fmt.Sprintf("checkout-%d", i+1))
		s.replicas = append(s.replicas, r)
		s.loads = append(s.loads, r.Call(s.payments, 25, settings))
	}
	return s
}

func (s *story) between(from, to time.Duration, instance string) (n int) {
	for _, l := range s.loads {
		n += l.Between(from, to, instance)
	}
	return n
}

func (s *story) failed() (n int) {
	for _, l := range s.loads {
		n += l.Failed
	}
	return n
}

// opened lists when each replica's circuit went open, in order.
func (s *story) opened() (at []time.Duration) {
	for _, r := range s.replicas {
		for _, c := range r.Changes {
			if c.Instance == "" && c.To == breaker.Open {
				at = append(at, c.At)
			}
		}
	}
	return at
}

func outage(now time.Duration, _ *Replica, _ string) bool {
	return now >= 5*time.Second && now < 15*time.Second
}

func TestOutageOpensAllAndRecoversAsOne(t *testing.T) {
	for seed := range uint64(12) {
		s := tell(seed, outage)
		s.Run(30 * time.Second)
		var last time.Duration
		for _, r := range s.replicas {
			opened := time.Duration(0)
			for _, c := range r.Changes {
				if c.To == breaker.Open && opened == 0 {
					opened = c.At
				}
				if c.To == breaker.Open && c.At > 16*time.Second {
					t.Errorf("seed %d: %s opened again at %v, after the cure", seed, r.Name, c.At)
				}
			}
			if opened < 5*time.Second || opened > 6*time.Second {
				t.Errorf("seed %d: %s opened at %v: want within a second of the fault", seed, r.Name, opened)
			}
			last = max(last, opened)
		}
		if n := s.failed(); n > 100 {
			t.Errorf("seed %d: %d calls failed: want at most 100", seed, n)
		}
		for at := last + 2*latency; at < 14500*time.Millisecond; at += 100 * time.Millisecond {
			if n := s.between(at, at+500*time.Millisecond, ""); n > 3 {
				t.Errorf("seed %d: %d probes in half a second at %v: want at most 3", seed, n, at)
			}
		}
		if n := s.between(24*time.Second, 26*time.Second, ""); n < 190 {
			t.Errorf("seed %d: %d calls let through in 2 s after the recovery: want all of about 200", seed, n)
		}
	}
}

func TestOnlyTheBadInstanceIsTakenOut(t *testing.T) {
	const bad = "10.0.0.2:80"
	for _, instances := range []int{2, 3, 4, 10} {
		for seed := range uint64(8) {
			s := tellOf(seed, instances, func(now time.Duration, _ *Replica, instance string) bool {
				return now >= 5*time.Second && now < 25*time.Second && instance == bad
			})
			s.Run(50 * time.Second)
			at := fmt.Sprintf("seed %d, %d instances", seed, instances)
			if opened := s.opened(); len(opened) > 0 {
				t.Errorf("%s: the circuit opened at %v: want only the instance", at, opened)
			}
			if n := s.between(10*time.Second, 25*time.Second, bad); n > 40 {
				t.Errorf("%s: the bad instance was called %d times in 15 s: want probes only", at, n)
			}
			if n := s.between(10*time.Second, 25*time.Second, ""); n < 1450 {
				t.Errorf("%s: %d calls in 15 s: its siblings want all of about 1500", at, n)
			}
			if n, share := s.between(44*time.Second, 49*time.Second, bad), 500/instances; n < share*8/10 {
				t.Errorf("%s: the cured instance was called %d times in 5 s: want its share of %d", at, n, share)
			}
		}
	}
}

func TestOneSickCallerOpensAlone(t *testing.T) {
	for seed := range uint64(8) {
		s := tell(seed, func(now time.Duration, from *Replica, _ string) bool {
			return now >= 5*time.Second && now < 25*time.Second && from.Name == "checkout-3"
		})
		s.Run(24 * time.Second)
		for _, r := range s.replicas {
			open := false
			for _, c := range r.Changes {
				open = open || c.To == breaker.Open
			}
			if want := r.Name == "checkout-3"; open != want {
				t.Errorf("seed %d: %s opened: %v, want %v", seed, r.Name, open, want)
			}
		}
		s.Run(50 * time.Second)
		if n := s.loads[2].Between(45*time.Second, 49*time.Second, ""); n < 90 {
			t.Errorf("seed %d: the sick caller made %d calls in 4 s after its cure: want all of about 100", seed, n)
		}
	}
}

func TestDaemonKilledInAnOutage(t *testing.T) {
	for seed := range uint64(8) {
		s := tell(seed, outage)
		s.Run(8 * time.Second)
		s.KillDaemon()
		s.Run(12 * time.Second)
		if n := s.between(8*time.Second, 12*time.Second, ""); n > 9 {
			t.Errorf("seed %d: %d calls got through in 4 s without a daemon: what was open stays open", seed, n)
		}
		s.StartDaemon(2)
		s.Run(14 * time.Second)
		if n := s.between(12*time.Second, 14*time.Second, ""); n > 12 {
			t.Errorf("seed %d: %d calls got through as the daemon came back: want probes, no flash of closed", seed, n)
		}
		s.Run(35 * time.Second)
		if n := s.between(30*time.Second, 34*time.Second, ""); n < 380 {
			t.Errorf("seed %d: %d calls in 4 s after the cure: want all of about 400", seed, n)
		}
	}
}

func TestWithoutDaemonEachGoesOnAlone(t *testing.T) {
	s := tell(1, outage)
	s.Run(4 * time.Second)
	s.KillDaemon()
	// The directives' time to live ends at 64 s; the fault comes again later.
	fails := func(now time.Duration) bool { return now > 70*time.Second && now < 90*time.Second }
	answer := s.payments.Answer
	s.payments.Answer = func(from *Replica, instance string) breaker.Outcome {
		if fails(s.Now()) {
			return broken
		}
		if s.Now() > 20*time.Second {
			return good
		}
		return answer(from, instance)
	}
	s.Run(120 * time.Second)
	again := 0
	for _, at := range s.opened() {
		if fails(at) {
			again++
		}
	}
	if again < 4 {
		t.Errorf("%d openings by local rules: want one of each replica at least", again)
	}
	if n := s.between(110*time.Second, 114*time.Second, ""); n < 380 {
		t.Errorf("%d calls in 4 s after the cure: want all of about 400", n)
	}
}

func TestSameSeedSameDecisions(t *testing.T) {
	a, b := tell(7, outage), tell(7, outage)
	a.Run(20 * time.Second)
	b.Run(20 * time.Second)
	if x, y := encode(t, a.outputs), encode(t, b.outputs); !bytes.Equal(x, y) {
		t.Error("two runs of one seed said different things")
	}
}

func TestReplayGivesTheSameDirectives(t *testing.T) {
	s := tell(3, outage)
	s.Run(20 * time.Second)
	header, inputs, err := control.ReadTrace(&s.trace)
	if err != nil {
		t.Fatal(err)
	}
	m := control.New(header.Config)
	var outputs []control.Output
	for in, err := range inputs {
		if err != nil {
			t.Fatal(err)
		}
		outputs = append(outputs, m.Step(in).Directives...)
	}
	if len(outputs) == 0 {
		t.Fatal("control said nothing")
	}
	if !bytes.Equal(encode(t, s.outputs), encode(t, outputs)) {
		t.Error("the replayed evidence gave other directives")
	}
}

func TestReasonsCarryTheNumbers(t *testing.T) {
	s := tell(1, outage)
	s.Run(7 * time.Second)
	v, ok := s.Mind().Circuit(s.loads[0].Circuit.ID)
	if !ok || v.State == breaker.Closed {
		t.Fatalf("control sees %+v: want it open", v)
	}
	for _, want := range []string{"calls in", "≥ 50 %", "minimum 20", "server_error", "of 4 replicas"} {
		found := false
		for _, out := range s.outputs {
			found = found || strings.Contains(out.Directive.Reason, want)
		}
		if !found {
			t.Errorf("no directive's reason says %q", want)
		}
	}
	if v.Breakers != 4 || v.Open != 4 {
		t.Errorf("%d of %d breakers open: want 4 of 4", v.Open, v.Breakers)
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
