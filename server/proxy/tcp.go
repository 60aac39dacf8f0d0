package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	chunk       = 32 << 10
	dialTimeout = 5 * time.Second
)

func (p *Proxy) acceptTCP() {
	for {
		c, err := p.gate.Accept()
		if err != nil {
			return // only when the gate is closed
		}
		p.work.Go(func() { p.carry(c) })
	}
}

// carry passes one connection on, both ways, until it ends.
func (p *Proxy) carry(caller net.Conn) {
	n := p.truth.arrive("")
	effect := Passed
	defer func() { p.truth.end(n, effect, 0) }()
	defer caller.Close()

	if f, _ := p.now(); f.ResetPercent > 0 && p.draw() < f.ResetPercent/100 {
		effect = Reset
		reset(caller)
		return
	}
	if f, _ := p.now(); f.HalfOpen {
		effect = Hung
		p.swallow(caller)
		return
	}
	d := net.Dialer{Timeout: dialTimeout}
	target, err := d.DialContext(p.ctx, "tcp", p.target.Host)
	if err != nil {
		effect = Broken
		reset(caller)
		return
	}
	defer target.Close()

	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { // unblocks both pumps
		target.Close()
	})()
	half := p.halfOpens(ctx, target)
	var pumps sync.WaitGroup
	pumps.Go(func() {
		if p.pump(ctx, target, caller) != nil {
			cancel()
		}
	})
	pumps.Go(func() {
		if p.pump(ctx, caller, target) != nil {
			cancel()
			if !is(half) {
				caller.Close()
			}
		}
	})
	pumps.Wait()
	cancel()
	if is(half) {
		effect = Hung
		p.swallow(caller)
	}
}

// pump copies one direction. An orderly end is passed on as one, and is no error.
func (p *Proxy) pump(ctx context.Context, to, from net.Conn) error {
	b := make([]byte, chunk)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if err := p.forward(ctx, to, b[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return closeWrite(to)
		}
		if err != nil {
			return err
		}
	}
}

func (p *Proxy) forward(ctx context.Context, to net.Conn, b []byte) error {
	f, changed := p.now()
	for f.Hang {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			f, changed = p.now()
		}
	}
	if !wait(ctx, p.pause(f)) {
		return ctx.Err()
	}
	for f.Drip > 0 && len(b) > 0 {
		size, pause := drop(f.Drip)
		size = min(size, len(b))
		if _, err := to.Write(b[:size]); err != nil {
			return err
		}
		b = b[size:]
		if !wait(ctx, pause) {
			return ctx.Err()
		}
	}
	_, err := to.Write(b)
	return err
}

// swallow reads and forgets until the caller leaves or the proxy is closed, which
// resets the connection.
func (p *Proxy) swallow(caller net.Conn) {
	io.Copy(io.Discard, caller) //nolint:errcheck // how the caller leaves doesn't matter
}

// halfOpens closes the target's side once HalfOpen is set while ctx lives, and
// says so by closing the channel that it returns.
func (p *Proxy) halfOpens(ctx context.Context, target net.Conn) <-chan struct{} {
	happened := make(chan struct{})
	p.work.Go(func() {
		for {
			f, changed := p.now()
			if f.HalfOpen {
				close(happened)
				target.Close()
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	})
	return happened
}

func is(happened <-chan struct{}) bool {
	select {
	case <-happened:
		return true
	default:
		return false
	}
}
