// HTTP calls a server on loopback through a guarded client, until the server has
// failed so often that calls are no longer sent.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breakerhttp"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "http:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		return err
	}
	defer m.Close()

	// The server's half: a failure that comes from further below says so.
	server := httptest.NewServer(breakerhttp.Handler(m, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "ill", http.StatusInternalServerError)
	})))
	defer server.Close()

	// The client's half.
	client := &http.Client{Transport: breakerhttp.Transport(m, nil, breakerhttp.WithCallee("payments"))}
	for sent := 0; ; sent++ {
		req, err := http.NewRequestWithContext(breakerhttp.WithRoute(ctx, "/pay"), http.MethodGet, server.URL, nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if errors.Is(err, switchgear.ErrNotPermitted) {
			fmt.Fprintf(out, "%d calls failed, the next was not sent\n", sent)
			return nil
		}
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
}
