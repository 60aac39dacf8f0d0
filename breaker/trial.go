package breaker

import (
	"slices"
	"time"
)

// trial is the probes of one half-open generation, or the leases of control:
// counted, each with an end. A permit names its ticket, and a ticket is answered
// once, whatever copies of the permit there are.
type trial struct {
	next     uint32 // the last ticket that was issued
	out      []ticket
	done     int // answered: succeeded or failed
	failed   int
	slow     int
	earliest time.Duration // the first end of those that are out
}

type ticket struct {
	id      uint32
	expires time.Duration
}

// maxTicket is the greatest number that fits a permit, below its flags.
const maxTicket = 1<<24 - 1

func (t *trial) issue(expires time.Duration) uint32 {
	if len(t.out) == 0 || expires < t.earliest {
		t.earliest = expires
	}
	t.out = append(t.out, ticket{t.number(), expires})
	return t.next
}

// number is that of a new ticket, never 0.
func (t *trial) number() uint32 {
	t.next = t.next%maxTicket + 1
	return t.next
}

// take ends a ticket and reports whether it was still out.
func (t *trial) take(id uint32) bool {
	i := slices.IndexFunc(t.out, func(x ticket) bool { return x.id == id })
	if i < 0 {
		return false
	}
	t.out = slices.Delete(t.out, i, i+1)
	t.settle()
	return true
}

// expire gives up the tickets whose time is over, so that a lost probe can't
// leave a breaker half open for ever.
func (t *trial) expire(now time.Duration) {
	if len(t.out) == 0 || now < t.earliest {
		return
	}
	t.out = slices.DeleteFunc(t.out, func(x ticket) bool { return now >= x.expires })
	t.settle()
}

func (t *trial) settle() {
	t.earliest = 0
	for i, x := range t.out {
		if i == 0 || x.expires < t.earliest {
			t.earliest = x.expires
		}
	}
}

// reset begins another trial. Ticket numbers go on, so that an old permit finds
// none of its own.
func (t *trial) reset() {
	t.out = t.out[:0]
	t.done, t.failed, t.slow, t.earliest = 0, 0, 0, 0
}

// verdict of a trial of so many permits: bad as soon as good answers to all the
// rest could not mend it, good once all have answered.
func (t *trial) verdict(s *Settings) (decided, good bool) {
	n := s.PermittedNumberOfCallsInHalfOpenState
	over := func(k int, threshold float64) bool {
		return threshold > 0 && 100*float64(k) >= threshold*float64(max(n, t.done))
	}
	if over(t.failed, s.FailureRateThreshold) || over(t.slow, s.SlowCallRateThreshold) {
		return true, false
	}
	if s.FailureRateThreshold == 0 && t.failed > 0 {
		return true, false
	}
	return t.done >= n, true
}

// grant is control's leave for one call.
type grant struct {
	token  uint64
	until  time.Duration // to be used by then; once used, answered by then
	ticket uint32        // 0 while unused
}
