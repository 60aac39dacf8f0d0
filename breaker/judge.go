package breaker

import (
	"fmt"
	"time"
)

// observe puts an outcome into the window and lets the rules judge it.
func (b *Breaker) observe(c *core, o Outcome, slow bool, now time.Duration) question {
	s := b.settings.Load()
	rotated := b.rotate(c, now)
	failed := o.Verdict == Failure
	if failed {
		c.failed++
		if ok := c.succeeded(); ok == c.streakOK {
			c.streak++
		} else {
			c.streak, c.streakOK = 1, ok
		}
		c.heed(&o, s, now)
	} else {
		c.ok++
	}
	if slow {
		c.slow++
	}
	c.window.push(failed, slow)
	return b.judge(c, s, now, failed || slow || rotated)
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
func (b *Breaker) rotate(c *core, now time.Duration) bool {
	if now < time.Duration(c.due.Load()) {
		return false
	}
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
// which is exact; while a success can complete the minimum of calls; else when
// the bucket ends.
func (c *core) arm(s *Settings, now time.Duration) {
	due := min(c.window.end, now+time.Second)
	if c.window.size > 0 || c.state == Closed && c.waiting(s, now) {
		due = 0
	}
	if c.due.Load() != int64(due) {
		c.due.Store(int64(due))
	}
}

// waiting reports whether there is something to judge, but too few calls.
func (c *core) waiting(s *Settings, now time.Duration) bool {
	if c.failed == 0 && c.slow == 0 || s.FailureRateThreshold == 0 && s.SlowCallRateThreshold == 0 {
		return false
	}
	w := c.look(now)
	return w.Failed+w.Slow > 0 && w.Calls < s.MinimumNumberOfCalls
}

// look is the window as rules see it.
func (c *core) look(now time.Duration) Window {
	totals := c.totals()
	t := c.window.at(now, totals)
	w := Window{Calls: int(t.ok + t.failed), Failed: int(t.failed), Slow: int(t.slow)}
	if c.streakOK == totals.ok {
		w.Consecutive = c.streak
	}
	return w
}

// judge opens a closed breaker if a rule says so. news says that there is
// something for a strategy to look at.
func (b *Breaker) judge(c *core, s *Settings, now time.Duration, news bool) question {
	defer c.arm(s, now)
	if c.state != Closed || c.mode == Off || c.mode == ForcedOpen {
		return question{}
	}
	w := c.look(now)
	if why := s.over(w); why != "" {
		b.trip(c, now, why, w)
		return question{}
	}
	if s.Strategy == nil || !news && w.Calls != s.MinimumNumberOfCalls {
		return question{}
	}
	return question{s.Strategy, w, c.generation}
}

// over is the rule that a window breaks, in words; "" is none.
func (s *Settings) over(w Window) string {
	if n := s.ConsecutiveFailures; n > 0 && w.Consecutive >= n {
		return fmt.Sprintf("%d failures in a row", w.Consecutive)
	}
	if w.Calls < s.MinimumNumberOfCalls || w.Calls == 0 {
		return ""
	}
	if t := s.FailureRateThreshold; t > 0 && w.FailureRate() >= t {
		return fmt.Sprintf("%d of %d calls failed, %.3g %% of at most %.3g %%", w.Failed, w.Calls, w.FailureRate(), t)
	}
	if t := s.SlowCallRateThreshold; t > 0 && w.SlowCallRate() >= t {
		return fmt.Sprintf("%d of %d calls took %v or longer, %.3g %% of at most %.3g %%", w.Slow, w.Calls, s.SlowCallDurationThreshold, w.SlowCallRate(), t)
	}
	return ""
}

// question is what a strategy is asked once the lock is free.
type question struct {
	strategy   Strategy
	window     Window
	generation uint32
}

func (b *Breaker) ask(c *core, q question, now time.Duration) {
	if q.strategy == nil {
		return
	}
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
