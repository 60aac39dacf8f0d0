package evaluate

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/sim/partial"
)

// LocateSeeds is the first seed of reports on locate: nothing was tuned on it or
// those after it.
const LocateSeeds = 5_000_000

// Located is how well the broken part was found.
type Located struct {
	Cases              int           `json:"cases"`      // with a fault
	Exact              float64       `json:"exact"`      // share in which just the broken parts were named
	Collateral         float64       `json:"collateral"` // share of healthy calls inside what was named, in the mean
	Missed             float64       `json:"missed"`     // share of the broken parts' calls outside it, in the mean
	Looks              int           `json:"looks"`      // at healthy traffic
	FalseAlarmsPerLook float64       `json:"false_alarms_per_look"`
	Kinds              []LocatedKind `json:"kinds"`
}

// LocatedKind is the same for one kind of case; without a fault, exact is the
// share in which nothing was named (or, for a liar, nothing but itself).
type LocatedKind struct {
	Kind  string  `json:"kind"`
	Cases int     `json:"cases"`
	Exact float64 `json:"exact"`
	// Of the others: nothing was named, of which the best guess was right; or
	// something else was named.
	Unnamed   float64 `json:"unnamed"`
	Suspected float64 `json:"suspected"`
	Wrong     float64 `json:"wrong"`
	// Of the exact, how many could be told whose fault it was, and how many were told right.
	Told  int `json:"told"`
	Right int `json:"right"`
}

// look is one case's outcome.
type look struct {
	exact, none, suspected bool
	told, right            bool
	collateral, missed     float64
}

// Locate measures on cases of every kind of fault, looks of healthy traffic, and
// as many cases of each other kind without a fault as there are with.
func Locate(ctx context.Context, first uint64, cases, looks int, progress io.Writer) (Located, error) {
	var all Located
	for _, kind := range slices.Concat(partial.Faults, partial.Negatives) {
		n := cases
		if kind == "healthy" {
			n = looks
		}
		seen, err := each(ctx, kind, first, n)
		if err != nil {
			return Located{}, err
		}
		row := LocatedKind{Kind: kind, Cases: n}
		for _, l := range seen {
			row.add(&l)
			if slices.Contains(partial.Faults, kind) {
				all.Collateral += l.collateral
				all.Missed += l.missed
			}
		}
		switch {
		case kind == "healthy":
			all.Looks, all.FalseAlarmsPerLook = n, (float64(n)-row.Exact)/float64(max(n, 1))
		case slices.Contains(partial.Faults, kind):
			all.Cases += n
			all.Exact += row.Exact
		}
		for _, share := range [...]*float64{&row.Exact, &row.Unnamed, &row.Suspected, &row.Wrong} {
			*share /= float64(max(n, 1))
		}
		all.Kinds = append(all.Kinds, row)
		fmt.Fprintf(progress, "%-22s %6d cases, %.3f exact, %.3f unnamed, of them %.3f suspected, %.3f wrong; %d of %d told whose fault\n",
			kind, n, row.Exact, row.Unnamed, row.Suspected, row.Wrong, row.Right, row.Told)
	}
	total := float64(max(all.Cases, 1))
	all.Exact, all.Collateral, all.Missed = all.Exact/total, all.Collateral/total, all.Missed/total
	return all, nil
}

func (k *LocatedKind) add(l *look) {
	switch {
	case l.exact:
		k.Exact++
	case l.none:
		k.Unnamed++
		if l.suspected {
			k.Suspected++
		}
	default:
		k.Wrong++
	}
	if l.told {
		k.Told++
		if l.right {
			k.Right++
		}
	}
}

func each(ctx context.Context, kind string, first uint64, n int) ([]look, error) {
	seen := make([]look, n)
	workers := runtime.GOMAXPROCS(0)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < n && ctx.Err() == nil; i += workers {
				c := partial.Draw(kind, first+uint64(i))
				seen[i] = judge(&c)
			}
		})
	}
	all.Wait()
	return seen, ctx.Err()
}

func judge(c *partial.Case) look {
	found, suspected := control.Locate(evidenceOf(c))
	named := parts(found)
	if len(c.Liars) > 0 {
		l := look{exact: true, none: len(named) == 0}
		for i := range c.Cells {
			if x := &c.Cells[i]; !slices.Contains(c.Liars, x.Replica) && holds(named, x) {
				l.exact = false
			}
		}
		return l
	}
	l := compare(c, named)
	l.none = len(named) == 0
	if l.none && suspected != nil {
		l.suspected = compare(c, parts([]control.Finding{*suspected})).exact
	}
	if l.exact && c.Side != "" && len(found) == 1 && found[0].Side != "caller or path" {
		l.told, l.right = true, found[0].Side == c.Side
	}
	return l
}

func evidenceOf(c *partial.Case) *control.Evidence {
	e := &control.Evidence{}
	for i := range c.Cells {
		x := &c.Cells[i]
		failed := x.Failed
		if c.Slow {
			failed = x.Slow
		}
		e.Cells = append(e.Cells, control.Cell{
			Replica: x.Replica, Caller: x.Caller, Instance: x.Instance, Route: x.Route,
			Age: partial.Seconds - 1 - x.Second, Calls: x.Calls, Failed: failed,
		})
	}
	for route, p := range c.History {
		e.Past = append(e.Past, control.Past{Route: route, Calls: p.Calls, Failed: p.Failed})
	}
	for _, o := range c.Elsewhere {
		e.Elsewhere = append(e.Elsewhere, control.Other{Replica: o.Replica, Callee: o.Callee, Calls: o.Calls, Failed: o.Failed})
	}
	return e
}

func parts(found []control.Finding) (named []partial.Part) {
	for i := range found {
		f := &found[i]
		named = append(named, partial.Part{
			Replica: f.Replica, Caller: f.Caller, Instance: f.Instance, Route: f.Route, Instances: f.Instances, Replicas: f.Replicas,
		})
	}
	return named
}

func holds(parts []partial.Part, x *partial.Cell) bool {
	return slices.ContainsFunc(parts, func(p partial.Part) bool { return p.Holds(x) })
}

// compare what was named with the truth. Parts that hold the same cells are the
// same: one instance of one is all.
func compare(c *partial.Case, named []partial.Part) look {
	l := look{exact: true}
	var good, blamed, bad, missed float64
	for i := range c.Cells {
		x := &c.Cells[i]
		in := holds(named, x)
		n := float64(x.Calls)
		if holds(c.Truth, x) {
			bad += n
			if !in {
				missed += n
				l.exact = false
			}
			continue
		}
		good += n
		if in {
			blamed += n
			l.exact = false
		}
	}
	l.collateral, l.missed = blamed/max(good, 1), missed/max(bad, 1)
	return l
}
