package demo

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/datapunk/switchgear"
)

// linkLoad makes calls at a steady rate through two breakers, of which one's
// callee fails, and notes what each paid in the SDK: Acquire and Done, without the
// call. Beside each it notes what reading the clock alone took, which tells how
// long the machine kept everybody waiting.
type linkLoad struct {
	failing, healthy *switchgear.Breaker
	rate             int // calls a second
	phase            atomic.Int32
	books            [][]book // by caller, by phase
	callers          sync.WaitGroup
}

// book is what one caller noted in one phase.
type book struct {
	own, clock          spread
	permitted, rejected uint64 // of the failing callee
	collateral          uint64 // rejected, of the healthy callee
}

const (
	linkCallers = 4
	// A permit is held for so many further calls of its caller.
	inFlight = 8
)

// under is a call under way.
type under struct {
	permit  switchgear.Permit
	outcome switchgear.Outcome
	took    time.Duration // so far
}

func newLinkLoad(failing, healthy *switchgear.Breaker, rate, phases int) *linkLoad {
	l := &linkLoad{failing: failing, healthy: healthy, rate: rate}
	for range linkCallers {
		l.books = append(l.books, make([]book, phases))
	}
	return l
}

// start calls until ctx ends; callers waits for the last one.
func (l *linkLoad) start(ctx context.Context) {
	for i := range linkCallers {
		l.callers.Go(func() { l.call(ctx, l.books[i]) })
	}
}

// call is one caller. What the machine's scheduler made it miss it makes up for.
func (l *linkLoad) call(ctx context.Context, books []book) {
	var ring [inFlight]under
	began, made := time.Now(), 0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			for i := range ring {
				ring[i].permit.Release()
			}
			return
		case <-tick.C:
		}
		due := int(time.Since(began).Seconds() * float64(l.rate) / linkCallers)
		b := &books[l.phase.Load()]
		for ; made < due; made++ {
			l.one(b, made%2 == 0, &ring[made%inFlight])
		}
	}
}

// one ends the call whose place it takes, and begins another.
func (l *linkLoad) one(b *book, fails bool, u *under) {
	if u.outcome.Latency > 0 {
		began := time.Now()
		u.permit.Done(u.outcome)
		b.own.note(u.took + time.Since(began))
		u.outcome.Latency = 0
	}
	before := time.Now()
	began := time.Now()
	b.clock.note(began.Sub(before))
	at, outcome := l.healthy, switchgear.Outcome{Verdict: switchgear.Success, Latency: time.Millisecond}
	if fails {
		at, outcome = l.failing, switchgear.Outcome{Verdict: switchgear.Failure, Kind: switchgear.ServerError, Latency: time.Millisecond}
	}
	permit, err := at.Acquire()
	took := time.Since(began)
	switch {
	case err == nil:
		*u = under{permit, outcome, took}
	case fails:
		b.own.note(took)
		b.rejected++
	default:
		b.own.note(took)
		b.collateral++
	}
	if fails && err == nil {
		b.permitted++
	}
}

// sum is what all callers noted in a phase. It is read once they have ended.
func (l *linkLoad) sum(phase int) *book {
	total := new(book)
	for _, books := range l.books {
		b := &books[phase]
		total.own.add(&b.own)
		total.clock.add(&b.clock)
		total.permitted += b.permitted
		total.rejected += b.rejected
		total.collateral += b.collateral
	}
	return total
}
