// Grpc asks a health service on loopback through a guarded connection, until the
// server has failed so often that calls are no longer sent.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breakergrpc"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "grpc:", err)
		os.Exit(1)
	}
}

// ill is a health service that fails.
type ill struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (ill) Check(context.Context, *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return nil, status.Error(codes.Internal, "ill")
}

func run(ctx context.Context, out io.Writer) error {
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		return err
	}
	defer m.Close()

	// The server's half: a failure that comes from further below says so.
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer(breakergrpc.ServerOptions(m)...)
	grpc_health_v1.RegisterHealthServer(server, ill{})
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(l) })
	defer wg.Wait()
	defer server.Stop()

	// The client's half.
	conn, err := grpc.NewClient(l.Addr().String(), append(breakergrpc.DialOptions(m, breakergrpc.WithCallee("payments")),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return err
	}
	defer conn.Close()
	payments := grpc_health_v1.NewHealthClient(conn)
	for sent := 0; ; sent++ {
		_, err := payments.Check(ctx, new(grpc_health_v1.HealthCheckRequest))
		if errors.Is(err, switchgear.ErrNotPermitted) {
			fmt.Fprintf(out, "%d calls failed, the next was not sent: %s\n", sent, status.Code(err))
			return nil
		}
		if status.Code(err) != codes.Internal {
			return err
		}
	}
}
