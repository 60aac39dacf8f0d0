// Package bus is how daemons tell each other what replicas saw and what their
// owners decided: NATS with JetStream, embedded in this process, with no port of
// its own.
//
// Evidence and orders travel on plain subjects: decided in memory, published,
// never waiting for a store. Subscribers are called one message at a time, in the
// order of the publisher. A subscriber that falls behind by more than its bound
// loses messages, and Dropped counts them.
package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	busv1 "github.com/datapunk/switchgear/server/gen/switchgear/bus/v1"
)

// Subjects: docs/protocol.md.
const (
	evidence = "switchgear.v1.evidence"
	orders   = "switchgear.v1.orders"
	members  = "switchgear.v1.members"
)

const (
	startWait    = 10 * time.Second
	maxPayload   = 8 << 20 // the greatest message of a link, with its envelope
	pendingBytes = 64 << 20
	pendingCount = 100_000
)

// Bus is one daemon's place on the bus. It is safe for concurrent use.
type Bus struct {
	server  *server.Server
	shared  bool // the server is another one's to stop
	conn    *nats.Conn
	log     *slog.Logger
	dropped atomic.Uint64
}

// Open starts a bus that keeps what is durable under dir.
func Open(dir string, log *slog.Logger) (*Bus, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "switchgear", DontListen: true, NoSigs: true, MaxPayload: maxPayload,
		JetStream: true, StoreDir: dir, SyncAlways: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open bus in %s: %w", dir, err)
	}
	b := &Bus{server: s, log: log}
	words := &serverLog{log: log}
	s.SetLoggerV2(words, false, false, false)
	s.Start()
	if why := words.fatal.Load(); why != nil {
		b.Close()
		return nil, fmt.Errorf("open bus in %s: %s", dir, *why)
	}
	if !s.ReadyForConnections(startWait) {
		b.Close()
		return nil, fmt.Errorf("open bus in %s: not ready within %v", dir, startWait)
	}
	if err := b.connect(); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Share gives another daemon of this process a place on the same bus. It ends
// with this one.
func (b *Bus) Share() (*Bus, error) {
	other := &Bus{server: b.server, shared: true, log: b.log}
	if err := other.connect(); err != nil {
		return nil, err
	}
	return other, nil
}

func (b *Bus) connect() (err error) {
	b.conn, err = nats.Connect("", nats.InProcessServer(b.server), nats.Name("daemon"), nats.NoCallbacksAfterClientClose(),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { b.failed(sub, err) }))
	if err != nil {
		return fmt.Errorf("connect to the bus: %w", err)
	}
	return nil
}

// Close ends the bus; messages that subscribers have not taken are lost.
func (b *Bus) Close() {
	if b.conn != nil {
		_ = b.conn.FlushTimeout(time.Second) // a last word is not lost; who does not take it is gone
		b.conn.Close()
	}
	if b.shared {
		return
	}
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// Err says why the bus can't be used, nil if it can.
func (b *Bus) Err() error {
	if !b.conn.IsConnected() {
		return errors.New("the bus is not connected")
	}
	return nil
}

// JetStream is where what is durable is kept. It ends with the bus.
func (b *Bus) JetStream() (jetstream.JetStream, error) {
	js, err := jetstream.New(b.conn)
	if err != nil {
		return nil, fmt.Errorf("use the bus's store: %w", err)
	}
	return js, nil
}

// Dropped counts the messages that were lost because a subscriber was slow.
func (b *Bus) Dropped() uint64 { return b.dropped.Load() }

// PublishEvidence sends what a replica said to the owner.
func (b *Bus) PublishEvidence(e *busv1.Evidence) error { return b.publish(evidence, e) }

// SubscribeEvidence calls f with each piece of evidence until stop is called.
func (b *Bus) SubscribeEvidence(f func(*busv1.Evidence)) (stop func(), err error) {
	return subscribe(b, evidence, func() *busv1.Evidence { return new(busv1.Evidence) }, f)
}

// PublishOrders sends an owner's directives to the gateways.
func (b *Bus) PublishOrders(o *busv1.Orders) error { return b.publish(orders, o) }

// SubscribeOrders calls f with all orders until stop is called.
func (b *Bus) SubscribeOrders(f func(*busv1.Orders)) (stop func(), err error) {
	return subscribe(b, orders, func() *busv1.Orders { return new(busv1.Orders) }, f)
}

// PublishMember tells the other daemons of this one.
func (b *Bus) PublishMember(m *busv1.Member) error { return b.publish(members, m) }

// SubscribeMembers calls f with what daemons tell each other until stop is called.
func (b *Bus) SubscribeMembers(f func(*busv1.Member)) (stop func(), err error) {
	return subscribe(b, members, func() *busv1.Member { return new(busv1.Member) }, f)
}

func (b *Bus) publish(subject string, m proto.Message) error {
	data, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode for %s: %w", subject, err)
	}
	if err := b.conn.Publish(subject, data); err != nil {
		return fmt.Errorf("publish on %s: %w", subject, err)
	}
	return nil
}

func subscribe[P proto.Message](b *Bus, subject string, empty func() P, f func(P)) (stop func(), err error) {
	sub, err := b.conn.Subscribe(subject, func(m *nats.Msg) {
		p := empty()
		if err := proto.Unmarshal(m.Data, p); err != nil {
			b.log.Warn("message on the bus was ignored", "subject", subject, "error", fmt.Errorf("decode: %w", err))
			return
		}
		f(p)
	})
	if err == nil {
		err = sub.SetPendingLimits(pendingCount, pendingBytes)
	}
	if err == nil {
		err = b.conn.FlushTimeout(startWait) // from here on nothing published is missed
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

func (b *Bus) failed(sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrSlowConsumer) && sub != nil {
		b.dropped.Add(1)
	}
	b.log.Warn("bus is in trouble", "error", err)
}

// serverLog gives the embedded server's words to the daemon's log; its chatter
// is for debugging.
type serverLog struct {
	log   *slog.Logger
	fatal atomic.Pointer[string]
}

func (l *serverLog) Noticef(f string, v ...any) { l.write(l.log.Debug, f, v) }
func (l *serverLog) Warnf(f string, v ...any)   { l.write(l.log.Warn, f, v) }
func (l *serverLog) Errorf(f string, v ...any)  { l.write(l.log.Error, f, v) }
func (l *serverLog) Debugf(f string, v ...any)  { l.write(l.log.Debug, f, v) }
func (l *serverLog) Tracef(f string, v ...any)  { l.write(l.log.Debug, f, v) }

func (l *serverLog) Fatalf(f string, v ...any) {
	why := strings.TrimSpace(fmt.Sprintf(f, v...))
	l.fatal.CompareAndSwap(nil, &why)
}

func (l *serverLog) write(to func(string, ...any), format string, v []any) {
	to("bus", "message", strings.TrimSpace(fmt.Sprintf(format, v...)))
}
