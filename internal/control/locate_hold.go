package control

import (
	"slices"
	"time"
)

// holding bounds a callee's evidence: at most maxLocated cells of all its
// replicas, and one more of each circuit where even so there are too many. It
// says what is told apart no more. Totals stay as they are.
type holding struct {
	cells  int // at most so many
	folded folded
	since  time.Duration // of the folding
}

// heldLow is how far folding goes, so that it need not be done for each new cell.
const heldLow = maxLocated * 3 / 4

// evidenceRows are the rows that hold cells.
func (c *circuit) evidenceRows() []*row {
	if c.rest == nil {
		return c.rows
	}
	return append(slices.Clip(c.rows), c.rest)
}

// cell gives the cell for a replica's evidence of a route and instance, as far as
// these are told apart.
func (c *circuit) cell(now time.Duration, r *row, route, instance string) *cell {
	h := &c.callee.held
	if h.cells >= maxLocated {
		c.callee.fold(now)
	}
	r, route, instance = c.foldedTo(r, route, instance)
	for _, x := range r.cells {
		if x.route == route && x.instance == instance {
			return x
		}
	}
	if len(r.cells) >= maxCells && (route != "" || instance != "") {
		r.shed(now)
		if len(r.cells) >= maxCells {
			return c.cell(now, r, "", "")
		}
	}
	x := &cell{route: route, instance: instance}
	r.cells = append(r.cells, x)
	h.cells++
	return x
}

func (c *circuit) foldedTo(r *row, route, instance string) (to *row, foldedRoute, foldedInstance string) {
	f := &c.callee.held.folded
	if f[byRoute][route] {
		route = ""
	}
	if f[byInstance][instance] {
		instance = ""
	}
	if f[byReplica][r.by()] {
		if c.rest == nil {
			c.rest = &row{window: c.newWindow()}
		}
		r = c.rest
	}
	return r, route, instance
}

// shed drops the cells without calls within the span: instances come and go.
func (r *row) shed(now time.Duration) {
	r.cells = slices.DeleteFunc(r.cells, func(x *cell) bool { return x.window.sum(now, int(cellSpan/time.Second)).n == 0 })
}

// fold makes room: what has had no calls goes first, and with it what was folded
// a minute ago or earlier, which may be told apart again. Then labels are folded.
func (ce *callee) fold(now time.Duration) {
	h := &ce.held
	if now-h.since >= forgetPart {
		h.folded = folded{}
	}
	var cells []evidenceCell
	for _, c := range ce.circuits {
		for _, r := range c.evidenceRows() {
			r.shed(now)
			for _, x := range r.cells {
				t := x.window.sum(now, int(cellSpan/time.Second))
				e := evidenceCell{replica: r.by(), caller: c.id.Caller.String(), instance: x.instance, route: x.route}
				e.seen[0] = count{float64(t.n), float64(t.k)}
				cells = append(cells, e)
			}
		}
	}
	h.cells = len(cells)
	if h.cells <= heldLow {
		return
	}
	more := foldBelow(cells, heldLow)
	for kind := range more {
		if h.folded[kind] == nil {
			h.folded[kind] = make(map[string]bool)
		}
		for label := range more[kind] {
			h.folded[kind][label] = true
		}
	}
	h.since, h.cells = now, 0
	for _, c := range ce.circuits {
		for _, r := range slices.Clone(c.evidenceRows()) {
			was := r.cells
			r.cells = nil
			for _, x := range was {
				to, route, instance := c.foldedTo(r, x.route, x.instance)
				to.put(x, route, instance)
			}
		}
	}
	for _, c := range ce.circuits {
		for _, r := range c.evidenceRows() {
			h.cells += len(r.cells)
		}
	}
}

// put moves a cell into the row, and sums it up with one of the same labels.
func (r *row) put(x *cell, route, instance string) {
	for _, y := range r.cells {
		if y.route == route && y.instance == instance {
			y.window.merge(&x.window)
			return
		}
	}
	x.route, x.instance = route, instance
	r.cells = append(r.cells, x)
}
