package scale

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/internal/sim"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/link/wire"
	"github.com/datapunk/switchgear/policy"
)

// Coordination is what a fleet of one size pays for being coordinated and gets for
// it, in virtual time: its replicas make two calls a second each to a callee that
// fails outright for half a minute. Beside it stand the same calls by breakers
// that decide alone.
type Coordination struct {
	Replicas int `json:"replicas"`
	// Bytes on the link of one replica, both ways, with their frames; and control's
	// processor time, in percent of a core. Of calm, and while the fault lasts.
	CalmBytesPerS    float64 `json:"calm_bytes_per_s_each"`
	CalmPercent      float64 `json:"calm_core_percent"`
	OutageBytesPerS  float64 `json:"outage_bytes_per_s_each"`
	OutagePercent    float64 `json:"outage_core_percent"`
	OpenP50Ms        float64 `json:"open_p50_ms"` // from the fault on, over replicas
	OpenP99Ms        float64 `json:"open_p99_ms"`
	OpenAloneP50Ms   float64 `json:"open_alone_p50_ms"`
	OpenAloneP99Ms   float64 `json:"open_alone_p99_ms"`
	Failed           int     `json:"failed_calls"`
	FailedAlone      int     `json:"failed_calls_alone"`
	LostAfter        int     `json:"rejected_after_the_fault"` // calls that would have gone well
	LostAfterAlone   int     `json:"rejected_after_the_fault_alone"`
	SparedPercent    float64 `json:"failed_calls_spared_percent"`
	SparedPerReplica float64 `json:"failed_calls_spared_each"`
}

const (
	callGap   = 500 * time.Millisecond
	faultAt   = 30 * time.Second
	faultEnds = 60 * time.Second
	playEnds  = 90 * time.Second
	instances = 10
	// frames of one message: five bytes of Connect's and nine of HTTP/2's.
	frames = 14
)

func measureCoordination(ctx context.Context, o *Options, r *Result) error {
	sizes := []int{1, 10, 100, 1000, 10_000}
	if o.Small {
		sizes = []int{1, 10}
	}
	for _, n := range sizes {
		with, err := playFault(ctx, n, true)
		if err != nil {
			return err
		}
		alone, err := playFault(ctx, n, false)
		if err != nil {
			return err
		}
		c := Coordination{
			Replicas:      n,
			CalmBytesPerS: with.calm.bytesPerS(n, faultAt-settled), CalmPercent: with.calm.percent(faultAt - settled),
			OutageBytesPerS: with.outage.bytesPerS(n, faultEnds-faultAt), OutagePercent: with.outage.percent(faultEnds - faultAt),
			OpenP50Ms: milliseconds(quantile(with.opened, 0.5)), OpenP99Ms: milliseconds(quantile(with.opened, 0.99)),
			OpenAloneP50Ms: milliseconds(quantile(alone.opened, 0.5)), OpenAloneP99Ms: milliseconds(quantile(alone.opened, 0.99)),
			Failed: with.failed, FailedAlone: alone.failed, LostAfter: with.lost, LostAfterAlone: alone.lost,
			SparedPerReplica: float64(alone.failed-with.failed) / float64(n),
		}
		if alone.failed > 0 {
			c.SparedPercent = 100 * float64(alone.failed-with.failed) / float64(alone.failed)
		}
		o.say("coordination: %d replicas: %d calls failed, alone %d", n, c.Failed, c.FailedAlone)
		r.Coordination = append(r.Coordination, c)
	}
	return nil
}

// settled is when all replicas have said their settings, which they do once.
const settled = 10 * time.Second

// cost of a span of time.
type cost struct {
	bytes int
	cpu   time.Duration
}

func (c *cost) bytesPerS(replicas int, d time.Duration) float64 {
	return float64(c.bytes) / float64(replicas) / d.Seconds()
}

func (c *cost) percent(d time.Duration) float64 { return 100 * float64(c.cpu) / float64(d) }

// faulty is one play of a fault, and what came of it.
type faulty struct {
	world        *sim.World
	replicas     int
	calm, outage cost
	opened       []time.Duration
	failed, lost int
	shadow       *shadow
}

func playFault(ctx context.Context, replicas int, coordinated bool) (*faulty, error) {
	f := &faulty{world: sim.New(1), replicas: replicas}
	w := f.world
	w.LinkDelay = 20 * time.Millisecond
	w.Changed = func(r *sim.Replica, x sim.Change) {
		if c, ok := r.Owner.(*caller); ok && !c.open && x.Instance == "" && x.To == breaker.Open && w.Now() >= faultAt {
			c.open = true
			f.opened = append(f.opened, w.Now()-faultAt)
		}
	}
	if coordinated {
		w.Configure = func(c *control.Config) { f.shadow = &shadow{mind: control.New(*c)} }
		w.Inputs, w.Outputs = f.input, f.output
		w.StartDaemon(1)
	}
	settings := policy.Default()
	for i := range replicas {
		c := &caller{faulty: f, replica: w.AddReplica(policy.Service{Namespace: "shop", Name: "web"}, fmt.Sprintf("web-%d", i))}
		c.circuit = c.replica.GuardWith(policy.Service{Namespace: "shop", Name: "checkout"}, &settings)
		for j := range instances {
			name := fmt.Sprintf("10.0.0.%d:80", j+1)
			c.instances = append(c.instances, c.circuit.Instance(name))
			c.tallies = append(c.tallies, c.circuit.Tally("", name))
		}
		c.replica.Owner = c
		c.turn = w.Rand().IntN(instances)
		w.Plan(time.Duration(w.Rand().Int64N(int64(callGap))), c)
	}
	for now := time.Duration(0); now < playEnds; {
		now += 100 * time.Millisecond
		w.Run(now)
		if f.shadow != nil {
			cpu := f.shadow.catchUp()
			if c := f.costs(now); c != nil {
				c.cpu += cpu
			}
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return f, nil
}

// costs of an instant, nil where it is of neither span.
func (f *faulty) costs(now time.Duration) *cost {
	switch {
	case now > settled && now <= faultAt:
		return &f.calm
	case now > faultAt && now <= faultEnds:
		return &f.outage
	}
	return nil
}

func (f *faulty) input(in control.Input) {
	f.shadow.waiting = append(f.shadow.waiting, in)
	if c := f.costs(f.world.Now()); c != nil && in.Report != nil {
		m := &linkv1.AttachRequest{Message: &linkv1.AttachRequest_Report{Report: wire.ToReport(in.Report.Report)}}
		c.bytes += proto.Size(m) + frames
	}
}

func (f *faulty) output(out control.Output) {
	c := f.costs(f.world.Now())
	if c == nil {
		return
	}
	to := f.replicas
	if out.To.Name != "" {
		to = 1
	}
	m := &linkv1.AttachResponse{Message: &linkv1.AttachResponse_Directives{Directives: &linkv1.Directives{Directives: wire.ToDirectives([]fleet.Directive{out.Directive})}}}
	c.bytes += to * (proto.Size(m) + frames)
}

// shadow is a second control that is given the same and so says the same, to tell
// its processor time from the simulator's.
type shadow struct {
	mind    *control.Mind
	waiting []control.Input
}

func (s *shadow) catchUp() time.Duration {
	start := used()
	for _, in := range s.waiting {
		s.mind.Step(in)
		s.mind.Interval()
	}
	took := used() - start
	clear(s.waiting)
	s.waiting = s.waiting[:0]
	return took
}

// caller is one replica that calls, with its calls as events.
type caller struct {
	*faulty
	replica   *sim.Replica
	circuit   *fleet.Circuit
	instances []*fleet.Instance
	tallies   []*breaker.Tally
	turn      int
	open      bool // it has been, since the fault began
}

func (c *caller) Happen() {
	w := c.world
	w.Plan(w.Now()+callGap*9/10+time.Duration(w.Rand().Int64N(int64(callGap/5))), c)
	c.call()
	c.replica.Touch()
}

func (c *caller) call() {
	now := c.world.Now()
	p, err := c.circuit.Breaker.Acquire()
	if err != nil {
		c.rejected(now)
		return
	}
	for range c.instances {
		c.turn = (c.turn + 1) % instances
		part, err := c.instances[c.turn].Acquire()
		if err != nil {
			continue
		}
		o := breaker.Outcome{Latency: 5 * time.Millisecond}
		if now >= faultAt && now < faultEnds {
			o = breaker.Outcome{Verdict: breaker.Failure, Kind: breaker.Connect}
			c.failed++
		}
		counted := true
		if c.instances[c.turn].View().State != breaker.Closed {
			p.Release()
		} else {
			counted = p.Done(o)
		}
		if part.Done(o) && counted {
			c.tallies[c.turn].Add(o, o.Latency)
		}
		return
	}
	p.Release()
	c.rejected(now)
}

func (c *caller) rejected(now time.Duration) {
	if now < faultAt || now >= faultEnds {
		c.lost++
	}
}
