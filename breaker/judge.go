package breaker

import (
	"fmt"
	"time"
)

// observe puts an outcome, recorded already, into the window and lets the rules
// judge it.
func (b *Breaker) observe(c *core, o *Outcome, slow, rotated bool, now time.Duration) question {
	s := b.settings.Load()
	failed := o.Verdict == Failure
	totals := c.totals()
	if failed {
		c.failed++
		totals.failed++
		if totals.ok == c.streakOK {
			c.streak++
		} else {
			c.streak, c.streakOK = 1, totals.ok
		}
		c.heed(o, s, now)
	}
	if slow {
		c.slow++
		totals.slow++
	}
	if c.window.size > 0 {
		c.window.push(failed, slow)
	}
	return b.judge(c, s, now, c.see(now, totals), failed || slow || rotated)
}

// heed notes a callee's push-back.
func (c *core) heed(o *Outcome, s *Settings, now time.Duration) {
	if o.RetryAfter > 0 && (o.Kind == RateLimited || o.Kind == Gateway || o.Kind == ServerError) {
		if d := min(o.RetryAfter, s.MaxRetryAfter); d > 0 {
			c.pushback = max(c.pushback, now+d)
		}
	}
}

// rotate begins a new bucket if one is due.
func (c *core) rotate(now time.Duration) bool {
	if c.window.size > 0 { // no buckets: a second stands for one
		if now < c.window.end {
			return false
		}
		c.window.end = now + time.Second
		c.active = true
		return true
	}
	if now >= c.lastActive+time.Second || now >= c.window.end {
		c.lastActive = now
		c.active = true
	}
	return c.window.rotate(now, c.totals())
}

// arm says from when on successes take the lock: always for a count window,
// which is exact; while a success can complete the minimum of calls that a
// failure or slow call waits for; else when the bucket ends.
func (c *core) arm(s *Settings, now time.Duration, w *Window) {
	due := min(c.window.end, now+time.Second)
	if c.window.size > 0 || c.state == Closed && w.Calls < s.MinimumNumberOfCalls && w.Failed+w.Slow > 0 {
		due = 0
	}
	if old := time.Duration(c.due.Load()); old != due && (due == 0 || now >= old) {
		c.due.Store(int64(due))
	}
	cells := c.cells.Load()
	if cells == nil {
		return
	}
	quick := s
	if due == 0 || !c.failedTold || s.ConsecutiveFailures > 0 || s.Strategy != nil {
		quick = nil
	}
	if c.quick.Load() != quick {
		c.quick.Store(quick)
	}
	if quick != nil {
		oldest := c.window.oldest()
		less := uint64(c.failed-oldest.failed)<<32 | uint64(uint32(c.ok-c.sharedBase)-oldest.ok)
		if c.less.Load() != less {
			c.less.Store(less)
		}
	}
}

// breaks reports whether the window of a generation seems to break a rule, by a
// look without the lock. What it misses, because two failures did not see each
// other, the next failure or bucket finds.
func (c *core) breaks(s *Settings, cells *cells, generation uint32) bool {
	less := c.less.Load()
	ok, failed := uint32(less)+uint32(c.shared.count()), uint32(less>>32)
	for i := range *cells {
		(*cells)[i].of(generation, &ok, &failed)
	}
	t := s.FailureRateThreshold
	return t > 0 && 100*float64(failed) >= t*float64(ok+failed)
}

// reconsider judges the window under the lock.
func (b *Breaker) reconsider(c *core, generation uint32, now time.Duration) {
	c.mu.Lock()
	if c.generation == generation {
		s := b.settings.Load()
		if now >= time.Duration(c.due.Load()) {
			c.rotate(now)
		}
		b.judge(c, s, now, c.look(now), false)
	}
	b.unlock(c)
}

// look is the window as rules see it.
func (c *core) look(now time.Duration) Window { return c.see(now, c.totals()) }

func (c *core) see(now time.Duration, totals tally3) Window {
	t := c.window.at(now, totals)
	w := Window{Calls: int(t.ok + t.failed), Failed: int(t.failed), Slow: int(t.slow)}
	if c.streakOK == totals.ok {
		w.Consecutive = c.streak
	}
	return w
}

// judge opens a closed breaker if a rule says so. news says that there is
// something for a strategy to look at.
func (b *Breaker) judge(c *core, s *Settings, now time.Duration, w Window, news bool) question {
	if c.state == Closed && judging(c.mode) && (!s.AloneOnly || !c.directed) {
		if s.broken(&w) {
			b.trip(c, now, s.over(&w), w)
			return question{}
		}
		if s.Strategy != nil && (news || w.Calls == s.MinimumNumberOfCalls) {
			c.arm(s, now, &w)
			return question{s.Strategy, w, c.generation}
		}
	}
	c.arm(s, now, &w)
	return question{}
}

// broken reports whether a window breaks a rule.
func (s *Settings) broken(w *Window) bool {
	if n := s.ConsecutiveFailures; n > 0 && w.Consecutive >= n {
		return true
	}
	if w.Calls < s.MinimumNumberOfCalls {
		return false
	}
	beyond := func(n int, threshold float64) bool {
		return threshold > 0 && n > 0 && 100*float64(n) >= threshold*float64(w.Calls)
	}
	return beyond(w.Failed, s.FailureRateThreshold) || beyond(w.Slow, s.SlowCallRateThreshold)
}

// over says in words which rule a window breaks.
func (s *Settings) over(w *Window) string {
	n := s.ConsecutiveFailures
	switch {
	case n > 0 && w.Consecutive >= n:
		return fmt.Sprintf("%d failures in a row", w.Consecutive)
	case s.FailureRateThreshold > 0 && w.FailureRate() >= s.FailureRateThreshold:
		return fmt.Sprintf("%d of %d calls failed (%.3g %%, threshold %.3g %%)", w.Failed, w.Calls, w.FailureRate(), s.FailureRateThreshold)
	}
	return fmt.Sprintf("%d of %d calls took %v or longer (%.3g %%, threshold %.3g %%)", w.Slow, w.Calls, s.SlowCallDurationThreshold, w.SlowCallRate(), s.SlowCallRateThreshold)
}

// question is what a strategy is asked once the lock is free.
type question struct {
	strategy   Strategy
	window     Window
	generation uint32
}

func (b *Breaker) ask(c *core, q question, now time.Duration) {
	open, why := q.strategy(q.window)
	if !open {
		return
	}
	if why == "" {
		why = "the strategy says so"
	}
	c.mu.Lock()
	if c.generation == q.generation && c.state == Closed {
		b.trip(c, now, why, q.window)
	}
	b.unlock(c)
}
