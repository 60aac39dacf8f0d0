// Package app is the daemon: it sets up links, bus, owner and API in one
// straight line, runs them, and stops them in the reverse order.
//
// Evidence comes in by the gateway, goes over the bus to the owner, who steps
// control with it, and comes back over the bus as directives that the gateway
// hands to the replicas attached to it.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/link/gen/switchgear/link/v1/linkv1connect"
	"github.com/datapunk/switchgear/link/wire"
	"github.com/datapunk/switchgear/server/api"
	"github.com/datapunk/switchgear/server/bus"
	"github.com/datapunk/switchgear/server/policybook"
	"github.com/datapunk/switchgear/server/store"
)

// Config of a daemon.
type Config struct {
	// Listen is the one address for link, API, metrics and health: a loopback
	// address, since whoever reaches it can open circuits. Port 0 takes a free one.
	Listen string
	// Dev enforces directives at once and needs no credentials.
	Dev bool
	// Data is the directory for what is durable; it is made if missing, and belongs
	// to one daemon at a time.
	Data string
	// Record is a file that every input of control is written to, as JSON lines; ""
	// is none.
	Record string
	// Name of the daemon, the host's by default.
	Name string
	// StreamAge is how long a replica's stream lasts at most before it is ended, so
	// that replicas spread over daemons; the real age is between it and its half.
	// Default 20 minutes.
	StreamAge time.Duration
	// Bus is another daemon's, to share its server; nil opens one of its own, and
	// then there are no other daemons.
	Bus *bus.Bus
	// MaxOverride is how long overrides and pauses last at most: whoever forgets one
	// is corrected by its end. Default 24 h, at most 30 days.
	MaxOverride time.Duration
	// Checkable are the networks, as CIDR, in which active checks may be made.
	Checkable []string
	// Registry takes the metrics; default a new one.
	Registry *prometheus.Registry
	Log      *slog.Logger

	shows bool // for tests: directives are shown alone, as they are in production
}

// App is one daemon.
type App struct {
	cfg       Config
	log       *slog.Logger
	data      *dataDir
	listener  net.Listener
	bus       *bus.Bus
	gateway   *gateway
	owner     *owner
	store     *store.Store
	book      *book
	policies  *policybook.Book
	steward   *steward
	feed      *api.Feed
	described []byte // the API, as OpenAPI
	recorder  *recorder
	server    *http.Server
	unhear    []func() // stop the subscriptions
}

const (
	defaultStreamAge = 20 * time.Minute
	joinTime         = time.Second // others tell a daemon that is new of all that is not calm
	drainTime        = 3 * time.Second
	pingAfter        = 10 * time.Second
	pingWait         = 5 * time.Second
)

// New sets up a daemon that is ready to run: its address is taken and its data
// directory locked. On an error nothing is left behind.
func New(cfg Config) (_ *App, err error) {
	if err := checkListen(cfg.Listen, cfg.Dev); err != nil {
		return nil, err
	}
	if err := checkNetworks(cfg.Checkable); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.StreamAge == 0 {
		cfg.StreamAge = defaultStreamAge
	}
	if cfg.MaxOverride == 0 {
		cfg.MaxOverride = defaultMaxOverride
	}
	if cfg.MaxOverride < time.Second || cfg.MaxOverride > longestOverride {
		return nil, usageError{fmt.Errorf("longest override of %v: want 1s to %v", cfg.MaxOverride, longestOverride)}
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	if cfg.Name == "" {
		if cfg.Name, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("name of this host: %w", err)
		}
	}
	a := &App{cfg: cfg, log: cfg.Log}
	defer func() {
		if err != nil {
			a.release()
		}
	}()

	if a.listener, err = listen(cfg.Listen); err != nil {
		return nil, err
	}
	if a.data, err = openData(cfg.Data); err != nil {
		return nil, err
	}
	mind := control.Config{Daemon: cfg.Name, Incarnation: a.data.incarnation, Seed: rand.Uint64(), Enforce: cfg.Dev && !cfg.shows, Checkable: cfg.Checkable}
	if cfg.Bus != nil {
		mind.Join = joinTime
		a.bus, err = cfg.Bus.Share()
	} else {
		a.bus, err = bus.Open(filepath.Join(cfg.Data, "bus"), a.log)
	}
	if err != nil {
		return nil, err
	}
	if cfg.Record != "" {
		if a.recorder, err = openRecorder(cfg.Record, mind, a.log); err != nil {
			return nil, err
		}
	}
	m := newMetrics(cfg.Registry)
	a.gateway = newGateway(cfg.Name, cfg.StreamAge, a.bus, m, a.log)
	a.owner = newOwner(cfg.Name, control.New(mind), a.bus, a.recorder, m, a.log)
	a.owner.peers = cfg.Bus != nil
	m.observe(a.owner, a.gateway, a.bus, a.recorder)
	if a.store, err = openStore(a.bus, a.log); err != nil {
		return nil, err
	}
	a.book = newBook(a.store, a.owner.take, a.log)
	a.openPolicies()
	a.feed = api.NewFeed(a.owner.snapshot)
	m.words(a.book, a.feed)

	for _, subscribe := range []func() (func(), error){
		func() (func(), error) { return a.bus.SubscribeOrders(a.gateway.deliver) },
		func() (func(), error) { return a.bus.SubscribeEvidence(a.owner.hear) },
		func() (func(), error) { return a.bus.SubscribeOrders(a.owner.told) },
		func() (func(), error) { return a.bus.SubscribeMembers(a.owner.member) },
	} {
		stop, err := subscribe()
		if err != nil {
			return nil, err
		}
		a.unhear = append(a.unhear, stop)
	}
	if a.described, err = describeAPI(); err != nil {
		return nil, err
	}
	a.server = a.httpServer()
	return a, nil
}

// Address is where the daemon is reached, as host and port.
func (a *App) Address() string { return a.listener.Addr().String() }

// Run serves until ctx ends, then drains: replicas' streams end in good order,
// what is under way is answered, and everything that New took is given back. Call
// it once.
func (a *App) Run(ctx context.Context) error {
	a.owner.start()
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(a.listener) }()
	a.log.Info("switchgear serves", "address", a.Address(), "daemon", a.cfg.Name, "version", switchgear.Version,
		"incarnation", a.data.incarnation, "data", a.cfg.Data, "dev", a.cfg.Dev)
	var err error
	select {
	case <-ctx.Done():
		a.log.Info("switchgear drains", "replicas", a.gateway.attached())
	case err = <-served:
		err = fmt.Errorf("serve %s: %w", a.Address(), err)
	}
	a.gateway.drain()
	a.feed.Close()
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if a.server.Shutdown(deadline) != nil {
		_ = a.server.Close() // whoever did not end in time is cut off
	}
	if err == nil {
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = fmt.Errorf("serve %s: %w", a.Address(), e)
		}
	}
	a.gateway.wait()
	a.release()
	a.log.Info("switchgear has stopped")
	return err
}

// Close gives back what New took, for an App that is never run.
func (a *App) Close() { a.release() }

func (a *App) release() {
	for _, stop := range a.unhear {
		stop()
	}
	if a.owner != nil {
		a.owner.stop()
	}
	if a.steward != nil {
		a.steward.close()
		a.policies.Close()
	}
	if a.feed != nil {
		a.feed.Close()
	}
	if a.book != nil {
		a.book.close()
	}
	if a.store != nil {
		a.store.Close()
	}
	if a.recorder != nil {
		a.recorder.close()
	}
	if a.bus != nil {
		a.bus.Close()
	}
	if a.listener != nil {
		_ = a.listener.Close()
	}
	if a.data != nil {
		a.data.close()
	}
}

// httpServer serves link, API, metrics and health on one port, over HTTP/1.1 and
// over HTTP/2 without TLS. It has no write time-out: streams last for minutes,
// and a peer that has gone silent is noticed by pings.
func (a *App) httpServer() *http.Server {
	mux := http.NewServeMux()
	limits := []connect.HandlerOption{connect.WithReadMaxBytes(wire.MaxMessageBytes), connect.WithCompressMinBytes(1024)}
	path, attach := linkv1connect.NewLinkServiceHandler(a.gateway, limits...)
	mux.Handle(path, cuttable(attach))
	a.api(mux, append(limits, connect.WithInterceptors(api.Requests(a.log)))...)
	a.openAPI(mux)
	a.health(mux)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: unhurried(mux), Protocols: protocols, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 1000, SendPingTimeout: pingAfter, PingTimeout: pingWait, WriteByteTimeout: pingAfter + pingWait,
		},
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
}
