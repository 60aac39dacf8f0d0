package breakerhttp_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/breakerhttp"
)

// TestACallerWithHardlyAnyTimeSaysNothingOfItsCallee lets a call of which the
// circuit's usual time is a minute run out of time at once.
func TestACallerWithHardlyAnyTimeSaysNothingOfItsCallee(t *testing.T) {
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	m := manager(t, "web")
	b := m.Breaker(switchgear.Key{Callee: "callee"})
	b.Circuit().Deadline(time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _ = get(t, ctx, client(t, m, breakerhttp.WithCallee("callee")), url)
	if n := b.Circuit().Breaker.Counts(); n.Failed != 0 || n.Kinds[breaker.CallerDeadline] != 1 {
		t.Errorf("counted %+v: want ignored, caller_deadline", n)
	}
}

func TestTheAttemptComesFromTheContext(t *testing.T) {
	url := serve(t, func(http.ResponseWriter, *http.Request) {})
	var attempts []uint8
	m, err := switchgear.New(switchgear.Config{Service: "web", Classify: func(r switchgear.Result) switchgear.Outcome {
		attempts = append(attempts, r.Default.Attempt)
		return r.Default
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c := client(t, m)
	for _, ctx := range []context.Context{t.Context(), switchgear.WithAttempt(t.Context(), 2), switchgear.WithAttempt(t.Context(), 1000), switchgear.WithAttempt(t.Context(), -1)} {
		if _, err := get(t, ctx, c, url); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(attempts, []uint8{0, 2, 255, 0}) {
		t.Errorf("attempts %v: want 0 where it is not known, 2, 255, 0", attempts)
	}
}

// TestARouteThatAPolicySelectsHasItsOwnCircuit: others share the callee's.
func TestARouteThatAPolicySelectsHasItsOwnCircuit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(file, []byte(`{"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":"pay"},"spec":{"selector":{"callee":"callee","route":"/pay*"},"failureRateThreshold":40}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := switchgear.New(switchgear.Config{Service: "web"}, switchgear.WithPolicyFile(file))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	b := m.Breaker(switchgear.Key{Callee: "callee"})
	if r := b.Route("/users/{id}"); r != b {
		t.Errorf("a route that no policy selects has the breaker of %s", r.Key())
	}
	if r := b.Route(""); r != b {
		t.Errorf("no route has the breaker of %s", r.Key())
	}
	r := b.Route("/pay")
	if r == b || r != b.Route("/pay") || r.Key().Route != "/pay" {
		t.Errorf("the selected route has the breaker of %s: want one of its own", r.Key())
	}
	for i := range 100 {
		b.Route("/pay" + string(rune('a'+i/26)) + string(rune('a'+i%26)))
	}
	if r := b.Route("/payzz"); r.Key().Route != "other" {
		t.Errorf("a route beyond 64 has the breaker of %s: want other", r.Key())
	}
	if again := b.Route("/pay"); again != r {
		t.Errorf("the first route's breaker is now that of %s", again.Key())
	}
}

// TestABodyThatIsNoneIsAReset answers with a chunk that is none: no error of the
// network, but the answer is not whole.
func TestABodyThatIsNoneIsAReset(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n"))
		_ = conn.Close()
	})
	m := manager(t, "web")
	if _, err := get(t, t.Context(), client(t, m, breakerhttp.WithCallee("callee")), url); err == nil {
		t.Fatal("the body was read")
	}
	if n := m.Breaker(switchgear.Key{Callee: "callee"}).Circuit().Breaker.Counts(); n.Failed != 1 || n.Kinds[breaker.Reset] != 1 {
		t.Errorf("counted %+v: want one reset", n)
	}
}
