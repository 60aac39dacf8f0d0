package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

// service answers "hello", from its own listener, and closes with the test.
func service(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Proxy-Status", "payments; error=x")
		io.WriteString(w, "hello "+r.Header.Get("From"))
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func start(t *testing.T, c Config) *Proxy {
	t.Helper()
	c.Listen = "127.0.0.1:0"
	p, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func httpProxy(t *testing.T, f Faults) *Proxy {
	t.Helper()
	return start(t, Config{To: service(t), SourceHeader: "From", Events: 1000, Faults: f})
}

// ended closes the proxy, so that every request has been counted to its end.
func ended(p *Proxy) Counts {
	p.Close()
	return p.Counts()
}

// get asks by a connection of its own, and gives status and body.
func get(t *testing.T, p *Proxy, ctx context.Context) (int, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("From", t.Name())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func TestWithoutFaultsEverythingPasses(t *testing.T) {
	p := httpProxy(t, Faults{})
	began := time.Now()
	for range 5 {
		if status, body, err := get(t, p, t.Context()); status != 200 || body != "hello "+t.Name() || err != nil {
			t.Fatalf("%d %q %v", status, body, err)
		}
	}
	if c := ended(p); c != (Counts{Arrived: 5, Passed: 5}) {
		t.Errorf("counts %+v", c)
	}
	events := p.Events(began)
	if len(events) != 5 {
		t.Fatalf("%d events, want 5", len(events))
	}
	for _, e := range events {
		if e.Source != t.Name() || e.Effect != Passed || e.Status != 200 || e.Took <= 0 {
			t.Errorf("event %+v", e)
		}
	}
}

func TestAShareIsExactAndOutOfStep(t *testing.T) {
	p := httpProxy(t, Faults{FailPercent: 50, Status: 500})
	failed, same := 0, 0
	last := 0
	for range 200 {
		status, _, err := get(t, p, t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if status == 500 {
			failed++
		}
		if status == last {
			same++
		}
		last = status
	}
	if failed < 98 || failed > 102 {
		t.Errorf("%d of 200 failed at 50 %%", failed)
	}
	if same == 0 {
		t.Error("every second request fails: callers that take turns would be in step with it")
	}
	if c := ended(p); c.Failed != uint64(failed) || c.Passed != uint64(200-failed) {
		t.Errorf("counts %+v, seen %d failed", c, failed)
	}
}

func TestResetIsAReset(t *testing.T) {
	p := httpProxy(t, Faults{ResetPercent: 100})
	if _, _, err := get(t, p, t.Context()); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v, want a connection reset", err)
	}
	if c := ended(p); c.Reset != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestHangEndsWithTheCallerOrTheCure(t *testing.T) {
	p := httpProxy(t, Faults{Hang: true})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, _, err := get(t, p, ctx)
		ended <- err
	}()
	until(t, func() bool { return p.Counts().Arrived == 1 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	until(t, func() bool { return p.Counts().Hung == 1 })

	go func() {
		_, _, err := get(t, p, t.Context())
		ended <- err
	}()
	until(t, func() bool { return p.Counts().Arrived == 2 })
	if err := p.Set(Faults{}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a hanging request got an answer from the cure")
	}
	if status, _, err := get(t, p, t.Context()); status != 200 {
		t.Errorf("%d %v after the cure", status, err)
	}
}

func TestDelayDelays(t *testing.T) {
	p := httpProxy(t, Faults{Delay: 30 * time.Millisecond, Jitter: 10 * time.Millisecond})
	began := time.Now()
	if status, _, err := get(t, p, t.Context()); status != 200 {
		t.Fatal(status, err)
	}
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("took %v, want at least delay less jitter", took)
	}
	if c := p.Counts(); c.Delayed != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestDripDrips(t *testing.T) {
	p := httpProxy(t, Faults{Drip: 200})
	began := time.Now()
	status, body, err := get(t, p, t.Context())
	if status != 200 || body != "hello "+t.Name() {
		t.Fatal(status, body, err)
	}
	if took, least := time.Since(began), time.Duration(len(body)-20)*5*time.Millisecond; took < least {
		t.Errorf("%d bytes at 200 a second took %v, want at least %v", len(body), took, least)
	}
}

func TestBeyondCapacityRequestsWaitThenFail(t *testing.T) {
	p := httpProxy(t, Faults{Capacity: 20, Queue: 3})
	began := time.Now()
	statuses := make(chan int)
	for range 12 {
		go func() {
			status, _, _ := get(t, p, t.Context())
			statuses <- status
		}()
	}
	count := map[int]int{}
	for range 12 {
		count[<-statuses]++
	}
	took := time.Since(began)
	if count[200] < 4 || count[503] == 0 || count[200]+count[503] != 12 {
		t.Errorf("answers %v, want at least 1 + 3 served and the rest failed", count)
	}
	if served := 1 + 20*took.Seconds(); float64(count[200]) > served+1 {
		t.Errorf("%d served in %v, capacity leaves %.1f", count[200], took, served)
	}
	if c := ended(p); c.QueueFull != uint64(count[503]) || c.Delayed == 0 {
		t.Errorf("counts %+v, answers %v", c, count)
	}
}

func TestRefuseIsRefusedByTheKernelAndCures(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		p := start(t, Config{To: service(t), TCP: tcp})
		held, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		if _, err := io.WriteString(held, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := held.Read(make([]byte, 12)); err != nil { // answered: the proxy has accepted it
			t.Fatal(err)
		}
		if err := p.Set(Faults{Refuse: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, held); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("tcp %v: a held connection ended with %v, want a reset", tcp, err)
		}
		if _, _, err := get(t, p, t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("tcp %v: error %v, want refused", tcp, err)
		}
		if err := p.Set(Faults{}); err != nil {
			t.Fatal(err)
		}
		if status, _, err := get(t, p, t.Context()); status != 200 {
			t.Errorf("tcp %v: %d %v after the cure", tcp, status, err)
		}
	}
}

func TestADeadTargetIsBadGateway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p := start(t, Config{To: l.Addr().String()})
	if status, _, err := get(t, p, t.Context()); status != 502 || err != nil {
		t.Error(status, err)
	}
	if c := ended(p); c.Broken != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestMemoryOfEventsIsBounded(t *testing.T) {
	tr := truth{limit: 3}
	for i := range 10 {
		n := tr.arrive(string(rune('a' + i)))
		if i != 8 {
			tr.end(n, Passed, 200)
		}
	}
	tr.end(0, Failed, 503) // forgotten long ago: counted, but no other event changes
	events := tr.since(time.Time{})
	var sources strings.Builder
	for _, e := range events {
		sources.WriteString(e.Source)
		if e.Effect == Failed {
			t.Errorf("event %+v", e)
		}
	}
	if sources.String() != "hij" || events[1].Effect != Pending {
		t.Errorf("events %+v", events)
	}
	if c := tr.read(); c.Arrived != 10 || c.Failed != 1 || c.Passed != 9 {
		t.Errorf("counts %+v", c)
	}
}

func TestWhatCannotBeIsRefusedWithItsReason(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Listen: "0.0.0.0:0", To: "127.0.0.1:1"}, "not a loopback address"},
		{Config{Listen: ":0", To: "127.0.0.1:1"}, "not a loopback address"},
		{Config{Listen: "127.0.0.1", To: "127.0.0.1:1"}, "want host:port"},
		{Config{Listen: "127.0.0.1:0", To: "payments"}, "want host:port"},
		{Config{Listen: "127.0.0.1:0", To: "ftp://x:1"}, "want host:port"},
		{Config{Listen: "127.0.0.1:0", To: "x:1", Faults: Faults{FailPercent: 101}}, "fail 101"},
		{Config{Listen: "127.0.0.1:0", To: "x:1", Faults: Faults{FailPercent: 60, ResetPercent: 60}}, "at most 100 percent together"},
		{Config{Listen: "127.0.0.1:0", To: "x:1", Faults: Faults{HalfOpen: true}}, "half-open"},
		{Config{Listen: "127.0.0.1:0", To: "x:1", TCP: true, Faults: Faults{FailPercent: 5, Capacity: 1}}, "none with tcp"},
		{Config{Listen: "127.0.0.1:0", To: "x:1", Faults: Faults{Jitter: 1}}, "jitter 1ns"},
	} {
		p, err := Start(c.config)
		if err == nil {
			p.Close()
			t.Errorf("%+v started", c.config)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q in it", c.config, err, c.want)
		}
	}
}

func TestFaultsReadWhatTheySay(t *testing.T) {
	f := Faults{
		FailPercent: 12.5, Status: 500, ResetPercent: 1, Hang: true, Refuse: true, HalfOpen: true,
		Delay: time.Second, Jitter: time.Millisecond, Drip: 10, Capacity: 0.5, Queue: 7,
	}
	var back Faults
	for word := range strings.FieldsSeq(f.String()) {
		name, value, _ := strings.Cut(word, "=")
		if err := back.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if back != f {
		t.Errorf("%v came back as %v", f, back)
	}
	if s := (Faults{}).String(); s != "none" {
		t.Error(s)
	}
	for _, bad := range [][2]string{{"fial", "50%"}, {"fail", "half"}, {"delay", "200"}, {"hang", "maybe"}} {
		if err := back.Set(bad[0], bad[1]); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("%v: error %v", bad, err)
		}
	}
}

func TestAdminChangesFaultsForProgramsOnly(t *testing.T) {
	p := httpProxy(t, Faults{})
	admin := httptest.NewServer(p.Admin())
	defer admin.Close()
	post := func(form url.Values, change func(*http.Request)) int {
		r, _ := http.NewRequest(http.MethodPost, admin.URL+"/faults", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		change(r)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	plain := func(*http.Request) {}
	if got := post(url.Values{"fail": {"100"}}, plain); got != 200 {
		t.Fatal(got)
	}
	if status, _, _ := get(t, p, t.Context()); status != 503 {
		t.Errorf("status %d after the fault was set", status)
	}
	for want, change := range map[int]func(*http.Request){
		403: func(r *http.Request) { r.Header.Set("Origin", "https://example.com") },
		400: func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("fail=101")); r.ContentLength = -1 },
	} {
		if got := post(url.Values{"status": {"500"}}, change); got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	}
	if got := post(url.Values{}, func(r *http.Request) { r.Host = "rebound.example:80" }); got != 403 {
		t.Errorf("status %d by a foreign name, want 403", got)
	}
	if p.Faults() != (Faults{FailPercent: 100}) {
		t.Errorf("refused changes changed the faults: %v", p.Faults())
	}
	if got := post(nil, plain); got != 200 || p.Faults() != (Faults{}) {
		t.Errorf("the cure: %d, %v", got, p.Faults())
	}
	until(t, func() bool { return p.Counts().Failed == 1 })
	resp, err := http.Get(admin.URL + "/faults")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if !strings.Contains(string(b), `"faults":"none"`) || !strings.Contains(string(b), `"failed":1`) {
		t.Errorf("%s", b)
	}
}

// until polls for what another goroutine does; the test's own time limit ends it.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for tick := time.Tick(time.Millisecond); !done(); <-tick {
		if t.Context().Err() != nil {
			t.Fatal("the test ended first")
		}
	}
}
