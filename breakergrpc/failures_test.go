package breakergrpc_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/breakergrpc"
	"github.com/datapunk/switchgear/internal/failures"
)

func TestFailuresHaveTheOutcomesOfTheTable(t *testing.T) {
	unary := func(ctx context.Context, conn *grpc.ClientConn) {
		_ = conn.Invoke(ctx, "/test.Peer/Call", new(emptypb.Empty), new(emptypb.Empty))
	}
	stream := func(ctx context.Context, conn *grpc.ClientConn) {
		s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/test.Peer/Stream")
		if err != nil {
			return
		}
		_ = s.SendMsg(new(emptypb.Empty))
		_ = s.CloseSend()
		for s.RecvMsg(new(emptypb.Empty)) == nil {
		}
	}
	for name, call := range map[string]func(context.Context, *grpc.ClientConn){"unary": unary, "stream": stream} {
		t.Run(name, func(t *testing.T) {
			failures.Run(t, failures.GRPC, func(ctx context.Context, t *testing.T, p *failures.Peer, judged func(breaker.Outcome)) {
				t.Helper()
				m, err := switchgear.New(switchgear.Config{Service: "web", Classify: func(r switchgear.Result) switchgear.Outcome {
					judged(r.Default)
					return r.Default
				}})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				conn, err := grpc.NewClient("passthrough:///"+p.Address, append(breakergrpc.DialOptions(m),
					grpc.WithTransportCredentials(insecure.NewCredentials()),
					grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return p.Dial(ctx, "tcp", address) }))...)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				call(ctx, conn)
			})
		})
	}
}
