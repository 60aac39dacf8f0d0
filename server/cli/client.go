package cli

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/datapunk/switchgear/server/gen/switchgear/api/v1/apiv1connect"
)

const (
	defaultServer = "http://127.0.0.1:7443"
	askTime       = 10 * time.Second
)

// client asks one daemon.
type client struct {
	apiv1connect.CircuitServiceClient
	fleet     apiv1connect.FleetServiceClient
	overrides apiv1connect.OverrideServiceClient
	policies  apiv1connect.PolicyServiceClient
	server    string
}

// serverOption adds --server; the daemon is asked at what it, the environment or
// the default says.
func serverOption(cmd *cobra.Command) (connectTo func() (*client, error)) {
	server := cmd.Flags().String("server", "", "`URL` of the daemon (default $SWITCHGEAR_SERVER, else "+defaultServer+")")
	return func() (*client, error) {
		at, from := *server, "--server"
		if at == "" {
			at, from = os.Getenv("SWITCHGEAR_SERVER"), "SWITCHGEAR_SERVER"
		}
		if at == "" {
			at = defaultServer
		}
		u, err := url.Parse(at)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return nil, usagef(cmd, "%s is not the URL of a daemon: want one such as %s", from, defaultServer)
		}
		transport := &http.Transport{DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext, ForceAttemptHTTP2: true}
		h, base, bounded := &http.Client{Transport: transport}, u.Scheme+"://"+u.Host, connect.WithInterceptors(connect.UnaryInterceptorFunc(inTime))
		return &client{
			apiv1connect.NewCircuitServiceClient(h, base, bounded),
			apiv1connect.NewFleetServiceClient(h, base, bounded),
			apiv1connect.NewOverrideServiceClient(h, base, bounded),
			apiv1connect.NewPolicyServiceClient(h, base, bounded), at,
		}, nil
	}
}

// inTime bounds a question; a stream lasts.
func inTime(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, q connect.AnyRequest) (connect.AnyResponse, error) {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		return next(ctx, q)
	}
}
