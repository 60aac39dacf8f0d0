package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/datapunk/switchgear/server/proxy"
)

// Config of a demo.
type Config struct {
	Binary   string        // switchgear itself, for the processes
	Duration time.Duration // of the story, about; 1 to 60 minutes
	Seed     uint64
	Port     int // of the daemon; 0 is any free one
	NoDaemon bool
	// Say is told what happens, in a sentence, as it happens. Never nil.
	Say func(at time.Duration, sentence string)
	// Screen, if not nil, shows the fleet while the story is told.
	Screen *Screen
}

// DefaultDuration of the story.
const DefaultDuration = 2 * time.Minute

// chapters is how many a whole story has.
const chapters = 4

// ServiceCommand is the argument with which the binary runs Serve.
const ServiceCommand = "demo-service"

// Validate reports every field out of its range, at once.
func (c *Config) Validate() error {
	var errs []error
	if c.Duration < time.Minute || c.Duration > time.Hour {
		errs = append(errs, fmt.Errorf("duration %v: want 1m to 1h", c.Duration))
	}
	if c.Port < 0 || c.Port > 65535 {
		errs = append(errs, fmt.Errorf("port %d: want 0 (any free one) to 65535", c.Port))
	}
	return errors.Join(errs...)
}

// Run tells the story. When ctx ends first, the result holds the chapters that
// were told, and is marked so. Every process has ended when it returns.
func Run(ctx context.Context, c Config) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	began := time.Now()
	playing, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	c.Say(0, "starting the services, each replica a process")
	w, err := build(playing, c, fail)
	defer w.close()
	r := &Result{Chapters: []Chapter{}, Seed: c.Seed, Daemon: !c.NoDaemon}
	if err == nil {
		s := &story{world: w, scale: float64(c.Duration) / float64(DefaultDuration)}
		if c.Screen != nil {
			watching, stop := context.WithCancel(playing)
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.Screen.show(watching, s)
			}()
			defer func() {
				stop()
				<-done
			}()
		}
		err = s.tell(playing, r)
	}
	r.Seconds = time.Since(began).Seconds()
	if err != nil && ctx.Err() != nil {
		r.Interrupted = true
		return r, nil
	}
	return r, err
}

// story is the plot.
type story struct {
	world    *world
	scale    float64
	headline headline
}

func (s *story) tell(ctx context.Context, r *Result) error {
	defer func() {
		for _, c := range s.world.load.seen() {
			r.Requests++
			switch c.result {
			case failed:
				r.Failed++
			case rejected:
				r.Rejected++
			}
		}
	}()
	if s.world.address == "" {
		s.say("%d replicas without a daemon: each breaker is alone", len(s.world.children))
	} else {
		s.say("%d replicas and a daemon at http://%s", len(s.world.children), s.world.address)
	}
	for _, chapter := range [chapters]func(context.Context) (Chapter, error){s.outage, s.weakReturn, s.badInstance, s.daemonKilled} {
		c, err := chapter(ctx)
		if err != nil {
			return err
		}
		r.Chapters = append(r.Chapters, c)
	}
	n, err := s.world.blocked(ctx)
	if err != nil {
		return err
	}
	r.BlockedByDaemon = n
	return nil
}

var payments = replicasOf("payments")

func (s *story) outage(ctx context.Context) (Chapter, error) {
	x, err := s.begin(ctx, "outage", "checkout", "payments", payments)
	if err != nil {
		return Chapter{}, err
	}
	if err := s.falls(ctx, x); err != nil {
		return Chapter{}, err
	}
	if err := s.hold(ctx, s.scaled(15*time.Second)); err != nil {
		return Chapter{}, err
	}
	if err := s.returns(ctx, x); err != nil {
		return Chapter{}, err
	}
	x.judgeOpening(x.cure)
	x.judgeReturn()
	return x.end(), nil
}

// falls is how a callee fails outright, and its callers open.
func (s *story) falls(ctx context.Context, x *scene) error {
	s.say("%s: %s fails outright, every call to it", x.c.Name, x.patient)
	if err := x.strike(proxy.Faults{FailPercent: 100, Status: 500}); err != nil {
		return err
	}
	if err := x.awaitOpen(ctx); err != nil {
		return err
	}
	if x.open == 0 {
		s.say("%s: %s is not open everywhere after %v", x.c.Name, x.circuit, openLimit)
		return nil
	}
	s.say("%s: %s is open in all %d replicas after %v; from now on only probes", x.c.Name, x.circuit, len(x.callers), (x.open - x.fault).Round(time.Millisecond))
	return nil
}

// returns is the cure, and the way back to full admission.
func (s *story) returns(ctx context.Context, x *scene) error {
	s.say("%s: %s is well again", x.c.Name, x.patient)
	if err := x.heal(); err != nil {
		return err
	}
	if err := x.awaitFull(ctx); err != nil {
		return err
	}
	if x.full == 0 {
		s.say("%s: no full admission %v after the cure", x.c.Name, fullLimit)
		return nil
	}
	s.say("%s: full admission %v after the cure", x.c.Name, (x.full - x.cure).Round(time.Millisecond))
	return nil
}

// weakPercent is what a weak return has of the load before.
const weakPercent = 30

func (s *story) weakReturn(ctx context.Context) (Chapter, error) {
	x, err := s.begin(ctx, "weak_return", "checkout", "payments", payments)
	if err != nil {
		return Chapter{}, err
	}
	if err := s.falls(ctx, x); err != nil {
		return Chapter{}, err
	}
	if err := s.hold(ctx, s.scaled(4*time.Second)); err != nil {
		return Chapter{}, err
	}
	before, _ := rates(x.arrivals(), x.before)
	capacity := before * weakPercent / 100
	s.say("%s: payments comes back with %d %% of its capacity, %.0f calls/s", x.c.Name, weakPercent, capacity)
	weak := s.world.now()
	one := capacity / float64(len(x.sick))
	if err := s.world.setFaults(proxy.Faults{Capacity: one, Queue: max(1, int(one/2))}, x.sick...); err != nil {
		return Chapter{}, err
	}
	if err := s.hold(ctx, s.scaled(20*time.Second)); err != nil {
		return Chapter{}, err
	}
	if err := s.returns(ctx, x); err != nil {
		return Chapter{}, err
	}
	x.judgeOpening(weak)
	x.judgeWeakness(span{weak, x.cure}, capacity)
	x.judgeReturn()
	return x.end(), nil
}

// judgeWeakness adds the promises of a return with little capacity: enough of the
// load is held back for it to serve, and it is not lost again.
func (x *scene) judgeWeakness(weak span, capacity float64) {
	as := x.arrivals()
	mean, _ := rates(as, weak)
	x.c.CapacityPerSecond, x.c.ArrivedPerSecond = &capacity, &mean
	x.c.promise("all replicas together send about what it can serve", mean <= 1.5*capacity, "%.0f calls/s on average, capacity %.0f/s", mean, capacity)
	x.c.Relapses = of(relapses(as, span{weak.from, max(weak.to, x.full)}, probeWait))
	x.c.promise("no relapse: once calls pass again, they go on", *x.c.Relapses == 0, "%d times silent again", *x.c.Relapses)
}

func (s *story) badInstance(ctx context.Context) (Chapter, error) {
	const bad = "catalog-2"
	x, err := s.begin(ctx, "bad_instance", "search", "catalog", []string{bad})
	if err != nil {
		return Chapter{}, err
	}
	if err := s.falls(ctx, x); err != nil {
		return Chapter{}, err
	}
	if err := s.hold(ctx, s.scaled(12*time.Second)); err != nil {
		return Chapter{}, err
	}
	if err := s.returns(ctx, x); err != nil {
		return Chapter{}, err
	}
	x.judgeOpening(x.cure)
	longest := time.Duration(0)
	for _, sibling := range replicasOf("catalog") {
		if sibling != bad {
			longest = max(longest, quiet(s.world.arrivals(x.fault, sibling), span{x.fault, s.world.now()}))
		}
	}
	x.c.promise("its siblings go on being called", longest < silence, "longest pause %v", longest.Round(time.Millisecond))
	x.judgeReturn()
	return x.end(), nil
}

func (s *story) daemonKilled(ctx context.Context) (Chapter, error) {
	const name = "daemon_killed"
	if s.world.address == "" {
		return Chapter{Name: name, Why: "this chapter needs a daemon, and there is none", Promises: []Promise{}}, nil
	}
	x, err := s.begin(ctx, name, "checkout", "payments", payments)
	if err != nil {
		return Chapter{}, err
	}
	if err := s.falls(ctx, x); err != nil {
		return Chapter{}, err
	}
	if err := s.hold(ctx, s.scaled(4*time.Second)); err != nil {
		return Chapter{}, err
	}
	killed := s.world.now()
	s.say("%s: kill -9 of the daemon, in the middle of the outage", name)
	s.world.killDaemon()
	if err := s.hold(ctx, s.scaled(10*time.Second)); err != nil {
		return Chapter{}, err
	}
	s.say("%s: the daemon is started again", name)
	again := s.world.now()
	if err := s.world.startDaemon(ctx); err != nil {
		return Chapter{}, err
	}
	var converged time.Duration
	if err := x.await(ctx, openLimit, func() bool {
		if as := during(x.arrivals(), span{again, s.world.now()}); len(as) > 0 {
			converged = as[0].at
		}
		return converged > 0
	}); err != nil {
		return Chapter{}, err
	}
	if converged > 0 {
		s.say("%s: the fleet is together again, its next probe came %v after the daemon's start", name, (converged - again).Round(time.Millisecond))
	}
	if err := s.hold(ctx, s.scaled(2*time.Second)); err != nil {
		return Chapter{}, err
	}
	if err := s.returns(ctx, x); err != nil {
		return Chapter{}, err
	}
	x.judgeOpening(x.cure)
	if err := x.judgeKilling(ctx, span{killed, x.cure}, reached(converged, again)); err != nil {
		return Chapter{}, err
	}
	x.judgeReturn()
	return x.end(), nil
}

const (
	convergeWithin = 5 * time.Second
	// waited is what a call through healthy services never takes here.
	waited = time.Second
)

// judgeKilling adds the promises of a daemon's death: nobody notices.
func (x *scene) judgeKilling(ctx context.Context, gone span, converged *int64) error {
	x.c.ConvergeMS = converged
	x.c.HitByKilling = of(count(x.world.load.seen(), gone, func(c call) bool {
		return c.took > waited || c.path == findPath && c.result != answered
	}))
	x.c.promise("no call fails or waits because the daemon is gone", *x.c.HitByKilling == 0, "%d of them", *x.c.HitByKilling)
	blocked, err := x.world.blocked(ctx)
	if err != nil {
		return err
	}
	x.c.promise("no call is held up in the SDK meanwhile", blocked == 0, "%d of them", blocked)
	x.c.promise(fmt.Sprintf("the fleet probes together again within %v of the daemon's start", convergeWithin),
		converged != nil && *converged <= convergeWithin.Milliseconds(), "%s", words(converged))
	return nil
}

func (s *story) scaled(d time.Duration) time.Duration { return time.Duration(float64(d) * s.scale) }

func (s *story) say(format string, args ...any) {
	sentence := fmt.Sprintf(format, args...)
	s.headline.set(sentence)
	s.world.config.Say(s.world.now(), sentence)
}

func (s *story) hold(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// await looks until it is so, or the limit is over; the error is ctx's end only.
func (s *story) await(ctx context.Context, limit time.Duration, so func() bool) error {
	for end := s.world.now() + limit; !so() && s.world.now() < end; {
		if err := s.hold(ctx, lookEach); err != nil {
			return err
		}
	}
	return nil
}
