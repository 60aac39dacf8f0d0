// Package evaluate measures policies on episodes of faults, in virtual time: how
// much of what a clairvoyant gets each of them gets. It is a shell around the
// real code as the simulator is; same seeds, same figures.
package evaluate

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/sim/fault"
)

// cost is how many good answers a failed call costs: a call that fails with a
// chance of more than 1/(1+cost) is better not made.
const (
	cost      = 0.5
	breakEven = 1 / (1 + cost)
)

// decider is a policy: it decides which calls are made. Calls and their ends
// come in the order of time.
type decider interface {
	// allow decides on a call at c.At; it may choose another instance.
	allow(c *call) bool
	// done tells what an allowed call came to, at c.At + o.Latency.
	done(c *call, o breaker.Outcome)
	// openings are how often anything has opened so far, from closed.
	openings() int
}

// call is one attempt. Slot is its own until it is done: policies keep what
// belongs to it there.
type call struct {
	At               time.Duration
	Caller, Instance int
	Attempt          uint8
	Slot             int

	// The dice are thrown before anybody decides, so that all policies meet the
	// same calls. Latency is in medians.
	fail, hang, latency float64
}

// load is what is offered in an episode, first attempts only.
type load struct {
	*fault.Episode
	callers int
	calls   []call
	ticks   []tick
}

// tick is what happened in a tenth of a second: how many calls were offered and
// admitted, how many were lost anyway, and how many could all have been answered.
type tick struct{ offered, admitted, lost, well int }

const tickWidth = 100 * time.Millisecond

func newLoad(e *fault.Episode, callers int) *load {
	l := &load{Episode: e, callers: callers, ticks: make([]tick, e.Duration/tickWidth+1)}
	rng := rand.New(rand.NewPCG(e.Seed, 1))
	for now := time.Duration(0); ; {
		now += time.Duration(rng.ExpFloat64() / e.Rate(now) * float64(time.Second))
		if now > e.Duration {
			return l
		}
		c := call{At: now, Caller: rng.IntN(callers), Instance: rng.IntN(e.Instances), Attempt: 1}
		l.dice(&c, rng)
		l.calls = append(l.calls, c)
		t := &l.ticks[now/tickWidth]
		t.offered++
		switch weather := e.At(now, c.Caller, callers, c.Instance); {
		case e.Bad(weather) >= breakEven:
			t.lost++
		case weather.Capacity == 0 || weather.Capacity >= weather.Rate:
			t.well++
		}
	}
}

func (l *load) dice(c *call, rng *rand.Rand) {
	c.fail, c.hang, c.latency = rng.Float64(), rng.Float64(), math.Exp(l.Spread*rng.NormFloat64())
}

// outcome of one policy in one episode.
type outcome struct {
	utility       float64
	opened        int
	trip, recover spans
}

// spans are the times that something took.
type spans struct {
	n       int
	seconds float64
}

func (s *spans) add(o spans) { s.n += o.n; s.seconds += o.seconds }

// world is an episode as one policy lives it.
type world struct {
	*load
	now      time.Duration
	retries  *rand.Rand
	order    uint64
	queue    events
	calls    []call // by slot
	outcomes []breaker.Outcome
	free     []int
	ticks    []tick

	backlog float64 // calls that wait at the callee
	drained time.Duration
}

func newWorld(l *load) *world {
	return &world{load: l, retries: rand.New(rand.NewPCG(l.Seed, 2)), ticks: slices.Clone(l.ticks)}
}

// play lets a policy live through the episode. Calls that are under way at the
// end count for nothing.
func (w *world) play(p decider) (r outcome) {
	for i := range w.load.calls {
		c := &w.load.calls[i]
		w.pass(p, c.At, &r)
		w.now = c.At
		if w.offer(p, *c, w.slot()) {
			w.ticks[w.now/tickWidth].admitted++
		}
	}
	w.pass(p, w.Duration, &r)
	r.opened = p.openings()
	r.trip, r.recover = delays(w.ticks)
	return r
}

// pass lets time pass.
func (w *world) pass(p decider, until time.Duration, r *outcome) {
	for len(w.queue) > 0 && w.queue[0].at <= until {
		e := w.queue.pop()
		w.now = e.at
		if e.again {
			w.offer(p, w.calls[e.slot], e.slot)
		} else {
			w.finish(p, e.slot, r)
		}
	}
}

func (w *world) slot() int {
	if n := len(w.free); n > 0 {
		s := w.free[n-1]
		w.free = w.free[:n-1]
		return s
	}
	w.calls = append(w.calls, call{})
	w.outcomes = append(w.outcomes, breaker.Outcome{})
	return len(w.calls) - 1
}

func (w *world) offer(p decider, c call, slot int) (made bool) {
	c.At, c.Slot = w.now, slot
	w.calls[slot] = c
	if !p.allow(&w.calls[slot]) {
		w.free = append(w.free, slot)
		return false
	}
	o := w.answer(&w.calls[slot])
	o.Attempt = c.Attempt
	w.outcomes[slot] = o
	w.plan(w.now+o.Latency, slot, false)
	return true
}

// worth reports whether a call at an instant is worth making, by the weather of
// another: of then, to a lagging clairvoyant.
func (w *world) worth(now, then time.Duration, caller, instance int) bool {
	weather := w.At(then, caller, w.callers, instance)
	if w.Bad(weather) >= breakEven {
		return false
	}
	if weather.Capacity == 0 {
		return true
	}
	// The queue kept as long as serves in time, so that the callee never idles.
	wait := w.wait(now, weather.Capacity)
	slow := float64(weather.Delay) + float64(weather.Latency)*math.Exp(w.Spread)
	return wait < w.Patience && float64(wait)+slow < .9*float64(w.Timeout)
}

// wait is how long a call would queue now.
func (w *world) wait(now time.Duration, capacity float64) time.Duration {
	w.backlog = max(0, w.backlog-(now-w.drained).Seconds()*capacity)
	w.drained = now
	return time.Duration(w.backlog / capacity * float64(time.Second))
}

// answer is what becomes of a call that is made.
func (w *world) answer(c *call) breaker.Outcome {
	weather := w.At(w.now, c.Caller, w.callers, c.Instance)
	latency := time.Duration(float64(weather.Latency) * c.latency)
	late := breaker.Outcome{Verdict: breaker.Failure, Kind: breaker.Timeout, Latency: w.Timeout}
	if c.hang < weather.Hang {
		return late
	}
	if c.fail < weather.Fail {
		return breaker.Outcome{Verdict: breaker.Failure, Kind: breaker.ServerError, Latency: min(latency, w.Timeout)}
	}
	latency += weather.Delay
	if weather.Capacity > 0 {
		wait := w.wait(w.now, weather.Capacity)
		if wait > w.Patience {
			return breaker.Outcome{Verdict: breaker.Failure, Kind: breaker.RateLimited, Latency: time.Millisecond}
		}
		w.backlog++ // the callee answers in vain those whose callers have gone
		latency += wait
	}
	if latency >= w.Timeout {
		return late
	}
	return breaker.Outcome{Latency: max(latency, time.Microsecond)}
}

func (w *world) finish(p decider, slot int, r *outcome) {
	c, o := &w.calls[slot], w.outcomes[slot]
	p.done(c, o)
	if o.Verdict == breaker.Success {
		r.utility++
	} else {
		r.utility -= cost
		if int(c.Attempt) <= w.Retries {
			c.Attempt++
			c.Instance = w.retries.IntN(w.Instances)
			w.dice(c, w.retries)
			w.plan(w.now+time.Duration((.5+w.retries.Float64())*float64(w.Backoff)), slot, true)
			return
		}
	}
	w.free = append(w.free, slot)
}

func (w *world) plan(at time.Duration, slot int, again bool) {
	w.order++
	w.queue.push(event{at, w.order, slot, again})
}

// delays reads off how long the policy took to shut once every call was lost, and
// to let all through once they were well again, where it stayed so for five
// seconds. A second of at most 20 % let through, or of at least 90 %, is when it
// had; where there are few calls, the second grows to ten calls or five seconds.
// Where a part is sick or capacity short there is nothing to shut or to open.
func delays(ticks []tick) (trip, recover spans) {
	const stays = int(5 * time.Second / tickWidth)
	wasLost := false
	for from := 0; from < len(ticks); {
		c, to := climate(ticks, from)
		if to-from >= stays {
			s := spans{1, (time.Duration(took(ticks[from:to], c == lost)) * tickWidth).Seconds()}
			switch {
			case c == lost:
				trip.add(s)
			case c == well && wasLost:
				recover.add(s)
			}
			wasLost = c == lost || wasLost && c == mixed
		}
		from = to
	}
	return trip, recover
}

// What a tick's calls were in for.
const (
	unknown = iota
	lost
	well
	mixed
)

// climate is what calls were in for from a tick on, and until when.
func climate(ticks []tick, from int) (c, to int) {
	for to = from; to < len(ticks); to++ {
		var now int
		switch t := ticks[to]; t.offered {
		case 0:
			continue
		case t.lost:
			now = lost
		case t.well:
			now = well
		default:
			now = mixed
		}
		if c != unknown && c != now {
			break
		}
		c = now
	}
	return c, to
}

// took counts the ticks until the policy did as it should.
func took(ticks []tick, shut bool) int {
	for i := range ticks {
		offered, admitted := 0, 0
		for j := i; j < min(i+50, len(ticks)) && (j < i+10 || offered < 10); j++ {
			offered += ticks[j].offered
			admitted += ticks[j].admitted
		}
		if shut && admitted*5 <= offered || !shut && admitted*10 >= offered*9 {
			return i
		}
	}
	return len(ticks)
}

// event is the end of a call, or the time to make it again.
type event struct {
	at    time.Duration
	order uint64
	slot  int
	again bool
}

// events are a heap by time. It is written out for speed: half a run is here.
type events []event

func (q events) before(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}

func (q *events) push(e event) {
	*q = append(*q, e)
	h := *q
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.before(i, up) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (q *events) pop() event {
	h := *q
	top := h[0]
	n := len(h) - 1
	h[0] = h[n]
	h = h[:n]
	*q = h
	for i := 0; ; {
		next := 2*i + 1
		if next >= n {
			return top
		}
		if next+1 < n && h.before(next+1, next) {
			next++
		}
		if !h.before(next, i) {
			return top
		}
		h[i], h[next] = h[next], h[i]
		i = next
	}
}
