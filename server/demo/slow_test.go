package demo

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breakerhttp"
)

// asleep stands where the SDK does, or under it.
type asleep struct {
	next http.RoundTripper
	time time.Duration
}

func (a asleep) RoundTrip(r *http.Request) (*http.Response, error) {
	<-time.After(a.time)
	return a.next.RoundTrip(r)
}

func TestTimeInTheSDKIsSeenAndTimeUnderItIsNot(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	m, err := switchgear.New(switchgear.Config{Service: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	long := slowInSDK + 10*time.Millisecond
	base := s.Client().Transport
	for name, c := range map[string]struct {
		guarded http.RoundTripper
		slow    uint64
	}{
		"the SDK alone":         {breakerhttp.Transport(m, inner{base}), 0},
		"a slow link's path":    {asleep{breakerhttp.Transport(m, inner{base}), long}, 1},
		"within the SDK's call": {breakerhttp.Transport(m, asleep{inner{base}, long}), 1},
		"a slow network":        {breakerhttp.Transport(m, inner{asleep{base, long}}), 0},
	} {
		t.Run(name, func(t *testing.T) {
			var slow slowCalls
			origin := time.Now()
			resp, err := (&http.Client{Transport: &outer{next: c.guarded, slow: &slow}}).Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			got := slow.read()
			if got.Total != c.slow {
				t.Errorf("%d slow calls, want %d", got.Total, c.slow)
			}
			if n := within(got, origin, []span{{0, time.Hour}}); n != int(c.slow) {
				t.Errorf("%d while no daemon lived, want %d", n, c.slow)
			}
			if n := within(got, origin, []span{{time.Hour, 2 * time.Hour}}); n != 0 {
				t.Errorf("%d blocked while a daemon lived", n)
			}
		})
	}
}

func TestSlowCallsAreBounded(t *testing.T) {
	var s slowCalls
	for range slowLimit + 5 {
		s.add(time.Now())
	}
	if got := s.read(); len(got.Times) != slowLimit || got.Total != slowLimit+5 {
		t.Errorf("%d kept of %d", len(got.Times), got.Total)
	}
}
