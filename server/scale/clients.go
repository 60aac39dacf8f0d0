package scale

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/link"
)

// The mesh of live clients: services of equally many replicas, each of which
// calls the callees after its own number.
const (
	services    = 20
	callees     = 100
	eachCalls   = 5
	failingOnes = 2                      // of these, when the first callees fail
	callEvery   = 100 * time.Millisecond // to each
)

// clients are live ones, in this process: real breakers, managers and links.
type clients struct {
	all     []*client
	failing atomic.Bool
	stop    chan struct{}
	wg      sync.WaitGroup
}

type client struct {
	manager  *switchgear.Manager
	link     *link.Link
	breakers []*switchgear.Breaker // the failing ones first

	mu     sync.Mutex
	opened []time.Time // by breaker, the first time
	closed []time.Time // by breaker, the last time
}

// attach makes n clients and waits until the daemon serves all of them.
func attach(ctx context.Context, address string, n int) (_ *clients, err error) {
	cs := &clients{stop: make(chan struct{})}
	defer func() {
		if err != nil {
			cs.close()
		}
	}()
	for i := range n {
		s := i % services
		m, err := switchgear.New(switchgear.Config{Namespace: "shop", Service: fmt.Sprintf("service-%d", s), Replica: fmt.Sprintf("replica-%d", i)})
		if err != nil {
			return nil, err
		}
		c := &client{manager: m, opened: make([]time.Time, eachCalls), closed: make([]time.Time, eachCalls)}
		cs.all = append(cs.all, c)
		for j := range eachCalls {
			to := services + (s*(eachCalls-failingOnes)+j)%(callees-services)
			if j < failingOnes {
				to = (s + j) % services
			}
			c.breakers = append(c.breakers, m.Breaker(switchgear.Key{Callee: fmt.Sprintf("callee-%d", to)}))
		}
		if c.link, err = link.Connect(m, address, link.WithLogger(slog.New(slog.DiscardHandler))); err != nil {
			return nil, err
		}
		events := m.Events(context.WithoutCancel(ctx)) // they end with the manager
		cs.wg.Go(func() {
			for e := range events {
				c.changed(&e)
			}
		})
	}
	return cs, awaitAttached(ctx, address, n)
}

func (c *client) changed(e *switchgear.Event) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for j, b := range c.breakers {
		if b.Key() != e.Key {
			continue
		}
		switch {
		case e.To == switchgear.Closed:
			c.closed[j] = now
		case c.opened[j].IsZero():
			c.opened[j] = now
		}
	}
}

// call lets all clients call all their callees, spread over callEvery, until the
// clients are closed.
func (cs *clients) call() {
	const drivers = 20
	for d := range drivers {
		cs.wg.Go(func() {
			time.Sleep(callEvery * time.Duration(d) / drivers)
			tick := time.NewTicker(callEvery)
			defer tick.Stop()
			for {
				for i := d; i < len(cs.all); i += drivers {
					cs.all[i].callAll(cs.failing.Load())
				}
				select {
				case <-tick.C:
				case <-cs.stop:
					return
				}
			}
		})
	}
}

func (c *client) callAll(failing bool) {
	for j, b := range c.breakers {
		p, err := b.Acquire()
		if err != nil {
			continue
		}
		o := switchgear.Outcome{Latency: 5 * time.Millisecond}
		if failing && j < failingOnes {
			o.Verdict, o.Kind = breaker.Failure, breaker.ServerError
		}
		p.Done(o)
	}
}

func (cs *clients) close() {
	close(cs.stop)
	var all sync.WaitGroup
	for _, c := range cs.all {
		all.Go(func() {
			if c.link != nil {
				_ = c.link.Close()
			}
			_ = c.manager.Close()
		})
	}
	all.Wait()
	cs.wg.Wait()
}
