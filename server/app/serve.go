package app

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/server/api"
	"github.com/datapunk/switchgear/server/describe"
	"github.com/datapunk/switchgear/server/gen/switchgear/api/v1/apiv1connect"
)

const (
	defaultMaxOverride = 24 * time.Hour
	longestOverride    = 30 * 24 * time.Hour // control takes no more
	// A reader of the API that takes nothing for so long is cut off.
	writeWait = 30 * time.Second
)

// api serves what operators ask.
func (a *App) api(mux *http.ServeMux, options ...connect.HandlerOption) {
	handle := func(path string, h http.Handler) { mux.Handle(path, taken(h)) }
	handle(apiv1connect.NewCircuitServiceHandler(api.NewCircuits(a.owner.snapshot, a.feed), options...))
	handle(apiv1connect.NewFleetServiceHandler(api.NewFleet(a.owner.snapshot), options...))
	refuse := connect.NewErrorWriter(options...)
	path, overrides := apiv1connect.NewOverrideServiceHandler(api.NewOverrides(a.book, a.owner.snapshot, a.onLoopback(), a.cfg.MaxOverride), options...)
	handle(path, local(overrides, refuse))
	path, policies := apiv1connect.NewPolicyServiceHandler(api.NewPolicies(a.policies, a.owner.tried.Load, a.onLoopback(), a.cfg.Dev), options...)
	handle(path, local(policies, refuse))
}

// openAPI serves the API's description.
func (a *App) openAPI(mux *http.ServeMux) {
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(a.described) // who has left is told nothing
	})
}

// describeAPI gives it as an OpenAPI document.
func describeAPI() ([]byte, error) {
	d, err := describe.Load()
	if err != nil {
		return nil, err
	}
	return d.OpenAPI(switchgear.Version)
}

// onLoopback reports whether only this machine reaches the daemon.
func (a *App) onLoopback() bool {
	at, ok := a.listener.Addr().(*net.TCPAddr)
	return ok && at.IP.IsLoopback()
}

// unhurried takes back what an earlier answer on the same connection has left of its
// time.
func unhurried(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		}
		h.ServeHTTP(w, r)
	})
}

// local refuses what asks by a name that others could have given this machine: a page
// in a browser, whose own name leads here.
func local(h http.Handler, refuse *connect.ErrorWriter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopbackName(r.Host) {
			err := connect.NewError(connect.CodePermissionDenied, fmt.Errorf("authors are self-declared, and this was asked as %q: ask it as 127.0.0.1 or localhost", r.Host))
			_ = refuse.Write(w, r, err) // who has left is told nothing
			return
		}
		h.ServeHTTP(w, r)
	})
}

func loopbackName(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return name == "localhost" || err == nil && ip.IsLoopback()
}

// taken ends an answer that its reader does not take.
func taken(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&timedWriter{w, http.NewResponseController(w)}, r)
	})
}

// timedWriter gives each write its own time.
type timedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (w *timedWriter) Write(b []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(writeWait)) // where it can't be set, pings notice who is gone
	return w.ResponseWriter.Write(b)
}

// Flush and Unwrap are what streams need of a writer.
func (w *timedWriter) Flush() {
	_ = w.control.SetWriteDeadline(time.Now().Add(writeWait))
	_ = w.control.Flush() // the next write tells of the same error
}

func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
