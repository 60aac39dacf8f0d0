package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/datapunk/switchgear/internal/control"
)

// checker makes the active checks that control asks for: few at a time, each
// within its deadline, to the address that control has found to be allowed and no
// other. It follows no redirect and reads no body.
type checker struct {
	answer func(control.Checked)
	slots  chan struct{}
	all    context.Context //nolint:containedctx // the checker's own life, cancelled by close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// maxChecks bounds the checks that are under way; one more is made another time.
const maxChecks = 32

func newChecker(answer func(control.Checked)) *checker {
	c := &checker{answer: answer, slots: make(chan struct{}, maxChecks)}
	c.all, c.cancel = context.WithCancel(context.Background())
	return c
}

func (c *checker) ask(q control.Check) {
	select {
	case c.slots <- struct{}{}:
	default:
		return
	}
	c.wg.Go(func() {
		defer func() { <-c.slots }()
		ctx, cancel := context.WithTimeout(c.all, q.Deadline)
		defer cancel()
		a := control.Checked{Circuit: q.Circuit, Instance: q.Instance, OK: true}
		if err := request(ctx, &q); err != nil {
			a.OK, a.Why = false, err.Error()
		}
		c.answer(a)
	})
}

func (c *checker) close() {
	c.cancel()
	c.wg.Wait()
}

func request(ctx context.Context, q *control.Check) error {
	if q.Path == "" {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", q.Address.String())
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		return conn.Close()
	}
	transport := &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10}
	client := http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+q.Address.String()+q.Path, nil)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	r.Header.Set("User-Agent", "switchgear")
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("get %s: %w", q.Path, err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("get %s: status %d", q.Path, resp.StatusCode)
	}
	return nil
}

// checkNetworks refuses what is no network, before anything is started.
func checkNetworks(cidrs []string) error {
	for _, s := range cidrs {
		if _, err := netip.ParsePrefix(s); err != nil {
			return usageError{fmt.Errorf("network %q for active checks: want one such as 10.0.0.0/8", s)}
		}
	}
	return nil
}
