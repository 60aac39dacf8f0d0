package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/link/gen/switchgear/link/v1/linkv1connect"
	"github.com/datapunk/switchgear/link/wire"
	busv1 "github.com/datapunk/switchgear/server/gen/switchgear/bus/v1"
)

// paper is a bus that notes what is published.
type paper struct {
	mu  sync.Mutex
	all []*busv1.Evidence
}

func (p *paper) PublishEvidence(e *busv1.Evidence) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, proto.CloneOf(e))
	return nil
}

// events are those of one replica, in words.
func (p *paper) events(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var words []string
	for _, e := range p.all {
		if e.GetFrom().GetName() != name {
			continue
		}
		switch event := e.GetEvent().(type) {
		case *busv1.Evidence_Hello:
			words = append(words, "hello")
		case *busv1.Evidence_Report:
			words = append(words, fmt.Sprint(event.Report.GetSequence()))
		case *busv1.Evidence_Gone:
			words = append(words, "gone")
		}
	}
	return strings.Join(words, " ")
}

func polled(tb testing.TB) (*gateway, *paper) {
	tb.Helper()
	p := &paper{}
	g := newGateway("d1", time.Minute, p, newMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	tb.Cleanup(g.drain)
	return g, p
}

func asking(name string, sequence uint64, acknowledged uint32) *linkv1.PollRequest {
	id := fleet.ReplicaID{Service: web, Name: name, Incarnation: 1}
	return &linkv1.PollRequest{
		Hello: wire.ToHello(fleet.Hello{Protocol: 1, Replica: id}), Acknowledged: acknowledged,
		Report: wire.ToReport(fleet.Report{Sequence: sequence, Circuits: []fleet.CircuitReport{{Callee: checkout}}}),
	}
}

func poll(t *testing.T, g *gateway, req *linkv1.PollRequest) *linkv1.PollResponse {
	t.Helper()
	answer, err := g.Poll(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func reasons(answer *linkv1.PollResponse) string {
	var words []string
	for _, d := range answer.GetDirectives() {
		words = append(words, d.GetGate().GetReason())
	}
	return strings.Join(words, " ")
}

func TestPollsOfOneReplicaAreOneSession(t *testing.T) {
	g, p := polled(t)
	first := poll(t, g, asking("web-1", 1, 0))
	if first.GetWelcome().GetDaemon() != "d1" || first.GetSessionTtl().AsDuration() != pollSilence || first.GetPollAfter().AsDuration() != calmPoll {
		t.Errorf("first answer %v: want a welcome, how long the session stands and when to poll again", first)
	}
	second := poll(t, g, asking("web-1", 2, first.GetNumber()))
	if second.GetWelcome() != nil || second.GetNumber() != first.GetNumber()+1 {
		t.Errorf("second answer %v: want the next number and no welcome", second)
	}
	only := asking("web-1", 0, second.GetNumber())
	only.Report = nil
	poll(t, g, only)
	if got := p.events("web-1"); got != "hello 1 2" || g.attached() != 1 {
		t.Errorf("control heard %q of %d replicas", got, g.attached())
	}
}

func TestAReportThatIsSentAgainCountsOnce(t *testing.T) {
	g, p := polled(t)
	for _, sequence := range []uint64{1, 1, 2, 1, 2, 3, 0, 0} {
		poll(t, g, asking("web-1", sequence, 0))
	}
	if got := p.events("web-1"); got != "hello 1 2 3 0 0" {
		t.Errorf("control heard %q", got)
	}
}

func TestALostAnswerIsRepairedByTheNextPoll(t *testing.T) {
	g, _ := polled(t)
	first := poll(t, g, asking("web-1", 1, 0))
	down := word(1, "", "down")
	down.Leases = []*linkv1.Lease{{Token: 7, Ttl: wire.ToDirective(&fleet.Directive{TTL: time.Minute}).GetTtl()}}
	g.deliver(order(fleet.ReplicaID{Service: web}, down))
	g.deliver(order(fleet.ReplicaID{Service: web}, word(1, "r", "slow")))
	lost := poll(t, g, asking("web-1", 2, first.GetNumber()))
	if reasons(lost) != "down slow" || lost.GetPollAfter().AsDuration() != urgentPoll {
		t.Fatalf("answer %v", lost)
	}
	g.deliver(order(fleet.ReplicaID{Service: web}, word(2, "", "up")))
	again := poll(t, g, asking("web-1", 3, first.GetNumber()))
	if reasons(again) != "up slow" || again.GetDirectives()[0].GetLeases()[0].GetToken() != 7 {
		t.Errorf("answer %v: want the newer word with the older one's lease, and the other word again", again)
	}
	if left := again.GetDirectives()[0].GetLeases()[0].GetTtl().AsDuration(); left > time.Minute {
		t.Errorf("the lease has %v left: want less than it had", left)
	}
	if got := poll(t, g, asking("web-1", 4, again.GetNumber())); reasons(got) != "" {
		t.Errorf("answer %v: want nothing twice", got)
	}
}

func TestALongOutboxTakesSeveralPollsAtOnce(t *testing.T) {
	g, _ := polled(t)
	answer := poll(t, g, asking("web-1", 1, 0))
	for i := range batch + 1 {
		g.deliver(order(fleet.ReplicaID{Service: web}, word(1, fmt.Sprintf("r%d", i), "down")))
	}
	answer = poll(t, g, asking("web-1", 2, answer.GetNumber()))
	if len(answer.GetDirectives()) != batch || answer.GetPollAfter() != nil {
		t.Errorf("%d directives, next poll after %v: want %d and at once", len(answer.GetDirectives()), answer.GetPollAfter(), batch)
	}
	if answer = poll(t, g, asking("web-1", 3, answer.GetNumber())); len(answer.GetDirectives()) != 1 {
		t.Errorf("%d directives: want the last one", len(answer.GetDirectives()))
	}
}

func TestASessionThatIsNotHeardEnds(t *testing.T) {
	g, p := polled(t)
	g.pollers.silence = 20 * time.Millisecond
	answer := poll(t, g, asking("web-1", 5, 0))
	eventually(t, "gone", func() bool { return p.events("web-1") == "hello 5 gone" && g.attached() == 0 && g.pollers.count() == 0 })
	g.pollers.silence = time.Minute
	if anew := poll(t, g, asking("web-1", 5, answer.GetNumber())); anew.GetWelcome() == nil {
		t.Errorf("answer %v: want a welcome to a new session", anew)
	}
	if got := p.events("web-1"); got != "hello 5 gone hello 5" {
		t.Errorf("control heard %q", got)
	}
}

func TestTheLastWordEndsASession(t *testing.T) {
	g, p := polled(t)
	last := asking("web-1", 1, 0)
	last.Report.Final = true
	poll(t, g, last)
	if got := p.events("web-1"); got != "hello 1 gone" || g.attached() != 0 {
		t.Errorf("control heard %q; %d attached", got, g.attached())
	}
}

func TestSessionsAreBounded(t *testing.T) {
	g, _ := polled(t)
	g.pollers.most = 2
	poll(t, g, asking("web-1", 1, 0))
	poll(t, g, asking("web-2", 1, 0))
	if _, err := g.Poll(t.Context(), asking("web-3", 1, 0)); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("the third session: %v: want resource_exhausted", err)
	}
	poll(t, g, asking("web-1", 2, 0))
}

func TestADaemonThatStopsTakesNoPolls(t *testing.T) {
	g, p := polled(t)
	poll(t, g, asking("web-1", 1, 0))
	g.drain()
	if _, err := g.Poll(t.Context(), asking("web-1", 2, 0)); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("%v: want unavailable", err)
	}
	if got := p.events("web-1"); got != "hello 1 gone" {
		t.Errorf("control heard %q", got)
	}
}

func TestAStreamOfTheSameReplicaEndsItsPolls(t *testing.T) {
	g, p := polled(t)
	poll(t, g, asking("web-1", 1, 0))
	g.sit(fleet.ReplicaID{Service: web, Name: "web-1", Incarnation: 1})
	if _, err := g.Poll(t.Context(), asking("web-1", 2, 0)); connect.CodeOf(err) != connect.CodeAborted {
		t.Errorf("%v: want aborted", err)
	}
	if got := p.events("web-1"); got != "hello 1" {
		t.Errorf("control heard %q: want no end of a replica that is here by its stream", got)
	}
}

func TestPollsOfAnotherHostAreAnotherSession(t *testing.T) {
	g, p := polled(t)
	id := fleet.ReplicaID{Service: web, Name: "web-1", Incarnation: 1}
	hello := asking("web-1", 0, 0).GetHello()
	for _, peer := range []string{"10.0.0.1:1000", "10.0.0.1:1001", "10.0.0.2:1000"} {
		s, _, err := g.pollers.join(id, peer, hello)
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Unlock()
	}
	if got := p.events("web-1"); got != "hello hello" || p.all[1].GetObserver() != "10.0.0.2" || g.attached() != 1 {
		t.Errorf("control heard %q, the second from %s", got, p.all[1].GetObserver())
	}
}

func TestLostReportsAreCounted(t *testing.T) {
	g, _ := polled(t)
	r := asking("web-1", 1, 0)
	r.Report.Dropped = 3
	poll(t, g, r)
	if n := testutil.ToFloat64(g.metrics.lost); n != 3 {
		t.Errorf("%v lost: want 3", n)
	}
}

// ask polls as curl does.
func ask(t *testing.T, a *App, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.Address()+"/switchgear.link.v1.LinkService/Poll", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func helloJSON(name string) string {
	return fmt.Sprintf(`"hello": {"protocol": 1, "replica": {"service": {"namespace": "default", "name": "web"}, "name": %q, "incarnation": "1"}}`, name)
}

func TestAnOutageReportedByPlainPollsOpensTheCircuit(t *testing.T) {
	a, _ := running(t, nil)
	opened := make(map[string]bool)
	for sequence := 1; len(opened) < 3; sequence++ {
		for _, name := range []string{"web-1", "web-2", "web-3"} {
			status, answer := ask(t, a, fmt.Sprintf(`{%s, "report": {"sequence": "%d", "circuits": [{"callee": {"namespace": "default", "name": "checkout"},
				"state": "STATE_CLOSED", "mode": "MODE_ENFORCE", "cells": [{"buckets": [{"offered": 20, "failed": 20, "kinds": [0, 0, 0, 0, 20]}]}]}]},
				"ofAnotherDay": {"x": 1}}`, helloJSON(name), sequence))
			if status != http.StatusOK {
				t.Fatalf("%d: %s", status, answer)
			}
			if strings.Contains(answer, "STATE_OPEN") {
				opened[name] = true
			}
		}
		if sequence > 500 {
			t.Fatalf("told open: %v", opened)
		}
	}
	a.gateway.pollers.mu.Lock()
	defer a.gateway.pollers.mu.Unlock()
	for id, s := range a.gateway.pollers.sessions {
		if s.host != "127.0.0.1" || !strings.HasPrefix(s.observer, "127.0.0.1:") {
			t.Errorf("%s polls from %q and is observer %q", id.Name, s.host, s.observer)
		}
	}
}

func TestHostilePollsAreRefusedAndChangeNothing(t *testing.T) {
	a, _ := running(t, nil)
	for what, body := range map[string]struct{ body, want string }{
		"no JSON":        {`{"hello": `, "invalid_argument"},
		"nothing":        {`{}`, "no protocol version"},
		"no replica":     {`{"hello": {"protocol": 1}}`, "replica"},
		"a bad name":     {`{"hello": {"protocol": 1, "replica": {"service": {"namespace": "default", "name": "a\nb"}, "name": "x"}}}`, "name"},
		"no callee":      {`{` + helloJSON("web-1") + `, "report": {"circuits": [{}]}}`, "callee"},
		"negative count": {`{` + helloJSON("web-1") + `, "report": {"circuits": [{"callee": {"namespace": "default", "name": "c"}, "cells": [{"buckets": [{"failed": -1}]}]}]}}`, "invalid_argument"},
		"a bad duration": {`{` + helloJSON("web-1") + `, "report": {"circuits": [{"callee": {"namespace": "default", "name": "c"}, "since": "-1s"}]}}`, "since"},
		"too much":       {`{"hello": {"version": "` + strings.Repeat("x", wire.MaxMessageBytes) + `"}}`, "resource_exhausted"},
	} {
		status, answer := ask(t, a, body.body)
		if status < 400 || status > 499 || !strings.Contains(answer, body.want) {
			t.Errorf("%s: %d %.300s: want a 4xx with %q", what, status, answer, body.want)
		}
	}
	if a.gateway.attached() != 0 || len(a.owner.snapshot().Circuits) != 0 {
		t.Errorf("%d replicas, circuits %v: want none", a.gateway.attached(), a.owner.snapshot().Circuits)
	}
}

func TestAPollThatNeverEndsIsCutOff(t *testing.T) {
	g, _ := polled(t)
	_, handler := linkv1connect.NewLinkServiceHandler(g)
	s := httptest.NewServer(timely(50*time.Millisecond, handler))
	t.Cleanup(s.Close)
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", linkv1connect.LinkServicePollProcedure)
	answer, err := io.ReadAll(c) // until the server ends it
	if err != nil || strings.Contains(string(answer), "200 OK") || g.attached() != 0 {
		t.Errorf("answer %q, %v; %d attached", answer, err, g.attached())
	}
}

func TestAPollsDeadlineIsNotThatOfTheNextRequest(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/poll", timely(20*time.Millisecond, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	mux.HandleFunc("/other", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") })
	connections := 0
	s := httptest.NewUnstartedServer(mux)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections++
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	get := func(path string) string {
		resp, err := s.Client().Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return string(b)
	}
	get("/poll")
	late := time.After(60 * time.Millisecond)
	for over := false; !over; {
		if got := get("/other"); got != "here" || connections != 1 {
			t.Fatalf("%q by connection %d: want the poll's own, without its deadline", got, connections)
		}
		select {
		case <-late:
			over = true
		default:
		}
	}
}

// Whatever arrives: what is refused leaves no session and tells control nothing.
func FuzzPoll(f *testing.F) {
	seed := func(m *linkv1.PollRequest) {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	seed(asking("web-1", 1, 0))
	seed(&linkv1.PollRequest{})
	bad := asking("web-1", 1, 0)
	bad.Report.Circuits[0].Callee = nil
	seed(bad)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(linkv1.PollRequest)
		if proto.Unmarshal(b, m) != nil {
			return
		}
		g, p := polled(t)
		_, err := g.Poll(context.Background(), m)
		if err != nil && (len(p.all) != 0 || g.attached() != 0 || g.pollers.count() != 0) {
			t.Errorf("%v: and yet control heard %v, %d attached", err, p.all, g.attached())
		}
		if err == nil && g.attached() == 0 && !m.GetReport().GetFinal() {
			t.Error("no error and no session")
		}
	})
}
