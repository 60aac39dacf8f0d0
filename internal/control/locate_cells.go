package control

import (
	"cmp"
	"slices"
)

// count is n calls, k of them failed.
type count struct{ n, k float64 }

func (c *count) add(o count) { c.n, c.k = c.n+o.n, c.k+o.k }

// evidence is all that a look at a callee is based on.
type evidence struct {
	cells     []evidenceCell // sorted by their labels, which differ
	past      *history
	elsewhere []elsewhereCell
}

// evidenceCell is what one replica saw of one route and instance: first attempts
// and those that failed in the newest seconds of each span.
type evidenceCell struct {
	replica, caller, instance, route string
	seen                             [len(spans)]count
}

func (x *evidenceCell) label(kind int) string {
	switch kind {
	case byInstance:
		return x.instance
	case byRoute:
		return x.route
	case byCaller:
		return x.caller
	}
	return x.replica
}

func compareCells(a, b evidenceCell) int {
	return cmp.Or(cmp.Compare(a.caller, b.caller), cmp.Compare(a.replica, b.replica), cmp.Compare(a.instance, b.instance), cmp.Compare(a.route, b.route))
}

func (ev *evidence) failing() bool {
	for i := range ev.cells {
		if ev.cells[i].seen[0].k > 0 {
			return true
		}
	}
	return false
}

// settle sorts the cells and sums those with the same labels, so that neither
// order nor how calls are split over cells changes a thing, and folds them where
// they are too many.
func (ev *evidence) settle() {
	ev.merge()
	if len(ev.cells) > maxLocated {
		folded := foldBelow(ev.cells, maxLocated)
		for i := range ev.cells {
			folded.apply(&ev.cells[i])
		}
		ev.merge()
	}
}

func (ev *evidence) merge() {
	slices.SortFunc(ev.cells, compareCells) // sums of whole numbers are exact in any order
	kept := ev.cells[:0]
	for _, x := range ev.cells {
		if last := len(kept) - 1; last >= 0 && compareCells(kept[last], x) == 0 {
			for span := range x.seen {
				kept[last].seen[span].add(x.seen[span])
			}
			continue
		}
		kept = append(kept, x)
	}
	ev.cells = kept
}

// evidence gathers what a callee's replicas saw of it, and of others.
func (m *Mind) evidence(ce *callee) *evidence {
	ev := &evidence{past: &ce.past}
	for _, c := range ce.circuits {
		caller := c.id.Caller.String()
		for _, r := range c.evidenceRows() {
			for _, x := range r.cells {
				cell := evidenceCell{replica: r.by(), caller: caller, instance: x.instance, route: x.route}
				for span, seconds := range spans {
					t := x.window.sum(m.now, seconds)
					if t.n == 0 {
						break
					}
					cell.seen[span] = count{float64(t.n), float64(min(t.k, t.n))} // sums of hostile counts wrap
				}
				if cell.seen[0].n > 0 {
					ev.cells = append(ev.cells, cell)
				}
			}
		}
	}
	if ev.failing() {
		ev.settle()
		ev.elsewhere = m.elsewhere(ce)
	}
	return ev
}

// folded are the labels of each kind that are told apart no more.
type folded [labelKinds]map[string]bool

func (f *folded) apply(x *evidenceCell) {
	for kind, label := range [labelKinds]*string{byInstance: &x.instance, byRoute: &x.route, byCaller: &x.caller, byReplica: &x.replica} {
		if f[kind][*label] {
			*label = ""
		}
	}
}

// foldBelow chooses what to tell apart no more, so that no more than limit cells
// are left: the routes with the fewest calls first, then replicas, of which their
// caller is still known, then instances and callers. Totals stay as they are.
func foldBelow(cells []evidenceCell, limit int) (f folded) {
	keys := make(map[[labelKinds]string]int) // cells by their labels as folded so far
	now := slices.Clone(cells)
	key := func(x *evidenceCell) [labelKinds]string {
		return [labelKinds]string{x.instance, x.route, x.caller, x.replica}
	}
	for i := range now {
		keys[key(&now[i])]++
	}
	for _, kind := range [...]int{byRoute, byReplica, byInstance, byCaller} {
		f[kind] = make(map[string]bool)
		calls := make(map[string]float64)
		at := make(map[string][]int)
		for i := range now {
			label := now[i].label(kind)
			calls[label] += now[i].seen[0].n
			at[label] = append(at[label], i)
		}
		var labels []string
		for label := range calls {
			if label != "" {
				labels = append(labels, label)
			}
		}
		slices.SortFunc(labels, func(a, b string) int { return cmp.Or(cmp.Compare(calls[a], calls[b]), cmp.Compare(a, b)) })
		for _, label := range labels {
			if len(keys) <= limit {
				return f
			}
			f[kind][label] = true
			for _, i := range at[label] {
				k := key(&now[i])
				if keys[k]--; keys[k] == 0 {
					delete(keys, k)
				}
				f.apply(&now[i])
				keys[key(&now[i])]++
			}
		}
	}
	return f
}
