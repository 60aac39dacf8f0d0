// Package proxy is a loopback proxy that does to real traffic what failing
// services and networks do: it fails, delays, resets, hangs, drips, limits and
// refuses, and keeps the truth about what arrived. An HTTP proxy is the default;
// Config.TCP passes bytes on and knows nothing of requests.
//
// A [Proxy] may be used by several goroutines at once. It only ever listens on
// loopback. Faults change at any time and hold for what arrives from then on;
// hanging requests are cut when Hang ends.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Config of a proxy.
type Config struct {
	Listen string // host:port on loopback; port 0 takes a free one
	To     string // host:port, or http://host:port
	TCP    bool
	Seed   uint64 // of the order in which shares hit
	// SourceHeader names a request header whose value, up to 64 bytes, is kept as
	// an event's source. Empty keeps none.
	SourceHeader string
	// Events is how many of the last ones are kept, some 80 bytes each.
	Events int
	Faults Faults
}

// Proxy stands between a caller and its target. Close ends it.
type Proxy struct {
	config Config
	target *url.URL
	gate   *gate
	truth  *truth
	server *http.Server // nil with TCP

	ctx  context.Context //nolint:containedctx // the proxy's own life, that of all its goroutines
	stop context.CancelFunc
	work sync.WaitGroup // the accept loop and everything that it started

	mu      sync.Mutex
	closed  bool
	faults  Faults
	changed chan struct{} // closed when faults change
	drawn   float64       // where the shares' sequence stands, [0, 1)
	random  *rand.Rand    // for jitter
	turn    time.Time     // when the next request of Capacity may go
}

// Start listens and passes on until Close.
func Start(c Config) (*Proxy, error) {
	target, err := parseTarget(c.To)
	if err != nil {
		return nil, err
	}
	if err := c.Faults.Validate(c.TCP); err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	if err := OnLoopback(c.Listen); err != nil {
		return nil, fmt.Errorf("listen on %q: %w", c.Listen, err)
	}
	if c.Events < 0 {
		return nil, fmt.Errorf("keep %d events: want 0 or more", c.Events)
	}
	g, err := newGate(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", c.Listen, err)
	}
	random := rand.New(rand.NewPCG(c.Seed, 0))
	p := &Proxy{
		config: c, target: target, gate: g, truth: &truth{limit: c.Events},
		changed: make(chan struct{}), random: random, drawn: random.Float64(),
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	if c.TCP {
		p.work.Go(p.acceptTCP)
	} else {
		p.serveHTTP()
	}
	if err := p.Set(c.Faults); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// OnLoopback reports why an address is not one of this machine alone.
func OnLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("want host:port: %w", err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return errors.New("not a loopback address: others could reach it; want 127.0.0.1:PORT or [::1]:PORT")
}

func parseTarget(to string) (*url.URL, error) {
	if !strings.Contains(to, "://") {
		to = "http://" + to
	}
	u, err := url.Parse(to)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Port() == "" {
		return nil, fmt.Errorf("target %q: want host:port or http://host:port", to)
	}
	return u, nil
}

// Addr is the host:port that the proxy listens on.
func (p *Proxy) Addr() string { return p.gate.address }

// Faults are those in force.
func (p *Proxy) Faults() Faults {
	f, _ := p.now()
	return f
}

// Counts since the start.
func (p *Proxy) Counts() Counts { return p.truth.read() }

// Events that are kept and arrived at from or later, in order of arrival.
func (p *Proxy) Events(from time.Time) []Event { return p.truth.since(from) }

// Set replaces all faults; the zero Faults is the cure. An error leaves them as
// they were, or says that the address was taken by another while it was refused.
func (p *Proxy) Set(f Faults) error {
	if err := f.Validate(p.config.TCP); err != nil {
		return err
	}
	p.mu.Lock()
	p.faults = f
	p.turn = time.Time{}
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	if f.Refuse {
		p.gate.shut()
		return nil
	}
	if p.config.TCP && f.ResetPercent > 0 {
		p.gate.resetAll(func() bool { return p.draw() < f.ResetPercent/100 })
	}
	return p.gate.open()
}

// Close stops listening, cuts what is under way and returns when all of the
// proxy's goroutines have ended. Closing again does nothing.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	err := p.gate.Close()
	if p.server != nil {
		p.server.Close()
	}
	p.gate.resetAll(func() bool { return true })
	p.work.Wait()
	return err
}

// begin counts a piece of work that Close waits for; false once it is closed.
func (p *Proxy) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.work.Add(1)
	}
	return !p.closed
}

// now gives the faults and a channel that is closed when they change.
func (p *Proxy) now() (Faults, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults, p.changed
}

// draw gives the next number in [0, 1). The sequence steps by the golden ratio,
// so a share hits exactly that share of any run of requests, to within a few,
// and never in step with callers that take turns, as every second would.
func (p *Proxy) draw() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, p.drawn = math.Modf(p.drawn + math.Phi)
	return p.drawn
}

// pause is the delay for one request.
func (p *Proxy) pause(f Faults) time.Duration {
	if f.Jitter == 0 {
		return f.Delay
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return f.Delay - f.Jitter + time.Duration(p.random.Int64N(int64(2*f.Jitter)+1))
}

// queued takes a turn at Capacity: how long to wait for it, or that the queue is
// full.
func (p *Proxy) queued(f Faults) (wait time.Duration, ok bool) {
	if f.Capacity == 0 {
		return 0, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	step := time.Duration(float64(time.Second) / f.Capacity)
	now := time.Now()
	if p.turn.Before(now) {
		p.turn = now
	}
	wait = p.turn.Sub(now)
	if wait > step*time.Duration(f.queue()) {
		return 0, false
	}
	p.turn = p.turn.Add(step)
	return wait, true
}

// wait is false if ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
