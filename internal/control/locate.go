package control

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// finding is a part of a callee that explains its failures: the labels that are
// set. All empty is the whole callee. Locate names targets; it never opens.
type finding struct {
	instance, route, caller, replica string
	set                              *instanceSet // instead of one instance

	score float64 // log odds against "nothing is wrong here", prior included
	gap   float64 // to the next best part: over 7 is nearly certain, under 1.6 is "one of"
	why   string
}

func (f *finding) matches(x *evidenceCell) bool {
	return (f.instance == "" || f.instance == x.instance) && (f.route == "" || f.route == x.route) &&
		(f.caller == "" || f.caller == x.caller) && (f.replica == "" || f.replica == x.replica) &&
		(f.set == nil || f.set.has(x.instance))
}

func (f *finding) String() string {
	var parts []string
	for _, p := range []struct{ what, name string }{{"instance", f.instance}, {"route", f.route}, {"caller", f.caller}, {"replica", f.replica}} {
		if p.name != "" {
			parts = append(parts, p.what+" "+p.name)
		}
	}
	if f.set != nil {
		parts = append(parts, f.set.String())
	}
	if len(parts) == 0 {
		return "the whole callee"
	}
	return strings.Join(parts, ", ")
}

// evidenceCell is what one replica saw of one route and instance: n first
// attempts, k of them failed.
type evidenceCell struct {
	replica, caller, instance, route string
	n, k                             float64
	weight                           float64 // of its observer
	p                                float64 // failure probability if nothing is wrong
}

// Of locate: constants measured in algorithms.md, section 2.
const (
	nameScore      = 8  // nats from which an instance, route or pair is named
	nameOwnScore   = 6  // for one replica's own part
	nameWideScore  = 10 // for a caller or the whole callee
	nestingPenalty = 1.6094379124341003
	oneObserver    = 0.9 // share of the failing weight that makes a part that observer's
	maxFindings    = 3
	healthyFloor   = 0.01
)

// strengths of a fault, equally likely.
var strengths = [...]float64{0.12, 0.25, 0.45, 0.7, 0.98}

// spans of the nested windows, in seconds.
var spans = [...]int{16, 8, 4, 2, 1}

// shape of a part: which labels it sets, and how likely such parts are, to be
// divided by how many there are.
type shape struct {
	instance, route, caller, replica bool

	prior float64
	need  float64
}

var shapes = [...]shape{
	{prior: 0.15, need: nameWideScore},
	{instance: true, prior: 0.22, need: nameScore},
	{route: true, prior: 0.14, need: nameScore},
	{replica: true, prior: 0.12, need: nameOwnScore},
	{caller: true, prior: 0.10, need: nameWideScore},
	{instance: true, route: true, prior: 0.08, need: nameScore},
	{caller: true, route: true, prior: 0.06, need: nameScore},
	{replica: true, instance: true, prior: 0.02, need: nameOwnScore},
	{replica: true, route: true, prior: 0.02, need: nameOwnScore},
	{caller: true, instance: true, prior: 0.01, need: nameScore},
}

// locate finds the smallest parts of a callee that explain its failures, best
// first, at most three; none where the evidence does not say. It is a Bayesian
// subset scan over cells: each part is scored by how well one extra failure
// probability there explains the window (algorithms.md, section 2).
func locate(ce *callee, now time.Duration) []finding {
	return nested(func(span int) []evidenceCell { return ce.cells(now, span) })
}

// nested looks at ever shorter spans and keeps what the best of them shows: a
// fresh fault is not to be outweighed by the good calls before it.
func nested(cells func(span int) []evidenceCell) []finding {
	var best []finding
	for _, span := range spans {
		in := cells(span)
		if !slices.ContainsFunc(in, func(x evidenceCell) bool { return x.k > 0 }) {
			break
		}
		found := scanAll(in)
		for i := range found {
			found[i].score -= nestingPenalty
		}
		if len(found) > 0 && (len(best) == 0 || found[0].score > best[0].score) {
			best = found
		}
	}
	return best
}

// cells gathers a callee's evidence of the newest seconds.
func (ce *callee) cells(now time.Duration, seconds int) []evidenceCell {
	var cells []evidenceCell
	for _, c := range ce.circuits {
		for _, r := range c.rows {
			for _, x := range r.cells {
				t := x.window.sum(now, seconds)
				if t.n == 0 {
					continue
				}
				cells = append(cells, evidenceCell{
					replica: r.observer.name, caller: c.id.Caller.String(), instance: x.instance, route: x.route,
					n: float64(t.n), k: float64(t.k), p: 2 * healthyFloor,
				})
			}
		}
	}
	weigh(cells)
	return cells
}

// weigh caps what one observer can say.
func weigh(cells []evidenceCell) {
	by := make(map[string]float64)
	total := 0.0
	for i := range cells {
		by[cells[i].replica] += cells[i].n
		total += cells[i].n
	}
	for i := range cells {
		cells[i].weight = observerWeight(by[cells[i].replica], total, len(by))
	}
}

// scanAll takes the best part, sets its cells aside and looks again.
func scanAll(cells []evidenceCell) []finding {
	var found []finding
	for len(found) < maxFindings {
		f, ok := scan(cells)
		if !ok {
			break
		}
		found = append(found, f)
		cells = slices.DeleteFunc(slices.Clone(cells), func(x evidenceCell) bool { return f.matches(&x) })
	}
	return found
}

// slot sums what speaks for and against one part.
type slot struct {
	finding
	shape   *shape
	n, s, k float64
	forIt   [len(strengths)]float64
	by      map[string]float64 // failing weight by observer
}

// likelihood is the log of how much better a fault here explains the cells.
func (s *slot) likelihood() float64 {
	var v [len(strengths)]float64
	top := math.Inf(-1)
	for j, f := range strengths {
		v[j] = s.forIt[j] + s.s*math.Log(1-f)
		top = max(top, v[j])
	}
	sum := 0.0
	for _, x := range v {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum/float64(len(strengths)))
}

func scan(cells []evidenceCell) (finding, bool) {
	counts, ids := countLabels(cells)
	slots := make(map[uint64]*slot)
	var order []*slot
	for i := range cells {
		x := &cells[i]
		if x.k == 0 {
			continue
		}
		for j := range shapes {
			at, ok := shapes[j].of(x, &counts)
			if !ok {
				continue
			}
			key := shapes[j].key(j, ids[i])
			s := slots[key]
			if s == nil {
				s = &slot{finding: at, shape: &shapes[j], by: make(map[string]float64)}
				slots[key] = s
				order = append(order, s)
			}
			s.k += x.k * x.weight
			s.by[x.replica] += x.k * x.weight
			for f, strength := range strengths {
				s.forIt[f] += x.k * x.weight * math.Log1p(strength*(1-x.p)/x.p)
			}
		}
	}
	for i := range cells {
		x := &cells[i]
		for j := range shapes {
			if s := slots[shapes[j].key(j, ids[i])]; s != nil {
				s.n += x.n
				s.s += (x.n - x.k) * x.weight
			}
		}
	}
	var found []*slot
	for _, s := range append(order, sets(order, &counts)...) {
		if s.k < 2 || s.k < 0.08*s.n {
			continue
		}
		if l := s.likelihood(); l > 0 {
			s.score = l + math.Log(s.shape.prior)
			if s.set != nil {
				s.score -= ways(counts.instances, len(s.set.names))
			} else {
				s.score -= math.Log(s.shape.many(&counts))
			}
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return finding{}, false
	}
	slices.SortStableFunc(found, func(a, b *slot) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.String(), b.String()))
	})
	best := found[0]
	if best.score-nestingPenalty < best.shape.need {
		return finding{}, false
	}
	best.gap = math.Inf(1)
	if len(found) > 1 {
		best.gap = best.score - found[1].score
	}
	best.narrow(&counts)
	best.explain(cells)
	return best.finding, true
}

// labelCounts is how many of each label there are.
type labelCounts struct{ instances, routes, callers, replicas int }

// countLabels numbers the labels, each kind from 0: instance, route, caller and
// replica of every cell.
func countLabels(cells []evidenceCell) (labelCounts, [][4]uint32) {
	var known [4]map[string]uint32
	for j := range known {
		known[j] = make(map[string]uint32)
	}
	ids := make([][4]uint32, len(cells))
	for i := range cells {
		x := &cells[i]
		for j, label := range [...]string{x.instance, x.route, x.caller, x.replica} {
			id, ok := known[j][label]
			if !ok {
				id = uint32(len(known[j]))
				known[j][label] = id
			}
			ids[i][j] = id
		}
	}
	return labelCounts{len(known[0]), len(known[1]), len(known[2]), len(known[3])}, ids
}

// key of the part of this shape, the j-th, that a cell with these labels is in:
// no shape sets more than two, 28 bits each.
func (s *shape) key(j int, ids [4]uint32) uint64 {
	key := uint64(j)
	for l, use := range [...]bool{s.instance, s.route, s.caller, s.replica} {
		if use {
			key = key<<28 | uint64(ids[l])
		}
	}
	return key
}

// of gives the part of this shape that a cell is in. A label that is not known,
// or that all cells share, makes no part.
func (s *shape) of(x *evidenceCell, n *labelCounts) (f finding, ok bool) {
	for _, l := range []struct {
		use   bool
		many  int
		label string
		to    *string
	}{
		{s.instance, n.instances, x.instance, &f.instance},
		{s.route, n.routes, x.route, &f.route},
		{s.caller, n.callers, x.caller, &f.caller},
		{s.replica, n.replicas, x.replica, &f.replica},
	} {
		if !l.use {
			continue
		}
		if l.many < 2 || l.label == "" {
			return finding{}, false
		}
		*l.to = l.label
	}
	return f, true
}

func (s *shape) many(n *labelCounts) float64 {
	many := 1.0
	for _, l := range []struct {
		use  bool
		many int
	}{{s.instance, n.instances}, {s.route, n.routes}, {s.caller, n.callers}, {s.replica, n.replicas}} {
		if l.use {
			many *= float64(l.many)
		}
	}
	return many
}

// narrow makes a part that hardly anybody else sees failing that observer's own.
func (s *slot) narrow(n *labelCounts) {
	if s.replica != "" || n.replicas < 2 {
		return
	}
	for who, k := range s.by {
		if k > oneObserver*s.k {
			s.replica = who
		}
	}
}

func (s *slot) explain(cells []evidenceCell) {
	var in, out struct{ n, k float64 }
	for i := range cells {
		x := &cells[i]
		if s.matches(x) {
			in.n += x.n
			in.k += x.k
		} else {
			out.n += x.n
			out.k += x.k
		}
	}
	s.why = fmt.Sprintf("%.0f of %.0f calls there failed, everywhere else %.0f of %.0f", in.k, in.n, out.k, out.n)
	if s.gap < 1.6 {
		s.why += "; it may be one of several parts"
	}
}
