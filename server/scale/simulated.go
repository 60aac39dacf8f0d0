package scale

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/internal/sim"
	"github.com/datapunk/switchgear/policy"
)

// Simulated is a fleet in virtual time, replicas and control in one process: each
// circuit is called once a second and each replica reports once a second.
type Simulated struct {
	Replicas int `json:"replicas"`
	Circuits int `json:"circuits_each"`
	// Processor seconds for a virtual second, of all and without a daemon: of the
	// replicas, which in a mesh are processes of their own.
	CPU         float64 `json:"cpu_s_per_virtual_s"`
	CPUReplicas float64 `json:"cpu_replicas_s_per_virtual_s"`
	// Of control alone, without what it costs to collect garbage.
	CPUControl float64 `json:"cpu_control_s_per_virtual_s"`
	// The greatest memory, and what of the heap replicas and control hold for each
	// circuit and replica.
	PeakRSS       uint64  `json:"peak_rss_bytes"`
	BytesReplicas float64 `json:"bytes_replicas"`
	BytesControl  float64 `json:"bytes_control"`
}

// gcPercent of the simulation: less memory for more processor time.
const gcPercent = 20

func measureSimulated(ctx context.Context, o *Options, r *Result) error {
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	x := &Simulated{Replicas: o.size(10_000, 100), Circuits: 100}
	seconds := o.size(10, 1)
	alone, bytes, _, err := x.play(ctx, noDaemon, seconds)
	if err != nil {
		return err
	}
	x.BytesReplicas, x.CPUReplicas = bytes, alone
	o.say("simulated: without a daemon %.2f s for a second, %.0f bytes for each circuit and replica", alone, bytes)
	if x.CPU, bytes, x.PeakRSS, err = x.play(ctx, withDaemon, seconds); err != nil {
		return err
	}
	x.BytesControl = bytes - x.BytesReplicas
	if x.CPUControl, _, _, err = x.play(ctx, timedControl, o.size(3, 1)); err != nil {
		return err
	}
	r.Simulated = x
	return nil
}

// What is played: control's time is that of a second mind, which is given all that
// the daemon's is given.
const (
	noDaemon = iota
	withDaemon
	timedControl
)

func (x *Simulated) play(ctx context.Context, what int, seconds int) (cpu, bytes float64, peak uint64, err error) {
	if err := forgetPeak(); err != nil {
		return 0, 0, 0, err
	}
	before := heap()
	w := sim.New(1)
	inControl := time.Duration(0)
	if what == timedControl {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		mind := control.New(control.Config{Daemon: "timed", Incarnation: 1, Seed: 1, Enforce: true})
		w.Inputs = func(in control.Input) {
			start := usedByThread()
			mind.Step(in)
			inControl += usedByThread() - start
		}
	}
	if what != noDaemon {
		w.StartDaemon(1)
	}
	settings := policy.Default()
	const of = 100 // replicas of a service
	for i := range x.Replicas {
		a := &actor{replica: w.AddReplica(policy.Service{Namespace: "shop", Name: fmt.Sprintf("service-%d", i/of)}, fmt.Sprintf("replica-%d", i)), world: w}
		for j := range x.Circuits {
			a.circuits = append(a.circuits, a.replica.GuardWith(policy.Service{Namespace: "shop", Name: fmt.Sprintf("callee-%d", j)}, &settings))
		}
		w.Plan(time.Duration(w.Rand().Int64N(int64(time.Second))), a)
	}
	now := time.Duration(0)
	run := func(seconds int) error {
		for range 10 * seconds {
			now += time.Second / 10
			w.Run(now)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		return nil
	}
	if err := run(3); err != nil { // until all have reported, and windows are there
		return 0, 0, 0, err
	}
	start := used()
	inControl = 0
	if err := run(seconds); err != nil {
		return 0, 0, 0, err
	}
	cpu = (used() - start).Seconds() / float64(seconds)
	if what == timedControl {
		cpu = inControl.Seconds() / float64(seconds)
	}
	if peak, err = memory(os.Getpid(), "VmHWM"); err != nil {
		return 0, 0, 0, err
	}
	bytes = float64(heap()-before) / float64(x.Replicas*x.Circuits)
	runtime.KeepAlive(w)
	return cpu, bytes, peak, nil
}

// actor calls all circuits of a replica once a second.
type actor struct {
	world    *sim.World
	replica  *sim.Replica
	circuits []*fleet.Circuit
}

func (a *actor) Happen() {
	for _, c := range a.circuits {
		if p, err := c.Breaker.Acquire(); err == nil {
			p.Done(breaker.Outcome{Latency: 5 * time.Millisecond})
		}
	}
	a.replica.Touch()
	a.world.Plan(a.world.Now()+time.Second, a)
}
