package demo

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	buyPath, findPath = "/buy", "/find"
	// Calls a second from outside. What a chapter needs: each caller's replica
	// calls its callee often enough that silence is no chance, each instance
	// reaches the minimum within a window.
	buysPerSecond, findsPerSecond = 100, 80

	callTimeout = 3 * time.Second
	maxInFlight = 1000
	// maxCalls bounds what the generator remembers.
	maxCalls = 2_000_000
)

// load calls the outermost service as steadily as the machine allows, and keeps
// the truth of what came back.
type load struct {
	origin  time.Time
	targets []string
	client  *http.Client
	slots   chan struct{}
	work    sync.WaitGroup

	mu    sync.Mutex
	calls []call
}

func newLoad(origin time.Time, targets []string) *load {
	return &load{
		origin: origin, targets: targets, slots: make(chan struct{}, maxInFlight),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true}, Timeout: callTimeout},
	}
}

// run calls until ctx ends, and returns when all has been answered.
func (l *load) run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { l.pace(ctx, buyPath, time.Second/buysPerSecond) })
	both.Go(func() { l.pace(ctx, findPath, time.Second/findsPerSecond) })
	both.Wait()
	l.work.Wait()
	l.client.CloseIdleConnections()
}

func (l *load) pace(ctx context.Context, path string, every time.Duration) {
	next := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		l.send(ctx, l.targets[n%len(l.targets)], path)
		next = next.Add(every)
		if late := time.Since(next); late > 100*time.Millisecond {
			next = time.Now() // a stopped machine is not made up for by a burst
		}
		timer.Reset(time.Until(next))
	}
}

func (l *load) send(ctx context.Context, target, path string) {
	select {
	case l.slots <- struct{}{}:
	default:
		// Not made: too many are unanswered. From outside that is a failure too.
		l.add(call{at: time.Since(l.origin), path: path, result: failed})
		return
	}
	l.work.Go(func() {
		defer func() { <-l.slots }()
		c := call{at: time.Since(l.origin), path: path}
		c.result, c.by = l.ask(ctx, target, path)
		c.took = time.Since(l.origin) - c.at
		if ctx.Err() == nil {
			l.add(c) // what the demo's own end cut short is nobody's failure
		}
	})
}

func (l *load) ask(ctx context.Context, target, path string) (result, string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+path, nil)
	if err != nil {
		return failed, ""
	}
	resp, err := l.client.Do(r)
	if err != nil {
		return failed, ""
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return failed, ""
	}
	if by := resp.Header.Get(rejectedHeader); by != "" {
		return rejected, by
	}
	if resp.StatusCode != http.StatusOK {
		return failed, ""
	}
	return answered, ""
}

func (l *load) add(c call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.calls) < maxCalls {
		l.calls = append(l.calls, c)
	}
}

// seen is a copy of all calls so far that have an answer.
func (l *load) seen() []call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]call(nil), l.calls...)
}

// recent counts the calls that began within the last second, by result.
func (l *load) recent() (n [3]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := time.Since(l.origin) - time.Second
	for i := len(l.calls) - 1; i >= 0 && l.calls[i].at+l.calls[i].took >= from; i-- {
		n[l.calls[i].result]++
	}
	return n
}
