package link

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/link/gen/switchgear/link/v1/linkv1connect"
	"github.com/datapunk/switchgear/link/wire"
	"github.com/datapunk/switchgear/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var edge = policy.Circuit{
	Caller: policy.Service{Namespace: "default", Name: "web"},
	Callee: policy.Service{Namespace: "default", Name: "checkout"},
}

// replica is a port in memory.
type replica struct {
	mu      sync.Mutex
	hellos  int
	obeyed  chan fleet.Directive
	linked  chan error
	reports chan fleet.Report
}

func newReplica() *replica {
	return &replica{obeyed: make(chan fleet.Directive, 100), linked: make(chan error, 1000), reports: make(chan fleet.Report, 100)}
}

func (r *replica) Hello() fleet.Hello {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hellos++
	return fleet.Hello{Protocol: fleet.Protocol, Replica: fleet.ReplicaID{Service: edge.Caller, Name: "web-1", Incarnation: 1}}
}

func (r *replica) Next(ctx context.Context) (fleet.Report, error) {
	select {
	case rep := <-r.reports:
		return rep, nil
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), fleet.ErrClosing) {
			return fleet.Report{Sequence: 99, Final: true}, nil
		}
		return fleet.Report{}, context.Cause(ctx)
	}
}

func (r *replica) Obey(ds []fleet.Directive) {
	for _, d := range ds {
		r.obeyed <- d
	}
}

func (r *replica) Linked(_ string, err error) { r.linked <- err }

func (r *replica) up(t *testing.T) {
	t.Helper()
	until(t, r.linked, func(err error) bool { return err == nil })
}

func until[T any](t *testing.T, c <-chan T, ok func(T) bool) T {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case v := <-c:
			if ok(v) {
				return v
			}
		case <-timeout:
			t.Fatal("nothing within 10 s")
		}
	}
}

// daemon is the other end: it says welcome, notes what it hears and sends what
// it is given.
type daemon struct {
	linkv1connect.UnimplementedLinkServiceHandler

	address  string
	server   *http.Server
	listener net.Listener
	heard    chan *linkv1.AttachRequest
	say      chan *linkv1.AttachResponse
	silent   bool
}

func (d *daemon) Attach(ctx context.Context, s *connect.BidiStream[linkv1.AttachRequest, linkv1.AttachResponse]) error {
	if d.silent {
		<-ctx.Done()
		return nil
	}
	if err := s.Send(&linkv1.AttachResponse{Message: &linkv1.AttachResponse_Welcome{Welcome: &linkv1.Welcome{Protocol: 1}}}); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			m, err := s.Receive()
			if err != nil {
				return
			}
			d.heard <- m
		}
	}()
	for {
		select {
		case m := <-d.say:
			if m == nil {
				return nil
			}
			if err := s.Send(m); err != nil {
				return err
			}
		case <-ended:
			return nil
		}
	}
}

func (d *daemon) start(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	d.address = "http://" + l.Addr().String()
	mux := http.NewServeMux()
	mux.Handle(linkv1connect.NewLinkServiceHandler(d))
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: mux, Protocols: p}
	d.server, d.listener = server, l
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
}

func newDaemon(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{heard: make(chan *linkv1.AttachRequest, 1000), say: make(chan *linkv1.AttachResponse, 100)}
	d.start(t, "127.0.0.1:0")
	return d
}

func (d *daemon) directives(ps ...*linkv1.Directive) {
	d.say <- &linkv1.AttachResponse{Message: &linkv1.AttachResponse_Directives{Directives: &linkv1.Directives{Directives: ps}}}
}

func attached(t *testing.T, r *replica, address string, opts ...Option) *Link {
	t.Helper()
	quick := option(func(o *options) { o.minWait, o.maxWait = time.Millisecond, 20*time.Millisecond })
	l, err := attach(r, address, append([]Option{quick, WithLogger(slog.New(slog.DiscardHandler))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func isHello(m *linkv1.AttachRequest) bool  { return m.GetHello() != nil }
func isReport(m *linkv1.AttachRequest) bool { return m.GetReport() != nil }

func TestAnAddressThatCantBeOneIsRefusedAtOnce(t *testing.T) {
	for address, want := range map[string]string{
		"":                              "want an URL",
		"127.0.0.1:7443":                "link",
		"ftp://127.0.0.1":               "want an URL",
		"http://10.0.0.1:7443":          "use https",
		"http://switchgear.ops:7443":    "use https",
		"https://switchgear.ops/path":   "nothing after the port",
		"https://user:secret@host:7443": "no user",
		"http://[::1]:x":                "link",
	} {
		_, err := attach(newReplica(), address)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v: want an error with %q", address, err, want)
		}
	}
	for _, address := range []string{"http://127.0.0.1:1", "http://localhost:1/", "http://[::1]:1", "https://switchgear.ops:7443"} {
		if _, err := parse(address); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestHelloComesFirstThenReportsAndDirectives(t *testing.T) {
	d, r := newDaemon(t), newReplica()
	l := attached(t, r, d.address)
	r.up(t)
	if m := <-d.heard; !isHello(m) {
		t.Fatalf("first %v: want hello", m)
	}
	r.reports <- fleet.Report{Sequence: 1}
	if m := until(t, d.heard, isReport); m.GetReport().GetSequence() != 1 {
		t.Errorf("report %v", m)
	}
	want := fleet.Directive{Circuit: edge, TTL: time.Minute, Enforce: true, Gate: fleet.Gate{State: breaker.Open, Reason: "down"}}
	d.directives(&linkv1.Directive{}, wire.ToDirective(&want)) // the first can't be read
	if got := <-r.obeyed; got.Circuit != edge || got.State != breaker.Open || got.Reason != "down" {
		t.Errorf("obeyed %+v", got)
	}
	if s := l.Stats(); !s.Up || s.Streams != 1 || s.Reports != 1 || s.Directives != 1 || s.Ignored != 1 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
}

func TestALinkWithoutADaemonGoesOnTrying(t *testing.T) {
	d, r := newDaemon(t), newReplica()
	// The server knows its listener only once it serves; before, closing it alone
	// would leave the address open for a moment.
	_ = d.listener.Close()
	_ = d.server.Close()
	attached(t, r, d.address)
	for range 3 {
		if err := until(t, r.linked, func(err error) bool { return err != nil }); connect.CodeOf(err) != connect.CodeUnavailable {
			t.Errorf("linked with %v: want unavailable", err)
		}
	}
	d.start(t, strings.TrimPrefix(d.address, "http://"))
	r.up(t)
}

func TestAStreamThatEndsBeginsAgainWithHello(t *testing.T) {
	d, r := newDaemon(t), newReplica()
	attached(t, r, d.address)
	r.up(t)
	until(t, d.heard, isHello)

	d.say <- nil // the daemon ends the stream in good order
	if err := until(t, r.linked, func(err error) bool { return err != nil }); !errors.Is(err, errEnded) {
		t.Errorf("linked with %v: want %v", err, errEnded)
	}
	r.up(t)
	until(t, d.heard, isHello)

	_ = d.server.Close() // and now it is killed
	until(t, r.linked, func(err error) bool { return err != nil })
	d.start(t, strings.TrimPrefix(d.address, "http://"))
	r.up(t)
	until(t, d.heard, isHello)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hellos < 3 {
		t.Errorf("%d hellos: want one per stream", r.hellos)
	}
}

func TestCloseSendsTheLastReport(t *testing.T) {
	d, r := newDaemon(t), newReplica()
	l := attached(t, r, d.address)
	r.up(t)
	_ = l.Close()
	_ = l.Close() // again is nothing
	m := until(t, d.heard, isReport)
	if !m.GetReport().GetFinal() {
		t.Errorf("%v: want the final report", m)
	}
}

func TestCloseDoesNotWaitForADaemonThatHangs(t *testing.T) {
	d := &daemon{silent: true}
	d.start(t, "127.0.0.1:0")
	l := attached(t, newReplica(), d.address)
	began := time.Now()
	_ = l.Close()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
}

func TestAHalfOpenLinkIsNoticed(t *testing.T) {
	d, r := newDaemon(t), newReplica()
	address, silent := tunnel(t, strings.TrimPrefix(d.address, "http://"))
	attached(t, r, address, option(func(o *options) { o.pingAfter, o.pingWait = 20*time.Millisecond, 50*time.Millisecond }))
	r.up(t)
	silent.Store(true)
	if err := until(t, r.linked, func(err error) bool { return err != nil }); err == nil {
		t.Error("a link that carries nothing is still up")
	}
}

// tunnel passes bytes on but while it is silent: then it takes them and passes
// on none, as a network does that has lost the way.
func tunnel(t *testing.T, to string) (address string, silence *atomic.Bool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := new(atomic.Bool)
	var copies sync.WaitGroup
	var conns []net.Conn
	pass := func(from, to net.Conn) {
		defer copies.Done()
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			if !silent.Load() {
				_, _ = to.Write(buf[:n])
			}
		}
	}
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			conns = append(conns, in, out)
			copies.Add(2)
			go pass(in, out)
			go pass(out, in)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-accepting
		for _, c := range conns {
			c.Close()
		}
		copies.Wait()
	})
	return "http://" + l.Addr().String(), silent
}

func TestWhatALinkLosesIsCountedAndTold(t *testing.T) {
	d, r := newDaemon(t), newReplica()
	address, silent := tunnel(t, strings.TrimPrefix(d.address, "http://"))
	l := attached(t, r, address, option(func(o *options) { o.pingAfter, o.pingWait = 100*time.Millisecond, 2*time.Second }))
	r.up(t)
	r.reports <- fleet.Report{Sequence: 1}
	until(t, d.heard, isReport)
	silent.Store(true)
	// More than the stream's window holds: sending can't end before the stream does.
	big := fleet.Report{Sequence: 2}
	for range 10_000 {
		big.Circuits = append(big.Circuits, fleet.CircuitReport{Callee: edge.Callee, Route: strings.Repeat("r", 250)})
	}
	r.reports <- big
	until(t, r.linked, func(err error) bool { return err != nil })
	silent.Store(false)
	r.up(t)
	r.reports <- fleet.Report{Sequence: 3}
	r.reports <- fleet.Report{Sequence: 4}
	told := func(sequence uint64) uint64 {
		return until(t, d.heard, func(m *linkv1.AttachRequest) bool { return m.GetReport().GetSequence() == sequence }).GetReport().GetDropped()
	}
	if third, fourth := told(3), told(4); third != 10_000 || fourth != 0 {
		t.Errorf("the next report tells of %d lost, the one after of %d: want 10,000, once", third, fourth)
	}
	if s := l.Stats(); s.Lost != 10_000 || s.Reports != 3 || s.Streams != 2 || !s.Up {
		t.Errorf("%+v", s)
	}
}

func TestTheManagersEndEndsTheLink(t *testing.T) {
	d, r := newDaemon(t), newReplica()
	l := attached(t, r, d.address)
	r.up(t)
	r.reports <- fleet.Report{Sequence: 7, Final: true}
	select {
	case <-l.done:
	case <-time.After(10 * time.Second):
		t.Fatal("the link goes on after the final report")
	}
}

func TestWaitsGrowWithFullJitterUpToTheGreatest(t *testing.T) {
	l := attached(t, newReplica(), "http://127.0.0.1:1")
	_ = l.Close()
	l.options.minWait, l.options.maxWait = minWait, maxWait
	var waits []time.Duration
	for attempt := range 2000 {
		w := l.wait(attempt % 100)
		if most := min(maxWait, minWait<<min(attempt%100, 20)); w <= 0 || w > most {
			t.Fatalf("wait %v at attempt %d: want within %v", w, attempt%100, most)
		}
		if attempt%100 > 10 {
			waits = append(waits, w)
		}
	}
	slices.Sort(waits)
	if waits[len(waits)/10] > maxWait/4 || waits[len(waits)*9/10] < maxWait*3/4 {
		t.Errorf("waits from %v to %v: want them spread evenly", waits[len(waits)/10], waits[len(waits)*9/10])
	}
}
