package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
)

const formLimit = 4 << 10

// Admin serves the proxy's faults and counts, for an address of its own: GET
// reads both, POST with a form of [Words] replaces all faults (an empty form is
// the cure). It answers only those who name it by a loopback address and are no
// web page: a page in the user's browser must not be able to change it.
func (p *Proxy) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /faults", p.getFaults)
	mux.HandleFunc("POST /faults", p.postFaults)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if OnLoopback(r.Host) != nil || r.Header.Get("Origin") != "" {
			http.Error(w, "only for programs of this machine, by a loopback address", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (p *Proxy) getFaults(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(struct { //nolint:errcheck // the caller has left: nobody to tell
		Faults string `json:"faults"`
		Counts Counts `json:"counts"`
	}{p.Faults().String(), p.Counts()})
}

func (p *Proxy) postFaults(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, formLimit)
	if err := r.ParseForm(); err != nil {
		http.Error(w, fmt.Sprintf("read the form: %v (a percent sign is written %%25, or left out)", err), http.StatusBadRequest)
		return
	}
	var f Faults
	for name, values := range r.PostForm {
		if err := f.Set(name, values[len(values)-1]); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	if err := p.Set(f); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.getFaults(w, r)
}
