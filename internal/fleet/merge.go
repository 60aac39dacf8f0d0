package fleet

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/policy"
)

// Merger is the pure half of a gateway: it gathers the reports of the replicas
// that are attached there, and gives them on as few rows. Replicas without
// failures become one row of their circuit with a count of observers; those with
// failures, with settings, or not closed, keep theirs, at most maxRows of a
// circuit; of the rest those with the fewest failures are folded and counted.
// Totals stay. It keeps no reference to what it is given, and is for one
// goroutine at a time.
type Merger struct {
	circuits map[policy.Circuit]map[ReplicaID]*gathered
	answers  []Answer
	reports  int
}

// maxRows is how many replicas of a circuit keep a row of their own.
const maxRows = 64

// Merged is what a gateway gives on: rows by circuit and replica.
type Merged struct {
	Rows    []MergedRow
	Answers []Answer
	Reports int // how many reports it stands for
}

// MergedRow is what one replica saw of a circuit, or what several did.
type MergedRow struct {
	Circuit policy.Circuit
	From    ReplicaID // with an empty name: several
	// Observers are those that the row stands for, by name as far as it is of one.
	Observer  string
	Observers int
	// Failing is how many of them saw failures.
	Failing int
	CircuitReport
}

// gathered is what one replica has reported of one circuit since the last time.
type gathered struct {
	from     ReplicaID
	observer string
	last     CircuitReport  // without cells
	cells    []gatheredCell // by key
	failed   uint64
}

type cellKey struct {
	route, instance string
	generation      uint64
}

// gatheredCell holds its buckets by the step in which they ended, in Age.
type gatheredCell struct {
	cellKey
	steps []Bucket
}

// cellOf gives a key's cell among cells, which are ordered by key.
func cellOf(cells *[]gatheredCell, key cellKey) *gatheredCell {
	at, found := slices.BinarySearchFunc(*cells, key, func(c gatheredCell, k cellKey) int { return c.compare(k) })
	if !found {
		*cells = slices.Insert(*cells, at, gatheredCell{cellKey: key})
	}
	return &(*cells)[at]
}

// add counts what ended in a step.
func (c *gatheredCell) add(at time.Duration, n Counts) {
	i := len(c.steps)
	for i > 0 && c.steps[i-1].Age > at {
		i--
	}
	if i > 0 && c.steps[i-1].Age == at {
		c.steps[i-1].add(n)
		return
	}
	c.steps = slices.Insert(c.steps, i, Bucket{Age: at, Counts: n})
}

func (k cellKey) compare(o cellKey) int {
	return cmp.Or(cmp.Compare(k.route, o.route), cmp.Compare(k.instance, o.instance), cmp.Compare(k.generation, o.generation))
}

// NewMerger makes one that has gathered nothing.
func NewMerger() *Merger {
	return &Merger{circuits: make(map[policy.Circuit]map[ReplicaID]*gathered)}
}

// Add takes a report that came at an instant: from then on its evidence ages on
// this clock.
func (g *Merger) Add(now time.Duration, from ReplicaID, observer string, r *Report) {
	g.reports++
	g.answers = append(g.answers, r.Answers...)
	for i := range r.Circuits {
		cr := &r.Circuits[i]
		id := policy.Circuit{Caller: from.Service, Callee: cr.Callee, Route: cr.Route}
		rows := g.circuits[id]
		if rows == nil {
			rows = make(map[ReplicaID]*gathered)
			g.circuits[id] = rows
		}
		x := rows[from]
		if x == nil {
			x = &gathered{from: from}
			rows[from] = x
		}
		settings := x.last.Settings
		x.observer, x.last = observer, *cr
		x.last.Cells = nil
		x.last.Settings = cmp.Or(cr.Settings, settings)
		for j := range cr.Cells {
			x.add(now, &cr.Cells[j])
		}
	}
}

func (x *gathered) add(now time.Duration, c *Cell) {
	to := cellOf(&x.cells, cellKey{c.Route, c.Instance, c.Generation})
	to.steps = slices.Grow(to.steps, len(c.Buckets))
	for i := range c.Buckets {
		b := &c.Buckets[len(c.Buckets)-1-i] // oldest first, as they mostly are the other way
		to.add((now-b.Age)/BucketWidth, b.Counts)
		x.failed += uint64(b.Failed)
	}
}

// plain reports whether nothing but the counts of a row is worth telling.
func (x *gathered) plain() bool {
	return x.failed == 0 && x.last.State == breaker.Closed && x.last.Settings == nil && x.last.Why == ""
}

// Take gives what was gathered, with ages as of now, and begins anew.
func (g *Merger) Take(now time.Duration) Merged {
	m := Merged{Answers: g.answers, Reports: g.reports}
	for _, id := range slices.SortedFunc(maps.Keys(g.circuits), policy.Circuit.Compare) {
		m.Rows = append(m.Rows, merge(now, id, g.circuits[id])...)
	}
	*g = *NewMerger()
	return m
}

func merge(now time.Duration, id policy.Circuit, rows map[ReplicaID]*gathered) (out []MergedRow) {
	// Those that tell most first: they keep their rows.
	all := slices.SortedFunc(maps.Values(rows), func(a, b *gathered) int {
		return cmp.Or(told(a.plain(), b.plain()), cmp.Compare(b.failed, a.failed), compareIDs(a.from, b.from))
	})
	own := 0
	for own < len(all) && own < maxRows && !all[own].plain() {
		out = append(out, sum(now, id, all[own:own+1])...)
		own++
	}
	slices.SortFunc(out, func(a, b MergedRow) int { return compareIDs(a.From, b.From) })
	return append(out, fold(now, id, all[own:])...)
}

// fold makes one row of those that stand under the same word and state: outcomes
// of one generation are not another's.
func fold(now time.Duration, id policy.Circuit, rest []*gathered) (out []MergedRow) {
	type word struct {
		state      breaker.State
		mode       breaker.Mode
		generation uint64
	}
	groups := make(map[word][]*gathered)
	var words []word
	for _, x := range rest {
		w := word{x.last.State, x.last.Mode, x.last.Generation}
		if groups[w] == nil {
			words = append(words, w)
		}
		groups[w] = append(groups[w], x)
	}
	slices.SortFunc(words, func(a, b word) int {
		return cmp.Or(cmp.Compare(a.generation, b.generation), cmp.Compare(a.state, b.state), cmp.Compare(a.mode, b.mode))
	})
	for _, w := range words {
		out = append(out, sum(now, id, groups[w])...)
	}
	return out
}

// sum is one row of one replica or several.
func sum(now time.Duration, id policy.Circuit, of []*gathered) []MergedRow {
	first := of[0]
	row := MergedRow{Circuit: id, From: first.from, Observer: first.observer, CircuitReport: first.last}
	if len(of) > 1 {
		row.From, row.Observer = ReplicaID{Service: id.Caller}, ""
	}
	observers, failing := make(map[string]bool), make(map[string]bool)
	var cells []gatheredCell
	for _, x := range of {
		observers[x.observer] = true
		if x.failed > 0 {
			failing[x.observer] = true
		}
		for i := range x.cells {
			to := cellOf(&cells, x.cells[i].cellKey)
			for _, b := range x.cells[i].steps {
				to.add(b.Age, b.Counts)
			}
		}
	}
	row.Observers, row.Failing = len(observers), len(failing)
	for i := range cells {
		c := &cells[i]
		for j := range c.steps {
			c.steps[j].Age = max(0, now/BucketWidth-c.steps[j].Age) * BucketWidth
		}
		row.Cells = append(row.Cells, Cell{Route: c.route, Instance: c.instance, Generation: c.generation, Buckets: c.steps})
	}
	return []MergedRow{row}
}

func told(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func compareIDs(a, b ReplicaID) int {
	return cmp.Or(a.Service.Compare(b.Service), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Incarnation, b.Incarnation))
}
