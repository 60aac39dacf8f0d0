package evaluate

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/sim/fault"
)

func family(t *testing.T, name string) fault.Family {
	t.Helper()
	i := slices.IndexFunc(fault.Families, func(f fault.Family) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("no family %q", name)
	}
	return fault.Families[i]
}

func peer(t *testing.T, name string, w *world) decider {
	t.Helper()
	for _, c := range contenders() {
		if c.name == name {
			return c.make(w)
		}
	}
	t.Fatalf("no policy %q", name)
	return nil
}

func TestSameSeedSameFigures(t *testing.T) {
	for _, j := range []Job{{family(t, "outage"), 7, 10}, {family(t, "retry_storm"), 7, 3}} {
		if a, b := j.Run("sw"), j.Run("sw"); !reflect.DeepEqual(a, b) {
			t.Errorf("%s: two runs differ", j.Family.Name)
		}
	}
}

func TestNobodyBeatsTheClairvoyant(t *testing.T) {
	for _, name := range []string{"calm", "outage", "flapping", "bad_instance", "capacity", "retry_storm", "weak_recovery"} {
		for _, r := range (Job{family(t, name), 11, 10}).Run("") {
			if r.Share > 1.01 {
				t.Errorf("%s: %s gets %.3f of a clairvoyant's utility", name, r.Policy, r.Share)
			}
		}
	}
}

func TestWithoutAPolicyCalmIsWhole(t *testing.T) {
	for _, name := range []string{"calm", "swing", "slow"} {
		for _, r := range (Job{family(t, name), 5, 10}).Run("none") {
			if r.Share != 1 || r.opened != 0 {
				t.Errorf("%s: making every call gives %.3f with %d openings: want all", name, r.Share, r.opened)
			}
		}
	}
}

func TestCalleeAnswersNoMoreThanItsCapacity(t *testing.T) {
	e := fault.Draw(family(t, "capacity"), 2)
	e.Calm.Capacity, e.Calm.Fail = e.Calm.Rate/4, 0
	w := newWorld(newLoad(e, 5))
	o := w.play(none{})
	if most := e.Calm.Capacity * 3 * 60; o.utility > most {
		t.Errorf("%.0f answers: want at most about %.0f", o.utility, most)
	}
	if n := len(w.calls); float64(n) > e.Calm.Rate*(e.Timeout+e.Patience).Seconds()*3 {
		t.Errorf("%d calls in flight at once: the queue has no bound", n)
	}
}

func TestJudgesTripAndRecovery(t *testing.T) {
	// Two seconds of nothing to do, ten of outage, ten of health; the policy is 1 s
	// late to shut and 3 s late to come back.
	var ticks []tick
	for i := range 220 {
		x := tick{offered: 5, well: 5, admitted: 5}
		if i >= 20 && i < 120 {
			x.lost, x.well = 5, 0
		}
		if i >= 30 && i < 150 {
			x.admitted = 0
		}
		ticks = append(ticks, x)
	}
	trip, recover := delays(ticks)
	if trip.n != 1 || trip.seconds < .7 || trip.seconds > 1 {
		t.Errorf("shut after %+v: want once, 1 s at most", trip)
	}
	if recover.n != 1 || recover.seconds < 2.7 || recover.seconds > 3 {
		t.Errorf("back after %+v: want once, 3 s at most", recover)
	}
}

// drive offers a call each 100 ms, to instances in turn, and reports when it was
// not made.
func drive(d decider, from, to time.Duration, instances int, fails func(*call) bool) (refused int, hit []int) {
	hit = make([]int, instances)
	for at, i := from, 0; at < to; at, i = at+100*time.Millisecond, i+1 {
		c := &call{At: at, Instance: i % instances, Attempt: 1}
		if !d.allow(c) {
			refused++
			continue
		}
		hit[c.Instance]++
		o := breaker.Outcome{Latency: time.Millisecond}
		if fails(c) {
			o.Verdict, o.Kind = breaker.Failure, breaker.ServerError
		}
		d.done(c, o)
	}
	return refused, hit
}

func always(*call) bool { return true }
func never(*call) bool  { return false }

func TestPeersKeepTheirRules(t *testing.T) {
	w := newWorld(newLoad(fault.Draw(family(t, "calm"), 1), 1))
	w.Instances = 10

	d := peer(t, "gobreaker's defaults", w)
	if n, _ := drive(d, 0, 600*time.Millisecond, 1, always); n != 0 {
		t.Errorf("gobreaker refused %d of its first six calls", n)
	}
	if n, _ := drive(d, time.Second, 60*time.Second, 1, never); n != 590 {
		t.Errorf("gobreaker refused %d calls in its minute: want all 590", n)
	}
	if n, _ := drive(d, 61*time.Second, 65*time.Second, 1, never); n != 0 {
		t.Errorf("gobreaker refused %d calls after a good probe", n)
	}

	d = peer(t, "resilience4j's defaults", w)
	if n, _ := drive(d, 0, 10*time.Second, 1, always); n != 0 {
		t.Errorf("resilience4j refused %d of its first hundred calls", n)
	}
	if n, _ := drive(d, 10*time.Second, 69*time.Second, 1, never); n != 590 {
		t.Errorf("resilience4j refused %d calls in its minute: want all 590", n)
	}

	d = newEnvoy(1, 10)
	bad := func(c *call) bool { return c.Instance < 2 }
	drive(d, 0, 10*time.Second, 10, bad)
	if n, hit := drive(d, 10*time.Second, 20*time.Second, 10, bad); n != 0 || hit[0]+hit[1] == 0 || hit[0]*hit[1] != 0 || d.openings() != 1 {
		t.Errorf("Envoy: %d refused, %v to instances, %d ejections: want one of the two bad ones out, no more", n, hit, d.openings())
	}
	if _, hit := drive(d, 50*time.Second, 51*time.Second, 10, never); hit[0] != 1 || hit[1] != 1 {
		t.Errorf("Envoy: %v to instances: want all back after 30 s", hit)
	}

	d = newThrottle(1, 1)
	if n, _ := drive(d, 0, 30*time.Second, 1, never); n != 0 {
		t.Errorf("the throttle refused %d good calls", n)
	}
	if n, _ := drive(d, 30*time.Second, 59*time.Second, 1, always); n > 3 {
		t.Errorf("the throttle refused %d calls before half of two minutes had failed", n)
	}
	if n, _ := drive(d, 60*time.Second, 120*time.Second, 1, always); n < 100 {
		t.Errorf("the throttle refused %d of 600 failing calls", n)
	}
}

func TestTableHoldsWhatIssueAndDocumentsName(t *testing.T) {
	static := 0
	for _, c := range contenders() {
		if strings.HasPrefix(c.name, "static: ") {
			static++
		}
	}
	if static != 50 {
		t.Errorf("%d static settings: want 50", static)
	}
	var results []Result
	for _, j := range Jobs([]int{1, 3}, DevelopmentSeeds, 1) {
		if j.Family.Name == "calm" || j.Family.Name == "outage" {
			results = append(results, j.Run("static: 50")...)
		}
	}
	rows := Rows(results)
	if len(rows) != 2*16 {
		t.Fatalf("%d rows: want 16 for each number of callers", len(rows))
	}
	for _, r := range rows {
		if r.Families != 2 || r.Episodes != 2 || r.Mean < r.Worst || r.Means[r.WorstFamily] != r.Worst {
			t.Errorf("row %+v", r)
		}
	}
}

func TestSwitchgearOpensInAnOutageAndComesBack(t *testing.T) {
	for _, callers := range []int{1, 10} {
		for _, r := range (Job{family(t, "outage"), 1, callers}).Run("switchgear") {
			if r.opened == 0 || r.Share < .7 {
				t.Errorf("%d callers: %d openings, %.3f of a clairvoyant's utility", callers, r.opened, r.Share)
			}
		}
	}
}
