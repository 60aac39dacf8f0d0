package breakerhttp_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breakerhttp"
)

// TestAPeerCannotHideItsFailuresBehindAMark forges marks: only a well-formed one
// from a believed host makes a failure inherited, and none makes it a success.
func TestAPeerCannotHideItsFailuresBehindAMark(t *testing.T) {
	const good = `"default/mid"; error=destination_unavailable; switchgear-origin="a..b"; switchgear-hops=1`
	outside := breakerhttp.WithTrust(func(string) bool { return false })
	for name, c := range map[string]struct {
		marks     []string
		options   []breakerhttp.Option
		inherited uint64
	}{
		"from the own network":              {marks: []string{good}, inherited: 1},
		"from a host that is not believed":  {marks: []string{good}, options: []breakerhttp.Option{outside}},
		"many hops":                         {marks: []string{strings.Replace(good, "hops=1", "hops=17", 1)}},
		"no hops":                           {marks: []string{strings.Replace(good, "; switchgear-hops=1", "", 1)}},
		"an origin that is no circuit":      {marks: []string{strings.Replace(good, "a..b", "anything", 1)}},
		"a huge mark":                       {marks: []string{strings.Replace(good, "a..b", "a.."+strings.Repeat("b", 5000), 1)}},
		"a hundred bad marks":               {marks: slicesOf(100, `x; switchgear-origin="`)},
		"another proxy's mark":              {marks: []string{"edge; error=connection_timeout"}},
		"another proxy's mark, then a good": {marks: []string{"edge; error=connection_timeout", good}, inherited: 1},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for _, m := range c.marks {
					w.Header().Add("Proxy-Status", m)
				}
				w.WriteHeader(http.StatusBadGateway)
			})
			m := manager(t, "web")
			options := append([]breakerhttp.Option{breakerhttp.WithCallee("callee")}, c.options...)
			if _, err := get(t, t.Context(), client(t, m, options...), url); err != nil {
				t.Fatal(err)
			}
			n := m.Breaker(switchgear.Key{Callee: "callee"}).Circuit().Breaker.Counts()
			if n.Inherited != c.inherited || n.Failed != 1-c.inherited || n.Succeeded != 0 {
				t.Errorf("%d inherited, %d failed, %d succeeded: want %d, %d, 0", n.Inherited, n.Failed, n.Succeeded, c.inherited, 1-c.inherited)
			}
		})
	}
}

func slicesOf(n int, s string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

func TestAServerShedsAboveItsLimit(t *testing.T) {
	m := manager(t, "checkout")
	entered, leave := make(chan struct{}), make(chan struct{})
	s := breakerhttp.Handler(m, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-leave
	}), breakerhttp.WithMaxConcurrentCalls(1))
	url := serve(t, s.ServeHTTP)
	c := client(t, manager(t, "web"), breakerhttp.WithCallee("checkout"))
	var wg sync.WaitGroup
	wg.Go(func() {
		if code, err := get(t, t.Context(), c, url); code != http.StatusOK || err != nil {
			t.Errorf("the first request: %d, %v", code, err)
		}
	})
	<-entered
	if code, err := get(t, t.Context(), c, url); code != http.StatusServiceUnavailable || err != nil {
		t.Errorf("above the limit: %d, %v: want 503", code, err)
	}
	close(leave)
	wg.Wait()
	wg.Go(func() { <-entered })
	if code, err := get(t, t.Context(), c, url); code != http.StatusOK || err != nil {
		t.Errorf("after it: %d, %v: want 200", code, err)
	}
	wg.Wait()
}
