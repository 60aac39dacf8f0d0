// Package breakergrpc guards gRPC clients with a manager's breakers, and lets
// servers say that a failure is inherited from a service that they called.
//
// DialOptions is the default choice for clients, ServerOptions for servers. Both
// are safe for concurrent use; a call that is not permitted is not sent.
//
// The outcome of a unary call is known when it returns. That of a stream is known
// when it ends as grpc-go sees it: RecvMsg has returned io.EOF or an error (of a
// stream with one answer: that answer), or the context has ended. Until then a
// stream holds its permit and says nothing of the callee, however long it is
// open: it counts in maxConcurrentCalls, and as a probe it is given up after
// maxWaitDurationInHalfOpenState. Its latency is the time to its header.
package breakergrpc

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/internal/cause"
	"github.com/datapunk/switchgear/internal/outbound"
)

// Option is a rarer choice of DialOptions.
type Option func(*client)

// WithCallee names the callee of all calls, where the target does not.
func WithCallee(name string) Option { return func(c *client) { c.callee = name } }

// WithTrust says from which targets a mark is believed that a failure is
// inherited; the default is that of breakerhttp.WithTrust.
func WithTrust(trusts func(host string) bool) Option { return func(c *client) { c.trusts = trusts } }

// DialOptions guard all calls of a connection. The callee is named by the
// target's host; the route is the full method, and has a circuit of its own where
// a policy selects it.
//
// Where the target has several addresses calls go round those that take any, so
// that an instance which control has opened is left out before anything is sent.
// With one address, or another balancer in the service config, a faulty instance
// is found at most.
//
// Nothing is sent again by this package. A retry policy of the service config is
// within the guarded call: its last attempt is judged, as that attempt.
//
// They are several because grpc-go lets nobody else join options to one.
func DialOptions(m *switchgear.Manager, options ...Option) []grpc.DialOption {
	c := &client{manager: m, trusts: cause.Inside}
	for _, o := range options {
		o(c)
	}
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(c.unary),
		grpc.WithChainStreamInterceptor(c.stream),
		grpc.WithStatsHandler(watcher{}),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"` + balancerName + `":{}}]}`),
	}
}

type client struct {
	manager *switchgear.Manager
	callee  string
	trusts  func(host string) bool
}

func (c *client) key(target string) switchgear.Key {
	if c.callee != "" {
		return switchgear.Key{Callee: c.callee}
	}
	return c.manager.KeyOfHost(hostOf(target))
}

// hostOf gives the host of a target like dns:///payments:443 or passthrough:host.
func hostOf(target string) string {
	if scheme, rest, ok := strings.Cut(target, "://"); ok && scheme != "" {
		_, target, _ = strings.Cut(rest, "/")
	} else if rest, ok := strings.CutPrefix(target, "dns:"); ok {
		target = rest
	} else if rest, ok := strings.CutPrefix(target, "passthrough:"); ok {
		target = rest
	}
	return target
}

// sending is one call on its way, as its watcher sees it.
type sending struct {
	*outbound.Call
	stream   bool
	trusted  bool
	deadline time.Time
	ctx      func() error
	sent     atomic.Bool // an attempt has reached a connection
	answered atomic.Bool // the status is the server's word, not the client's
	tries    atomic.Uint32
	refused  atomic.Pointer[refusal]
}

// refusal is a pick that found no instance.
type refusal struct{ err error }

type sendingKey struct{}

func (c *client) begin(ctx context.Context, target, method string, stream bool) (context.Context, *sending, error) {
	key := c.key(target)
	b := c.manager.Breaker(key).Route(method)
	s := &sending{stream: stream, trusted: c.trusts(hostOf(target)), ctx: ctx.Err}
	s.deadline, _ = ctx.Deadline()
	var err error
	if s.Call, err = outbound.Begin(ctx, c.manager, b, method); err != nil {
		return nil, nil, rejection(b, err)
	}
	return context.WithValue(ctx, sendingKey{}, s), s, nil
}

// end judges the call by grpc's own error, and returns what its caller gets.
func (s *sending) end(err error) error {
	if r := s.refused.Load(); r != nil && err != nil && !s.sent.Load() {
		s.Refuse()
		return rejection(s.Breaker, r.err)
	}
	o, code, mark := s.judge(err)
	s.Done(err, int(code), o, mark)
	return err
}

func (c *client) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	ctx, s, err := c.begin(ctx, cc.Target(), method, false)
	if err != nil {
		return err
	}
	defer s.Release() // after a panic
	return s.end(invoke(ctx, method, req, reply, cc, opts...))
}

func (c *client) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, s, err := c.begin(ctx, cc.Target(), method, true)
	if err != nil {
		return nil, err
	}
	opened := false
	defer func() {
		if !opened {
			s.Release()
		}
	}()
	opts = append(opts[:len(opts):len(opts)], grpc.OnFinish(func(err error) { _ = s.end(err) }))
	cs, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, s.end(err)
	}
	opened = true
	return cs, nil
}
