package cli

import (
	"context"
	"errors"
	"fmt"
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
	server string
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
		return &client{apiv1connect.NewCircuitServiceClient(&http.Client{Transport: transport, Timeout: askTime}, u.Scheme+"://"+u.Host), at}, nil
	}
}

// explain gives an error of the API its exit code, and says what to do where the
// daemon was not reached.
func (c *client) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return withCode(exitInterrupted, ctx.Err())
	}
	text := err
	var e *connect.Error
	if errors.As(err, &e) && e.Unwrap() != nil {
		text = e.Unwrap() // without the code's name
	}
	switch connect.CodeOf(err) {
	case connect.CodeNotFound:
		return withCode(exitNotFound, text)
	case connect.CodeInvalidArgument:
		return withCode(exitInvalid, text)
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeUnknown, connect.CodeUnimplemented:
		return withCode(exitUnavailable, fmt.Errorf("no daemon answers at %s: %w\nStart one with 'switchgear serve --dev', or say where it is with --server URL or SWITCHGEAR_SERVER", c.server, text))
	}
	return fmt.Errorf("ask the daemon at %s: %w", c.server, text)
}
