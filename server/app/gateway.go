package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/link/wire"
	"github.com/datapunk/switchgear/policy"
	busv1 "github.com/datapunk/switchgear/server/gen/switchgear/bus/v1"
)

// gateway is where replicas attach: it carries their reports to the bus, and
// orders from the bus to those of them that are meant.
type gateway struct {
	daemon  string
	age     time.Duration // of a stream, at most
	bus     evidenceBus
	near    func(control.Input) // the one owner there is, in this process; nil where it must be found by the bus
	metrics *metrics
	log     *slog.Logger

	drained   chan struct{} // closed when streams are to end
	drainOnce sync.Once
	streams   sync.WaitGroup

	mu       sync.RWMutex
	draining bool
	seats    map[policy.Service]map[fleet.ReplicaID]*seat
	count    int

	pollers *pollers
}

type evidenceBus interface {
	PublishEvidence(*busv1.Evidence) error
}

// seat is one attached replica, by a stream or by polls.
type seat struct {
	outbox   *outbox
	replaced chan struct{} // closed when the same replica attaches anew
}

type attachStream = connect.BidiStream[linkv1.AttachRequest, linkv1.AttachResponse]

const (
	helloWait = 10 * time.Second
	batch     = 256         // directives in one message
	farewell  = time.Second // for a replica that takes nothing, when its stream ends
	maxLost   = 100_000     // circuit reports that one report is believed to have lost
)

var (
	errDrained  = connect.NewError(connect.CodeUnavailable, errors.New("the daemon is stopping"))
	errReplaced = connect.NewError(connect.CodeAborted, errors.New("the same replica has attached anew"))
	errAge      = errors.New("the stream has reached its age")
)

func newGateway(daemon string, age time.Duration, b evidenceBus, m *metrics, log *slog.Logger) *gateway {
	g := &gateway{
		daemon: daemon, age: age, bus: b, metrics: m, log: log,
		drained: make(chan struct{}), seats: make(map[policy.Service]map[fleet.ReplicaID]*seat),
	}
	g.pollers = newPollers(g)
	return g
}

func (g *gateway) welcome() *linkv1.Welcome {
	return &linkv1.Welcome{Protocol: fleet.Protocol, Features: []string{"parts", "leases"}, Daemon: g.daemon, Version: switchgear.Version}
}

// Attach serves one replica's stream.
func (g *gateway) Attach(ctx context.Context, s *attachStream) error {
	g.mu.RLock()
	draining := g.draining
	if !draining {
		g.streams.Add(1)
	}
	g.mu.RUnlock()
	if draining {
		return errDrained
	}
	defer g.streams.Done()

	// At once, or the client's call would block until there is something to say.
	if err := s.Send(&linkv1.AttachResponse{Message: &linkv1.AttachResponse_Welcome{Welcome: g.welcome()}}); err != nil {
		return fmt.Errorf("send welcome: %w", err)
	}
	in := receive(ctx, s)
	hello, id, err := g.hello(in)
	if err != nil {
		g.metrics.refused.Inc()
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	from, observer := wire.ToReplica(id), observerOf(s.Peer().Addr)
	st := g.sit(id)
	defer func() {
		if g.rise(id, st) {
			g.publish(&busv1.Evidence{From: from, Observer: observer, Event: &busv1.Evidence_Gone{Gone: &busv1.Gone{}}})
		}
	}()
	g.log.Info("replica attached", "service", id.Service, "replica", id.Name, "incarnation", id.Incarnation, "address", s.Peer().Addr)
	g.publish(&busv1.Evidence{From: from, Observer: observer, Event: &busv1.Evidence_Hello{Hello: hello}})
	err = g.converse(ctx, s, st, in, func(p *linkv1.Report, r fleet.Report) { g.take(p, r, from, id, observer) })
	g.log.Info("replica left", "service", id.Service, "replica", id.Name, "why", reason(err))
	if errors.Is(err, errAge) {
		return nil
	}
	return err
}

// converse passes reports on and directives back until the stream ends; nil is
// the replica's own good end.
func (g *gateway) converse(ctx context.Context, s *attachStream, st *seat, in <-chan received, report func(*linkv1.Report, fleet.Report)) error {
	age := time.NewTimer(g.age/2 + time.Duration(rand.Int64N(int64(g.age/2)+1)))
	defer age.Stop()
	var sendErr error
	sent, stop := make(chan struct{}), make(chan struct{})
	go func() {
		sendErr = g.send(s, st.outbox, stop)
		close(sent)
	}()
	// No more is sent once the handler has returned: the stream is not valid then.
	defer func() {
		close(stop)
		select {
		case <-sent:
		case <-time.After(farewell):
			cutOff(ctx)
			<-sent
		}
	}()
	for {
		select {
		case m := <-in:
			if m.err != nil {
				if errors.Is(m.err, io.EOF) {
					return nil
				}
				return m.err
			}
			p := m.message.GetReport()
			if p == nil {
				continue // of a newer protocol
			}
			r, err := wire.FromReport(p)
			if err != nil {
				g.metrics.refused.Inc()
				return connect.NewError(connect.CodeInvalidArgument, err)
			}
			report(p, r)
		case <-sent:
			return sendErr
		case <-age.C:
			return errAge
		case <-st.replaced:
			return errReplaced
		case <-g.drained:
			return errDrained
		}
	}
}

// send hands the outbox to the replica, as fast as the replica takes it.
func (g *gateway) send(s *attachStream, o *outbox, stop <-chan struct{}) error {
	for {
		select {
		case <-o.ready:
		case <-stop:
			return nil
		}
		ds, waited := o.take(time.Now(), batch)
		if len(ds) == 0 {
			continue
		}
		began := time.Now()
		m := &linkv1.Directives{Directives: wire.ToDirectives(ds)}
		if err := s.Send(&linkv1.AttachResponse{Message: &linkv1.AttachResponse_Directives{Directives: m}}); err != nil {
			return fmt.Errorf("send directives: %w", err)
		}
		took := time.Since(began)
		for _, w := range waited {
			g.metrics.fanout.Observe((w + took).Seconds())
		}
		g.metrics.directives.Add(float64(len(ds)))
	}
}

type cutKey struct{}

// cuttable lets a handler end its stream while a write to it is blocked by a
// replica that reads nothing.
func cuttable(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cut := func() { _ = http.NewResponseController(w).SetWriteDeadline(time.Now()) }
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), cutKey{}, cut)))
	})
}

func cutOff(ctx context.Context) {
	if cut, ok := ctx.Value(cutKey{}).(func()); ok {
		cut()
	}
}

type received struct {
	message *linkv1.AttachRequest
	err     error
}

// receive reads the stream until it ends or the handler has returned, which ends
// ctx.
func receive(ctx context.Context, s *attachStream) <-chan received {
	in := make(chan received)
	go func() {
		for {
			m, err := s.Receive()
			select {
			case in <- received{m, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return in
}

func (g *gateway) hello(in <-chan received) (*linkv1.Hello, fleet.ReplicaID, error) {
	timer := time.NewTimer(helloWait)
	defer timer.Stop()
	select {
	case m := <-in:
		if m.err != nil {
			return nil, fleet.ReplicaID{}, fmt.Errorf("no hello: %w", m.err)
		}
		p := m.message.GetHello()
		if p == nil {
			return nil, fleet.ReplicaID{}, errors.New("the first message must be a hello")
		}
		h, err := wire.FromHello(p)
		if err != nil {
			return nil, fleet.ReplicaID{}, err
		}
		return p, h.Replica, nil
	case <-timer.C:
		return nil, fleet.ReplicaID{}, fmt.Errorf("no hello within %v", helloWait)
	case <-g.drained:
		return nil, fleet.ReplicaID{}, errDrained
	}
}

// sit gives a replica its seat, and ends an older stream of the same one.
func (g *gateway) sit(id fleet.ReplicaID) *seat {
	st := &seat{outbox: newOutbox(), replaced: make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	row := g.seats[id.Service]
	if row == nil {
		row = make(map[fleet.ReplicaID]*seat)
		g.seats[id.Service] = row
	}
	if old := row[id]; old != nil {
		close(old.replaced)
	} else {
		g.count++
	}
	row[id] = st
	return st
}

// rise reports whether the replica is gone, which it is not where it has another
// seat already.
func (g *gateway) rise(id fleet.ReplicaID, st *seat) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	row := g.seats[id.Service]
	if row[id] != st {
		return false
	}
	delete(row, id)
	if len(row) == 0 {
		delete(g.seats, id.Service)
	}
	g.count--
	return true
}

// deliver puts orders into the outboxes of those who are meant.
func (g *gateway) deliver(orders *busv1.Orders) {
	now := time.Now()
	for _, o := range orders.GetOrders() {
		to, err := wire.FromAddressee(o.GetTo())
		if err != nil {
			g.log.Warn("order was ignored", "error", err)
			continue
		}
		d, err := wire.FromDirective(o.GetDirective())
		if err != nil {
			g.log.Warn("order was ignored", "error", err)
			continue
		}
		g.mu.RLock()
		if to.Name != "" {
			if st := g.seats[to.Service][to]; st != nil {
				st.outbox.put(now, d)
			}
		} else {
			for _, st := range g.seats[to.Service] {
				st.outbox.put(now, d)
			}
		}
		g.mu.RUnlock()
	}
}

// take passes on a report that is valid.
func (g *gateway) take(p *linkv1.Report, r fleet.Report, from *linkv1.Replica, id fleet.ReplicaID, observer string) {
	g.metrics.reports.Inc()
	g.metrics.lost.Add(float64(min(r.Dropped, maxLost)))
	if g.near != nil {
		g.near(control.Input{Report: &control.ReplicaReport{From: id, Observer: observer, Report: r}})
		return
	}
	g.publish(&busv1.Evidence{From: from, Observer: observer, Event: &busv1.Evidence_Report{Report: p}})
}

func (g *gateway) publish(e *busv1.Evidence) {
	if g.near != nil {
		if in, err := inputOf(e); err == nil { // the gateway has read all of it before
			g.near(in)
		}
		return
	}
	if err := g.bus.PublishEvidence(e); err != nil {
		g.metrics.dropped.Inc()
		g.log.Warn("evidence was dropped", "error", err)
	}
}

// drain ends every stream in good order, and takes no more.
func (g *gateway) drain() {
	g.drainOnce.Do(func() {
		g.mu.Lock()
		g.draining = true
		g.mu.Unlock()
		close(g.drained)
		g.pollers.close()
	})
}

func (g *gateway) wait() { g.streams.Wait() }

func (g *gateway) attached() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.count
}

// observerOf is what observers are counted by. Without credentials it is the
// address; on loopback, where all have the same, with the port, which tells
// processes apart.
func observerOf(peer string) string {
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		return peer
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return peer
	}
	return host
}

func reason(err error) string {
	if err == nil {
		return "it closed the stream"
	}
	return err.Error()
}
