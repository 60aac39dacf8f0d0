package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/policy"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

// world is what control knows, for a feed to watch.
type world struct{ now atomic.Pointer[Snapshot] }

func (w *world) snapshot() *Snapshot { return w.now.Load() }

func (w *world) set(t *testing.T, change func(*control.CircuitView), names ...string) {
	t.Helper()
	var views []control.CircuitView
	for _, n := range names {
		id, err := policy.ParseCircuit(n)
		if err != nil {
			t.Fatal(err)
		}
		v := control.CircuitView{Circuit: id, Share: 1}
		if change != nil {
			change(&v)
		}
		views = append(views, v)
	}
	w.now.Store(NewSnapshot(time.Now(), views))
}

// reader takes a watch's messages; it is as slow as hold is.
type reader struct {
	got  chan *apiv1.WatchCircuitsResponse
	hold chan struct{} // nil: at once
}

func (r *reader) Send(m *apiv1.WatchCircuitsResponse) error {
	if r.hold != nil {
		<-r.hold
	}
	r.got <- m
	return nil
}

func watching(t *testing.T, c *Circuits, q *apiv1.WatchCircuitsRequest, hold chan struct{}) (r *reader, stop func() error) {
	t.Helper()
	r = &reader{make(chan *apiv1.WatchCircuitsResponse, 1000), hold}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.watch(ctx, q, r) }()
	return r, func() error {
		cancel()
		return <-ended
	}
}

// next says a message in words.
func (r *reader) next(t *testing.T) (*apiv1.WatchCircuitsResponse, string) {
	t.Helper()
	m := <-r.got
	names := func(all []*apiv1.Circuit) (out []string) {
		for _, x := range all {
			name := strings.ReplaceAll(x.GetName(), "default/", "")
			out = append(out, name+":"+Word(x.GetState()))
		}
		return out
	}
	switch {
	case m.GetSnapshot() != nil:
		return m, fmt.Sprintf("all %v %v %v", names(m.GetSnapshot().GetCircuits()), m.GetSnapshot().GetFirst(), m.GetSnapshot().GetLast())
	case m.GetDelta() != nil:
		gone := slices.Clone(m.GetDelta().GetRemoved())
		for i := range gone {
			gone[i] = strings.ReplaceAll(gone[i], "default/", "")
		}
		return m, fmt.Sprintf("changed %v removed %v", names(m.GetDelta().GetChanged()), gone)
	}
	return m, "heartbeat"
}

func (r *reader) want(t *testing.T, want string) *apiv1.WatchCircuitsResponse {
	t.Helper()
	m, got := r.next(t)
	if got != want {
		t.Errorf("told %q: want %q", got, want)
	}
	return m
}

func opens(v *control.CircuitView) { v.State = breaker.Open }

func TestAWatchTellsAllAndThenWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		w.set(t, nil, "web..a", "web..b")
		c := circuitsOf(t, w.snapshot)
		r, stop := watching(t, c, &apiv1.WatchCircuitsRequest{}, nil)
		first := r.want(t, "all [web..a:closed web..b:closed] true true")
		time.Sleep(time.Second)
		w.set(t, opens, "web..b", "web..c")
		second := r.want(t, "changed [web..b:open web..c:open] removed [web..a]")
		if second.GetNumber() != first.GetNumber()+1 || second.GetFeed() != first.GetFeed() {
			t.Errorf("numbers %d and %d: want them to follow each other", first.GetNumber(), second.GetNumber())
		}
		if m := r.want(t, "heartbeat"); m.GetNumber() != second.GetNumber() {
			t.Errorf("heartbeat of number %d", m.GetNumber())
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		c.feed.Close()
	})
}

func TestAWatchGoesOnFromItsNumberAndAnewWhereThatIsTooLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		w.set(t, nil, "web..a")
		c := circuitsOf(t, w.snapshot)
		other, stopOther := watching(t, c, &apiv1.WatchCircuitsRequest{}, nil)
		r, stop := watching(t, c, &apiv1.WatchCircuitsRequest{}, nil)
		last := r.want(t, "all [web..a:closed] true true")
		_ = stop()
		time.Sleep(time.Second)
		w.set(t, opens, "web..a")
		time.Sleep(time.Second)
		w.set(t, opens, "web..b")
		time.Sleep(time.Second)
		on := &apiv1.WatchCircuitsRequest{ResumeFeed: last.GetFeed(), ResumeNumber: last.GetNumber()}
		r, stop = watching(t, c, on, nil)
		r.want(t, "changed [web..b:open] removed [web..a]")
		_ = stop()
		time.Sleep(lookInterval / 2) // between two looks
		for i := range maxBehind {
			w.set(t, opens, "web..b", fmt.Sprintf("web..x%d", i))
			time.Sleep(lookInterval)
		}
		for what, q := range map[string]*apiv1.WatchCircuitsRequest{
			"too far behind":    on,
			"of another daemon": {ResumeFeed: "other", ResumeNumber: last.GetNumber()},
			"of the future":     {ResumeFeed: last.GetFeed(), ResumeNumber: 1 << 40},
		} {
			r, stop = watching(t, c, q, nil)
			if _, got := r.next(t); !strings.HasPrefix(got, "all [web..b:open web..x239:open]") {
				t.Errorf("%s: %s: want everything anew", what, got)
			}
			_ = stop()
		}
		_ = stopOther()
		if len(other.got) < maxBehind {
			t.Errorf("the other one was told %d times", len(other.got))
		}
		c.feed.Close()
	})
}

func TestASlowWatcherGetsEverythingAnewAndKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		w.set(t, nil, "web..a")
		c := circuitsOf(t, w.snapshot)
		hold := make(chan struct{})
		slow, stopSlow := watching(t, c, &apiv1.WatchCircuitsRequest{}, hold)
		quick, stopQuick := watching(t, c, &apiv1.WatchCircuitsRequest{}, nil)
		quick.want(t, "all [web..a:closed] true true")
		synctest.Wait()
		for i := range maxBehind + 2 {
			w.set(t, opens, fmt.Sprintf("web..x%d", i))
			quick.next(t)
		}
		close(hold)
		slow.want(t, "all [web..a:closed] true true")
		slow.want(t, fmt.Sprintf("all [web..x%d:open] true true", maxBehind+1))
		_, _ = stopSlow(), stopQuick()
		c.feed.Close()
	})
}

func TestAWatchIsNarrowedAsAListIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		w.set(t, opens, "web..a", "web..b", "app..a")
		c := circuitsOf(t, w.snapshot)
		r, stop := watching(t, c, &apiv1.WatchCircuitsRequest{Prefix: "web..", States: []apiv1.State{apiv1.State_STATE_OPEN}}, nil)
		r.want(t, "all [web..a:open web..b:open] true true")
		w.set(t, nil, "web..a", "app..a")
		r.want(t, "changed [] removed [web..b web..a]")
		_ = stop()
		c.feed.Close()
	})
}

func TestAGreatSnapshotComesInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		var names []string
		for i := range snapshotPart + 1 {
			names = append(names, fmt.Sprintf("web..c%d", i))
		}
		w.set(t, nil, names...)
		c := circuitsOf(t, w.snapshot)
		r, stop := watching(t, c, &apiv1.WatchCircuitsRequest{}, nil)
		one, two := (<-r.got).GetSnapshot(), (<-r.got).GetSnapshot()
		if len(one.GetCircuits()) != snapshotPart || !one.GetFirst() || one.GetLast() || len(two.GetCircuits()) != 1 || two.GetFirst() || !two.GetLast() {
			t.Errorf("%d and %d circuits", len(one.GetCircuits()), len(two.GetCircuits()))
		}
		_ = stop()
		c.feed.Close()
	})
}

func TestWatchersAreBoundedAndEndWithTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		w.set(t, nil, "web..a")
		c := circuitsOf(t, w.snapshot)
		ended := make(chan error, maxWatchers)
		for range maxWatchers {
			go func() {
				ended <- c.watch(t.Context(), &apiv1.WatchCircuitsRequest{}, &reader{got: make(chan *apiv1.WatchCircuitsResponse, 100)})
			}()
		}
		synctest.Wait()
		if err := c.watch(t.Context(), &apiv1.WatchCircuitsRequest{}, &reader{}); connect.CodeOf(err) != connect.CodeResourceExhausted {
			t.Errorf("%v: want it refused", err)
		}
		c.feed.Close()
		for range maxWatchers {
			if err := <-ended; connect.CodeOf(err) != connect.CodeUnavailable {
				t.Errorf("%v: want the end of the daemon", err)
			}
		}
	})
}

func TestRatesAloneAreToldOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		w.set(t, nil, "web..a")
		c := circuitsOf(t, w.snapshot)
		r, stop := watching(t, c, &apiv1.WatchCircuitsRequest{}, nil)
		time.Sleep(lookInterval / 2)
		for i := range 40 {
			time.Sleep(lookInterval)
			w.set(t, func(v *control.CircuitView) { v.CallsPerSecond = float64(i + 1) }, "web..a")
		}
		_ = stop()
		if n := len(r.got); n < 9 || n > 13 {
			t.Errorf("told %d times in 10 s", n)
		}
		c.feed.Close()
	})
}

// What a look costs the one goroutine that serves all watchers.
func BenchmarkLookAtTenThousandCircuits(b *testing.B) {
	views := make([]control.CircuitView, 10_000)
	for i := range views {
		views[i] = control.CircuitView{
			Circuit: policy.Circuit{Caller: policy.Service{Namespace: "a", Name: "web"}, Callee: policy.Service{Namespace: "a", Name: fmt.Sprintf("c%05d", i)}},
			Share:   1, CallsPerSecond: float64(i),
		}
	}
	s := NewSnapshot(time.Now(), views)
	f := NewFeed(func() *Snapshot { return s })
	defer f.Close()
	for b.Loop() {
		f.compare(s, true)
	}
}
