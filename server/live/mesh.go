package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/datapunk/switchgear/server/process"
	"github.com/datapunk/switchgear/server/proxy"
)

// spec is what a mesh is made of: replicas of callers, one daemon, and the
// instances of one callee.
type spec struct {
	callers    []callers
	instances  int
	rules      string // fields of the policy; empty is the defaults
	perProcess int    // replicas that share a process; 0 is one each
}

// callers are the replicas of one service, as configured but for where they are.
type callers struct {
	replicaConfig
	replicas int
}

// twenty replicas of web with 2 requests a second each, as most scenarios want.
func twenty() callers {
	return callers{replicaConfig{Service: "web", PerSecond: 2, Timeout: time.Second}, 20}
}

const callee = "db"

// mesh is all that runs. Its methods are for one goroutine.
type mesh struct {
	origin    time.Time
	binary    string
	folder    string // of temporary files
	nursery   *process.Nursery
	fail      context.CancelCauseFunc
	address   string // of the daemon
	daemon    *process.Child
	processes []*host
	instances []*instance

	mu      sync.Mutex
	calls   []told[call]
	changes []told[change]
	runs    []told[runs]
}

// told is what a replica has told, by the mesh's own time.
type told[T any] struct {
	at      time.Duration
	replica string
	what    T
}

// host is a process of replicas.
type host struct {
	child    *process.Child
	replicas []string
	orders   string      // address
	killed   atomic.Bool // in the middle of a line, maybe
}

// instance of the callee: a server that answers as it is told, and the fault
// proxy before it, which is what callers know.
type instance struct {
	name   string
	server *http.Server
	done   chan struct{}
	proxy  *proxy.Proxy
	answer atomic.Pointer[func(*http.Request) int]
}

const (
	startTimeout = 30 * time.Second
	maxTold      = 1 << 20 // lines that are kept of each kind
	proxyEvents  = 1 << 16
)

// build starts everything; the load does not run yet. What has been started is
// ended by close, also after an error.
func build(ctx context.Context, binary string, s *spec, seed uint64, fail context.CancelCauseFunc) (*mesh, error) {
	m := &mesh{origin: time.Now(), binary: binary, nursery: process.NewNursery(), fail: fail}
	return m, m.start(ctx, s, seed)
}

func (m *mesh) start(ctx context.Context, s *spec, seed uint64) (err error) {
	if m.folder, err = os.MkdirTemp("", "switchgear-live-"); err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	policies := ""
	if s.rules != "" {
		policies = filepath.Join(m.folder, "policy.json")
		text := fmt.Appendf(nil, `{"apiVersion": "switchgear/v1", "kind": "CircuitPolicy", "metadata": {"name": "story"}, "spec": {"selector": {}, %s}}`, s.rules)
		if err := os.WriteFile(policies, text, 0o600); err != nil {
			return fmt.Errorf("write the policy: %w", err)
		}
	}
	for i := range s.instances {
		x, err := startInstance(ctx, fmt.Sprintf("%s-%d", callee, i+1), seed+uint64(i))
		if err != nil {
			return err
		}
		m.instances = append(m.instances, x)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("find a port for the daemon: %w", err)
	}
	m.address = l.Addr().String()
	l.Close()
	if err := m.startDaemon(ctx); err != nil {
		return err
	}
	for _, c := range s.callers {
		if err := m.startCallers(c, s, policies, seed); err != nil {
			return err
		}
	}
	for _, h := range m.processes {
		if h.orders, err = listens(ctx, h.child); err != nil {
			return err
		}
	}
	return nil
}

func startInstance(ctx context.Context, name string, seed uint64) (*instance, error) {
	x := &instance{name: name, done: make(chan struct{})}
	x.answers(func(*http.Request) int { return http.StatusOK })
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", name, err)
	}
	x.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader((*x.answer.Load())(r))
	})}
	go func() {
		defer close(x.done)
		x.server.Serve(l) //nolint:errcheck // it ends when it is closed
	}()
	x.proxy, err = proxy.Start(proxy.Config{Listen: "127.0.0.1:0", To: l.Addr().String(), Seed: seed, SourceHeader: replicaHeader, Events: proxyEvents})
	if err != nil {
		x.close()
		return nil, fmt.Errorf("fault proxy of %s: %w", name, err)
	}
	return x, nil
}

// answers says with which status the instance answers from now on.
func (x *instance) answers(status func(*http.Request) int) { x.answer.Store(&status) }

func (x *instance) close() {
	if x.proxy != nil {
		x.proxy.Close()
	}
	x.server.Close()
	<-x.done
}

func (m *mesh) startDaemon(ctx context.Context) error {
	args := []string{"serve", "--dev", "--listen", m.address, "--data", filepath.Join(m.folder, "daemon")}
	d, err := m.nursery.Start(m.binary, "daemon", args, nil, nil, m.lost)
	if err != nil {
		return err
	}
	m.daemon = d
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if resp, err := m.ask(ctx, http.MethodGet, m.address, "/readyz"); err == nil && resp == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the daemon is not ready: %w\n%s", context.Cause(ctx), d.Words())
		case <-d.Ended:
			return d.Failure()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// killDaemon is kill -9.
func (m *mesh) killDaemon() {
	m.daemon.Kill()
	m.daemon = nil
}

// lost ends the measurement: a process that nobody ended has.
func (m *mesh) lost(c *process.Child) { m.fail(c.Failure()) }

func (m *mesh) startCallers(c callers, s *spec, policies string, seed uint64) error {
	addresses := make([]string, len(m.instances))
	for i, x := range m.instances {
		addresses[i] = x.proxy.Addr()
	}
	each := max(s.perProcess, 1)
	var names []string
	for i := range c.replicas {
		names = append(names, fmt.Sprintf("%s-%d", c.Service, i+1))
	}
	for some := range slices.Chunk(names, each) {
		one := c.replicaConfig
		one.Replicas, one.Callee, one.Instances, one.Policies = some, callee, addresses, policies
		one.Daemon, one.Seed = "http://"+m.address, seed+uint64(1000*len(m.processes))
		if one.Lies > 0 && len(m.processes) > 0 {
			one.Lies = 0 // the first one does
		}
		document, err := json.Marshal(one)
		if err != nil {
			return fmt.Errorf("start %s: %w", some[0], err)
		}
		h := &host{replicas: some}
		h.child, err = m.nursery.Start(m.binary, some[0], []string{ReplicaCommand}, []string{replicaVariable + "=" + string(document)},
			func(text string) { m.hear(h, text) }, m.lost)
		if err != nil {
			return err
		}
		m.processes = append(m.processes, h)
	}
	return nil
}

// hear takes a line of a replica.
func (m *mesh) hear(h *host, text string) {
	var l line
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		if !h.killed.Load() {
			m.fail(fmt.Errorf("%s told %q: %w", h.replicas[0], text, err))
		}
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := l.At.Sub(m.origin)
	if l.Call != nil && len(m.calls) < maxTold {
		m.calls = append(m.calls, told[call]{at, l.Replica, *l.Call})
	}
	if l.Change != nil && len(m.changes) < maxTold {
		m.changes = append(m.changes, told[change]{at, l.Replica, *l.Change})
	}
	if l.Runs != nil && len(m.runs) < maxTold {
		m.runs = append(m.runs, told[runs]{at, l.Replica, *l.Runs})
	}
}

func listens(ctx context.Context, c *process.Child) (string, error) {
	select {
	case address, ok := <-c.First:
		if !ok {
			<-c.Ended
			return "", c.Failure()
		}
		return address, nil
	case <-time.After(startTimeout):
		return "", fmt.Errorf("%s was not ready within %v", c.Name, startTimeout)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// load lets all replicas make their calls.
func (m *mesh) load(ctx context.Context) error {
	for _, h := range m.processes {
		if err := m.order(ctx, h, "/load"); err != nil {
			return err
		}
	}
	return nil
}

// sever cuts the network of replicas.
func (m *mesh) sever(ctx context.Context, severed func(replica string) bool) error {
	for _, h := range m.processes {
		for _, name := range h.replicas {
			if severed(name) {
				if err := m.order(ctx, h, "/sever/"+name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (m *mesh) order(ctx context.Context, h *host, path string) error {
	status, err := m.ask(ctx, http.MethodPost, h.orders, path)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("answered %d", status)
	}
	if err != nil {
		return fmt.Errorf("order %s of %s: %w", path, h.child.Name, err)
	}
	return nil
}

func (m *mesh) ask(ctx context.Context, method, address, path string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// kill the process of a replica, as kill -9 does.
func (m *mesh) kill(replica string) {
	for _, h := range m.processes {
		if slices.Contains(h.replicas, replica) {
			h.killed.Store(true)
			h.child.Kill()
		}
	}
}

// close ends every process, instance and proxy, and waits for them.
func (m *mesh) close() error {
	var all []*process.Child
	for _, h := range m.processes {
		all = append(all, h.child)
	}
	if m.daemon != nil {
		all = append(all, m.daemon)
	}
	process.Stop(all...)
	m.nursery.Close()
	for _, x := range m.instances {
		x.close()
	}
	var missing []error
	for _, c := range all {
		select {
		case <-c.Ended:
		default:
			missing = append(missing, fmt.Errorf("%s has not ended", c.Name))
		}
	}
	os.RemoveAll(m.folder)
	return errors.Join(missing...)
}
