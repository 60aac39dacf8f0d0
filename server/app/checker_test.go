package app

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/datapunk/switchgear/internal/control"
)

func TestActiveChecksAskOnceFollowNothingAndEnd(t *testing.T) {
	answers := make(chan control.Checked, 100)
	c := newChecker(func(a control.Checked) { answers <- a })
	defer c.close()
	var elsewhere atomic.Int64
	hang := make(chan struct{})
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/well":
		case "/moved":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/hangs":
			<-hang
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	defer close(hang)
	address := netip.MustParseAddrPort(strings.TrimPrefix(s.URL, "http://"))
	for path, why := range map[string]string{"": "", "/well": "", "/moved": "", "/sick": "status 503", "/hangs": "deadline exceeded"} {
		c.ask(control.Check{Instance: "i", Address: address, Path: path, Deadline: 200 * time.Millisecond})
		if a := <-answers; a.OK != (why == "") || !strings.Contains(a.Why, why) || a.Instance != "i" {
			t.Errorf("%q: %+v: want %q", path, a, why)
		}
	}
	if elsewhere.Load() > 0 {
		t.Error("a redirect was followed")
	}
	// More than there are places for are not made, and closing waits for none.
	for range 2 * maxChecks {
		c.ask(control.Check{Address: address, Path: "/hangs", Deadline: time.Hour})
	}
	if n := len(c.slots); n != maxChecks {
		t.Errorf("%d checks under way: want %d", n, maxChecks)
	}
}

func TestANetworkThatIsNoneIsRefusedAtTheStart(t *testing.T) {
	_, err := New(Config{Listen: "127.0.0.1:0", Dev: true, Data: t.TempDir(), Checkable: []string{"10.0.0.1"}})
	if err == nil || !strings.Contains(err.Error(), `network "10.0.0.1"`) || !strings.Contains(err.Error(), "10.0.0.0/8") {
		t.Errorf("%v: want the network named, and what is wanted", err)
	}
}
