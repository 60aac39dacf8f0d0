package scenario

import (
	"math"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// call is one attempt of a request to call a service. It is used again once it
// is over and nothing that is planned knows it any more.
type call struct {
	mesh            *mesh
	end             *end
	from            *request
	key             key
	attempt         uint8
	instance, route int
	permit, part    breaker.Permit
	tally           *breaker.Tally
	apart, probe    bool
	sent, limit     time.Duration
	outcome         breaker.Outcome // of what is planned
	late            breaker.Outcome // where nothing comes in time
	events          int8            // planned, and a reply that is owed
	over            bool
	sky             weather
}

func (m *mesh) newCall() *call {
	if n := len(m.calls); n > 0 {
		c := m.calls[n-1]
		m.calls = m.calls[:n-1]
		return c
	}
	return &call{mesh: m}
}

func (c *call) free() {
	if c.over && c.events == 0 {
		m := c.mesh
		*c = call{mesh: m}
		m.calls = append(m.calls, c)
	}
}

// dice of the attempt.
func (c *call) dice() key { return c.key.and(1<<16 + uint64(c.attempt)) }

// try asks for leave and sends the call.
func (c *call) try() {
	e, m := c.end, c.mesh
	now := m.w.Now()
	c.limit, c.late = e.call.Timeout, breaker.Outcome{Verdict: breaker.Failure, Kind: breaker.Timeout}
	if d := c.from.deadline; d > 0 && d-now < c.limit {
		c.limit, c.late = d-now, breaker.Outcome{Verdict: breaker.Ignored, Kind: breaker.CallerDeadline}
		if c.limit <= 0 {
			c.drop(c.late, false)
			return
		}
	}
	c.route = e.to.choose(c.key.throw(diceRoute))
	first := e.next
	e.next++
	e.tick(now).Offered++
	var err error
	if c.permit, err = e.guard.Breaker.Acquire(); err != nil {
		c.reject(first)
		return
	}
	c.probe = e.guard.Breaker.State() != breaker.Closed
	for i := range e.to.instances {
		c.instance = (first + i) % len(e.to.instances)
		part := e.part(c.instance)
		if part != nil {
			if c.part, err = part.Acquire(); err != nil {
				continue
			}
			c.apart = part.State() != breaker.Closed
			c.probe = c.probe || c.apart
		}
		c.tally = e.tally(c.route, c.instance)
		c.send()
		return
	}
	c.permit.Release()
	c.reject(first)
}

// reject books a call that was not permitted, and whether it would have been
// answered by the instance that was next.
func (c *call) reject(first int) {
	e := c.end
	c.instance = first % len(e.to.instances)
	c.sky = c.mesh.sky(e.to, c.instance, c.route, e.at)
	now := c.mesh.w.Now()
	t := e.tick(now)
	t.Rejected++
	e.figures.Rejected++
	_, _, own := c.fate()
	lost := own.Verdict != breaker.Success
	if !lost {
		t.Collateral++
		e.figures.Collateral++
	}
	e.process.Touch()
	c.mesh.tell(c, breaker.Outcome{}, true, lost)
	c.drop(breaker.Outcome{}, true)
}

// drop ends a call that was never sent.
func (c *call) drop(o breaker.Outcome, rejected bool) {
	q := c.from
	c.over = true
	q.ended(c, o, rejected)
	c.free()
}

// fate is what the callee itself does to the call: after how long, whether it
// takes a place in the queue, and the outcome if it makes no calls of its own.
// It changes nothing.
func (c *call) fate() (after time.Duration, served bool, o breaker.Outcome) {
	w, d, to := &c.sky, c.dice(), c.end.to
	latency := max(time.Microsecond, time.Duration(float64(w.Latency)*math.Exp(to.Spread*d.normal(diceLatency))))
	client := d.throw(diceClient)
	switch {
	case w.unreached || w.Hang > 0 && d.throw(diceHang) < w.Hang:
		return c.limit, false, c.late
	case client < w.cancel:
		o, latency = breaker.Outcome{Verdict: breaker.Ignored, Kind: breaker.Canceled}, latency/2
	case client < w.cancel+w.badRequest:
		o = breaker.Outcome{Verdict: breaker.Ignored, Kind: breaker.BadRequest}
	case w.Fail > 0 && d.throw(diceFail) < w.Fail:
		o = breaker.Outcome{Verdict: breaker.Failure, Kind: w.as}
		if w.as == breaker.Connect {
			latency = min(latency, time.Millisecond)
		}
	default:
		latency += w.Delay
		served = true
		if to.Capacity > 0 {
			wait := to.instances[c.instance].wait(c.mesh.w.Now(), w)
			if wait > to.Queue {
				return min(time.Millisecond, c.limit), false, breaker.Outcome{Verdict: breaker.Failure, Kind: breaker.RateLimited}
			}
			latency += wait
		}
	}
	if latency >= c.limit {
		return latency, served, c.late
	}
	return latency, served, o
}

// send lets the call reach the callee.
func (c *call) send() {
	e, m := c.end, c.mesh
	now := m.w.Now()
	c.sent = now
	c.sky = m.sky(e.to, c.instance, c.route, e.at)
	t := e.tick(now)
	t.Sent++
	e.figures.Sent++
	if c.probe {
		t.Probes++
		e.figures.Probes++
	}
	e.inFlight++
	t.InFlight = max(t.InFlight, e.inFlight)
	if m.hooks.Sent != nil {
		r := c.record()
		m.hooks.Sent(&r)
	}
	after, served, o := c.fate()
	if served && e.to.Capacity > 0 {
		e.to.instances[c.instance].backlog++
	}
	if !served || len(e.to.Calls) == 0 {
		c.outcome = o
		c.events++
		m.w.Plan(now+min(after, c.limit), (*ending)(c))
		return
	}
	// The callee serves those too whose callers have given up.
	c.outcome = c.late
	c.events += 2
	m.w.Plan(now+after, (*serving)(c))
	m.w.Plan(now+c.limit, (*ending)(c))
}

// serving is when the callee has done its own work and makes its calls.
type serving call

func (s *serving) Happen() {
	c := (*call)(s)
	m := c.mesh
	q := m.request()
	at := c.end.to.instances[c.instance].replica
	*q = request{mesh: m, at: at, process: at.process, key: c.dice(), reply: c}
	if !c.over {
		q.deadline = c.from.deadline
	}
	q.next() // the event that is over stands for the reply that is owed
}

// ending is when the outcome is there, or the caller's patience is over.
type ending call

func (x *ending) Happen() {
	c := (*call)(x)
	c.events--
	if !c.over {
		c.finish(c.outcome)
	}
	c.free()
}

// finish reports the outcome as a transport does, and retries or goes on.
func (c *call) finish(o breaker.Outcome) {
	e, m := c.end, c.mesh
	now := m.w.Now()
	c.over = true
	o.Latency, o.Attempt = max(1, now-c.sent), c.attempt
	counted := true
	if c.apart {
		c.permit.Release()
	} else {
		counted = c.permit.Done(o)
	}
	if e.parts[c.instance] != nil {
		counted = c.part.Done(o) && counted
	}
	if counted && c.tally != nil {
		c.tally.Add(o, o.Latency)
	}
	e.process.Touch()
	e.inFlight--
	e.book(now, o)
	m.tell(c, o, false, o.Verdict == breaker.Failure)
	q := c.from
	retries := e.call.Retries + c.sky.retries
	failed := o.Verdict == breaker.Failure || o.Verdict == breaker.Inherited
	if !failed || int(c.attempt) > retries {
		q.ended(c, o, false)
		return
	}
	backoff := e.call.Backoff
	if c.sky.retries > 0 && c.sky.retriesBackoff > 0 {
		backoff = c.sky.retriesBackoff
	}
	again := m.newCall()
	again.end, again.from, again.key, again.attempt = e, q, c.key, c.attempt+1
	m.w.Plan(now+time.Duration(float64(backoff)*(0.5+c.dice().throw(diceBackoff))), (*retry)(again))
}

// retry is when a call is made again.
type retry call

func (r *retry) Happen() { (*call)(r).try() }
