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
}

// look is one case's outcome.
type look struct {
	exact              bool
	collateral, missed float64
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
			if l.exact {
				row.Exact++
			}
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
		row.Exact /= float64(max(n, 1))
		all.Kinds = append(all.Kinds, row)
		fmt.Fprintf(progress, "%-18s %6d cases, %.3f exact\n", kind, n, row.Exact)
	}
	total := float64(max(all.Cases, 1))
	all.Exact, all.Collateral, all.Missed = all.Exact/total, all.Collateral/total, all.Missed/total
	return all, nil
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
	cells := make([]control.Cell, len(c.Cells))
	for i := range c.Cells {
		x := &c.Cells[i]
		cells[i] = control.Cell{
			Replica: x.Replica, Caller: x.Caller, Instance: x.Instance, Route: x.Route,
			Age: partial.Seconds - 1 - x.Second, Calls: x.Calls, Failed: x.Failed,
		}
	}
	var named []partial.Part
	for _, f := range control.Locate(cells) {
		named = append(named, partial.Part{Replica: f.Replica, Caller: f.Caller, Instance: f.Instance, Route: f.Route, Instances: f.Instances})
	}
	if c.Kind == "liar" {
		return look{exact: !slices.ContainsFunc(named, func(p partial.Part) bool { return p.Replica == "" })}
	}
	// Parts that hold the same cells are the same: one instance of one is all.
	l := look{exact: true}
	var good, blamed, bad, missed float64
	for i := range c.Cells {
		x := &c.Cells[i]
		in := slices.ContainsFunc(named, func(p partial.Part) bool { return p.Holds(x) })
		n := float64(x.Calls)
		if slices.ContainsFunc(c.Truth, func(p partial.Part) bool { return p.Holds(x) }) {
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
