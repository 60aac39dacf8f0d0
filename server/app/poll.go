package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/link/wire"
	"github.com/datapunk/switchgear/policy"
	busv1 "github.com/datapunk/switchgear/server/gen/switchgear/bus/v1"
)

// pollers are the replicas that poll because they have no streams. What their
// polls have in common is a session each.
type pollers struct {
	gateway *gateway
	silence time.Duration // a session ends that is not heard for so long
	most    int           // sessions at once

	mu       sync.Mutex
	closed   bool
	sessions map[fleet.ReplicaID]*session
}

// session is one replica that polls.
type session struct {
	id       fleet.ReplicaID
	from     *linkv1.Replica
	observer string
	host     string // where it polls from: polls of another host are another session
	seat     *seat

	// INVARIANT: mu is taken before that of pollers, but for a session that nobody
	// else knows yet.
	mu       sync.Mutex // one poll at a time
	ended    bool
	heard    time.Time
	quiet    *time.Timer
	sequence uint64 // of the last report that was taken
	number   uint32 // of the last answer
	sent     []fleet.Directive
	sentAt   time.Time
	troubled map[policy.Circuit]time.Time // not calm, as last told, and until when the word stands
}

const (
	pollSilence = 10 * time.Second
	maxSessions = 10_000
	// How long a poll may take to come in, and its answer to go out.
	pollTime = 10 * time.Second
	// How often polls are wanted. A stream brings a word at once; a poll brings it
	// half of this later on average.
	calmPoll   = time.Second
	urgentPoll = 100 * time.Millisecond
)

func newPollers(g *gateway) *pollers {
	return &pollers{gateway: g, silence: pollSilence, most: maxSessions, sessions: make(map[fleet.ReplicaID]*session)}
}

// Poll takes a replica's report and answers with what it has to be told. A
// message that is not valid changes nothing.
func (g *gateway) Poll(ctx context.Context, req *linkv1.PollRequest) (*linkv1.PollResponse, error) {
	hello, err := wire.FromHello(req.GetHello())
	var report fleet.Report
	if err == nil && req.GetReport() != nil {
		report, err = wire.FromReport(req.GetReport())
	}
	if err != nil {
		g.metrics.refused.Inc()
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	peer := ""
	if info, ok := connect.CallInfoForHandlerContext(ctx); ok {
		peer = info.Peer().Addr
	}
	s, began, err := g.pollers.join(hello.Replica, peer, req.GetHello())
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := time.Now()
	s.heard = now
	s.quiet.Reset(g.pollers.silence)
	if r := req.GetReport(); r != nil && (r.GetSequence() == 0 || r.GetSequence() > s.sequence) {
		s.sequence = max(s.sequence, r.GetSequence())
		g.take(r, report, s.from, hello.Replica, s.observer)
		if r.GetFinal() {
			g.pollers.end(s, "it said its last word")
		}
	}
	answer := s.answer(now, req.GetAcknowledged())
	answer.SessionTtl = durationpb.New(g.pollers.silence)
	if began {
		answer.Welcome = g.welcome()
	}
	g.metrics.directives.Add(float64(len(answer.GetDirectives())))
	return answer, nil
}

// join gives the session of a replica, locked, and makes it where there is none.
func (p *pollers) join(id fleet.ReplicaID, peer string, hello *linkv1.Hello) (_ *session, began bool, err error) {
	host := hostOf(peer)
	for {
		p.mu.Lock()
		s := p.sessions[id]
		switch {
		case p.closed:
			p.mu.Unlock()
			return nil, false, errDrained
		case s == nil || s.host != host:
			if s == nil && len(p.sessions) >= p.most {
				p.mu.Unlock()
				return nil, false, connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("%d replicas poll this daemon, and no more may: attach by a stream, or ask another daemon", p.most))
			}
			s = p.begin(id, host, peer)
			s.mu.Lock()
			p.sessions[id] = s
			p.mu.Unlock()
			p.gateway.log.Info("replica polls", "service", id.Service, "replica", id.Name, "incarnation", id.Incarnation, "address", peer)
			p.gateway.publish(&busv1.Evidence{From: s.from, Observer: s.observer, Event: &busv1.Evidence_Hello{Hello: hello}})
			return s, true, nil
		}
		p.mu.Unlock()
		s.mu.Lock()
		select {
		case <-s.seat.replaced:
			p.end(s, "the same replica has attached anew")
			s.mu.Unlock()
			return nil, false, errReplaced
		default:
		}
		if !s.ended {
			return s, false, nil
		}
		s.mu.Unlock() // it has just ended: look again
	}
}

func (p *pollers) begin(id fleet.ReplicaID, host, peer string) *session {
	s := &session{
		id: id, from: wire.ToReplica(id), observer: observerOf(peer), host: host, seat: p.gateway.sit(id),
		heard: time.Now(), troubled: make(map[policy.Circuit]time.Time),
		// Of its own range, so that no other session's acknowledgement fits.
		number: rand.Uint32() >> 1,
	}
	s.quiet = time.AfterFunc(p.silence, func() { p.hush(s) })
	return s
}

// hush ends a session that has gone silent.
func (p *pollers) hush(s *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := p.silence - time.Since(s.heard); left > 0 && !s.ended {
		s.quiet.Reset(left)
		return
	}
	p.end(s, fmt.Sprintf("not heard for %v", p.silence))
}

// end is called with the session locked. Control gives its leases to others.
func (p *pollers) end(s *session, why string) {
	if s.ended {
		return
	}
	s.ended = true
	s.quiet.Stop()
	p.mu.Lock()
	if p.sessions[s.id] == s {
		delete(p.sessions, s.id)
	}
	p.mu.Unlock()
	if p.gateway.rise(s.id, s.seat) {
		p.gateway.publish(&busv1.Evidence{From: s.from, Observer: s.observer, Event: &busv1.Evidence_Gone{Gone: &busv1.Gone{}}})
	}
	p.gateway.log.Info("replica left", "service", s.id.Service, "replica", s.id.Name, "why", why)
}

// close ends every session and takes no more.
func (p *pollers) close() {
	p.mu.Lock()
	p.closed = true
	var all []*session
	for _, s := range p.sessions {
		all = append(all, s)
	}
	p.mu.Unlock()
	for _, s := range all {
		s.mu.Lock()
		p.end(s, "the daemon is stopping")
		s.mu.Unlock()
	}
}

func (p *pollers) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sessions)
}

// answer takes from the outbox. What the answer before held waits there again
// unless that one was read.
func (s *session) answer(now time.Time, acknowledged uint32) *linkv1.PollResponse {
	if acknowledged != s.number {
		s.seat.outbox.restore(now, s.sentAt, s.sent)
	}
	s.number++
	s.sent, _ = s.seat.outbox.take(now, batch)
	s.sentAt = now
	for i := range s.sent {
		d := &s.sent[i]
		delete(s.troubled, d.Circuit)
		if !calm(d) {
			s.troubled[d.Circuit] = now.Add(d.TTL)
		}
	}
	wait := calmPoll
	for c, until := range s.troubled {
		if until.Before(now) {
			delete(s.troubled, c)
			continue
		}
		wait = urgentPoll
	}
	answer := &linkv1.PollResponse{Directives: wire.ToDirectives(s.sent), Number: s.number}
	if !s.seat.outbox.empty() {
		wait = 0
	}
	if wait > 0 {
		answer.PollAfter = durationpb.New(wait)
	}
	return answer
}

// calm reports whether nothing about a circuit is under way, so that its replicas
// need not ask often.
func calm(d *fleet.Directive) bool {
	for _, p := range d.Parts {
		if p.State != breaker.Closed || p.Phase != "" {
			return false
		}
	}
	return d.State == breaker.Closed && d.Phase == "" && !d.Hot && len(d.Leases) == 0
}

// hostOf is an address without its port, which differs from poll to poll.
func hostOf(peer string) string {
	if host, _, err := net.SplitHostPort(peer); err == nil {
		return host
	}
	return peer
}

// timely ends what comes in or goes out more slowly than this, so that nobody
// holds a connection for long by a request that never ends. The server takes the
// deadlines off before a connection's next request.
func timely(most time.Duration, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, end := http.NewResponseController(w), time.Now().Add(most)
		_ = c.SetReadDeadline(end) // both are supported by the server's own writers
		_ = c.SetWriteDeadline(end)
		h.ServeHTTP(w, r)
	})
}
