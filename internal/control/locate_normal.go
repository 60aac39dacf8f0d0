package control

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Of what is normal on a route.
const (
	healthyFloor = 0.005 // nothing is taken to be better than this
	tolerance    = 2     // times what a route has failed in the past is normal
	maxNull      = 0.7
	pastFew      = 50 // calls: a route with a shorter past is new
	newNull      = 0.5
	pastCap      = 5000 // calls of past that count: the older fades
	pastShrink   = 60   // calls' worth of the callee's mean in each route's share

	maxPastRoutes = 256
	pastTurn      = 16 * time.Second // as long as evidence is looked at
)

// history is what a callee's routes are like in good times.
type history struct {
	routes []past // sorted by route
	turned time.Duration
}

// past of a route: what is learnt, and what is to be, if no verdict falls before
// it is old enough.
type past struct {
	route                   string
	learnt, waiting, recent count
}

func (h *history) find(route string) (at int, found bool) {
	return slices.BinarySearchFunc(h.routes, route, func(p past, route string) int { return cmp.Compare(p.route, route) })
}

// add notes first attempts on a route. Beyond maxPastRoutes they are those of the
// nameless route.
func (h *history) add(route string, c count) {
	at, found := h.find(route)
	if !found && len(h.routes) >= maxPastRoutes && route != "" {
		h.add("", c)
		return
	}
	if !found {
		h.routes = slices.Insert(h.routes, at, past{route: route})
	}
	h.routes[at].recent.add(c)
}

// turn learns, each pastTurn, what was noted before the last turn.
func (h *history) turn(now time.Duration) {
	if now-h.turned < pastTurn {
		return
	}
	h.turned = now
	for i := range h.routes {
		p := &h.routes[i]
		p.learn(p.waiting)
		p.waiting, p.recent = p.recent, count{}
	}
}

// drop forgets what was noted and is not learnt yet. It is called as long as a
// verdict stands: neither an outage nor the 16 s before it was known are normal.
func (h *history) drop(now time.Duration) {
	h.turned = now
	for i := range h.routes {
		h.routes[i].waiting, h.routes[i].recent = count{}, count{}
	}
}

func (p *past) learn(c count) {
	p.learnt.add(c)
	if over := p.learnt.n / pastCap; over > 1 {
		p.learnt = count{p.learnt.n / over, p.learnt.k / over}
	}
}

func (h *history) of(route string) count {
	at, found := h.find(route)
	if !found && len(h.routes) >= maxPastRoutes {
		at, found = h.find("")
	}
	if !found {
		return count{}
	}
	return h.routes[at].learnt
}

// norms is by route what fails if nothing is wrong: twice what it used to, with
// a margin for how little is known. What is normal on a new route can't be said:
// there it is what fails on it now, everywhere, up to a half. So such a route
// itself is not blamed for less, while one of its instances may be.
func (s *scanner) norms() []float64 {
	var all count
	for i := range s.ev.past.routes {
		all.add(s.ev.past.routes[i].learnt)
	}
	mean := (all.k + 0.5) / (all.n + 25)
	now := make([]count, len(s.labels[byRoute]))
	for i := range s.ids {
		now[s.ids[i][byRoute]].add(s.seen[i])
	}
	norms := make([]float64, len(now))
	for q, route := range s.labels[byRoute] {
		was := s.ev.past.of(route)
		n := was.n + pastShrink
		b := (was.k + pastShrink*mean) / n
		b += 0.5 * math.Sqrt(b*(1-b)/n)
		norms[q] = min(maxNull, tolerance*max(b, healthyFloor))
		if was.n < pastFew {
			n = was.n + now[q].n
			norms[q] = max(norms[q], min(newNull, (was.k+now[q].k)/max(n, 1)))
		}
	}
	return norms
}
