package breakerhttp_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/breakerhttp"
	"github.com/datapunk/switchgear/internal/failures"
)

func TestFailuresHaveTheOutcomesOfTheTable(t *testing.T) {
	for _, d := range []failures.Dialect{failures.HTTP1, failures.HTTP2} {
		t.Run(string(d), func(t *testing.T) {
			failures.Run(t, d, func(ctx context.Context, t *testing.T, p *failures.Peer, judged func(breaker.Outcome)) {
				t.Helper()
				base := &http.Transport{DialContext: p.Dial}
				if d == failures.HTTP2 {
					base.Protocols = new(http.Protocols)
					base.Protocols.SetUnencryptedHTTP2(true)
				}
				defer base.CloseIdleConnections()
				m, err := switchgear.New(switchgear.Config{Service: "web", Classify: func(r switchgear.Result) switchgear.Outcome {
					judged(r.Default)
					return r.Default
				}})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Address, nil)
				if err != nil {
					t.Fatal(err)
				}
				res, err := breakerhttp.Transport(m, base).RoundTrip(req)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			})
		})
	}
}
