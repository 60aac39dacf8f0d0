package evaluate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/sim/fault"
)

// Seeds begin here. Engines are tuned on development seeds only, reports use the
// others, so that a figure is never one that was sought.
const (
	DevelopmentSeeds = 1
	ReportSeeds      = 1_000_001
)

// Callers are the fleets that are reported.
var Callers = []int{1, 10, 200, 1000}

// contender is a policy by name.
type contender struct {
	name string
	make func(w *world) decider
}

// How late the lagging clairvoyant is: what a good policy can't do without.
const (
	lateBy      = 100 * time.Millisecond
	lateByCalls = 6
)

// contenders are all policies, in the order of reports.
func contenders() []contender {
	fixed := func(name string, s breaker.Settings) contender {
		s.Wait.Shape = breaker.WaitFixed
		s = s.WithDefaults()
		return contender{name, func(w *world) decider { return newAlone(s, w.callers, w.Seed) }}
	}
	all := []contender{
		{"switchgear", func(w *world) decider { return newSwitchgear(w.callers, w.Instances, w.Seed, w.Timeout) }},
		{"clairvoyant, 0.1 s and 6 calls late", func(w *world) decider { return newClairvoyant(w, lateBy, lateByCalls) }},
		{"none", func(*world) decider { return none{} }},
		// gobreaker: more than 5 failures in a row, open for 60 s, one probe.
		fixed("gobreaker's defaults", breaker.Settings{
			ConsecutiveFailures: 6, Wait: breaker.Wait{Base: time.Minute}, PermittedNumberOfCallsInHalfOpenState: 1,
		}),
		fixed("resilience4j's defaults", breaker.Settings{
			WindowSize: 100, MinimumNumberOfCalls: 100, FailureRateThreshold: 50,
			Wait: breaker.Wait{Base: time.Minute}, PermittedNumberOfCallsInHalfOpenState: 10,
		}),
		{"Envoy's outlier detection, rules re-stated", func(w *world) decider { return newEnvoy(w.callers, w.Instances) }},
		{"SRE throttle, K = 2", func(w *world) decider { return newThrottle(w.callers, w.Seed) }},
	}
	// 48 rates and two runs: what people set, and what suits small and large fleets.
	waits := []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, time.Minute}
	for _, rate := range []float64{30, 50, 70} {
		for _, wait := range waits {
			for _, size := range []int{10, 20, 100} {
				all = append(all, fixed(fmt.Sprintf("static: %g %% of the last %d calls, open %v", rate, size, wait), breaker.Settings{
					WindowSize: size, MinimumNumberOfCalls: size, FailureRateThreshold: rate, Wait: breaker.Wait{Base: wait},
				}))
			}
			all = append(all, fixed(fmt.Sprintf("static: %g %% of 20 calls or more in 10 s, open %v", rate, wait), breaker.Settings{
				MinimumNumberOfCalls: 20, FailureRateThreshold: rate, Wait: breaker.Wait{Base: wait},
			}))
		}
	}
	for _, wait := range waits[:2] {
		all = append(all, fixed(fmt.Sprintf("static: 5 failures in a row, open %v", wait), breaker.Settings{
			ConsecutiveFailures: 5, Wait: breaker.Wait{Base: wait}, PermittedNumberOfCallsInHalfOpenState: 1,
		}))
	}
	return all
}

// Job is one episode with so many callers, for every policy.
type Job struct {
	Family  fault.Family
	Seed    uint64
	Callers int
}

// large is from how many callers on only half the episodes are played: the real
// code of a thousand replicas is what takes the time.
const large = 1000

// Jobs are the given number of episodes of each family for each number of
// callers, seeds from first on. The last number, as a rule the greatest and
// longest, comes first.
func Jobs(callers []int, first uint64, episodes int) (jobs []Job) {
	for _, n := range slices.Backward(callers) {
		seeds := episodes
		if n >= large {
			seeds = (episodes + 1) / 2
		}
		for seed := range uint64(seeds) {
			for _, f := range fault.Families {
				jobs = append(jobs, Job{f, first + seed, n})
			}
		}
	}
	return jobs
}

// Result of one policy in one job.
type Result struct {
	Family, Policy string
	Callers        int
	Share          float64 // of the clairvoyant's utility
	steady         bool
	outcome
}

// Run plays the job with each policy whose name begins with a prefix.
func (j Job) Run(prefix string) (results []Result) {
	l := newLoad(fault.Draw(j.Family, j.Seed), j.Callers)
	w := newWorld(l)
	best := w.play(newClairvoyant(w, 0, 0)).utility
	for _, c := range contenders() {
		if strings.HasPrefix(c.name, prefix) {
			w := newWorld(l)
			o := w.play(c.make(w))
			results = append(results, Result{j.Family.Name, c.name, j.Callers, o.utility / best, l.Steady, o})
		}
	}
	return results
}

// Row is what one policy reached with so many callers.
type Row struct {
	Policy      string  `json:"policy"`
	Callers     int     `json:"callers"`
	Families    int     `json:"families"`
	Episodes    int     `json:"episodes"`
	Mean        float64 `json:"mean"`         // of the families, as a share of the clairvoyant's utility
	Worst       float64 `json:"worst"`        // family's mean
	WorstFamily string  `json:"worst_family"` // its name
	FalseTrips  int     `json:"false_trips"`  // openings in calm, of all breakers together
	// Trip and Recover are seconds from when the clairvoyant shuts, or lets through
	// again, to when the policy does so: the mean of the spans of 5 s or more.
	Trip    float64 `json:"trip_s"`
	Recover float64 `json:"recover_s"`
	// Means of the families, by name.
	Means map[string]float64 `json:"means"`
}

// Rows sums results up, by callers and policy in the order of reports.
func Rows(results []Result) (rows []Row) {
	type key struct {
		policy  string
		callers int
	}
	by := make(map[key][]Result)
	sizes := make(map[int]bool)
	for _, r := range results {
		k := key{r.Policy, r.Callers}
		by[k] = append(by[k], r)
		sizes[r.Callers] = true
	}
	for _, n := range slices.Sorted(maps.Keys(sizes)) {
		for _, c := range contenders() {
			if rs := by[key{c.name, n}]; len(rs) > 0 {
				rows = append(rows, row(rs))
			}
		}
	}
	return rows
}

func row(results []Result) Row {
	r := Row{Policy: results[0].Policy, Callers: results[0].Callers, Episodes: len(results), Means: make(map[string]float64), Worst: 2}
	var trip, recover spans
	counts := make(map[string]float64)
	for _, x := range results {
		r.Means[x.Family] += x.Share
		counts[x.Family]++
		trip.add(x.trip)
		recover.add(x.recover)
		if x.steady {
			r.FalseTrips += x.opened
		}
	}
	for _, f := range fault.Families {
		n := counts[f.Name]
		if n == 0 {
			continue
		}
		m := r.Means[f.Name] / n
		r.Means[f.Name] = m
		r.Families++
		r.Mean += m
		if m < r.Worst {
			r.Worst, r.WorstFamily = m, f.Name
		}
	}
	r.Mean /= float64(r.Families)
	r.Trip, r.Recover = trip.mean(), recover.mean()
	return r
}

func (s spans) mean() float64 { return s.seconds / max(1, float64(s.n)) }
