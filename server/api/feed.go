package api

import (
	"context"
	"crypto/rand"
	"math"
	"sync"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
)

// Feed numbers the changes of the circuits while somebody watches. It keeps no
// queue for anybody: a watcher asks for what has changed since its own number, so
// that a slow one gets fewer and greater changes, and never keeps others waiting.
type Feed struct {
	id       string
	snapshot func() *Snapshot
	wanted   chan struct{} // somebody watches
	quit     chan struct{}
	done     chan struct{}
	close    sync.Once

	mu       sync.Mutex
	watchers int
	looks    uint64
	number   uint64
	last     *Snapshot
	marks    []mark   // of each circuit of last, as it was told
	changed  []uint64 // the number of each one's last change
	removed  []removal
	horizon  uint64        // removals up to here are forgotten
	news     chan struct{} // closed with the next change
}

// mark is what makes a circuit another one for who watches: its ages don't.
type mark struct {
	state                  breaker.State
	mode                   breaker.Mode
	phase, why, held       string
	override, revision     string
	open, breakers         int
	share                  float64
	failureRate, perSecond float64
}

type removal struct {
	name   string
	number uint64
}

const (
	lookInterval = 250 * time.Millisecond
	// Rates change all the time, and are told at every fourth look.
	ratesEach = 4
	// Who is further behind gets everything anew.
	maxBehind   = 240
	maxRemoved  = 10_000
	maxWatchers = 100
)

// NewFeed watches what snapshot returns until Close.
func NewFeed(snapshot func() *Snapshot) *Feed {
	f := &Feed{
		id: rand.Text()[:12], snapshot: snapshot, wanted: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		last: &Snapshot{}, news: make(chan struct{}),
	}
	go f.run()
	return f
}

// Close ends all watching.
func (f *Feed) Close() {
	f.close.Do(func() { close(f.quit) })
	<-f.done
}

func (f *Feed) run() {
	defer close(f.done)
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-f.wanted:
		case <-f.quit:
			return
		}
		for f.look() {
			select {
			case <-tick.C:
			case <-f.quit:
				return
			}
		}
	}
}

// join lets one more watch, unless there are too many.
func (f *Feed) join() bool {
	f.mu.Lock()
	full := f.watchers >= maxWatchers
	if !full {
		f.watchers++
	}
	f.mu.Unlock()
	if full {
		return false
	}
	f.look() // what it begins with is not from when somebody last watched
	select {
	case f.wanted <- struct{}{}:
	default:
	}
	return true
}

func (f *Feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers--
}

// Watchers is how many watch.
func (f *Feed) Watchers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.watchers
}

// look compares what is with what was told, and reports whether anybody watches.
func (f *Feed) look() bool {
	now := f.snapshot()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watchers == 0 || now.At.Before(f.last.At) {
		return f.watchers > 0
	}
	f.looks++
	f.compare(now, f.looks%ratesEach == 0)
	return true
}

// compare walks both lists by name.
func (f *Feed) compare(now *Snapshot, rates bool) {
	next := f.number + 1
	marks, changed := make([]mark, len(now.names)), make([]uint64, len(now.names))
	any, old := false, 0
	gone := func() {
		f.removed = append(f.removed, removal{f.last.names[old], next})
		any = true
		old++
	}
	for i, name := range now.names {
		for old < len(f.last.names) && f.last.names[old] < name {
			gone()
		}
		m := markOf(&now.Circuits[i])
		known := old < len(f.last.names) && f.last.names[old] == name
		if known {
			before := f.marks[old]
			if !rates {
				m.failureRate, m.perSecond = before.failureRate, before.perSecond
			}
			changed[i] = f.changed[old]
			known = m == before
			old++
		}
		if !known {
			changed[i] = next
			any = true
		}
		marks[i] = m
	}
	for old < len(f.last.names) {
		gone()
	}
	f.last, f.marks, f.changed = now, marks, changed
	if !any {
		return
	}
	f.number = next
	for len(f.removed) > maxRemoved || len(f.removed) > 0 && f.removed[0].number+maxBehind < next {
		f.horizon = f.removed[0].number
		f.removed = f.removed[1:]
	}
	close(f.news)
	f.news = make(chan struct{})
}

func markOf(v *control.CircuitView) mark {
	m := mark{
		state: v.State, mode: v.Mode, phase: v.Phase, why: v.Why, held: v.Held, revision: v.Revision, open: v.Open, breakers: v.Breakers, share: v.Share,
		failureRate: math.Round(10*v.FailureRate) / 10, perSecond: math.Round(10*v.CallsPerSecond) / 10,
	}
	if v.Override != nil {
		m.override = v.Override.ID
	}
	return m
}

// since is what has changed since a number, and how to learn of more.
type since struct {
	snapshot *Snapshot
	number   uint64
	fresh    bool  // all of it must be told
	changed  []int // of the snapshot's circuits
	removed  []string
	news     <-chan struct{}
}

// after gives what a watcher at a number has not been told; one of another feed has
// been told nothing.
func (f *Feed) after(feed string, number uint64) since {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := since{snapshot: f.last, number: f.number, news: f.news}
	if feed != f.id || number > f.number || f.number-number > maxBehind || number < f.horizon {
		s.fresh = true
		return s
	}
	if number == f.number {
		return s
	}
	for i, n := range f.changed {
		if n > number {
			s.changed = append(s.changed, i)
		}
	}
	for _, r := range f.removed {
		if r.number > number {
			s.removed = append(s.removed, r.name)
		}
	}
	return s
}

// wait until there is more to tell than at since, or a heartbeat is due; false is
// the end.
func (f *Feed) wait(ctx context.Context, s since, heartbeat <-chan time.Time) (more, beat bool) {
	select {
	case <-s.news:
		return true, false
	case <-heartbeat:
		return true, true
	case <-ctx.Done():
	case <-f.quit:
	}
	return false, false
}
