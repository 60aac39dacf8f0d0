package proxy

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// gate is a listener that can be shut, so that connecting is refused by the
// kernel, and opened again at the same address; it knows its connections.
type gate struct {
	address string

	mu     sync.Mutex
	inner  net.Listener // nil while shut
	opened chan struct{}
	closed bool
	conns  map[*gateConn]struct{}
}

func newGate(address string) (*gate, error) {
	inner, err := listen(address)
	if err != nil {
		return nil, err
	}
	return &gate{
		address: inner.Addr().String(), inner: inner,
		opened: make(chan struct{}), conns: map[*gateConn]struct{}{},
	}, nil
}

func listen(address string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(context.Background(), "tcp", address)
}

// Accept waits while the gate is shut.
func (g *gate) Accept() (net.Conn, error) {
	for {
		g.mu.Lock()
		inner, opened, closed := g.inner, g.opened, g.closed
		g.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		if inner == nil {
			<-opened
			continue
		}
		c, err := inner.Accept()
		g.mu.Lock()
		if err != nil {
			same := g.inner == inner && !g.closed
			g.mu.Unlock()
			if same {
				return nil, err
			}
			continue // shut or closed meanwhile
		}
		if g.inner != inner {
			g.mu.Unlock()
			reset(c)
			continue
		}
		gc := &gateConn{Conn: c, gate: g}
		g.conns[gc] = struct{}{}
		g.mu.Unlock()
		return gc, nil
	}
}

// shut refuses new connections and resets those that there are.
func (g *gate) shut() {
	g.mu.Lock()
	inner := g.inner
	g.inner = nil
	g.mu.Unlock()
	if inner != nil {
		inner.Close()
	}
	g.resetAll(func() bool { return true })
}

// open listens again at the same address.
func (g *gate) open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inner != nil || g.closed {
		return nil
	}
	inner, err := listen(g.address)
	if err != nil {
		return fmt.Errorf("listen again: %w", err)
	}
	g.inner = inner
	close(g.opened)
	g.opened = make(chan struct{})
	return nil
}

// resetAll resets the connections that draw it.
func (g *gate) resetAll(draw func() bool) {
	g.mu.Lock()
	var hit []*gateConn
	for c := range g.conns {
		if draw() {
			hit = append(hit, c)
		}
	}
	g.mu.Unlock()
	for _, c := range hit {
		reset(c)
	}
}

// Close ends the gate for good. Its connections are left to their owner.
func (g *gate) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	close(g.opened)
	if g.inner == nil {
		return nil
	}
	inner := g.inner
	g.inner = nil
	return inner.Close()
}

// Addr is the address that the gate was first opened at.
func (g *gate) Addr() net.Addr { return gateAddr(g.address) }

type gateAddr string

func (gateAddr) Network() string  { return "tcp" }
func (a gateAddr) String() string { return string(a) }

// gateConn leaves its gate's list when it is closed.
type gateConn struct {
	net.Conn
	gate *gate
}

func (c *gateConn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.conns, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite half-closes, so that a TCP proxy can pass an end of stream on.
func (c *gateConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// reset closes with a TCP reset instead of an orderly end.
func reset(c net.Conn) {
	raw := c
	if gc, ok := c.(*gateConn); ok {
		raw = gc.Conn
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		tcp.SetLinger(0) //nolint:errcheck // a connection that is gone needs no reset
	}
	c.Close()
}
