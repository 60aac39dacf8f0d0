// Quickstart calls a URL twenty times a second through a protected http.Client,
// and prints what becomes of the calls.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breakerhttp"
	"github.com/datapunk/switchgear/link"
)

func main() {
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: quickstart URL\nSWITCHGEAR_SERVER in the environment names a daemon, such as http://127.0.0.1:7443.")
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, flag.Arg(0), os.Getenv("SWITCHGEAR_SERVER")); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, url, daemon string) error {
	// These lines protect a client.
	m, err := switchgear.New(switchgear.Config{Service: "quickstart"})
	if err != nil {
		return err
	}
	defer m.Close()
	client := &http.Client{Transport: breakerhttp.Transport(m, nil), Timeout: time.Second}

	// These attach it to a daemon: all replicas of this program then learn together.
	if daemon != "" {
		l, err := link.Connect(m, daemon)
		if err != nil {
			return err
		}
		defer l.Close()
	}

	return use(ctx, out, client, url)
}

// use calls until ctx ends, and prints a line each second.
func use(ctx context.Context, out io.Writer, client *http.Client, url string) error {
	each := time.NewTicker(50 * time.Millisecond)
	defer each.Stop()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	var answered, failed, rejected int
	why := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-second.C:
			fmt.Fprintf(out, "%2d answered  %2d failed  %2d not sent  %s\n", answered, failed, rejected, why)
			answered, failed, rejected, why = 0, 0, 0, ""
		case <-each.C:
			status, err := get(ctx, client, url)
			np, ok := errors.AsType[*switchgear.NotPermittedError](err)
			switch {
			case ok:
				rejected++
				why = np.Error()
			case err != nil || status >= 500:
				failed++
			default:
				answered++
			}
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
