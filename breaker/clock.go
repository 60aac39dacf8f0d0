package breaker

import (
	"math"
	"sync/atomic"
	"time"
)

// Clock is a coarse clock: a cell that one owner advances and every call reads,
// at the price of a plain load. Instants are durations since an origin that the
// owner chooses, and never run backwards. While nobody advances it, it is
// parked, and its readers pay for the exact time.
type Clock struct {
	cell atomic.Int64
	_    [56]byte // the owner's writes must not cost those who read what follows
	read func() time.Duration
	wake func()
}

const parked = math.MaxInt64

// NewClock makes a parked clock whose exact time is read's.
func NewClock(read func() time.Duration) *Clock {
	c := &Clock{read: read, wake: func() {}}
	c.cell.Store(parked)
	return c
}

// OnWake sets what is called, from within a call, when a call finds the clock
// parked. It must return at once. Set it before the clock is used.
func (c *Clock) OnWake(f func()) *Clock {
	c.wake = f
	return c
}

// Now is the coarse time; the exact one while the clock is parked.
func (c *Clock) Now() time.Duration {
	if t := c.cell.Load(); t != parked {
		return time.Duration(t)
	}
	return c.read()
}

// Exact reads the time itself.
func (c *Clock) Exact() time.Duration { return c.read() }

// Advance sets the coarse time; only the clock's owner calls it.
func (c *Clock) Advance(now time.Duration) { c.cell.Store(int64(now)) }

// Park ends the coarse time until the next Advance.
func (c *Clock) Park() { c.cell.Store(parked) }

// Parked reports whether readers pay for the exact time.
func (c *Clock) Parked() bool { return c.cell.Load() == parked }
