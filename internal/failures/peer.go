package failures

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
)

// unknown is a name that the peer's resolver does not know.
const unknown = "callee.invalid.:80"

// Peer stands on loopback and fails in the way of a row.
type Peer struct {
	Address string // to call
	dialer  net.Dialer

	failure  Failure
	dialect  Dialect
	done     chan struct{}
	received chan struct{} // closed when a request is there
	once     sync.Once
	wg       sync.WaitGroup
}

// Serve starts a peer that ends with the test.
func (f Failure) Serve(t *testing.T, d Dialect) *Peer {
	t.Helper()
	p := &Peer{Address: unknown, failure: f, dialect: d, done: make(chan struct{}), received: make(chan struct{})}
	if f.way == unresolved {
		p.resolve(t)
		return p
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.Address = l.Addr().String()
	if f.way == refuses {
		_ = l.Close()
		return p
	}
	p.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		close(p.done)
		_ = l.Close()
		p.wg.Wait()
	})
	return p
}

// resolve makes the dialer ask a name server on loopback that knows no name.
func (p *Peer) resolve(t *testing.T) {
	t.Helper()
	server, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.wg.Go(func() {
		for b := make([]byte, 1500); ; {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			if n > 3 {
				b[2], b[3] = 0x81, 0x83 // an answer: no such name
			}
			_, _ = server.WriteTo(b[:n], from)
		}
	})
	t.Cleanup(func() {
		_ = server.Close()
		p.wg.Wait()
	})
	p.dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// Dial is how a client gets to the peer.
func (p *Peer) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return p.dialer.DialContext(ctx, network, address)
}

// Call makes a call as the row says, with its deadline or a cancellation once the
// request has arrived.
func (p *Peer) Call(ctx context.Context, call func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if p.failure.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, p.failure.Timeout)
		defer cancel()
	}
	if p.failure.Cancel {
		var wg sync.WaitGroup
		defer wg.Wait()
		stop := make(chan struct{})
		defer close(stop)
		wg.Go(func() {
			select {
			case <-p.received:
				cancel()
			case <-stop:
			}
		})
	}
	call(ctx)
}

func (p *Peer) serve(conn net.Conn) {
	defer conn.Close()
	var stream uint32
	var err error
	if p.dialect == HTTP1 {
		_, err = http.ReadRequest(bufio.NewReader(conn))
	} else {
		stream, err = request(conn)
	}
	if err != nil {
		return
	}
	p.once.Do(func() { close(p.received) })
	for _, piece := range p.reply(stream) {
		if _, err = conn.Write(piece); err != nil {
			return
		}
	}
	switch p.failure.way {
	case resetsInHeader, resetsInBody:
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	case resetsStream, goesAway:
		if p.dialect == HTTP1 || p.failure.way == goesAway {
			return
		}
		<-p.done
	default:
		<-p.done
	}
}

// reply is what is written before the peer breaks, or waits.
func (p *Peer) reply(stream uint32) [][]byte {
	if p.dialect == HTTP1 {
		return p.http1()
	}
	header, last := p.header()
	switch p.failure.way {
	case answers:
		pieces := [][]byte{frame(frameHeaders, flagEndHeaders, stream, fields(header...))}
		if p.dialect == HTTP2 {
			return append(pieces, frame(frameData, flagEndStream, stream, []byte("body")))
		}
		return append(pieces,
			frame(frameData, 0, stream, make([]byte, 5)), // an empty message
			frame(frameHeaders, flagEndHeaders|flagEndStream, stream, fields(last...)))
	case bare:
		return [][]byte{frame(frameHeaders, flagEndHeaders|flagEndStream, stream, fields(append(header, last...)...))}
	case resetsInBody:
		body := []byte("some")
		if p.dialect == GRPC {
			body = []byte{0, 0, 0, 0, 100}
		}
		return [][]byte{frame(frameHeaders, flagEndHeaders, stream, fields(header...)), frame(frameData, 0, stream, body)}
	case resetsStream:
		return [][]byte{frame(frameReset, 0, stream, []byte{0, 0, 0, 2})} // INTERNAL_ERROR
	case goesAway:
		return [][]byte{frame(frameGoAway, 0, 0, []byte{0, 0, 0, byte(stream), 0, 0, 0, 2})}
	}
	return nil
}

// header and trailer of an answer in HTTP/2 and gRPC.
func (p *Peer) header() (header, trailer []string) {
	f := p.failure
	if p.dialect == HTTP2 {
		header = []string{":status", strconv.Itoa(f.status)}
		if f.after > 0 {
			header = append(header, "retry-after", strconv.Itoa(f.after))
		}
		return header, nil
	}
	trailer = []string{"grpc-status", strconv.Itoa(f.code)}
	if f.after > 0 {
		trailer = append(trailer, "grpc-status-details-bin", base64.RawStdEncoding.EncodeToString(details(f.code, f.after)))
	}
	return []string{":status", "200", "content-type", "application/grpc"}, trailer
}

// details is a google.rpc.Status with a google.rpc.RetryInfo, in protobuf.
func details(code, seconds int) []byte {
	field := func(n byte, b []byte) []byte { return append([]byte{n<<3 | 2, byte(len(b))}, b...) }
	retry := field(1, []byte{1 << 3, byte(seconds)})
	anything := append(field(1, []byte("type.googleapis.com/google.rpc.RetryInfo")), field(2, retry)...)
	return append([]byte{1 << 3, byte(code)}, field(3, anything)...)
}

func (p *Peer) http1() [][]byte {
	f := p.failure
	after := ""
	if f.after > 0 {
		after = fmt.Sprintf("Retry-After: %d\r\n", f.after)
	}
	head := func(length int) []byte {
		return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\n\r\n", f.status, http.StatusText(f.status), after, length)
	}
	switch f.way {
	case answers:
		return [][]byte{append(head(4), "body"...)}
	case bare:
		return [][]byte{head(0)}
	case resetsInBody:
		return [][]byte{append(head(100), "some"...)}
	}
	return nil
}
