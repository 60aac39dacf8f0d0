package sim

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

// chain is web → checkout → payments → db, ten replicas each; db is not guarded
// by anything and hangs when told to. No reply comes from what hangs, so no mark
// of whose fault it is: callers only see time-outs.
type chain struct {
	*World
	names    []string
	replicas [][]*Replica        // by level
	ends     [][]*fleet.Circuit  // by level and replica
	timeouts []time.Duration     // of the calls that a level makes
	opened   map[string]struct{} // callees of which control has opened a circuit
	hangs    bool
}

func newChain(seed uint64, without control.Without) *chain {
	ch := &chain{World: New(seed), names: []string{"web", "checkout", "payments", "db"}, opened: make(map[string]struct{})}
	ch.Configure = func(cfg *control.Config) { cfg.Without = without }
	ch.Outputs = func(o control.Output) {
		if o.Directive.State == breaker.Open {
			ch.opened[o.Directive.Circuit.Callee.Name] = struct{}{}
		}
	}
	ch.StartDaemon(1)
	settings := policy.Default()
	settings.Breaker.MinimumNumberOfCalls = 60 // more than one replica makes in 10 s: the fleet decides
	timeout := 500*time.Millisecond + time.Duration(ch.Rand().Int64N(int64(500*time.Millisecond)))
	ch.timeouts = make([]time.Duration, 3)
	for level := 2; level >= 0; level-- {
		ch.timeouts[level] = timeout
		timeout = time.Duration(float64(timeout) * (0.7 + 0.5*ch.Rand().Float64())) // often shorter than those behind
	}
	for level, name := range ch.names[:3] {
		var rs []*Replica
		var ends []*fleet.Circuit
		for i := range 10 {
			r := ch.AddReplica(policy.Service{Namespace: "shop", Name: name}, fmt.Sprintf("%s-%d", name, i))
			rs = append(rs, r)
			ends = append(ends, r.Guard(policy.Service{Namespace: "shop", Name: ch.names[level+1]}, settings))
		}
		ch.replicas, ch.ends = append(ch.replicas, rs), append(ch.ends, ends)
	}
	// Others in the namespace, so that the guard is not what holds.
	for i := range 6 {
		r := ch.AddReplica(policy.Service{Namespace: "shop", Name: "other"}, fmt.Sprintf("other-%d", i))
		for j := range 6 {
			r.Call(&Callee{
				Service: policy.Service{Namespace: "shop", Name: fmt.Sprintf("well-%d", j)}, Instances: []string{"a"},
				Answer: func(*Replica, string) breaker.Outcome { return good },
			}, 1, settings)
		}
	}
	for i := range 10 {
		var request func()
		request = func() {
			ch.call(0, i, func(bool) {})
			ch.After(time.Duration(float64(500*time.Millisecond)*(0.5+ch.Rand().Float64())), request)
		}
		ch.After(time.Duration(ch.Rand().Int64N(int64(500*time.Millisecond))), request)
	}
	return ch
}

// call is one call of a level's replica to the next level.
func (ch *chain) call(level, from int, done func(failed bool)) {
	ch.ends[level][from].Deadline(ch.timeouts[level])
	permit, err := ch.ends[level][from].Breaker.Acquire()
	if err != nil {
		done(true)
		return
	}
	began, ended := ch.Now(), false
	end := func(v breaker.Verdict, k breaker.Kind) {
		if !ended {
			ended = true
			permit.Done(breaker.Outcome{Verdict: v, Kind: k, Latency: ch.Now() - began})
			done(v != breaker.Success)
		}
	}
	ch.After(ch.timeouts[level], func() { end(breaker.Failure, breaker.Timeout) })
	if level == 2 {
		if !ch.hangs {
			ch.After(5*time.Millisecond, func() { end(breaker.Success, breaker.NoKind) })
		}
		return
	}
	ch.After(time.Millisecond, func() {
		ch.call(level+1, ch.Rand().IntN(10), func(failed bool) {
			ch.After(time.Millisecond, func() {
				if failed { // the reply carries the mark
					end(breaker.Inherited, breaker.Gateway)
					return
				}
				end(breaker.Success, breaker.NoKind)
			})
		})
	})
}

func TestWhereAChainHangsOnlyTheEdgeNearestTheFaultOpens(t *testing.T) {
	more := 0
	const seeds = 10
	for seed := range uint64(seeds) {
		for _, without := range []bool{false, true} {
			ch := newChain(seed, control.Without{Grading: without})
			ch.Run(5 * time.Second)
			ch.hangs = true
			ch.Run(15 * time.Second)
			got := slices.Sorted(maps.Keys(ch.opened))
			switch {
			case !slices.Contains(got, "db"):
				t.Errorf("seed %d, without grading %v: opened %v: want db", seed, without, got)
			case !without && len(got) > 1:
				t.Errorf("seed %d: opened %v: want db alone (time-outs %v)", seed, got, ch.timeouts)
			case without && len(got) > 1:
				more++
			}
		}
	}
	t.Logf("without grading more than db opened in %d of %d runs", more, seeds)
	if more < seeds/2 {
		t.Errorf("without grading more than db opened in %d of %d runs: then grading is not what keeps them closed", more, seeds)
	}
}
