package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breakerhttp"
	"github.com/datapunk/switchgear/link"
)

// ReplicaCommand is the argument with which the binary runs Serve.
const ReplicaCommand = "live-replica"

// replicaVariable holds a process's replicaConfig as JSON.
const replicaVariable = "SWITCHGEAR_LIVE_REPLICA"

// replicaHeader tells proxies and instances which replica calls.
const replicaHeader = "Switchgear-Live-Replica"

// replicaConfig is what the replicas of one process are.
type replicaConfig struct {
	Service   string
	Replicas  []string
	Daemon    string // URL
	Policies  string // a file; empty is the defaults
	Callee    string
	Instances []string // addresses of the callee
	PerSecond float64  // of each replica
	Timeout   time.Duration
	Deadline  time.Duration // of the request that a call is made for; 0 is none
	Cancels   float64       // share of the calls that are cancelled
	Routes    int           // that calls take turns in; 0 is none
	Lies      int           // for each call so many are told as failed that were not made
	Seed      uint64
}

// line is what a replica tells, as JSON on standard output: a call or a change.
type line struct {
	At      time.Time
	Replica string
	Call    *call   `json:",omitempty"`
	Change  *change `json:",omitempty"`
	Runs    *runs   `json:",omitempty"`
}

type call struct {
	Rejected, Failed, Cancelled bool
	Route                       string        `json:",omitempty"`
	Took                        time.Duration // from asking for leave to the answer
}

type change struct {
	Instance string `json:",omitempty"`
	From, To switchgear.State
	Why      string
	// What a person made of it, before and after.
	FromMode, Mode switchgear.Mode
}

// runs is what a breaker of the callee runs on, told when any of it changes.
type runs struct {
	Revision   string
	State      switchgear.State
	Generation uint64
}

// teller writes lines, one at a time.
type teller struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (t *teller) tell(l line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out.Encode(l) //nolint:errcheck // whoever reads has gone, and this process goes with it
}

// replica is the library as anyone would use it, with a load.
type replica struct {
	name    string
	config  *replicaConfig
	manager *switchgear.Manager
	client  *http.Client
	severed atomic.Bool
	tell    func(line)
	calls   sync.WaitGroup
}

// Serve is one process of replicas. It prints the address where it takes orders
// when it is ready, then what happens, until ctx ends.
func Serve(ctx context.Context, out io.Writer) error {
	var c replicaConfig
	if err := json.Unmarshal([]byte(os.Getenv(replicaVariable)), &c); err != nil {
		return fmt.Errorf("read %s, which lab scenarios --live sets: %w", replicaVariable, err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	t := &teller{out: json.NewEncoder(out)}
	ctx, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	replicas := make(map[string]*replica)
	for i, name := range c.Replicas {
		r, closeAll, err := c.begin(name, t.tell)
		if err != nil {
			return err
		}
		defer closeAll()
		replicas[name] = r
		work.Go(func() { r.watch(ctx) })
		work.Go(func() { r.look(ctx) })
		c.Seed += uint64(i) + 1
	}
	loads := sync.OnceFunc(func() {
		for i, name := range c.Replicas {
			work.Go(func() { replicas[name].load(ctx, rand.New(rand.NewPCG(c.Seed, uint64(i)))) })
		}
	})
	fmt.Fprintln(out, l.Addr())
	server := &http.Server{Handler: orders(replicas, loads), ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// orders are what the one who started the process may ask for.
func orders(replicas map[string]*replica, load func()) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /load", func(http.ResponseWriter, *http.Request) { load() })
	mux.HandleFunc("POST /sever/{replica}", func(_ http.ResponseWriter, r *http.Request) {
		if x := replicas[r.PathValue("replica")]; x != nil {
			x.severed.Store(true)
		}
	})
	return mux
}

// begin makes a replica; the function it gives ends it.
func (c *replicaConfig) begin(name string, tell func(line)) (*replica, func(), error) {
	var options []switchgear.Option
	if c.Policies != "" {
		options = append(options, switchgear.WithPolicyFile(c.Policies))
	}
	m, err := switchgear.New(switchgear.Config{Service: c.Service, Replica: name}, options...)
	if err != nil {
		return nil, nil, err
	}
	l, err := link.Connect(m, c.Daemon)
	if err != nil {
		m.Close()
		return nil, nil, err
	}
	base := &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true}
	r := &replica{name: name, config: c, manager: m, tell: tell}
	r.client = &http.Client{Transport: breakerhttp.Transport(m, &network{base, &r.severed}, breakerhttp.WithInstances(c.Instances...))}
	return r, func() {
		l.Close()
		m.Close()
		base.CloseIdleConnections()
	}, nil
}

func (r *replica) breaker() *switchgear.Breaker {
	return r.manager.Breaker(switchgear.Key{Callee: r.config.Callee})
}

// watch tells of every change of a breaker.
func (r *replica) watch(ctx context.Context) {
	for e := range r.manager.Events(ctx) {
		r.tell(line{At: e.At, Replica: r.name, Change: &change{e.Instance, e.From, e.To, e.Why, e.FromMode, e.Mode}})
	}
}

// look tells which settings the breaker of the callee runs on, to within 10 ms.
func (r *replica) look(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var last runs
	b := r.breaker()
	for {
		v := b.Circuit().Breaker.View()
		if now := (runs{b.Circuit().Settings().Revision, v.State, v.Generation}); now != last {
			last = now
			r.tell(line{At: time.Now(), Replica: r.name, Runs: &now})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// load makes calls at random times, as independent requests come.
func (r *replica) load(ctx context.Context, rng *rand.Rand) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for n := 0; ; n++ {
		timer.Reset(time.Duration(rng.ExpFloat64() / r.config.PerSecond * float64(time.Second)))
		select {
		case <-ctx.Done():
			r.calls.Wait()
			return
		case <-timer.C:
		}
		cancelled := rng.Float64() < r.config.Cancels
		path := ""
		if r.config.Routes > 0 {
			path = fmt.Sprintf("/r%d", rng.IntN(r.config.Routes))
		}
		for range r.config.Lies {
			if p, err := r.breaker().Acquire(); err == nil {
				p.Done(switchgear.Outcome{Verdict: switchgear.Failure, Kind: switchgear.ServerError, Latency: time.Millisecond})
			}
		}
		r.calls.Go(func() { r.call(ctx, path, cancelled) })
	}
}

func (r *replica) call(ctx context.Context, path string, cancelled bool) {
	if r.config.Deadline > 0 {
		request, done := context.WithTimeout(ctx, r.config.Deadline)
		defer done()
		ctx = request
	}
	one, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	if cancelled {
		one, cancel = context.WithCancel(ctx)
		defer cancel()
		time.AfterFunc(time.Millisecond, cancel)
	}
	if path != "" {
		one = breakerhttp.WithRoute(one, path)
	}
	began := time.Now()
	err := r.ask(one, path)
	if ctx.Err() != nil && r.config.Deadline == 0 {
		return // cut short by this process's own end
	}
	_, rejected := errors.AsType[*switchgear.NotPermittedError](err)
	r.tell(line{At: began, Replica: r.name, Call: &call{
		Rejected: rejected, Failed: err != nil && !rejected && !cancelled, Cancelled: cancelled, Route: path, Took: time.Since(began),
	}})
}

func (r *replica) ask(ctx context.Context, path string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.config.Callee+path, nil)
	if err != nil {
		return err
	}
	q.Header.Set(replicaHeader, r.name)
	resp, err := r.client.Do(q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("answered %d", resp.StatusCode)
	}
	return nil
}

// network is a replica's own, which can be cut.
type network struct {
	next    http.RoundTripper
	severed *atomic.Bool
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	if n.severed.Load() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	return n.next.RoundTrip(r)
}
