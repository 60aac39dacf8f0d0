package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breakerhttp"
	"github.com/datapunk/switchgear/link"
)

// serviceVariable holds a replica's serviceConfig as JSON.
const serviceVariable = "SWITCHGEAR_DEMO_SERVICE"

const (
	// replicaHeader tells a fault proxy which replica calls.
	replicaHeader = "Switchgear-Demo-Replica"
	// rejectedHeader tells those above which circuit rejected a call on the way.
	rejectedHeader = "Switchgear-Demo-Rejected"
	statsPath      = "/demo/stats"
)

// serviceConfig is what one replica of the demo's services is.
type serviceConfig struct {
	Service, Replica string
	Daemon           string              // URL; empty is none
	Calls            map[string]string   // path → callee; "" is every other path
	Instances        map[string][]string // callee → addresses
	Timeout          time.Duration       // of the calls that it makes
	Think            time.Duration       // spent on each request, at most
	Seed             uint64
}

// Serve is one replica: the SDK as anyone would use it. It prints its address
// when it is ready, and serves until ctx ends.
func Serve(ctx context.Context, out io.Writer) error {
	var c serviceConfig
	if err := json.Unmarshal([]byte(os.Getenv(serviceVariable)), &c); err != nil {
		return fmt.Errorf("read %s, which the demo sets: %w", serviceVariable, err)
	}
	m, err := switchgear.New(switchgear.Config{Service: c.Service, Replica: c.Replica}, switchgear.WithSettings(settings()))
	if err != nil {
		return err
	}
	defer m.Close()
	if c.Daemon != "" {
		l, err := link.Connect(m, c.Daemon)
		if err != nil {
			return err
		}
		defer l.Close()
	}
	s := &service{config: c, clients: map[string]*http.Client{}, random: rand.New(rand.NewPCG(c.Seed, 1))}
	base := &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true}
	defer base.CloseIdleConnections()
	for callee, instances := range c.Instances {
		guarded := breakerhttp.Transport(m, inner{base}, breakerhttp.WithInstances(instances...))
		s.clients[callee] = &http.Client{Transport: &outer{next: guarded, slow: &s.slow}}
	}
	mux := http.NewServeMux()
	mux.HandleFunc(statsPath, s.stats)
	mux.Handle("/", breakerhttp.Handler(m, s))

	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Fprintln(out, l.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

type service struct {
	config  serviceConfig
	clients map[string]*http.Client
	slow    slowCalls

	mu     sync.Mutex
	random *rand.Rand
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	think := time.Duration(s.random.Int64N(int64(s.config.Think) + 1))
	s.mu.Unlock()
	time.Sleep(think)
	callee, ok := s.config.Calls[r.URL.Path]
	if !ok {
		callee, ok = s.config.Calls[""]
	}
	if ok {
		if err := s.call(r.Context(), callee, r.URL.Path); err != nil {
			if by := rejectedBy(s.config.Service, err); by != "" {
				w.Header().Set(rejectedHeader, by)
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	fmt.Fprintln(w, s.config.Replica)
}

func (s *service) call(ctx context.Context, callee, path string) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, (&url.URL{Scheme: "http", Host: callee, Path: path}).String(), nil)
	if err != nil {
		return err
	}
	r.Header.Set(replicaHeader, s.config.Replica)
	resp, err := s.clients[callee].Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if by := resp.Header.Get(rejectedHeader); by != "" {
		return rejectedAbove(by)
	}
	if resp.StatusCode >= 400 {
		return fmt.Errorf("%s answered %d", callee, resp.StatusCode)
	}
	return nil
}

// rejectedAbove is a rejection that a service further on has passed up.
type rejectedAbove string

func (r rejectedAbove) Error() string { return "not permitted: " + string(r) }

func rejectedBy(service string, err error) string {
	if above, ok := errors.AsType[rejectedAbove](err); ok {
		return string(above)
	}
	if np, ok := errors.AsType[*switchgear.NotPermittedError](err); ok {
		return service + ".." + np.Key.Callee
	}
	return ""
}

func (s *service) stats(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s.slow.read()) //nolint:errcheck // the demo has left: nobody to tell
}
