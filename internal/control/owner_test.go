package control

import (
	"fmt"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

func TestEveryCalleeHasOneOwnerAndWhoLeavesTakesOnlyItsOwn(t *testing.T) {
	names := []string{"d1", "d2", "d3"}
	minds := make(map[string]*Mind)
	for _, n := range names {
		minds[n] = New(Config{Daemon: n, Seed: 1})
		for _, other := range names {
			minds[n].Step(Input{At: time.Second, Member: &Member{Daemon: other}})
		}
	}
	first := make(map[string]int)
	for i := range 300 {
		key := fmt.Sprintf("shop/callee-%d", i)
		rank := minds["d1"].ranking(key)
		first[rank[0]]++
		for _, n := range names {
			if got := minds[n].ranking(key); fmt.Sprint(got) != fmt.Sprint(rank) {
				t.Fatalf("%s: %s sees %v, d1 sees %v", key, n, got, rank)
			}
		}
		minds["d1"].Step(Input{At: time.Second, Member: &Member{Daemon: "d3", Leaving: true}})
		after := minds["d1"].ranking(key)
		minds["d1"].Step(Input{At: time.Second, Member: &Member{Daemon: "d3"}})
		if rank[0] != "d3" && after[0] != rank[0] || rank[0] == "d3" && after[0] != rank[1] {
			t.Errorf("%s: %v became %v without d3", key, rank, after)
		}
	}
	for _, n := range names {
		if first[n] < 60 || first[n] > 140 {
			t.Errorf("%s owns %d of 300: want about a third", n, first[n])
		}
	}
}

// outageOf a callee with six replicas of one caller, on three daemons.
func outageOf(t *testing.T, seed uint64) *cluster {
	t.Helper()
	c := newCluster(t, seed, 3)
	for i := range 6 {
		c.add(svc("web"), fmt.Sprintf("web-%d", i), 20, settingsOf(nil), svc("pay"))
	}
	c.run(4 * time.Second)
	return c
}

func TestTakeoverDoesNotFlashClosed(t *testing.T) {
	for seed := range uint64(8) {
		c := outageOf(t, seed)
		was := c.owner(svc("pay"))
		if was == nil {
			t.Fatalf("seed %d: no single owner", seed)
		}
		c.fails = func(policy.Circuit) bool { return true }
		c.run(2 * time.Second)
		for i, r := range c.replicas {
			if r.state(0) == breaker.Closed {
				t.Fatalf("seed %d: replica %d is closed in an outage", seed, i)
			}
		}
		c.each = func() {
			for i, r := range c.replicas {
				if r.state(0) == breaker.Closed {
					t.Errorf("seed %d: replica %d flashes closed at %v", seed, i, c.at)
				}
			}
		}
		was.dead = true
		c.run(10 * time.Second)
		now := c.owner(svc("pay"))
		if now == nil || now == was {
			t.Fatalf("seed %d: nobody has taken over", seed)
		}
		v, _ := now.Circuit(policy.Circuit{Caller: svc("web"), Callee: svc("pay")})
		if v.State == breaker.Closed {
			t.Fatalf("seed %d: the new owner sees it closed", seed)
		}
		// And the old one, come back, does not flash either.
		back := c.start(was.name, was.cfg.Incarnation+1, 3)
		c.run(5 * time.Second)
		if own := c.owner(svc("pay")); own != back {
			t.Fatalf("seed %d: the daemon that came back does not own again", seed)
		}
		c.each = nil
		c.fails = func(policy.Circuit) bool { return false }
		c.run(15 * time.Second)
		for i, r := range c.replicas {
			if v := r.circuits[0].Breaker.View(); v.State != breaker.Closed || v.Share < 1 {
				t.Errorf("seed %d: replica %d is %v, %.2f admitted, long after the cure: %s", seed, i, v.State, v.Share, v.Why)
			}
		}
	}
}

func TestTheNextDaemonIsWarmAndSaysNothing(t *testing.T) {
	c := outageOf(t, 1)
	own := c.owner(svc("pay"))
	for _, d := range c.daemons {
		if d == own {
			continue
		}
		said := d.Step(Input{At: c.at, Report: &ReplicaReport{From: c.replicas[0].ID(), Report: fleet.Report{Circuits: []fleet.CircuitReport{{Callee: svc("pay")}}}}})
		if len(said.Directives) > 0 {
			t.Errorf("%s says %+v and owns nothing", d.name, said.Directives)
		}
		ce := d.callees[svc("pay")]
		w := ce.circuits[0].pooled(c.at, windowSteps)
		if ce.second != (w.calls > 100) {
			t.Errorf("%s: second %v, and has evidence of %d calls", d.name, ce.second, w.calls)
		}
	}
}

func TestTwoOwnersAtOnceDoNoHarm(t *testing.T) {
	for seed := range uint64(8) {
		c := outageOf(t, seed)
		cutOff := c.owner(svc("pay"))
		cutOff.cut = true // it hears replicas, and no daemon hears it: both decide
		c.run(4 * time.Second)
		if c.owner(svc("pay")) != nil {
			t.Fatalf("seed %d: want two owners", seed)
		}
		c.fails = func(policy.Circuit) bool { return true }
		c.run(2 * time.Second)
		open := c.at
		c.each = func() {
			for i, r := range c.replicas {
				if r.state(0) == breaker.Closed {
					t.Errorf("seed %d: replica %d is closed at %v", seed, i, c.at)
				}
			}
		}
		c.run(10 * time.Second)
		c.each = nil
		probes := 0
		for _, r := range c.replicas {
			for _, at := range r.arrived {
				if at > open {
					probes++
				}
			}
		}
		// Explicit settings: 3 probes a wait, which begins at a second and grows.
		if probes > 2*3*10 {
			t.Errorf("seed %d: %d probes in 10 s: want at most twice the budget of one", seed, probes)
		}
		cutOff.cut = false
		c.run(3 * time.Second)
		if c.owner(svc("pay")) != cutOff {
			t.Errorf("seed %d: after the partition no single owner", seed)
		}
		c.fails = func(policy.Circuit) bool { return false }
		c.run(15 * time.Second)
		for i, r := range c.replicas {
			if v := r.circuits[0].Breaker.View(); v.State != breaker.Closed || v.Share < 1 {
				t.Errorf("seed %d: replica %d is %v, %.2f admitted, after the cure: %s", seed, i, v.State, v.Share, v.Why)
			}
		}
	}
}

func TestTheGuardCountsOverAllOwners(t *testing.T) {
	for seed := range uint64(4) {
		c := newCluster(t, seed, 3)
		var callees []policy.Service
		for i := range 9 {
			callees = append(callees, svc(fmt.Sprintf("c%d", i)))
		}
		for i := range 4 {
			c.add(svc("web"), fmt.Sprintf("web-%d", i), 20, settingsOf(func(s *policy.Settings) {
				s.Breaker.MinimumNumberOfCalls = 60
				s.Breaker.WindowDuration = time.Second // so that none reaches it alone
				s.MaxOpenPercent = 34
			}), callees...)
		}
		c.run(4 * time.Second)
		owners := make(map[*daemonOf]bool)
		for _, s := range callees {
			owners[c.owner(s)] = true
		}
		if owners[nil] || len(owners) < 2 {
			t.Fatalf("seed %d: %d owners: want several, one for each callee", seed, len(owners))
		}
		c.fails = func(policy.Circuit) bool { return true }
		most := 0
		c.each = func() {
			open := 0
			for i := range callees {
				any := false
				for _, r := range c.replicas {
					any = any || r.state(i) != breaker.Closed
				}
				if any {
					open++
				}
			}
			most = max(most, open)
			if open > 3 {
				t.Errorf("seed %d: %d of 9 circuits are open at %v: want at most 3", seed, open, c.at)
			}
		}
		c.run(6 * time.Second)
		if most != 3 {
			t.Errorf("seed %d: %d of 9 circuits were open at most: want exactly 3", seed, most)
		}
		guards := 0
		for _, f := range c.found {
			if f.Kind == "guard" && !f.Ended {
				guards++
			}
		}
		if guards != 1 {
			t.Errorf("seed %d: %d alerts: want one", seed, guards)
		}
	}
}

func TestAHostileMemberIsBounded(t *testing.T) {
	m := New(Config{Daemon: "d1", Seed: 1, Join: time.Second})
	for i := range 2 * maxDaemons {
		m.Step(Input{At: time.Second, Member: &Member{Daemon: fmt.Sprintf("x%d", i), Epoch: fleet.Epoch{Incarnation: ^uint64(0), Counter: ^uint64(0)}}})
	}
	for _, bad := range []Member{
		{},
		{Daemon: "d1"},
		{Daemon: "a\nb"},
		{Daemon: "x0", Circuits: make([]CircuitSummary, maxSummaries+1)},
		{Daemon: "x1", Grants: []Grant{{Circuit: edge}}},
		{Daemon: "x2", Namespaces: []NamespaceSummary{{"t", -5}}},
	} {
		m.Step(Input{At: time.Second, Member: &bad})
	}
	if len(m.peers) != maxDaemons || m.incarnation != 0 || m.epoch != 0 {
		t.Errorf("%d peers, epoch %d/%d: want %d, and none that can't be", len(m.peers), m.incarnation, m.epoch, maxDaemons)
	}
}

func TestAForcingReachesAllAndEndsOnTimeWithEveryDaemonDown(t *testing.T) {
	for _, down := range []bool{false, true} {
		c := newCluster(t, 1, 1)
		for i := range 6 {
			c.add(svc("web"), fmt.Sprintf("web-%d", i), 20, settingsOf(nil), svc("pay"))
		}
		c.run(2 * time.Second)
		c.give(c.daemons[0], Input{Order: ruleOf(edgeTo("pay"), breaker.ForcedOpen, 2*time.Minute)})
		began := c.at
		c.run(100 * time.Millisecond)
		calls := func() (n int) {
			for _, r := range c.replicas {
				n += len(r.arrived)
				r.arrived = nil
			}
			return n
		}
		calls()
		c.daemons[0].dead = down
		c.run(2*time.Minute - (c.at - began) - 50*time.Millisecond)
		if n := calls(); n > 0 {
			t.Errorf("down %v: %d calls got through while it was forced open", down, n)
		}
		c.run(200 * time.Millisecond)
		first := calls()
		c.run(800 * time.Millisecond)
		for i, r := range c.replicas {
			if v := r.circuits[0].Breaker.View(); v.Mode != breaker.Enforce {
				t.Errorf("down %v: replica %d is still %v a second after its end", down, i, v.Mode)
			}
		}
		// Half open first: the fleet's few probes, or each replica's own.
		if !down && first > 12 {
			t.Errorf("%d calls in the first 0.2 s: want probes first, of about 24", first)
		}
		c.run(10 * time.Second)
		calls()
		c.run(time.Second)
		if n := calls(); n < 80 {
			t.Errorf("down %v: %d calls a second after 11 s: want all of about 120", down, n)
		}
	}
}

func TestTheNextDaemonFollowsPartsAndOverrides(t *testing.T) {
	m := New(Config{Daemon: "d2", Seed: 1, Join: time.Second})
	say := func(d fleet.Directive) {
		d.Circuit, d.TTL, d.Enforce = edge, time.Minute, true
		m.Step(Input{At: time.Second, Told: &Told{"d1", Output{To: fleet.ReplicaID{Service: web}, Directive: d}}})
	}
	forced := &fleet.Override{ID: "o", Mode: breaker.ForcedOpen, Author: "ada", Reason: "r", TTL: time.Minute}
	say(fleet.Directive{
		Gate: fleet.Gate{Share: 1, Generation: 3}, Override: forced,
		Parts: []fleet.Part{
			{Instance: "a", Gate: fleet.Gate{State: breaker.Open, Generation: 4}},
			{Instance: "b", Gate: fleet.Gate{Share: 1}, Override: forced},
		},
	})
	v, _ := m.Circuit(edge)
	if v.Mode != breaker.ForcedOpen || len(v.Parts) != 2 || v.Parts[0].State != breaker.Open || v.Parts[1].Override == nil {
		t.Errorf("%v, parts %+v: want all of it followed", v.Mode, v.Parts)
	}
	say(fleet.Directive{Gate: fleet.Gate{Share: 1, Generation: 3}})
	if v, _ := m.Circuit(edge); v.Override != nil || len(v.Parts) != 0 {
		t.Errorf("override %v, parts %+v: want what the owner says no more to be gone", v.Override, v.Parts)
	}
	say(fleet.Directive{Gate: fleet.Gate{State: breaker.Open, Generation: 2}})
	if v, _ := m.Circuit(edge); v.State != breaker.Closed {
		t.Error("an older verdict was followed")
	}
}
