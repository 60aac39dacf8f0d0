package evaluate

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// Up to 35 % that fail, latency up to 0.2 of the time-out and pauses of up to
// 0.2 s are calm: nothing opens and all is let through. From 0.25 of the room on a
// sudden step looks for a moment like a queue that grows, and is limited.
func TestPropertyCalmNeverOpens(t *testing.T) {
	tryMostly(t, 1, func(x *trial) {
		e := x.episode(40*time.Second, 1, 300)
		e.Calm.Fail = x.in(0, .35)
		worse := e.Calm
		switch x.IntN(3) {
		case 0:
			mean := math.Exp(e.Spread * e.Spread / 2)
			worse.Latency = max(worse.Latency, time.Duration(x.in(0, .2)/mean*float64(e.Timeout)))
			e.Change(onset, e.Duration, worse, worse)
		case 1:
			for at := onset; at < e.Duration-time.Second; at += x.span(2*time.Second, 10*time.Second) {
				worse.Delay = x.span(20*time.Millisecond, min(200*time.Millisecond, e.Timeout/4))
				e.Change(at, at+worse.Delay, worse, e.Calm)
			}
		}
		v := x.live(e)
		for _, s := range v.sights {
			if !s.whole() || s.shut > 0 {
				x.Errorf("%s, %.0f %% fail, later %v: %v", say(e), 100*e.Calm.Fail, worse.Latency, s)
				return
			}
		}
		if all := v.calls(0, e.Duration); v.opened > 0 || all.admitted < all.offered {
			x.Errorf("%s: %d openings, %d of %d let through in calm", say(e), v.opened, all.admitted, all.offered)
		}
	})
}

// The same calls, split over more replicas, come to the same: on the whole within
// 0.02 of the utility and one opening, but where a fault comes and goes within
// seconds or fails just about what opens, when it is seen decides.
func TestPropertySplitOverReplicasChangesLittle(t *testing.T) {
	tryMostly(t, 1, func(x *trial) {
		e := x.episode(50*time.Second, 20, 250)
		kind := []string{"outage", "brown-out", "flapping", "short capacity"}[x.IntN(4)]
		bad, end := e.Calm, onset+20*time.Second
		switch bad.Fail = x.in(.3, 1); kind {
		case "outage":
			end = onset + x.span(time.Second, 25*time.Second)
			x.outage(e, end)
		case "brown-out":
			e.Change(onset, end, bad, bad)
		case "flapping":
			for at := onset; at < end; at += x.span(2*time.Second, 10*time.Second) {
				e.Change(at, at+x.span(time.Second, 2*time.Second), bad, bad)
			}
		case "short capacity":
			bad.Fail, bad.Capacity = e.Calm.Fail, x.in(.3, .9)*e.Calm.Rate
			e.Calm.Capacity = 2 * e.Calm.Rate
			e.Change(onset, end, bad, bad)
		}
		one := newLoad(e, 1)
		many := *one
		many.callers, many.calls = x.callers, slices.Clone(one.calls)
		if many.callers == 1 {
			many.callers = 3
		}
		for i := range many.calls {
			many.calls[i].Caller = x.IntN(many.callers)
		}
		w := newWorld(one)
		best := w.play(newClairvoyant(w, 0, 0)).utility
		a, b := liveThrough(one, true), liveThrough(&many, true)
		if alone, split := a.utility/best, b.utility/best; math.Abs(alone-split) > .08 {
			x.Errorf("%s over %d replicas: utility %.3f, over one %.3f", kind, many.callers, split, alone)
		}
		if n, of := a.trips(), b.trips(); max(n-of, of-n) > max(2, n) {
			x.Errorf("%s over %d replicas: %d openings, over one %d", kind, many.callers, of, n)
		}
	})
}

// When all calls fail, all replicas are shut within 0.6 s from 50 calls a second
// on, hangs a time-out later; below, after twelve calls more. Looks are 0.1 s apart.
func TestPropertyFullFailureShutsAllAtOnce(t *testing.T) {
	tryOut(t, func(x *trial) {
		e := x.episode(onset+20*time.Second, 2, 400)
		hangs := x.outage(e, e.Duration)
		v := x.live(e)
		from := onset
		if e.Calm.Rate < 50 {
			from = v.nth(onset, 12)
		}
		answer := time.Duration(float64(e.Calm.Latency) * math.Exp(3*e.Spread))
		if hangs {
			answer = e.Timeout
		}
		if at := v.shut(onset); from > 0 && (at == 0 || at > from+answer+700*time.Millisecond) {
			x.Errorf("%s, hangs %v: all shut %.2f s after the onset, answers take %.2f s", say(e), hangs, (at - onset).Seconds(), answer.Seconds())
		}
	})
}

// Probes grow with the root of demand and of an opening's length, and never stop.
// Of hangs
// up to five are out before the first one tells.
func TestPropertyProbesKeepTheirBudget(t *testing.T) {
	tryMostly(t, 1, func(x *trial) {
		e := x.episode(onset+x.span(10*time.Second, 60*time.Second), 2, 400)
		hangs := x.outage(e, e.Duration)
		v := x.live(e)
		began := v.shut(onset)
		if began == 0 {
			return // too few calls
		}
		began += tickWidth
		d, length := e.Calm.Rate, (e.Duration - began).Seconds()
		n := float64(v.calls(began, e.Duration).admitted)
		most := 2.6 * math.Sqrt(d*length)
		if hangs {
			most *= 3
		}
		if n > most+3 {
			x.Errorf("%s, hangs %v: %.0f probes in %.1f s, at most %.0f", say(e), hangs, n, length, most+3)
		}
		longest, last := time.Duration(0), began
		for at := began; at < e.Duration; at += tickWidth {
			if v.calls(at, at+tickWidth).admitted > 0 {
				last = at
			}
			longest = max(longest, at-last)
		}
		if tau := math.Sqrt((length + .2) / d); longest.Seconds() > max(5*tau, 5/d)+.2 {
			x.Errorf("%s, hangs %v: no probe for %.2f s, they are to be %.2f s apart", say(e), hangs, longest.Seconds(), tau)
		}
	})
}

// One outage is one opening, and after its end all is let through soon.
func TestPropertyFullTrafficIsBackSoon(t *testing.T) {
	tryOut(t, func(x *trial) {
		end := onset + x.span(5*time.Second, 40*time.Second)
		e := x.episode(end+30*time.Second, 2, 400)
		hangs := x.outage(e, end)
		v := x.live(e)
		d := e.Calm.Rate
		tau := math.Sqrt(((end - onset).Seconds() + .2) / d)
		bound := end + time.Duration((5*tau+1.5+5/d)*float64(time.Second))
		for i, s := range v.between(bound, e.Duration) {
			if s.state != breaker.Closed || s.share < .95 {
				x.Errorf("%s, hangs %v: not back %.2f s after the end: %v", say(e), hangs, (s.at - end).Seconds(), s)
				return
			}
			if i == 0 && v.trips() > 1 {
				x.Errorf("%s, hangs %v: %d openings in one outage", say(e), hangs, v.trips())
				return
			}
		}
	})
}

// A callee that refuses what it could not answer in time is limited, not opened,
// and gives what it can: 0.85 of it nearly always, less where a time-out holds but
// a handful of its answers.
func TestPropertyOverloadIsLimitedNotOpened(t *testing.T) {
	tryOut(t, func(x *trial) {
		e := x.episode(onset+20*time.Second, 50, 400)
		e.Patience = time.Duration(x.in(.3, .7) * float64(e.Timeout))
		low := e.Calm
		low.Capacity = e.Calm.Rate / x.in(1.2, 3)
		e.Calm.Capacity = 2 * e.Calm.Rate
		e.Change(onset, e.Duration, low, low)
		v := x.live(e)
		from := onset + 2*time.Second
		for _, s := range v.between(from, e.Duration) {
			if s.state != breaker.Closed {
				x.Errorf("%s, capacity %.1f: %v", say(e), low.Capacity, s)
				return
			}
		}
		if share := v.good(from, e.Duration) / (low.Capacity * (e.Duration - from).Seconds()); share < .75 {
			x.Errorf("%s, capacity %.1f: %.3f of it answered well", say(e), low.Capacity, share)
		}
	})
}

// A queue that is longer than callers wait answers in vain, and all it tells are
// time-outs: it takes longer to find what it can.
func TestPropertyALongQueueStillAnswers(t *testing.T) {
	tryMostly(t, 1, func(x *trial) {
		e := x.episode(onset+20*time.Second, 50, 400)
		low := e.Calm
		low.Capacity = e.Calm.Rate / x.in(1.2, 3)
		e.Calm.Capacity = 2 * e.Calm.Rate
		e.Patience = time.Duration(x.log(1.5, 10) * float64(e.Timeout))
		e.Change(onset, e.Duration, low, low)
		v := x.live(e)
		from := onset + 2*time.Second
		if share := v.good(from, e.Duration) / (low.Capacity * (e.Duration - from).Seconds()); share < .35 {
			x.Errorf("%s, capacity %.1f: %.3f of it answered well", say(e), low.Capacity, share)
		}
	})
}

// Calls without an answer are no queue while the others take as long as ever.
func TestPropertyHangsAreNoQueue(t *testing.T) {
	tryOut(t, func(x *trial) {
		e := x.episode(onset+15*time.Second, 20, 300)
		w := e.Calm
		w.Hang = x.in(.05, .4)
		e.Change(onset, e.Duration, w, w)
		for _, s := range x.live(e).between(onset, e.Duration) {
			if s.phase == "limited" {
				x.Errorf("%s, %.0f %% hang: %v", say(e), 100*w.Hang, s)
				return
			}
		}
	})
}

// A callee that is slow, and not busy, is limited for a while at most. The limit
// comes back at times, to look: it costs little.
func TestPropertySlownessIsLetGo(t *testing.T) {
	tryOut(t, func(x *trial) {
		e := x.episode(onset+40*time.Second, 50, 300)
		e.Spread = x.in(.1, .3)
		w := e.Calm
		w.Latency = max(w.Latency, time.Duration(x.in(.2, .5)*float64(e.Timeout)))
		e.Change(onset, e.Duration, w, w)
		v := x.live(e)
		all := v.calls(onset, e.Duration)
		if share := float64(all.admitted) / float64(all.offered); share < .85 {
			x.Errorf("%s, then %v: %.3f let through", say(e), w.Latency, share)
		}
	})
}

// Capacity that is back is used within 7 s, nearly always within 5 s.
func TestPropertyCapacityBackIsUsed(t *testing.T) {
	tryOut(t, func(x *trial) {
		e := x.episode(onset+30*time.Second, 50, 400)
		w := e.Calm
		w.Capacity = e.Calm.Rate * x.in(.3, .9)
		e.Calm.Capacity = x.in(1.3, 4) * e.Calm.Rate
		end := onset + 15*time.Second
		e.Change(onset, end, w, w)
		v := x.live(e)
		for _, s := range v.between(end, end+7*time.Second) {
			if s.share >= 1 && s.state == breaker.Closed {
				return
			}
		}
		x.Errorf("%s, capacity %.1f: not back after 7 s", say(e), w.Capacity)
	})
}

// The same seed and calls give the same bytes, and looking on changes none.
func TestPropertySameSeedSameBytes(t *testing.T) {
	tryOut(t, func(x *trial) {
		e := x.episode(25*time.Second, 20, 200)
		x.outage(e, onset+x.span(time.Second, 10*time.Second))
		a, b := liveThrough(newLoad(e, x.callers), true), liveThrough(newLoad(e, x.callers), false)
		if !bytes.Equal(a.said.Bytes(), b.said.Bytes()) {
			x.Errorf("%s: two runs, of which one was looked at, say different things", say(e))
		}
	})
}
