package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

func TestEventsHappenInOrder(t *testing.T) {
	w := New(1)
	var got []int
	for i := range 2000 {
		at := time.Duration(i*7919%500) * time.Millisecond
		w.At(at, func() {
			if now := w.Now(); now < at {
				t.Fatalf("event of %v at %v", at, now)
			}
			got = append(got, int(max(at, 1))*2000+i) // by time, then as they were planned
		})
	}
	w.Run(time.Second)
	if len(got) != 2000 || !slices.IsSorted(got) {
		t.Errorf("%d events, sorted: %v", len(got), slices.IsSorted(got))
	}
}

func TestIdleReplicasCostNoEvents(t *testing.T) {
	s := tell(1, outage)
	for i := range 1000 {
		r := s.AddReplica(policy.Service{Namespace: "demo", Name: "idle"}, fmt.Sprintf("idle-%d", i))
		r.Guard(s.payments.Service, policy.Default())
	}
	s.Run(20 * time.Second)
	with := s.Stats().Events
	o := tell(1, outage)
	o.Run(20 * time.Second)
	if extra := with - o.Stats().Events; extra > 2500 {
		t.Errorf("a thousand idle replicas cost %d events in 20 s: want their hello only", extra)
	}
}

func TestACalmCallCostsFewEvents(t *testing.T) {
	s := tell(1, func(time.Duration, *Replica, string) bool { return false })
	s.Run(20 * time.Second)
	calls := 4 * 25 * 20
	if n := s.Stats().Events; n > uint64(calls*3) {
		t.Errorf("%d events for %d calls: want two each, and a beat for each tenth of a second", n, calls)
	}
}

func TestMessagesOfALinkDoNotOvertake(t *testing.T) {
	s := tell(2, outage)
	s.LinkDelay, s.LinkJitter = 20*time.Millisecond, 200*time.Millisecond
	sequences := map[string]uint64{}
	reports := 0
	inputs := s.Inputs
	s.Inputs = func(in control.Input) {
		inputs(in)
		if in.Report == nil {
			return
		}
		reports++
		if last := sequences[in.Report.From.Name]; in.Report.Sequence != last+1 {
			t.Fatalf("%s: report %d after %d", in.Report.From.Name, in.Report.Sequence, last)
		}
		sequences[in.Report.From.Name] = in.Report.Sequence
	}
	s.Run(20 * time.Second)
	if reports < 80 {
		t.Errorf("%d reports in 20 s", reports)
	}
	if len(s.opened()) < 4 {
		t.Errorf("%d openings: want all four in spite of the jitter", len(s.opened()))
	}
}

func TestLossDelaysAndDoesNotPrevent(t *testing.T) {
	for seed := range uint64(4) {
		s := tell(seed, outage)
		s.LinkLoss = 0.3
		s.Run(40 * time.Second)
		if n := len(s.opened()); n < 4 {
			t.Errorf("seed %d: %d openings with a third of the messages sent again: want all four", seed, n)
		}
		if n := s.between(35*time.Second, 39*time.Second, ""); n < 380 {
			t.Errorf("seed %d: %d calls in 4 s after the cure: want all of about 400", seed, n)
		}
	}
}

// Each callee's evidence goes to its owner, and to nobody else.
func TestReportsGoToTheOwnerOfTheCallee(t *testing.T) {
	w := New(1)
	w.LinkDelay = time.Millisecond
	owners := map[string]int{"a": 0, "b": 1}
	w.Owner = func(callee policy.Service, live []*Daemon) *Daemon { return live[owners[callee.Name]%len(live)] }
	first, second := w.Start("d1", 1), w.Start("d2", 1)
	s := policy.Default()
	for i := range 4 {
		r := w.AddReplica(policy.Service{Namespace: "n", Name: "web"}, fmt.Sprintf("web-%d", i))
		for _, name := range []string{"a", "b"} {
			callee := &Callee{Service: policy.Service{Namespace: "n", Name: name}, Instances: []string{name + ":1"}}
			callee.Answer = func(*Replica, string) breaker.Outcome {
				if now := w.Now(); name == "b" && now > 5*time.Second {
					return broken
				}
				return good
			}
			r.Call(callee, 20, s)
		}
	}
	w.Run(8 * time.Second)
	for _, x := range []struct {
		d    *Daemon
		name string
	}{{first, "a"}, {second, "b"}} {
		views := x.d.Mind.Circuits()
		if len(views) != 1 || views[0].Circuit.Callee.Name != x.name {
			t.Errorf("%s knows %d circuits: want that of %s alone", x.d.Name, len(views), x.name)
		}
	}
	if v := second.Mind.Circuits(); len(v) == 1 && v[0].State == breaker.Closed {
		t.Error("the owner of b has not opened it")
	}
	w.Kill("d2")
	w.Run(12 * time.Second)
	if n := len(first.Mind.Circuits()); n != 2 {
		t.Errorf("after d2's death d1 knows %d circuits: want both", n)
	}
}

func TestACutReplicaIsGoneAndComesBack(t *testing.T) {
	s := tell(1, func(time.Duration, *Replica, string) bool { return false })
	s.Run(5 * time.Second)
	s.replicas[0].Cut(true)
	s.Run(8 * time.Second)
	id := s.loads[0].Circuit.ID
	if v, _ := s.Mind().Circuit(id); v.Breakers != 3 {
		t.Errorf("%d breakers known while one is cut off: want 3", v.Breakers)
	}
	s.replicas[0].Cut(false)
	s.Run(11 * time.Second)
	if v, _ := s.Mind().Circuit(id); v.Breakers != 4 {
		t.Errorf("%d breakers known after it is back: want 4", v.Breakers)
	}
}

func TestARunEndsWhereThereIsTooMuch(t *testing.T) {
	w := New(1)
	w.MaxEvents = 100
	var again func()
	again = func() { w.After(time.Millisecond, again) }
	again()
	w.Run(time.Second)
	if !w.Full() || w.Stats().Events > 101 || w.Now() > 110*time.Millisecond {
		t.Errorf("full %v after %d events at %v", w.Full(), w.Stats().Events, w.Now())
	}
	w = New(1)
	w.MaxWaiting = 100
	again = func() { w.After(time.Millisecond, again); w.After(time.Hour, again) }
	again()
	w.Run(time.Minute)
	if !w.Full() || w.Stats().Waiting > 103 {
		t.Errorf("full %v with %d events waiting", w.Full(), w.Stats().Waiting)
	}
}

// A replica that samples only when there is something to sample reports the same
// counts at the same times as one that always does.
func TestLazySamplesReportTheSame(t *testing.T) {
	reports := func(always bool) (all []fleet.Report) {
		s := tell(3, outage)
		s.Inputs = func(in control.Input) {
			if in.Report != nil && in.At < 5*time.Second {
				all = append(all, in.Report.Report)
			}
		}
		if always {
			for _, r := range s.replicas {
				var beat func()
				beat = func() { r.half.Sample(s.Now()); s.After(fleet.BucketWidth, beat) }
				s.At(0, beat)
			}
		}
		s.Run(5 * time.Second)
		return all
	}
	count := func(all []fleet.Report) (n uint32) {
		for _, r := range all {
			for _, c := range r.Circuits {
				for _, x := range c.Cells {
					for _, b := range x.Buckets {
						n += b.Succeeded
					}
				}
			}
		}
		return n
	}
	lazy, always := reports(false), reports(true)
	if len(lazy) != len(always) || count(lazy) != count(always) || count(lazy) < 300 {
		t.Errorf("%d reports of %d calls, and %d of %d: want the same", len(lazy), count(lazy), len(always), count(always))
	}
}
