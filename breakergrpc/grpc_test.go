package breakergrpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/breakergrpc"
)

func manager(t *testing.T, service string, options ...switchgear.Option) *switchgear.Manager {
	t.Helper()
	m, err := switchgear.New(switchgear.Config{Service: service}, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// serve runs a server whose every method and stream does what handle does; a
// stream answers once before. It returns the address.
func serve(t *testing.T, handle func(context.Context) error, options ...grpc.ServerOption) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(options...)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.Peer",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Call", Handler: func(srv any, ctx context.Context, decode func(any) error, through grpc.UnaryServerInterceptor) (any, error) {
			in := new(emptypb.Empty)
			if err := decode(in); err != nil {
				return nil, err
			}
			do := func(ctx context.Context, _ any) (any, error) { return new(emptypb.Empty), handle(ctx) }
			if through == nil {
				return do(ctx, in)
			}
			return through(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/test.Peer/Call"}, do)
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Stream", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			if err := s.RecvMsg(new(emptypb.Empty)); err != nil {
				return err
			}
			if err := s.SendMsg(new(emptypb.Empty)); err != nil {
				return err
			}
			return handle(s.Context())
		}}},
	}, nil)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() {
		s.Stop()
		wg.Wait()
	})
	return l.Addr().String()
}

func connect(t *testing.T, target string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(target, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func call(ctx context.Context, conn *grpc.ClientConn) error {
	return conn.Invoke(ctx, "/test.Peer/Call", new(emptypb.Empty), new(emptypb.Empty))
}

func open(ctx context.Context, conn *grpc.ClientConn) (grpc.ClientStream, error) {
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/test.Peer/Stream")
	if err != nil {
		return nil, err
	}
	if err := s.SendMsg(new(emptypb.Empty)); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := s.CloseSend(); err != nil {
		return nil, err
	}
	return s, s.RecvMsg(new(emptypb.Empty))
}

// stream reads one to its end.
func stream(ctx context.Context, conn *grpc.ClientConn) error {
	s, err := open(ctx, conn)
	for err == nil {
		err = s.RecvMsg(new(emptypb.Empty))
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func counts(m *switchgear.Manager, callee string) breaker.Counts {
	return m.Breaker(switchgear.Key{Callee: callee}).Circuit().Breaker.Counts()
}

func TestFailureBelowIsInherited(t *testing.T) {
	for name, do := range map[string]func(context.Context, *grpc.ClientConn) error{"unary": call, "stream": stream} {
		t.Run(name, func(t *testing.T) {
			payments := serve(t, func(context.Context) error { return status.Error(codes.Internal, "ill") })
			mid := manager(t, "checkout")
			toPayments := connect(t, payments, breakergrpc.DialOptions(mid, breakergrpc.WithCallee("payments"))...)
			checkout := serve(t, func(ctx context.Context) error { return call(ctx, toPayments) }, breakergrpc.ServerOptions(mid)...)
			top := manager(t, "web")
			toCheckout := connect(t, checkout, breakergrpc.DialOptions(top, breakergrpc.WithCallee("checkout"))...)
			for range 60 {
				if err := do(t.Context(), toCheckout); err == nil {
					t.Fatal("no error")
				}
			}
			if s := mid.Breaker(switchgear.Key{Callee: "payments"}).State(); s != switchgear.Open {
				t.Errorf("checkout → payments is %v: want open", s)
			}
			edge := top.Breaker(switchgear.Key{Callee: "checkout"})
			if n := counts(top, "checkout"); edge.State() != switchgear.Closed || n.Inherited != 60 || n.Failed != 0 {
				t.Errorf("web → checkout is %v, %d inherited, %d failed: want closed, 60, 0", edge.State(), n.Inherited, n.Failed)
			}
		})
	}
}

func TestARejectionIsAnErrorAndAStatus(t *testing.T) {
	m := manager(t, "web")
	conn := connect(t, "127.0.0.1:1", breakergrpc.DialOptions(m, breakergrpc.WithCallee("payments"))...)
	m.Breaker(switchgear.Key{Callee: "payments"}).Circuit().Breaker.SetMode(breaker.ForcedOpen, "test")
	for name, do := range map[string]func(context.Context, *grpc.ClientConn) error{"unary": call, "stream": stream} {
		err := do(t.Context(), conn)
		if np, ok := errors.AsType[*switchgear.NotPermittedError](err); !ok || np.Key.Callee != "payments" {
			t.Fatalf("%s: %v: want a NotPermittedError", name, err)
		}
		st, ok := status.FromError(err)
		if !ok || st.Code() != codes.Unavailable || len(st.Details()) != 1 {
			t.Fatalf("%s: status %v: want Unavailable with one detail", name, st)
		}
		info, _ := st.Details()[0].(*errdetails.ErrorInfo)
		if md := info.GetMetadata(); info.GetReason() != "NOT_PERMITTED" || md["circuit"] != "default/web..default/payments" || md["reason"] != "forced" || md["state"] == "" {
			t.Errorf("%s: detail %v", name, info)
		}
	}
}

func TestInstancesAreChosenEvenlyAndLeftOutWhenOpen(t *testing.T) {
	var hits [3]atomic.Int64
	var addresses []string
	var list []resolver.Address
	for i := range hits {
		addresses = append(addresses, serve(t, func(context.Context) error { hits[i].Add(1); return nil }))
		list = append(list, resolver.Address{Addr: addresses[i]})
	}
	r := manual.NewBuilderWithScheme("test")
	r.InitialState(resolver.State{Addresses: list})
	m := manager(t, "search")
	conn := connect(t, "test:///catalog", append(breakergrpc.DialOptions(m), grpc.WithResolvers(r))...)
	for ready := false; !ready; { // connections come up one by one
		if err := call(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		ready = hits[0].Load() > 0 && hits[1].Load() > 0 && hits[2].Load() > 0
	}
	count := func(calls int) (got [3]int64) {
		var before [3]int64
		for i := range hits {
			before[i] = hits[i].Load()
		}
		for range calls {
			if err := call(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
		}
		for i := range hits {
			got[i] = hits[i].Load() - before[i]
		}
		return got
	}
	if got := count(30); got != [3]int64{10, 10, 10} {
		t.Errorf("calls by instance %v: want 10 each", got)
	}
	circuit := m.Breaker(switchgear.Key{Callee: "catalog"}).Circuit()
	circuit.Instance(addresses[1]).Direct(breaker.Direction{State: breaker.Open, Generation: 1, Until: time.Hour})
	if got := count(30); got[1] != 0 || got[0]+got[2] != 30 || got[0] < 10 || got[2] < 10 {
		t.Errorf("calls by instance %v: want none to the open one", got)
	}
	for _, a := range addresses {
		circuit.Instance(a).Direct(breaker.Direction{State: breaker.Open, Generation: 2, Until: time.Hour})
	}
	err := call(t.Context(), conn)
	if np, ok := errors.AsType[*switchgear.NotPermittedError](err); !ok || np.Instance == "" || status.Code(err) != codes.Unavailable {
		t.Errorf("with every instance open: %v: want a rejection that names one", err)
	}
	if n := circuit.Breaker.Counts(); n.Failed != 0 {
		t.Errorf("%d failures counted: an own rejection is none", n.Failed)
	}
}

func TestAStreamIsJudgedWhenItEnds(t *testing.T) {
	leave := make(chan struct{})
	address := serve(t, func(ctx context.Context) error {
		select {
		case <-leave:
			return status.Error(codes.Internal, "at last")
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	m := manager(t, "web")
	conn := connect(t, address, breakergrpc.DialOptions(m, breakergrpc.WithCallee("feed"))...)
	ctx, cancel := context.WithCancel(t.Context())
	given, err := open(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := open(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if n := counts(m, "feed"); n.Succeeded+n.Failed+n.Ignored != 0 {
		t.Errorf("counted while the streams are open: %+v", n)
	}
	cancel()
	if err := given.RecvMsg(new(emptypb.Empty)); status.Code(err) != codes.Canceled {
		t.Errorf("the stream given up: %v", err)
	}
	if n := counts(m, "feed"); n.Ignored != 1 || n.Kinds[breaker.Canceled] != 1 {
		t.Errorf("the stream given up was counted as %+v: want ignored, canceled", n)
	}
	close(leave)
	if err := kept.RecvMsg(new(emptypb.Empty)); status.Code(err) != codes.Internal {
		t.Errorf("the stream that failed: %v", err)
	}
	if n := counts(m, "feed"); n.Failed != 1 || n.Kinds[breaker.ServerError] != 1 {
		t.Errorf("the stream that failed was counted as %+v: want one server_error", n)
	}
}

func TestARetryIsKnownAsOne(t *testing.T) {
	var calls atomic.Int64
	address := serve(t, func(context.Context) error {
		if calls.Add(1) == 1 {
			return status.Error(codes.Unavailable, "not yet")
		}
		return nil
	})
	var attempts []uint8
	m, err := switchgear.New(switchgear.Config{Service: "web", Classify: func(r switchgear.Result) switchgear.Outcome {
		attempts = append(attempts, r.Default.Attempt)
		return r.Default
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	conn := connect(t, address, append(breakergrpc.DialOptions(m), grpc.WithDefaultServiceConfig(`{
		"loadBalancingConfig": [{"switchgear_round_robin": {}}],
		"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]
	}`))...)
	for _, ctx := range []context.Context{t.Context(), t.Context(), switchgear.WithAttempt(t.Context(), 3), metadata.AppendToOutgoingContext(t.Context(), "grpc-previous-rpc-attempts", "4")} {
		if err := call(ctx, conn); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(attempts, []uint8{2, 0, 3, 5}) {
		t.Errorf("attempts %v: want 2 after grpc's retry, 0 where nobody says, 3 and 5 as context and metadata say", attempts)
	}
}

func TestAServerShedsAboveItsLimit(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	address := serve(t, func(context.Context) error {
		entered <- struct{}{}
		<-leave
		return nil
	}, breakergrpc.ServerOptions(manager(t, "checkout"), breakergrpc.WithMaxConcurrentCalls(1))...)
	m := manager(t, "web")
	conn := connect(t, address, breakergrpc.DialOptions(m, breakergrpc.WithCallee("checkout"))...)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := call(t.Context(), conn); err != nil {
			t.Errorf("the first call: %v", err)
		}
	})
	<-entered
	if err := call(t.Context(), conn); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("above the limit: %v", err)
	}
	close(leave)
	wg.Wait()
	if n := counts(m, "checkout"); n.Kinds[breaker.RateLimited] != 1 || n.Succeeded != 1 {
		t.Errorf("counted %+v: want one success and one rate_limited", n)
	}
}

func TestAPeerCannotHideItsFailuresBehindAMark(t *testing.T) {
	for name, c := range map[string]struct {
		origin, hops string
		options      []breakergrpc.Option
		code         codes.Code
		inherited    uint64
	}{
		"from the own network":             {origin: "a..b", hops: "1", code: codes.Internal, inherited: 1},
		"from a host that is not believed": {origin: "a..b", hops: "1", code: codes.Internal, options: []breakergrpc.Option{breakergrpc.WithTrust(func(string) bool { return false })}},
		"many hops":                        {origin: "a..b", hops: "17", code: codes.Internal},
		"an origin that is no circuit":     {origin: "anything", hops: "1", code: codes.Internal},
		"a huge mark":                      {origin: "a.." + strings.Repeat("b", 3000), hops: "1", code: codes.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, func(context.Context) error {
				st, err := status.New(c.code, "ill").WithDetails(&errdetails.ErrorInfo{Domain: "switchgear", Reason: "INHERITED", Metadata: map[string]string{"origin": c.origin, "hops": c.hops}})
				if err != nil {
					return err
				}
				return st.Err()
			})
			m := manager(t, "web")
			conn := connect(t, address, breakergrpc.DialOptions(m, append(c.options, breakergrpc.WithCallee("callee"))...)...)
			_ = call(t.Context(), conn)
			if n := counts(m, "callee"); n.Inherited != c.inherited || n.Failed != 1-c.inherited {
				t.Errorf("%d inherited, %d failed: want %d, %d", n.Inherited, n.Failed, c.inherited, 1-c.inherited)
			}
		})
	}
}

// TestAServerDoesNotPassOnAMarkThatItDoesNotKnow answers with a callee's own
// status, mark and all, though no guarded call failed.
func TestAServerDoesNotPassOnAMarkThatItDoesNotKnow(t *testing.T) {
	address := serve(t, func(context.Context) error {
		st, err := status.New(codes.Internal, "ill").WithDetails(
			&errdetails.ErrorInfo{Domain: "switchgear", Reason: "INHERITED", Metadata: map[string]string{"origin": "a..b", "hops": "1"}},
			&errdetails.RequestInfo{RequestId: "7"})
		if err != nil {
			return err
		}
		return st.Err()
	}, breakergrpc.ServerOptions(manager(t, "checkout"))...)
	m := manager(t, "web")
	conn := connect(t, address, breakergrpc.DialOptions(m, breakergrpc.WithCallee("checkout"))...)
	st := status.Convert(call(t.Context(), conn))
	if n := counts(m, "checkout"); n.Failed != 1 {
		t.Errorf("counted %+v: want one failure", n)
	}
	if len(st.Details()) != 1 {
		t.Errorf("details %v: want the request's id alone", st.Details())
	}
}
