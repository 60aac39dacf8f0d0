package breakerhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/breakerhttp"
)

func manager(t *testing.T, service string) *switchgear.Manager {
	t.Helper()
	m, err := switchgear.New(switchgear.Config{Service: service})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// serve runs a real server on loopback and returns its URL.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func client(t *testing.T, m *switchgear.Manager, options ...breakerhttp.Option) *http.Client {
	t.Helper()
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	return &http.Client{Transport: breakerhttp.Transport(m, base, options...)}
}

func get(t *testing.T, ctx context.Context, c *http.Client, url string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode, err
}

// TestOutcomes sends each kind of answer over a real socket and looks at what
// the breaker counted.
func TestOutcomes(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	hang := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	}
	reset := func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	cutBody := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("some"))
		w.(http.Flusher).Flush()
		reset(w, r)
	}
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "body")
		}
	}
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		timeout time.Duration
		cancel  bool
		verdict breaker.Verdict
		kind    breaker.Kind
	}{
		{name: "200", handler: status(200)},
		{name: "302 without a location", handler: status(304)},
		{name: "404", handler: status(404), verdict: breaker.Ignored, kind: breaker.BadRequest},
		{name: "429", handler: status(429), verdict: breaker.Failure, kind: breaker.RateLimited},
		{name: "500", handler: status(500), verdict: breaker.Failure, kind: breaker.ServerError},
		{name: "502", handler: status(502), verdict: breaker.Failure, kind: breaker.Gateway},
		{name: "503", handler: status(503), verdict: breaker.Failure, kind: breaker.Gateway},
		{name: "503 with Retry-After", handler: status(503, "Retry-After", "1"), verdict: breaker.Failure, kind: breaker.RateLimited},
		{name: "inherited", handler: status(502, "Proxy-Status", `"default/mid"; error=destination_unavailable; switchgear-origin="a..b"; switchgear-hops=1`), verdict: breaker.Inherited},
		{name: "inherited from too far", handler: status(502, "Proxy-Status", `"default/mid"; switchgear-origin="a..b"; switchgear-hops=99`), verdict: breaker.Failure, kind: breaker.Gateway},
		{name: "a 200 can't be inherited", handler: status(200, "Proxy-Status", `"default/mid"; switchgear-origin="a..b"; switchgear-hops=1`)},
		{name: "time-out", handler: hang, timeout: 30 * time.Millisecond, verdict: breaker.Failure, kind: breaker.Timeout},
		{name: "cancelled", handler: hang, cancel: true, verdict: breaker.Ignored, kind: breaker.Canceled},
		{name: "reset", handler: reset, verdict: breaker.Failure, kind: breaker.Reset},
		{name: "reset in the body", handler: cutBody, verdict: breaker.Failure, kind: breaker.Reset},
		{name: "refused", verdict: breaker.Failure, kind: breaker.Connect},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := manager(t, "web")
			url := "http://127.0.0.1:1" // nobody listens there
			if c.handler != nil {
				url = serve(t, c.handler)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.timeout > 0 {
				ctx, cancel = context.WithTimeout(t.Context(), c.timeout)
				defer cancel()
			}
			if c.cancel {
				time.AfterFunc(30*time.Millisecond, cancel)
			}
			_, _ = get(t, ctx, client(t, m, breakerhttp.WithCallee("callee")), url)
			n := m.Breaker(switchgear.Key{Callee: "callee"}).Circuit().Breaker.Counts()
			got := map[breaker.Verdict]uint64{breaker.Success: n.Succeeded, breaker.Failure: n.Failed, breaker.Ignored: n.Ignored, breaker.Inherited: n.Inherited}
			for v, count := range got {
				if want := map[bool]uint64{true: 1}[v == c.verdict]; count != want {
					t.Errorf("%s counted %d times: want %d", v, count, want)
				}
			}
			if c.kind != breaker.NoKind && n.Kinds[c.kind] != 1 {
				t.Errorf("kinds %v: want one %s", n.Kinds, c.kind)
			}
		})
	}
}

func TestOpenCircuitSendsNothing(t *testing.T) {
	var arrived atomic.Int64
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	})
	m := manager(t, "web")
	c := client(t, m)
	for range 50 {
		_, err := get(t, t.Context(), c, url)
		if err != nil && !errors.Is(err, switchgear.ErrOpen) {
			t.Fatal(err)
		}
	}
	if n := arrived.Load(); n != 20 {
		t.Errorf("%d requests arrived: want the 20 that opened it", n)
	}
}

// TestFailureBelowIsInherited runs web → checkout → payments over sockets:
// payments fails, and only the breaker next to it opens.
func TestFailureBelowIsInherited(t *testing.T) {
	payments := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	mid := manager(t, "checkout")
	toPayments := client(t, mid, breakerhttp.WithCallee("payments"))
	checkout := httptest.NewServer(breakerhttp.Handler(mid, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code, err := get(t, r.Context(), toPayments, payments); err != nil || code >= 500 {
			http.Error(w, "payments is ill", http.StatusBadGateway)
		}
	})))
	t.Cleanup(checkout.Close)
	top := manager(t, "web")
	toCheckout := client(t, top, breakerhttp.WithCallee("checkout"))
	for range 60 {
		if code, err := get(t, t.Context(), toCheckout, checkout.URL); err != nil || code != http.StatusBadGateway {
			t.Fatalf("web → checkout: %d, %v", code, err)
		}
	}
	if s := mid.Breaker(switchgear.Key{Callee: "payments"}).State(); s != switchgear.Open {
		t.Errorf("checkout → payments is %v: want open", s)
	}
	edge := top.Breaker(switchgear.Key{Callee: "checkout"})
	if n := edge.Circuit().Breaker.Counts(); edge.State() != switchgear.Closed || n.Inherited != 60 || n.Failed != 0 {
		t.Errorf("web → checkout is %v, %d inherited, %d failed: want closed, 60, 0", edge.State(), n.Inherited, n.Failed)
	}
}

func TestInstancesAreChosenEvenlyAndLeftOutWhenOpen(t *testing.T) {
	var hits [3]atomic.Int64
	var addresses []string
	for i := range hits {
		u := serve(t, func(http.ResponseWriter, *http.Request) { hits[i].Add(1) })
		addresses = append(addresses, strings.TrimPrefix(u, "http://"))
	}
	m := manager(t, "search")
	c := client(t, m, breakerhttp.WithInstances(addresses...))
	for range 30 {
		if _, err := get(t, t.Context(), c, "http://catalog/items"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range hits {
		if n := hits[i].Load(); n != 10 {
			t.Errorf("instance %d was called %d times: want 10", i, n)
		}
	}
	circuit := m.Breaker(switchgear.Key{Callee: "catalog"}).Circuit()
	circuit.Instance(addresses[1]).Direct(breaker.Direction{State: breaker.Open, Generation: 1, Until: time.Hour})
	for range 30 {
		if _, err := get(t, t.Context(), c, "http://catalog/items"); err != nil {
			t.Fatal(err)
		}
	}
	if n := hits[1].Load(); n != 10 {
		t.Errorf("the open instance was called %d times more: want 0", n-10)
	}
	if a, b := hits[0].Load(), hits[2].Load(); a+b != 50 || a < 20 || b < 20 {
		t.Errorf("its siblings were called %d and %d times: want 50 in all, both in use", a, b)
	}
	for _, a := range addresses {
		circuit.Instance(a).Direct(breaker.Direction{State: breaker.Open, Generation: 2, Until: time.Hour})
	}
	_, err := get(t, t.Context(), c, "http://catalog/items")
	if np, ok := errors.AsType[*switchgear.NotPermittedError](err); !ok || np.Instance == "" {
		t.Errorf("with every instance open: %v: want a rejection that names one", err)
	}
}

func TestBodyIsClosedWhenRejected(t *testing.T) {
	m := manager(t, "web")
	c := client(t, m, breakerhttp.WithCallee("callee"))
	m.Breaker(switchgear.Key{Callee: "callee"}).Circuit().Breaker.SetMode(breaker.ForcedOpen, "test")
	body := &closer{Reader: strings.NewReader("x")}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:1", body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(req); !errors.Is(err, switchgear.ErrNotPermitted) {
		t.Fatalf("got %v: want a rejection", err)
	}
	if !body.closed {
		t.Error("the request's body was left open")
	}
}

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error {
	c.closed = true
	return nil
}

func ExampleTransport() {
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		panic(err)
	}
	defer m.Close()
	client := &http.Client{Transport: breakerhttp.Transport(m, nil)}

	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	res, err := client.Get(server.URL)
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	fmt.Println(res.StatusCode)
	// Output: 404
}
