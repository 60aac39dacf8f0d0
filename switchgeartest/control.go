package switchgeartest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/internal/fleet"
)

// Control is a control plane in the test's own process: it gives a manager
// directives as a daemon would, without one. It decides nothing by itself. Safe
// for concurrent use.
type Control struct {
	tb      testing.TB
	manager *switchgear.Manager
	port    fleet.Port
	stop    func() // once

	mu       sync.Mutex
	epoch    uint64
	lease    uint64
	calls    map[switchgear.Key]Calls
	answered int
}

// Calls are what a manager has reported of a circuit to control.
type Calls struct{ Succeeded, Failed, Rejected int }

// Directive is control's word for a circuit.
type Directive struct {
	State switchgear.State
	// Share that is admitted while the state is closed or half open, 0–1; 0 is all
	// of it for a closed one.
	Share float64
	// TTL is how long the word stands; a minute if it is 0.
	TTL time.Duration
	// Instances that are taken out, by the address that a transport knows.
	Instances []string
	// Leases are how many probe calls the manager may make while the state is open
	// or half open.
	Leases int
	Why    string
}

// standing is how long a word stands that says nothing else, as a daemon's.
const standing = time.Minute

// NewControl links a manager to a control plane until the test ends, or until
// Stop.
func NewControl(tb testing.TB, m *switchgear.Manager) *Control {
	tb.Helper()
	ctx, end := context.WithCancel(context.Background())
	c := &Control{tb: tb, manager: m, port: m.Port(), calls: make(map[switchgear.Key]Calls)}
	done := make(chan struct{})
	c.stop = sync.OnceFunc(func() {
		end()
		<-done
		c.port.Linked("switchgeartest", errLost)
	})
	c.port.Hello()
	c.port.Linked("switchgeartest", nil)
	go func() {
		defer close(done)
		c.listen(ctx)
	}()
	tb.Cleanup(c.Stop)
	return c
}

// listen takes the manager's reports, as a daemon would.
func (c *Control) listen(ctx context.Context) {
	for {
		r, err := c.port.Next(ctx)
		if err != nil {
			return
		}
		c.mu.Lock()
		for i := range r.Circuits {
			x := &r.Circuits[i]
			k := switchgear.Key{Callee: x.Callee.Name, Namespace: x.Callee.Namespace, Route: x.Route}
			n := c.calls[k]
			for _, cell := range x.Cells {
				for _, b := range cell.Buckets {
					n.Succeeded += int(b.Succeeded + b.LateSucceeded)
					n.Failed += int(b.Failed + b.LateFailed)
					n.Rejected += int(b.Rejected)
				}
			}
			c.calls[k] = n
		}
		for _, a := range r.Answers {
			if a.Used {
				c.answered++
			}
		}
		c.mu.Unlock()
	}
}

// Direct gives the manager control's word on a circuit, and it is in force when
// Direct returns. A later word replaces an earlier one.
func (c *Control) Direct(k switchgear.Key, w Directive) {
	c.tb.Helper()
	d := c.directive(k)
	d.Enforce = true
	d.Gate = fleet.Gate{State: w.State, Share: w.Share, Generation: d.Epoch.Counter, Reason: w.Why}
	if w.State == switchgear.Closed && w.Share == 0 {
		d.Share = 1
	}
	if w.TTL > 0 {
		d.TTL = w.TTL
	}
	for _, instance := range w.Instances {
		d.Parts = append(d.Parts, fleet.Part{Instance: instance, Gate: fleet.Gate{State: switchgear.Open, Generation: d.Epoch.Counter, Reason: w.Why}})
	}
	c.mu.Lock()
	for range w.Leases {
		c.lease++
		d.Leases = append(d.Leases, fleet.Lease{Token: c.lease, TTL: d.TTL})
	}
	c.mu.Unlock()
	c.port.Obey([]fleet.Directive{d})
}

// Override is an operator's word: metrics_only, off or forced_open until the
// time is over. Enforce ends one.
func (c *Control) Override(k switchgear.Key, mode switchgear.Mode, reason string, ttl time.Duration) {
	c.tb.Helper()
	d := c.directive(k)
	d.Gate = fleet.Gate{Share: 1}
	if mode != switchgear.Enforce {
		d.Override = &fleet.Override{ID: "test", Mode: mode, Author: "test", Reason: reason, TTL: ttl}
	}
	c.port.Obey([]fleet.Directive{d})
}

func (c *Control) directive(k switchgear.Key) fleet.Directive {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	return fleet.Directive{
		Circuit: c.manager.Breaker(k).Circuit().ID, TTL: standing,
		Epoch: fleet.Epoch{Incarnation: 1, Counter: c.epoch, Daemon: "switchgeartest"},
	}
}

// Calls that the manager has reported of a circuit: at the latest a second after
// they ended.
func (c *Control) Calls(k switchgear.Key) Calls {
	id := c.manager.Breaker(k).Circuit().ID
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[switchgear.Key{Callee: id.Callee.Name, Namespace: id.Callee.Namespace, Route: id.Route}]
}

// Answered is how many leases were used for a call that came to an outcome.
func (c *Control) Answered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered
}

// errLost is how a manager's link ends here.
var errLost = errors.New("the test has cut the link")

// Stop cuts the link: words stand until their time to live ends, then the
// manager goes on by itself. Stopping twice is the same as once.
func (c *Control) Stop() { c.stop() }
