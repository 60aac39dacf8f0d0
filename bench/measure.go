package main

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// works are timed, in ns a call of wall time, with so many goroutines.
var works = []struct {
	name     string
	parallel int
}{
	{"closed_serial", 1},
	{"closed_parallel", 2},
	{"closed_parallel_8", 8},
	{"closed_automatic", 1},
	{"open_serial", 1},
	{"open_parallel", 2},
	{"half_failing", 1},
	{"do_serial", 1},
	{keyedWork, 1},
}

// others are not ns a call: allocations, bytes, and first_call in µs.
var others = []string{"first_call", "allocs", "idle_bytes", "used_bytes", "million_bytes", "million_rss"}

type results map[string]map[string][]float64 // work → library → each round's figure

func (r results) add(work, library string, figure float64) {
	if r[work] == nil {
		r[work] = make(map[string][]float64)
	}
	r[work][library] = append(r[work][library], figure)
}

func measure(rounds int, length time.Duration) (results, error) {
	r := results{}
	procs := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(procs)
	for _, w := range works {
		runtime.GOMAXPROCS(max(w.parallel, min(procs, 2)))
		sizes := make(map[string]int)
		for range rounds {
			for _, l := range contenders(w.name) {
				s := l.calls(w.name)
				if s == nil {
					continue
				}
				ns, err := s.round(w.parallel, sizes, l.name, length)
				if err != nil {
					return nil, err
				}
				r.add(w.name, l.name, ns)
			}
		}
	}
	runtime.GOMAXPROCS(procs)
	for _, l := range libraries {
		r.add("allocs", l.name, l.allocations())
		idle, used := l.bytes()
		r.add("idle_bytes", l.name, idle)
		r.add("used_bytes", l.name, used)
	}
	for range rounds {
		us, err := firstCall(1000)
		if err != nil {
			return nil, fmt.Errorf("first call: %w", err)
		}
		r.add("first_call", "switchgear", us)
	}
	w, err := weigh()
	if err != nil {
		return nil, err
	}
	r.add("million_bytes", "switchgear", w.Heap)
	r.add("million_rss", "switchgear", w.RSS)
	return r, nil
}

// contenders at a work: keys are looked up by us and by a bare table only.
func contenders(work string) []library {
	if work == keyedWork {
		return []library{{name: "switchgear", calls: ours}, {name: "sync.Map", calls: bareMap}}
	}
	return libraries
}

// round warms a fresh breaker up, times it and checks its sums. The first one of
// a library finds how many calls fill the time.
func (s *subject) round(parallel int, sizes map[string]int, library string, length time.Duration) (ns float64, err error) {
	const warm, settle = 10_000, 25 * time.Millisecond
	n := sizes[library]
	calls := uint64(0)
	burst := func(n, parallel int) time.Duration {
		n -= n % 2 // half_failing is half failing
		calls += uint64(n * parallel)
		var wg sync.WaitGroup
		start := time.Now()
		if parallel == 1 {
			s.run(n)
			return time.Since(start)
		}
		for range parallel {
			wg.Go(func() { s.run(n) })
		}
		wg.Wait()
		return time.Since(start)
	}
	// Long enough for what runs on a clock of its own to find its pace.
	took := burst(warm, parallel)
	for start := time.Now(); time.Since(start) < settle; {
		took = burst(warm, parallel)
	}
	if n == 0 {
		n = max(1000, int(warm*float64(length)/float64(took)))
		sizes[library] = n
	}
	runtime.GC()
	took = burst(n, parallel)
	if s.check != nil {
		err = s.check(calls)
	}
	if s.close != nil {
		s.close()
	}
	return float64(took.Nanoseconds()) / float64((n-n%2)*parallel), err
}

// allocations of one call, the worst of all works.
func (l *library) allocations() (worst float64) {
	for _, w := range works {
		if w.name == keyedWork && l.name != "switchgear" {
			continue
		}
		s := l.calls(w.name)
		if s == nil {
			continue
		}
		s.run(10_000)
		worst = max(worst, testing.AllocsPerRun(2000, func() { s.run(2) })/2)
		if s.close != nil {
			s.close()
		}
	}
	return worst
}

// bytes of one breaker on heap and stacks, idle and after its first calls.
func (l *library) bytes() (idle, used float64) {
	n := 100_000
	if l.few {
		n = 1000
	}
	keep := make([]any, n)
	before := live()
	for i := range keep {
		keep[i], _ = l.one(i)
	}
	idle = float64(live()-before) / float64(n)
	clear(keep)
	before = live()
	for i := range keep {
		var use func()
		keep[i], use = l.one(i)
		for range 3 {
			use()
		}
	}
	used = float64(live()-before) / float64(n)
	runtime.KeepAlive(keep)
	return idle, used
}

func live() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// figures are the medians.
func (r results) figures() map[string]map[string]float64 {
	out := make(map[string]map[string]float64)
	for work, by := range r {
		out[work] = make(map[string]float64)
		for library, x := range by {
			out[work][library] = float64(int(median(x)*100+.5)) / 100
		}
	}
	return out
}

// table shows medians with the range of the rounds, and how many times ours each is.
func (r results) table(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "work\tlibrary\tmedian\tof rounds\ttimes switchgear's")
	order := slices.Clone(others)
	for i, x := range works {
		order = slices.Insert(order, i, x.name)
	}
	for _, work := range order {
		for _, library := range slices.Sorted(maps.Keys(r[work])) {
			x := r[work][library]
			times := ""
			if own := median(r[work]["switchgear"]); own > 0 {
				times = fmt.Sprintf("%.1f", median(x)/own)
			}
			fmt.Fprintf(w, "%s\t%s\t%.4g\t%.4g–%.4g\t%s\n", work, library, median(x), slices.Min(x), slices.Max(x), times)
		}
	}
	return w.Flush()
}
