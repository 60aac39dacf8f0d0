package control

import (
	"cmp"
	"math"
	"slices"
)

// The kinds of label, in the order in which they are kept.
const (
	byInstance = iota
	byRoute
	byCaller
	byReplica
	labelKinds
)

// labelIDs are a cell's labels, by number; for a place, anyLabel is any.
type labelIDs [labelKinds]int32

const anyLabel = -1

// strengths of a fault, equally likely.
var strengths = [...]float64{0.12, 0.25, 0.45, 0.7, 0.98}

// lost is what a success speaks against a fault of each strength.
var lost = func() (l [len(strengths)]float64) {
	for j, f := range strengths {
		l[j] = math.Log(1 - f)
	}
	return l
}()

// shapes of parts: which labels they set, and how likely such parts are, to be
// divided by how many there are.
var shapes = [...]struct {
	uses  [labelKinds]bool
	prior float64
}{
	{prior: 0.15},
	{uses: [labelKinds]bool{byInstance: true}, prior: 0.22},
	{uses: [labelKinds]bool{byRoute: true}, prior: 0.14},
	{uses: [labelKinds]bool{byReplica: true}, prior: 0.12},
	{uses: [labelKinds]bool{byCaller: true}, prior: 0.10},
	{uses: [labelKinds]bool{byInstance: true, byRoute: true}, prior: 0.08},
	{uses: [labelKinds]bool{byCaller: true, byRoute: true}, prior: 0.06},
	{uses: [labelKinds]bool{byReplica: true, byInstance: true}, prior: 0.02},
	{uses: [labelKinds]bool{byReplica: true, byRoute: true}, prior: 0.02},
	{uses: [labelKinds]bool{byCaller: true, byInstance: true}, prior: 0.01},
}

// place is a part of a callee, by number of its labels.
type place struct {
	at                  labelIDs
	instances, replicas []bool // a set instead of one label
}

func everywhere() place { return place{at: labelIDs{anyLabel, anyLabel, anyLabel, anyLabel}} }

func (p *place) holds(ids labelIDs) bool {
	for kind, id := range p.at {
		if id != anyLabel && id != ids[kind] {
			return false
		}
	}
	return (p.instances == nil || p.instances[ids[byInstance]]) && (p.replicas == nil || p.replicas[ids[byReplica]])
}

func (p *place) has(kind int) bool { return p.at[kind] != anyLabel }

// need is the score from which the place is named.
func (p *place) need() float64 {
	switch {
	case p.has(byReplica):
		return nameOwnScore
	case p.has(byInstance) || p.has(byRoute) || p.instances != nil || p.replicas != nil:
		return nameScore
	}
	return nameWideScore
}

// slot sums what speaks for and against one part.
type slot struct {
	n, s, k float64
	forIt   [len(strengths)]float64
}

func (s *slot) add(c *count, gain *[len(strengths)]float64) {
	s.n += c.n
	s.s += c.n - c.k
	if c.k > 0 {
		s.k += c.k
		for j := range gain {
			s.forIt[j] += c.k * gain[j]
		}
	}
}

func (s *slot) addAll(o *slot) {
	s.n, s.s, s.k = s.n+o.n, s.s+o.s, s.k+o.k
	for j := range o.forIt {
		s.forIt[j] += o.forIt[j]
	}
}

// likelihood is the log of how much better a fault here explains the cells.
func (s *slot) likelihood() float64 {
	var v [len(strengths)]float64
	top := math.Inf(-1)
	for j := range strengths {
		v[j] = s.forIt[j] + s.s*lost[j]
		top = max(top, v[j])
	}
	sum := 0.0
	for _, x := range v {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum/float64(len(strengths)))
}

// thin is a part with too few failures, or too small a share, to speak of.
func (s *slot) thin() bool { return s.k < 2 || s.k < 0.08*s.n }

// candidate is a part with its score: the log odds against "nothing is wrong
// here", prior included.
type candidate struct {
	place place
	score float64
	gap   float64 // to the next best part
	next  place
	rival bool // there is a next best
}

// scanner scores the parts of one callee in one look. It numbers labels and parts
// once; each scan is then a sum over arrays.
type scanner struct {
	ev     *evidence
	labels [labelKinds][]string // sorted
	ids    []labelIDs
	in     [][len(shapes)]int32 // the part of each shape that a cell is in, -1 where nothing fails in it
	parts  []scannedPart

	elsewhere [labelKinds][]sickness // of replicas and callers

	// Of the window in use.
	span  int
	rest  float64
	seen  []count // as weighed
	norm  []float64
	null  []float64 // by route
	gain  [][len(strengths)]float64
	taken []bool
	slots []slot
}

type scannedPart struct {
	shape     int
	place     place
	prior     float64
	elsewhere float64 // what a replica's or caller's other calls say
}

func newScanner(ev *evidence) *scanner {
	s := &scanner{
		ev: ev, ids: make([]labelIDs, len(ev.cells)), in: make([][len(shapes)]int32, len(ev.cells)),
		seen: make([]count, len(ev.cells)), taken: make([]bool, len(ev.cells)),
	}
	s.number()
	s.partition()
	s.slots = make([]slot, len(s.parts))
	s.lookElsewhere()
	for id := range s.parts {
		p := &s.parts[id]
		switch shapes[p.shape].uses {
		case [labelKinds]bool{byReplica: true}:
			p.elsewhere = s.elsewhere[byReplica][p.place.at[byReplica]].score
		case [labelKinds]bool{byCaller: true}:
			p.elsewhere = s.elsewhere[byCaller][p.place.at[byCaller]].score
		}
	}
	return s
}

// number gives each label its rank among those of its kind.
func (s *scanner) number() {
	for kind := range s.labels {
		known := make(map[string]int32)
		for i := range s.ev.cells {
			known[s.ev.cells[i].label(kind)] = 0
		}
		for name := range known {
			s.labels[kind] = append(s.labels[kind], name)
		}
		slices.Sort(s.labels[kind])
		for id, name := range s.labels[kind] {
			known[name] = int32(id)
		}
		for i := range s.ev.cells {
			s.ids[i][kind] = known[s.ev.cells[i].label(kind)]
		}
	}
}

// partition numbers the parts in which anything fails. A label that is not known,
// or that all cells share, makes no part.
func (s *scanner) partition() {
	for j := range shapes {
		many, usable := 1.0, true
		for kind, use := range shapes[j].uses {
			if use {
				many *= float64(len(s.labels[kind]))
				usable = usable && len(s.labels[kind]) > 1
			}
		}
		prior := math.Log(shapes[j].prior / many)
		known := make(map[labelIDs]int32)
		for _, failing := range [...]bool{true, false} {
			for i := range s.ids {
				if failing != (s.ev.cells[i].seen[0].k > 0) {
					continue
				}
				s.in[i][j] = -1
				at := everywhere().at
				named := usable
				for kind, use := range shapes[j].uses {
					if use {
						at[kind] = s.ids[i][kind]
						named = named && s.labels[kind][at[kind]] != ""
					}
				}
				if !named {
					continue
				}
				id, found := known[at]
				if !found {
					if !failing {
						continue
					}
					id = int32(len(s.parts))
					known[at] = id
					s.parts = append(s.parts, scannedPart{shape: j, place: place{at: at}, prior: prior})
				}
				s.in[i][j] = id
			}
		}
	}
}

// use takes up a window, and reports whether anything fails in it.
func (s *scanner) use(span int) (failing bool) {
	s.span, s.rest = span, 1
	by := make([]float64, len(s.labels[byReplica]))
	total, observers := 0.0, 0
	for i := range s.ev.cells {
		c := &s.ev.cells[i].seen[span]
		failing = failing || c.k > 0
		if r := s.ids[i][byReplica]; c.n > 0 {
			if by[r] == 0 {
				observers++
			}
			by[r] += c.n
			total += c.n
		}
	}
	for i := range s.ev.cells {
		c, n := &s.ev.cells[i].seen[span], by[s.ids[i][byReplica]]
		w := 1.0
		if n > 0 {
			w = observerWeight(n, total, observers)
		}
		s.seen[i] = count{w * c.n, w * c.k}
	}
	s.norm = s.norms()
	s.null = make([]float64, len(s.norm))
	s.gain = make([][len(strengths)]float64, len(s.norm))
	s.raise(1)
	return failing
}

// raise takes for normal what is as many times as much.
func (s *scanner) raise(rest float64) {
	s.rest = max(1, rest)
	for q, p := range s.norm {
		s.null[q] = min(maxNull, p*s.rest)
		for j, f := range strengths {
			s.gain[q][j] = math.Log1p(f * (1 - s.null[q]) / s.null[q])
		}
	}
}

func (s *scanner) take(p *place) {
	for i := range s.ids {
		if p.holds(s.ids[i]) {
			s.taken[i] = true
		}
	}
}

// scan scores all parts over the cells that are not taken, best first.
func (s *scanner) scan() []candidate {
	clear(s.slots)
	for i := range s.ids {
		c := &s.seen[i]
		if s.taken[i] || c.n == 0 {
			continue
		}
		gain := &s.gain[s.ids[i][byRoute]]
		for _, id := range s.in[i] {
			if id >= 0 {
				s.slots[id].add(c, gain)
			}
		}
	}
	var found []candidate
	for id := range s.parts {
		if s.slots[id].thin() {
			continue
		}
		p := &s.parts[id]
		if l := s.slots[id].likelihood() + p.elsewhere; l > 0 {
			found = append(found, candidate{place: p.place, score: l + p.prior})
		}
	}
	found = append(found, s.sets()...)
	found = append(found, s.paths()...)
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(b.score, a.score) })
	return found
}

// same reports whether two places hold the same calls.
func (s *scanner) same(a, b *place) bool {
	for i := range s.ids {
		if s.seen[i].n > 0 && a.holds(s.ids[i]) != b.holds(s.ids[i]) {
			return false
		}
	}
	return true
}

// sum of the cells that a place holds and none of the others does.
func (s *scanner) sum(p *place, but func(i int) bool) (sum slot) {
	for i := range s.ids {
		if p.holds(s.ids[i]) && !but(i) {
			sum.add(&s.seen[i], &s.gain[s.ids[i][byRoute]])
		}
	}
	return sum
}
