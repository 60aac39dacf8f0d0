// Package link adds a daemon's word to a switchgear.Manager: it attaches the
// process to the fleet by one stream, which carries reports one way and
// directives the other.
//
// No call of the program ever waits for a link. Without one, or while it is
// lost, the manager's breakers decide by themselves with the settings they have;
// what the fleet last said stands until its time to live ends.
package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/link/gen/switchgear/link/v1/linkv1connect"
	"github.com/datapunk/switchgear/link/wire"
)

// Link is one manager's attachment to a daemon. It is safe for concurrent use.
type Link struct {
	port      fleet.Port
	address   string
	client    linkv1connect.LinkServiceClient
	transport *http.Transport
	options   options
	rng       *rand.Rand // of run's goroutine
	untold    uint64     // circuit reports that were lost since the last report; of run's goroutine
	counts    counts

	finish context.CancelCauseFunc // tells run to say the last word and end
	cut    context.CancelFunc      // ends the stream where it stands
	done   chan struct{}
	once   sync.Once
}

// Option changes how a link is made.
type Option interface{ apply(*options) }

type option func(*options)

func (f option) apply(o *options) { f(o) }

type options struct {
	tls                 *tls.Config
	log                 *slog.Logger
	minWait, maxWait    time.Duration
	pingAfter, pingWait time.Duration
}

// WithTLSConfig is what an https link trusts and shows; by default the system's
// certificate authorities, and no client certificate.
func WithTLSConfig(c *tls.Config) Option {
	return option(func(o *options) { o.tls = c })
}

// WithLogger is told when directives can't be read, once per stream; by default
// slog.Default(). The manager itself logs whether the link is up.
func WithLogger(l *slog.Logger) Option {
	return option(func(o *options) { o.log = l })
}

const (
	// A daemon's restart brings all its replicas back: full jitter up to these
	// spreads them, and the greatest keeps a return under the demo's patience.
	minWait = 100 * time.Millisecond
	maxWait = 3 * time.Second
	// A stream that stood so long starts over with short waits.
	steady = 10 * time.Second
	// How long a daemon may take to say welcome.
	patience = 10 * time.Second
	// How long Close waits for the last report to be taken.
	farewell = time.Second
	// How long a stream on which sending failed may take to say why.
	linger = 100 * time.Millisecond
	// A silent stream is asked after pingAfter whether it lives, and given up
	// after pingWait: a half-open connection is noticed within both.
	pingAfter = 10 * time.Second
	pingWait  = 5 * time.Second
)

// Connect attaches m to the daemon at address, an URL such as
// https://switchgear.ops:7443, or http://127.0.0.1:7443: without TLS only
// loopback addresses are accepted. It returns at once, with an error only where
// the address can't be one; the link goes on trying until Close.
func Connect(m *switchgear.Manager, address string, opts ...Option) (*Link, error) {
	return attach(m.Port(), address, opts...)
}

func attach(port fleet.Port, address string, opts ...Option) (*Link, error) {
	o := options{log: slog.Default(), minWait: minWait, maxWait: maxWait, pingAfter: pingAfter, pingWait: pingWait}
	for _, opt := range opts {
		opt.apply(&o)
	}
	base, err := parse(address)
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(base.Scheme == "https")
	protocols.SetUnencryptedHTTP2(base.Scheme == "http")
	transport := &http.Transport{
		Protocols:           protocols,
		TLSClientConfig:     o.tls.Clone(),
		TLSHandshakeTimeout: 5 * time.Second,
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: o.pingAfter, PingTimeout: o.pingWait, WriteByteTimeout: o.pingAfter + o.pingWait},
	}
	l := &Link{
		port: port, address: base.String(), transport: transport, options: o,
		client: linkv1connect.NewLinkServiceClient(&http.Client{Transport: transport}, base.String(),
			connect.WithReadMaxBytes(wire.MaxMessageBytes), connect.WithSendMaxBytes(wire.MaxMessageBytes)),
		rng:  rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		done: make(chan struct{}),
	}
	hard, cut := context.WithCancel(context.Background())
	closing, finish := context.WithCancelCause(context.Background())
	l.cut, l.finish = cut, finish
	go func() {
		defer close(l.done)
		l.run(hard, closing)
	}()
	return l, nil
}

// Close sends what the manager has gathered, gives its leases back and ends the
// link; it takes at most a second or so. Close it before its manager.
func (l *Link) Close() error {
	l.once.Do(func() {
		l.finish(fleet.ErrClosing)
		timer := time.AfterFunc(farewell, l.cut)
		<-l.done
		timer.Stop()
		l.cut()
		l.transport.CloseIdleConnections()
	})
	return nil
}

func parse(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	bad := func(why string) error { return fmt.Errorf("link to %q: %s", address, why) }
	switch {
	case u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, bad("want an URL such as https://switchgear.ops:7443 or http://127.0.0.1:7443")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, bad("want nothing after the port")
	case u.User != nil:
		return nil, fmt.Errorf("link to %s: want no user in the URL", u.Host)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, bad("without TLS only loopback addresses are accepted; use https")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

var (
	errEnded  = errors.New("the daemon ended the stream")
	errSilent = fmt.Errorf("no welcome within %v", patience)
)
