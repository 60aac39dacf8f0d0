package demo

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/link"
	"github.com/datapunk/switchgear/server/process"
	"github.com/datapunk/switchgear/server/proxy"
)

// LinkConfig of RunLink.
type LinkConfig struct {
	Binary string        // of switchgear, to run the daemon
	Rate   int           // calls a second
	Phase  time.Duration // of each phase
	Say    func(sentence string)
}

// LinkResult is what calls paid in the SDK while the link was well and broken.
type LinkResult struct {
	Rate         int         `json:"calls_per_s"`
	PhaseSeconds float64     `json:"phase_s"`
	Phases       []LinkPhase `json:"phases"`
}

// LinkPhase is one state of the link.
type LinkPhase struct {
	Name  string `json:"name"`
	Calls uint64 `json:"calls"`
	// Own is the SDK's own time of each call: Acquire and Done.
	Own Times `json:"own"`
	// Clock is what reading the clock alone took beside each call: what is as much
	// there is the machine's, not the SDK's.
	Clock Times `json:"clock"`

	Permitted  uint64 `json:"failing_permitted"` // to the callee that fails
	Rejected   uint64 `json:"failing_rejected"`
	Collateral uint64 `json:"healthy_rejected"` // to the one that is well
	State      string `json:"failing_state"`    // at the end of the phase
	LinkUp     bool   `json:"link_up"`          // at the end of the phase
	Lost       uint64 `json:"reports_lost"`     // circuit reports, so far
}

// Times are quantiles in nanoseconds.
type Times struct {
	P50  int64 `json:"p50_ns"`
	P99  int64 `json:"p99_ns"`
	P999 int64 `json:"p999_ns"`
	Max  int64 `json:"max_ns"`
	// Waited are those over LinkPatience.
	Waited uint64 `json:"waited"`
}

// LinkPatience is longer than a scheduler's turn and shorter than anything that a
// link waits for.
const LinkPatience = 50 * time.Millisecond

func timesOf(s *spread) Times {
	return Times{
		P50: s.quantile(0.5).Nanoseconds(), P99: s.quantile(0.99).Nanoseconds(), P999: s.quantile(0.999).Nanoseconds(),
		Max: s.max.Nanoseconds(), Waited: s.over(LinkPatience),
	}
}

// linkStep is one phase: what is done to the link at its beginning.
type linkStep struct {
	name string
	do   func(context.Context, *linkRun) error
}

var linkSteps = []linkStep{
	{"before", func(context.Context, *linkRun) error { return nil }},
	{"killed", func(_ context.Context, r *linkRun) error { r.world.killDaemon(); return nil }},
	{"restarted", func(ctx context.Context, r *linkRun) error { return r.world.startDaemon(ctx) }},
	{"stopped", func(_ context.Context, r *linkRun) error { return r.world.daemon.Suspend() }},
	{"continued", func(_ context.Context, r *linkRun) error { return r.world.daemon.Resume() }},
	{"half_open", func(_ context.Context, r *linkRun) error { return r.proxy.Set(proxy.Faults{HalfOpen: true}) }},
	{"cured", func(_ context.Context, r *linkRun) error { return r.proxy.Set(proxy.Faults{}) }},
	{"black_hole", func(_ context.Context, r *linkRun) error { return r.proxy.Set(proxy.Faults{Hang: true}) }},
	{"after", func(_ context.Context, r *linkRun) error { return r.proxy.Set(proxy.Faults{}) }},
}

// linkRun is all that runs: the daemon as a process, a TCP proxy before it, and a
// manager here that is linked through the proxy.
type linkRun struct {
	world   *world
	proxy   *proxy.Proxy
	manager *switchgear.Manager
	link    *link.Link
}

// RunLink makes calls while the daemon is killed, stopped (SIGSTOP) and cut off
// in turn, and measures what each call paid. Whatever ends it, no process is left.
func RunLink(ctx context.Context, c LinkConfig) (LinkResult, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := newLinkRun(ctx, c, cancel)
	if err != nil {
		return LinkResult{}, err
	}
	defer r.close()
	failing, healthy := r.manager.Breaker(switchgear.Key{Callee: "ledger"}), r.manager.Breaker(switchgear.Key{Callee: "catalog"})
	load := newLinkLoad(failing, healthy, c.Rate, len(linkSteps))
	calling, stop := context.WithCancel(ctx)
	load.start(calling)
	res := LinkResult{Rate: c.Rate, PhaseSeconds: c.Phase.Seconds()}
	for i, step := range linkSteps {
		load.phase.Store(int32(i))
		if err = step.do(ctx, r); err != nil {
			err = fmt.Errorf("phase %s: %w", step.name, err)
			break
		}
		select {
		case <-time.After(c.Phase):
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if err != nil {
			break
		}
		stats := r.link.Stats()
		p := LinkPhase{Name: step.name, State: failing.State().String(), LinkUp: stats.Up, Lost: stats.Lost}
		res.Phases = append(res.Phases, p)
		c.Say(fmt.Sprintf("%s: the failing circuit is %s, the link is %s", p.Name, p.State, map[bool]string{true: "up", false: "down"}[p.LinkUp]))
	}
	stop()
	load.callers.Wait()
	for i := range res.Phases {
		p, b := &res.Phases[i], load.sum(i)
		p.Calls, p.Own, p.Clock = b.own.n, timesOf(&b.own), timesOf(&b.clock)
		p.Permitted, p.Rejected, p.Collateral = b.permitted, b.rejected, b.collateral
	}
	return res, err
}

func newLinkRun(ctx context.Context, c LinkConfig, fail context.CancelCauseFunc) (_ *linkRun, err error) {
	r := &linkRun{world: &world{config: Config{Binary: c.Binary}, origin: time.Now(), nursery: process.NewNursery(), fail: fail}}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.world.folder, err = os.MkdirTemp("", "switchgear-link-"); err != nil {
		return nil, fmt.Errorf("make a folder for the daemon: %w", err)
	}
	if r.world.address, err = freeAddress(ctx, 0); err != nil {
		return nil, err
	}
	if err := r.world.startDaemon(ctx); err != nil {
		return nil, err
	}
	if r.proxy, err = proxy.Start(proxy.Config{Listen: "127.0.0.1:0", To: r.world.address, TCP: true}); err != nil {
		return nil, err
	}
	silent := slog.New(slog.DiscardHandler)
	if r.manager, err = switchgear.New(switchgear.Config{Service: "billing", Logger: silent}); err != nil {
		return nil, err
	}
	r.link, err = link.Connect(r.manager, "http://"+r.proxy.Addr(), link.WithLogger(silent))
	return r, err
}

func (r *linkRun) close() {
	if r.link != nil {
		_ = r.link.Close()
	}
	if r.manager != nil {
		_ = r.manager.Close()
	}
	if r.proxy != nil {
		r.proxy.Close()
	}
	if r.world.daemon != nil {
		_ = r.world.daemon.Resume() // what is stopped can't end
		process.Stop(r.world.daemon)
	}
	r.world.nursery.Close()
	_ = os.RemoveAll(r.world.folder)
}

// Broken says which promises the result does not keep.
func (r *LinkResult) Broken() (sentences []string) {
	if len(r.Phases) != len(linkSteps) {
		sentences = append(sentences, fmt.Sprintf("%d of %d phases were played", len(r.Phases), len(linkSteps)))
	}
	for _, p := range r.Phases {
		if p.Own.Waited > 0 {
			sentences = append(sentences, fmt.Sprintf("%s: %d calls waited over %v, the longest %v", p.Name, p.Own.Waited, LinkPatience, time.Duration(p.Own.Max)))
		}
		if p.Collateral > 0 {
			sentences = append(sentences, fmt.Sprintf("%s: %d calls to the healthy callee were rejected", p.Name, p.Collateral))
		}
		if p.State == switchgear.Closed.String() {
			sentences = append(sentences, fmt.Sprintf("%s: the failing circuit ended closed", p.Name))
		}
	}
	return sentences
}
