package scenario

import (
	"math"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/sim"
)

// request is one that a replica works on: of its own accord, or for a call.
type request struct {
	mesh     *mesh
	at       *replica
	process  *sim.Replica // that works on it
	key      key
	deadline time.Duration // 0 is none
	step     int           // of the service's calls
	reply    *call         // nil for the replica's own
}

// arrival is the next request of a replica's own load.
type arrival replica

func (a *arrival) Happen() {
	r := (*replica)(a)
	m := r.mesh
	if r.loadAt != m.w.Now() {
		return // another was planned sooner
	}
	r.planLoad(false)
	q := m.request()
	*q = request{mesh: m, at: r, process: r.process, key: key(m.Seed).and(uint64(r.index)).and(r.made)}
	if d := r.service.Load.Deadline; d > 0 {
		q.deadline = m.w.Now() + d
	}
	r.service.made.Made++
	q.next()
}

// planLoad plans a replica's next own request; anew says that it is the first at
// this rate: what was planned before is void.
func (r *replica) planLoad(anew bool) {
	m, load := r.mesh, r.service.Load
	r.made++
	k := key(m.Seed).and(uint64(r.index)).and(r.made)
	period := float64(time.Second) / (load.PerSecond * r.service.surge)
	wait := period
	switch x := k.throw(diceLoad); {
	case !load.Even:
		wait *= -math.Log(1 - x)
	case anew:
		wait *= x
	default:
		wait *= 0.9 + 0.2*x
	}
	r.loadAt = m.w.Now() + max(1, time.Duration(wait))
	m.w.Plan(r.loadAt, (*arrival)(r))
}

func (m *mesh) request() *request {
	if n := len(m.requests); n > 0 {
		q := m.requests[n-1]
		m.requests = m.requests[:n-1]
		return q
	}
	return new(request)
}

// next makes the request's next call, or replies after the last.
func (q *request) next() {
	if q.at.down || q.process != q.at.process {
		q.finish(breaker.Outcome{Verdict: breaker.Failure, Kind: breaker.Reset}) // it died with its process
		return
	}
	for q.step < len(q.at.ends) {
		e := q.at.ends[q.step]
		q.step++
		k := q.key.and(uint64(q.step))
		if e.call.Percent < 100 && k.throw(diceMade)*100 >= e.call.Percent {
			continue
		}
		c := q.mesh.newCall()
		c.end, c.from, c.key, c.attempt = e, q, k, 1
		c.try()
		return
	}
	q.finish(breaker.Outcome{})
}

// ended goes on with what a call came to. A failure of a guarded call, or its
// rejection, makes the reply one that is inherited, as breakerhttp marks it.
func (q *request) ended(c *call, o breaker.Outcome, rejected bool) {
	switch {
	case o.Verdict == breaker.Success && !rejected || c.end.call.Optional:
		q.next()
	case o.Verdict == breaker.Ignored:
		q.finish(breaker.Outcome{Verdict: breaker.Ignored, Kind: o.Kind})
	case q.mesh.unmarked:
		q.finish(breaker.Outcome{Verdict: breaker.Failure, Kind: breaker.ServerError})
	default:
		q.finish(breaker.Outcome{Verdict: breaker.Inherited})
	}
}

func (q *request) finish(o breaker.Outcome) {
	m, c := q.mesh, q.reply
	if c == nil {
		q.at.service.made.add(o)
	}
	q.reply = nil
	m.requests = append(m.requests, q)
	if c == nil {
		return
	}
	c.events--
	if !c.over {
		c.finish(o)
	}
	c.free()
}
