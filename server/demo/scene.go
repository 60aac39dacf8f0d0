package demo

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/datapunk/switchgear/server/proxy"
)

// scene is a chapter under way: who is sick, who calls, and when what happened.
type scene struct {
	*story
	c       Chapter
	circuit string   // caller..callee
	patient string   // what is sick, in words
	sick    []string // instances of the callee
	others  bool     // it has healthy ones besides
	callers []string

	before span // the steady time that admission is compared with
	fault  time.Duration
	open   time.Duration // the last replica's; 0 until seen
	cure   time.Duration
	full   time.Duration // 0 until seen
}

const (
	// steadyFor is how long the world is left alone before a fault.
	steadyFor = 3 * time.Second
	// How long a scene waits for what was promised, at most.
	openLimit, fullLimit = 8 * time.Second, 15 * time.Second
	// What is promised of every opening and return: decided within a second of
	// evidence that suffices, and full admission soon after the cure.
	openWithin, fullWithin = time.Second, 10 * time.Second
	// lookEach is how often the truth is looked at while waiting.
	lookEach = 100 * time.Millisecond
)

// begin waits for steady traffic.
func (s *story) begin(ctx context.Context, name, caller, callee string, sick []string) (*scene, error) {
	x := &scene{
		story: s, circuit: caller + ".." + callee, sick: sick, others: len(sick) < len(replicasOf(callee)), callers: replicasOf(caller),
	}
	if x.patient = callee; x.others {
		x.patient = sick[0]
	}
	x.c.Name = name
	if err := s.hold(ctx, steadyFor); err != nil {
		return nil, err
	}
	steady := func() bool {
		now := s.world.now()
		x.before = span{now - 2*time.Second, now}
		_, each := rates(x.arrivals(), x.before)
		return len(each) == len(x.callers)
	}
	if err := x.await(ctx, fullLimit, steady); err != nil {
		return nil, err
	}
	_, each := rates(x.arrivals(), x.before)
	x.c.promise("every caller calls before the fault", len(each) == len(x.callers), "%d of %d", len(each), len(x.callers))
	return x, nil
}

func (x *scene) arrivals() []arrival {
	return x.world.arrivals(x.before.from, x.sick...)
}

func (x *scene) strike(f proxy.Faults) error {
	x.fault = x.world.now()
	x.world.sick = append(x.world.sick, sickness{x.circuit, span{x.fault, math.MaxInt64}})
	return x.world.setFaults(f, x.sick...)
}

func (x *scene) heal() error {
	x.cure = x.world.now()
	x.world.sick[len(x.world.sick)-1].to = x.cure
	return x.world.setFaults(proxy.Faults{}, x.sick...)
}

// awaitOpen waits until every caller has opened, or too long.
func (x *scene) awaitOpen(ctx context.Context) error {
	return x.await(ctx, openLimit, func() bool {
		var ok bool
		x.open, ok = opened(x.arrivals(), x.callers, span{x.fault, x.world.now()}, probeCalls)
		return ok
	})
}

// awaitFull waits until calls are admitted as before the fault, or too long.
func (x *scene) awaitFull(ctx context.Context) error {
	return x.await(ctx, fullLimit, func() bool {
		var ok bool
		x.full, ok = full(x.arrivals(), span{x.cure, x.world.now()}, x.before)
		return ok
	})
}

// reached turns what a wait has left behind into a figure: nil if it was in vain.
func reached(at, from time.Duration) *int64 {
	if at == 0 {
		return nil
	}
	return milliseconds(at - from)
}

func words(at *int64) string {
	if at == nil {
		return "not seen"
	}
	return fmt.Sprintf("after %d ms", *at)
}

// judgeOpening fills in the figures of the time from the fault to the cure (or to
// what comes before it), and the promises that every opening makes.
func (x *scene) judgeOpening(until time.Duration) {
	as := x.arrivals()
	sick := span{x.fault, until}
	x.c.OpenMS = reached(x.open, x.fault)
	if at, ok := due(as, sick, minimumCalls, openAtPercent); ok {
		x.c.DueMS = milliseconds(at - x.fault)
	}
	text := fmt.Sprintf("every caller is open within %v of the pooled minimum: %d calls of all replicas, %d %% failed", openWithin, minimumCalls, openAtPercent)
	if x.c.OpenMS == nil {
		x.c.promise(text, false, "not open within %v", openLimit)
		return
	}
	if x.c.DueMS == nil {
		x.c.promise(text, false, "open after %d ms, without such evidence", *x.c.OpenMS)
		return
	}
	x.c.promise(text, *x.c.OpenMS <= *x.c.DueMS+openWithin.Milliseconds(), "open after %d ms, minimum after %d ms", *x.c.OpenMS, *x.c.DueMS)
	x.c.FailedBeforeOpen = of(failedWithin(as, span{x.fault, x.open + 1}))
	probes := during(as, span{x.open + 1, until})
	x.c.Probes = of(len(probes))
	x.c.ProbeBurst = of(burst(probes, probeWait*8/10))
	x.c.promise(fmt.Sprintf("at most %d probes at a time in the whole fleet", probeCalls),
		*x.c.ProbeBurst <= probeCalls, "%d in all, at most %d within a wait", *x.c.Probes, *x.c.ProbeBurst)
}

// judgeReturn does the same for the time from the cure on.
func (x *scene) judgeReturn() {
	x.c.RecoverMS = reached(x.full, x.cure)
	text := fmt.Sprintf("full admission within %v of the cure", fullWithin)
	x.c.promise(text, x.c.RecoverMS != nil && *x.c.RecoverMS <= fullWithin.Milliseconds(), "%s", words(x.c.RecoverMS))

	calls, end := x.world.load.seen(), x.world.now()
	x.c.Collateral = of(count(calls, span{x.fault, end}, func(c call) bool {
		return c.result == rejected && (x.others || c.by != x.circuit)
	}))
	x.c.promise("no call is rejected whose callee had a healthy instance", *x.c.Collateral == 0, "%d", *x.c.Collateral)
	if !x.others {
		x.c.RejectedAfter = of(count(calls, span{x.cure, end}, func(c call) bool {
			return c.result == rejected && c.by == x.circuit
		}))
	}
}

// end tells the chapter's result.
func (x *scene) end() Chapter {
	x.c.judge()
	if x.c.Kept {
		x.say("%s: every promise kept", x.c.Name)
	} else {
		x.say("%s: NOT KEPT: %s", x.c.Name, x.c.Why)
	}
	return x.c
}
