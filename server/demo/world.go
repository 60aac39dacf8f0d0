package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/datapunk/switchgear/policy"
	"github.com/datapunk/switchgear/server/process"
	"github.com/datapunk/switchgear/server/proxy"
)

// What the demo's circuits run on: explicit thresholds, so that each figure can
// be checked by hand.
const (
	minimumCalls  = 20
	openAtPercent = 50
	probeCalls    = 3
	window        = 10 * time.Second
	probeWait     = time.Second
)

func settings() policy.Settings {
	var s policy.Settings
	s.Breaker.MinimumNumberOfCalls = minimumCalls
	s.Breaker.FailureRateThreshold = openAtPercent
	s.Breaker.PermittedNumberOfCallsInHalfOpenState = probeCalls
	s.Breaker.WindowDuration = window
	s.Breaker.Wait.Base = probeWait
	return s.WithDefaults()
}

// tier is one service of the demo. Callees come before callers.
type tier struct {
	service  string
	replicas int
	proxied  bool // a fault proxy stands before each instance
	calls    map[string]string
	timeout  time.Duration
}

var tiers = []tier{
	{service: "db", replicas: 2},
	{service: "payments", replicas: 3, proxied: true, calls: map[string]string{"": "db"}, timeout: 500 * time.Millisecond},
	{service: "catalog", replicas: 4, proxied: true, calls: map[string]string{"": "db"}, timeout: 500 * time.Millisecond},
	{service: "checkout", replicas: 4, calls: map[string]string{"": "payments"}, timeout: time.Second},
	{service: "search", replicas: 2, calls: map[string]string{"": "catalog"}, timeout: time.Second},
	{service: "web", replicas: 2, calls: map[string]string{buyPath: "checkout", findPath: "search"}, timeout: 2 * time.Second},
}

func replicasOf(service string) []string {
	i := slices.IndexFunc(tiers, func(t tier) bool { return t.service == service })
	var names []string
	for n := range tiers[i].replicas {
		names = append(names, fmt.Sprintf("%s-%d", service, n+1))
	}
	return names
}

// world is all that runs: the processes, the fault proxies between them and the
// load. Its methods are for one goroutine, but for slowTimes, seen by the screen.
type world struct {
	config  Config
	origin  time.Time
	folder  string // of temporary files
	nursery *process.Nursery
	fail    context.CancelCauseFunc

	children  []*process.Child    // without the daemon
	own       map[string]string   // replica → its own address
	addresses map[string][]string // service → where its callers reach it
	proxies   map[string]*proxy.Proxy
	names     map[string]string // address → replica
	load      *load
	stopLoad  func()

	address string // of the daemon; empty without one
	daemon  *process.Child

	sick []sickness

	mu   sync.Mutex
	dead []span // when no daemon lived
}

// Events of a fault proxy that are kept: the last half hour of the demo's load.
const proxyEvents = 1 << 16

// startTimeout of a process.
const startTimeout = 20 * time.Second

// build starts everything, callees first. What has been started is ended by
// close, also after an error.
func build(ctx context.Context, c Config, fail context.CancelCauseFunc) (*world, error) {
	w := &world{
		config: c, origin: time.Now(), fail: fail, nursery: process.NewNursery(),
		own: map[string]string{}, addresses: map[string][]string{}, proxies: map[string]*proxy.Proxy{}, names: map[string]string{},
	}
	err := w.start(ctx)
	return w, err
}

func (w *world) start(ctx context.Context) (err error) {
	if w.folder, err = os.MkdirTemp("", "switchgear-demo-"); err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	if w.config.NoDaemon {
		w.dead = []span{{0, math.MaxInt64}}
	} else {
		if w.address, err = freeAddress(ctx, w.config.Port); err != nil {
			return err
		}
		if err := w.startDaemon(ctx); err != nil {
			return err
		}
	}
	for _, t := range tiers {
		if err := w.startTier(ctx, t); err != nil {
			return err
		}
	}
	w.load = newLoad(w.origin, w.addresses["web"])
	loading, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.load.run(loading)
	}()
	w.stopLoad = func() {
		stop()
		<-done
	}
	return nil
}

// freeAddress is where the daemon will listen: the same after a restart.
func freeAddress(ctx context.Context, port int) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return "", fmt.Errorf("port %d for the daemon: %w; choose another with --port, or 0 for any free one", port, err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// startDaemon returns when the daemon is ready.
func (w *world) startDaemon(ctx context.Context) error {
	args := []string{"serve", "--dev", "--listen", w.address, "--data", filepath.Join(w.folder, "daemon")}
	d, err := w.nursery.Start(w.config.Binary, "daemon", args, nil, nil, w.lost)
	if err != nil {
		return err
	}
	w.daemon = d
	late := time.After(startTimeout)
	for {
		if w.ready(ctx) {
			w.mu.Lock()
			if n := len(w.dead); n > 0 {
				w.dead[n-1].to = w.now()
			}
			w.mu.Unlock()
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-d.Ended:
			return d.Failure()
		case <-late:
			return fmt.Errorf("the daemon was not ready within %v:\n%s", startTimeout, d.Words())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (w *world) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	resp, err := get(ctx, w.address, "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// killDaemon is kill -9.
func (w *world) killDaemon() {
	w.mu.Lock()
	w.dead = append(w.dead, span{w.now(), math.MaxInt64})
	w.mu.Unlock()
	w.daemon.Kill()
	w.daemon = nil
}

// lost ends the demo: a process that nobody ended has.
func (w *world) lost(c *process.Child) { w.fail(c.Failure()) }

func (w *world) startTier(ctx context.Context, t tier) error {
	instances := map[string][]string{}
	for _, callee := range t.calls {
		instances[callee] = w.addresses[callee]
	}
	var started []*process.Child
	for _, name := range replicasOf(t.service) {
		c := serviceConfig{
			Service: t.service, Replica: name, Calls: t.calls, Instances: instances, Timeout: t.timeout,
			Think: 2 * time.Millisecond, Seed: w.seed(name),
		}
		if w.address != "" {
			c.Daemon = "http://" + w.address
		}
		document, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
		x, err := w.nursery.Start(w.config.Binary, name, []string{ServiceCommand}, []string{serviceVariable + "=" + string(document)}, nil, w.lost)
		if err != nil {
			return err
		}
		w.children = append(w.children, x)
		started = append(started, x)
	}
	for _, x := range started {
		address, err := x.Ready(ctx, startTimeout)
		if err != nil {
			return err
		}
		w.own[x.Name] = address
		if t.proxied {
			p, err := proxy.Start(proxy.Config{
				Listen: "127.0.0.1:0", To: address, Seed: w.seed(x.Name + " proxy"), SourceHeader: replicaHeader, Events: proxyEvents,
			})
			if err != nil {
				return fmt.Errorf("fault proxy of %s: %w", x.Name, err)
			}
			w.proxies[x.Name] = p
			address = p.Addr()
		}
		w.addresses[t.service] = append(w.addresses[t.service], address)
		w.names[address] = x.Name
	}
	return nil
}

// seed differs from name to name, and follows from the demo's own.
func (w *world) seed(name string) uint64 {
	h := w.config.Seed
	for _, b := range []byte(name) {
		h = (h ^ uint64(b)) * 0x100000001b3
	}
	return h
}

// close ends the load, every process and the proxies, and waits for them.
func (w *world) close() {
	if w.stopLoad != nil {
		w.stopLoad()
	}
	all := slices.Clone(w.children)
	slices.Reverse(all) // callers first, as a rollout would
	if w.daemon != nil {
		all = append(all, w.daemon)
	}
	process.Stop(all...)
	w.nursery.Close()
	for _, p := range w.proxies {
		p.Close()
	}
	os.RemoveAll(w.folder) //nolint:gosec // it is what os.MkdirTemp has given
}

func (w *world) now() time.Duration { return time.Since(w.origin) }

// arrivals at the fault proxies of these instances from that time on, in order.
func (w *world) arrivals(from time.Duration, instances ...string) []arrival {
	var as []arrival
	for _, name := range instances {
		for _, e := range w.proxies[name].Events(w.origin.Add(from)) {
			a := arrival{at: e.At.Sub(w.origin), source: e.Source, ended: math.MaxInt64}
			if e.Effect != proxy.Pending {
				a.ended = a.at + e.Took
				a.failed = e.Effect != proxy.Passed
			}
			as = append(as, a)
		}
	}
	slices.SortFunc(as, func(a, b arrival) int { return int(a.at - b.at) })
	return as
}

// setFaults of these instances; the zero Faults is the cure.
func (w *world) setFaults(f proxy.Faults, instances ...string) error {
	for _, name := range instances {
		if err := w.proxies[name].Set(f); err != nil {
			return fmt.Errorf("set faults of %s: %w", name, err)
		}
	}
	return nil
}

// blocked counts the calls that the daemon's absence has harmed: those that spent
// too long in the SDK while no daemon lived, as the replicas measure around the
// SDK, and those that were rejected by a word past its time.
func (w *world) blocked(ctx context.Context) (int, error) {
	w.mu.Lock()
	dead := slices.Clone(w.dead)
	w.mu.Unlock()
	if len(dead) == 0 {
		return 0, nil
	}
	n := 0
	if !w.config.NoDaemon { // without any, there are no words
		n = stale(w.load.seen(), dead, w.sick)
	}
	for name, address := range w.own {
		s, err := readStats(ctx, address)
		if err != nil {
			return 0, fmt.Errorf("ask %s for its slow calls: %w", name, err)
		}
		n += within(s, w.origin, dead)
	}
	return n, nil
}

func within(s slowStats, origin time.Time, dead []span) int {
	n := 0
	for _, t := range s.Times {
		at := t.Sub(origin)
		if slices.ContainsFunc(dead, func(d span) bool { return d.has(at) }) {
			n++
		}
	}
	return n
}

func readStats(ctx context.Context, address string) (s slowStats, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	resp, err := get(ctx, address, statsPath)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	return s, json.NewDecoder(io.LimitReader(resp.Body, 4<<20)).Decode(&s)
}

func get(ctx context.Context, address, path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(r)
}
