package app

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

var (
	errStarting = errors.New("the owner has not stepped yet")
	errStuck    = fmt.Errorf("the owner has not stepped for over %v", stuckAfter)
	errDraining = errors.New("the daemon is stopping")
)

// health serves what watches over the daemon: metrics, whether it lives, and
// whether it is ready, with every reason why not.
func (a *App) health(mux *http.ServeMux) {
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.cfg.Registry, promhttp.HandlerOpts{Registry: a.cfg.Registry}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := a.Ready(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
		fmt.Fprintln(w, "ready")
	})
}

// Ready says every reason why the daemon should get no replicas, nil if there is
// none.
func (a *App) Ready() error {
	var draining error
	if a.gateway.stopping() {
		draining = errDraining
	}
	return errors.Join(draining, a.owner.err(), a.bus.Err())
}

func (g *gateway) stopping() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.draining
}
