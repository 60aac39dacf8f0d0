package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// ErrUsage marks what the one who starts a daemon must ask for differently.
var ErrUsage = errors.New("usage")

type usageError struct{ error }

func (usageError) Is(target error) bool { return target == ErrUsage }
func (e usageError) Unwrap() error      { return e.error }

// checkListen refuses what others could reach: a breaker manager is an off
// switch.
func checkListen(address string, dev bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return usageError{fmt.Errorf("listen on %q: want HOST:PORT, such as 127.0.0.1:7443", address)}
	}
	if host != "localhost" {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
			return usageError{fmt.Errorf("listen on %q: other machines could reach it and open circuits, which needs TLS and authentication; "+
				"this daemon has neither: listen on a loopback address, such as --dev --listen 127.0.0.1:7443", address)}
		}
	}
	if !dev {
		return usageError{errors.New("serve without --dev needs TLS and authentication, and this daemon has neither: " +
			"add --dev, which serves this machine alone and enforces directives at once")}
	}
	return nil
}

func listen(address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: the port is taken, maybe by another daemon: stop that one, or choose another port with --listen", address)
	case err != nil:
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}
