package breakerprom_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breakerprom"
)

func Example() {
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		panic(err)
	}
	defer m.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(breakerprom.Collector(m))
	m.Breaker(switchgear.Key{Callee: "ledger"})

	// Serve promhttp.HandlerFor(registry, …) at /metrics; here is what a scrape reads.
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	page, _ := io.ReadAll(w.Body)
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "switchgear_breaker_state{") {
			fmt.Print(line)
		}
	}
	// Output:
	// switchgear_breaker_state{callee="ledger",caller="default/checkout",namespace="default",route="",state="closed"} 1
	// switchgear_breaker_state{callee="ledger",caller="default/checkout",namespace="default",route="",state="half_open"} 0
	// switchgear_breaker_state{callee="ledger",caller="default/checkout",namespace="default",route="",state="open"} 0
}
