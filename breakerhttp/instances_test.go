package breakerhttp_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breakerhttp"
)

func TestInstancesComeAndGo(t *testing.T) {
	var hits [2]atomic.Int64
	var lists [2][]string
	for i := range hits {
		u := serve(t, func(http.ResponseWriter, *http.Request) { hits[i].Add(1) })
		lists[i] = []string{strings.TrimPrefix(u, "http://")}
	}
	var now atomic.Int64
	m := manager(t, "search")
	c := client(t, m, breakerhttp.WithResolver(func() []string { return lists[now.Load()] }))
	for i := range hits {
		now.Store(int64(i))
		for range 5 {
			if _, err := get(t, t.Context(), c, "http://catalog/items"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a, b := hits[0].Load(), hits[1].Load(); a != 5 || b != 5 {
		t.Errorf("%d and %d calls: want 5 each", a, b)
	}
}

func TestOneAddressIsSaidOnce(t *testing.T) {
	url := serve(t, func(http.ResponseWriter, *http.Request) {})
	var log bytes.Buffer
	m, err := switchgear.New(switchgear.Config{Service: "web", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for range 3 {
		if _, err := get(t, t.Context(), client(t, m, breakerhttp.WithCallee("callee")), url); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "callee has one address"); n != 1 {
		t.Errorf("said %d times: want once\n%s", n, log.String())
	}
	if m.Breaker(switchgear.Key{Callee: "callee"}).Divided() {
		t.Error("one address counts as divided")
	}
	address := strings.TrimPrefix(url, "http://")
	if _, err := get(t, t.Context(), client(t, m, breakerhttp.WithInstances(address)), "http://catalog"); err != nil {
		t.Fatal(err)
	}
	if !m.Breaker(switchgear.Key{Callee: "catalog"}).Divided() {
		t.Error("given instances don't count as divided")
	}
}
