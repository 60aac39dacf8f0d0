package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// until ends a run when the words have been printed.
type until struct {
	words string
	end   context.CancelFunc
	text  strings.Builder
}

func (u *until) Write(b []byte) (int, error) {
	u.text.Write(b)
	if strings.Contains(u.text.String(), u.words) {
		u.end()
	}
	return len(b), nil
}

func TestTheClientIsProtectedWithAndWithoutADaemon(t *testing.T) {
	for name, daemon := range map[string]string{
		"without a daemon":          "",
		"with a daemon that is off": "http://127.0.0.1:1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusInternalServerError)
			}))
			defer s.Close()
			ctx, cancel := context.WithCancel(t.Context())
			out := &until{words: "circuit is open", end: cancel}
			if err := run(ctx, out, s.URL, daemon); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.text.String(), out.words) {
				t.Errorf("it never opened:\n%s", out.text.String())
			}
		})
	}
}

func TestADaemonsAddressThatCannotBeOneIsAnError(t *testing.T) {
	if err := run(t.Context(), new(until), "http://127.0.0.1:1", "ftp://x"); err == nil || !strings.Contains(err.Error(), "http://") {
		t.Errorf("error %v, want one that shows what an address looks like", err)
	}
}
