package scale

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/link"
	"github.com/datapunk/switchgear/link/wire"
	"github.com/datapunk/switchgear/policy"
	"github.com/datapunk/switchgear/server/app"
	"github.com/datapunk/switchgear/server/bus"
	busv1 "github.com/datapunk/switchgear/server/gen/switchgear/bus/v1"
)

// Fanout is a directive's way from the owner over the bus and the gateway to the
// breakers of all replicas of a service, each with a stream of its own.
type Fanout struct {
	Streams int     `json:"streams"`
	Rounds  int     `json:"rounds"`
	P50Ms   float64 `json:"p50_ms"`
	P99Ms   float64 `json:"p99_ms"`
	MaxMs   float64 `json:"max_ms"`
	// What else the machine did then, in percent of a core: waits grow with it.
	OthersPercent float64 `json:"others_core_percent"`
}

// measureFanout says open and closed by turns to a thousand replicas, through a
// daemon in this process, and stops the time until each breaker is.
func measureFanout(ctx context.Context, o *Options, r *Result) (err error) {
	dir, err := os.MkdirTemp("", "switchgear-scale-*")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	quiet := slog.New(slog.DiscardHandler)
	b, err := bus.Open(filepath.Join(dir, "bus"), quiet)
	if err != nil {
		return err
	}
	defer b.Close()
	const name = "d"
	a, err := app.New(app.Config{Listen: "127.0.0.1:0", Dev: true, Data: dir, Name: name, Bus: b, Log: quiet})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()

	f := &Fanout{Streams: o.size(1000, 20), Rounds: o.size(40, 4)}
	edge := policy.Circuit{Caller: policy.Service{Namespace: "shop", Name: "web"}, Callee: policy.Service{Namespace: "shop", Name: "checkout"}}
	l, err := listen(ctx, "http://"+a.Address(), edge, f.Streams)
	if err != nil {
		return err
	}
	defer l.close()
	// An epoch above whatever the daemon says itself.
	d := fleet.Directive{Circuit: edge, Epoch: fleet.Epoch{Incarnation: 1 << 40, Daemon: name}, TTL: time.Minute, Enforce: true}
	say := func(state breaker.State) (took []time.Duration, err error) {
		d.Epoch.Counter++
		d.Gate = fleet.Gate{State: state, Generation: d.Epoch.Counter, Reason: "measured"}
		if state == breaker.Closed {
			d.Share = 1
		}
		orders := &busv1.Orders{Daemon: name, Orders: []*busv1.Order{{To: wire.ToReplica(fleet.ReplicaID{Service: edge.Caller}), Directive: wire.ToDirective(&d)}}}
		began := time.Now()
		if err := b.PublishOrders(orders); err != nil {
			return nil, err
		}
		return l.heard(ctx, began, state)
	}
	rest, err := newOthers()
	if err != nil {
		return err
	}
	var all []time.Duration
	for i := range 2 * f.Rounds {
		state := breaker.Open
		if i%2 == 1 {
			state = breaker.Closed
		}
		took, err := say(state)
		if err != nil {
			return err
		}
		if i >= 2 { // buffers have grown by then
			all = append(all, took...)
		}
		if err := sleep(ctx, o.length(100*time.Millisecond, 0)); err != nil {
			return err
		}
	}
	f.P50Ms, f.P99Ms, f.MaxMs = milliseconds(quantile(all, 0.5)), milliseconds(quantile(all, 0.99)), milliseconds(quantile(all, 1))
	if f.OthersPercent, err = rest.percent(); err != nil {
		return err
	}
	r.DirectiveFanoutP99Ms, r.Fanout = &f.P99Ms, f
	return nil
}

// listeners are replicas that tell when their breaker changes.
type listeners struct {
	managers []*switchgear.Manager
	links    []*link.Link
	changes  chan change
	done     chan struct{}
	wg       sync.WaitGroup
}

type change struct {
	to switchgear.State
	at time.Time
}

func listen(ctx context.Context, address string, edge policy.Circuit, n int) (_ *listeners, err error) {
	l := &listeners{changes: make(chan change, n), done: make(chan struct{})}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	for i := range n {
		m, err := switchgear.New(switchgear.Config{Namespace: edge.Caller.Namespace, Service: edge.Caller.Name, Replica: fmt.Sprintf("web-%d", i)})
		if err != nil {
			return nil, err
		}
		l.managers = append(l.managers, m)
		if p, err := m.Breaker(switchgear.Key{Callee: edge.Callee.Name}).Acquire(); err == nil {
			p.Done(switchgear.Outcome{})
		}
		events := m.Events(context.WithoutCancel(ctx))
		l.wg.Go(func() {
			for e := range events {
				select {
				case l.changes <- change{e.To, time.Now()}:
				case <-l.done:
				}
			}
		})
		k, err := link.Connect(m, address, link.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			return nil, err
		}
		l.links = append(l.links, k)
	}
	return l, awaitAttached(ctx, address, n)
}

// heard waits until every replica has changed.
func (l *listeners) heard(ctx context.Context, began time.Time, to breaker.State) (took []time.Duration, err error) {
	late := time.After(20 * time.Second)
	for len(took) < len(l.managers) {
		select {
		case c := <-l.changes:
			if c.to == to {
				took = append(took, c.at.Sub(began))
			}
		case <-late:
			return nil, fmt.Errorf("%d of %d replicas have obeyed within 20 s", len(took), len(l.managers))
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return took, nil
}

func (l *listeners) close() {
	close(l.done)
	var all sync.WaitGroup
	for _, k := range l.links {
		all.Go(func() { _ = k.Close() })
	}
	all.Wait()
	for _, m := range l.managers {
		_ = m.Close()
	}
	l.wg.Wait()
}
