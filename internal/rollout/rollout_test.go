package rollout

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/policy"
)

var (
	web     = policy.Service{Namespace: "default", Name: "web"}
	db      = policy.Service{Namespace: "default", Name: "db"}
	webDB   = policy.Circuit{Caller: web, Callee: db}
	started = 10 * time.Second
)

// settings that a policy with these fields gives.
func settings(t *testing.T, fields string) *policy.Settings {
	t.Helper()
	set, err := policy.Decode(fmt.Appendf(nil, `{"apiVersion": "switchgear/v1", "kind": "CircuitPolicy", "metadata": {"name": "p"}, "spec": {%s}}`, fields))
	if err != nil {
		t.Fatal(err)
	}
	return set.Settings(webDB)
}

// traffic is what replicas see of a callee: so many calls each a second, a share of
// which fails.
type traffic struct {
	trial    *Trial
	rng      *rand.Rand
	replicas int
	perStep  int // calls of all replicas
	failing  func(at time.Duration) float64
	now      time.Duration
	// rejects is the share that replicas on trial reject.
	rejects func(at time.Duration) float64
	onTrial int // the first so many replicas
	then    *policy.Settings
}

func newTraffic(t *testing.T, now, then string, failing float64) *traffic {
	t.Helper()
	a, b := settings(t, now), settings(t, then)
	return &traffic{
		trial:    NewTrial(1, func(policy.Circuit) (*policy.Settings, *policy.Settings) { return a, b }),
		rng:      rand.New(rand.NewPCG(1, 1)),
		replicas: 4, perStep: 100, now: started, then: b,
		failing: func(time.Duration) float64 { return failing }, rejects: func(time.Duration) float64 { return 0 },
	}
}

// pass lets time pass; each replica reports once a second, at a phase of its own.
func (x *traffic) pass(span time.Duration) {
	pending := make([][]fleet.Bucket, x.replicas)
	for end := x.now + span; x.now < end; {
		x.now += fleet.BucketWidth
		for i := range x.replicas {
			var b fleet.Bucket
			for range x.perStep / x.replicas {
				if i < x.onTrial && x.rng.Float64() < x.rejects(x.now) {
					b.Rejected++
					continue
				}
				if x.rng.Float64() < x.failing(x.now) {
					b.Failed++
					b.Kinds[4]++
				} else {
					b.Succeeded++
					b.Latency += 5 * time.Millisecond
				}
			}
			b.Age = x.now
			pending[i] = append(pending[i], b)
			if int(x.now/fleet.BucketWidth)%10 != i%10 {
				continue
			}
			cr := fleet.CircuitReport{Callee: db, Cells: []fleet.Cell{{Buckets: pending[i]}}}
			for j := range pending[i] {
				pending[i][j].Age = x.now - pending[i][j].Age
			}
			if i < x.onTrial {
				cr.Settings = x.then
			}
			pending[i] = nil
			x.trial.Report(x.now, &control.ReplicaReport{
				From: fleet.ReplicaID{Service: web, Name: fmt.Sprint("web-", i), Incarnation: 1}, Report: fleet.Report{Circuits: []fleet.CircuitReport{cr}},
			})
		}
		x.trial.Advance(x.now)
	}
}

var plan = Plan{StageDuration: time.Minute, CanaryPercent: 25, MinimumCalls: 1000, MaxBlockedPercent: 1, MaxPassedPercent: 20}

// The acceptance: a policy that would block about 5 % of good calls is taken back
// by the numbers that it prints, a harmless one is not.
func TestWhatWouldBlockGoodCallsIsTakenBackAndWhatIsHarmlessIsNot(t *testing.T) {
	const before = `"failureRateThreshold": 50, "minimumNumberOfCalls": 20`
	for _, test := range []struct {
		name, then string
		failing    float64
		back       bool
	}{
		// One failure in 2,000 calls, and each closes one of four replicas out for half
		// a second: a call in twenty.
		{"nervous", `"consecutiveFailures": 1, "wait": "fixed", "waitDurationInOpenState": "480ms", "permittedNumberOfCallsInHalfOpenState": 1`, 0.0005, true},
		{"harmless", `"failureRateThreshold": 60, "minimumNumberOfCalls": 20`, 0.0005, false},
		{"harmless with more failures", `"failureRateThreshold": 40, "minimumNumberOfCalls": 50`, 0.05, false},
		{"automatic", `"openAbove": 40`, 0.01, false},
	} {
		x := newTraffic(t, before, test.then, test.failing)
		x.pass(plan.StageDuration)
		n := x.trial.Numbers()
		next, why := plan.Decide(MetricsOnly, plan.StageDuration, &n)
		t.Logf("%s: %s: %s", test.name, next, why)
		if (next == RolledBack) != test.back || !test.back && next != Canary {
			t.Errorf("%s: %s, %s", test.name, next, why)
		}
		if test.back {
			if p := n.Candidate.BlockedPercent(); p < 2 || p > 10 {
				t.Errorf("%s: %.1f %% of good calls blocked: the test wants about 5", test.name, p)
			}
			if said := fmt.Sprintf("would block %.1f %% of %.0f good calls", n.Candidate.BlockedPercent(), n.Candidate.Good); !strings.Contains(why, said) {
				t.Errorf("%q: want the numbers %q", why, said)
			}
		}
	}
}

// An outage that both policies answer alike is no reason to take one back.
func TestAnOutageAloneTakesNothingBack(t *testing.T) {
	x := newTraffic(t, `"failureRateThreshold": 50, "minimumNumberOfCalls": 20`, `"failureRateThreshold": 40, "minimumNumberOfCalls": 20`, 0)
	x.failing = func(at time.Duration) float64 {
		if at > started+20*time.Second && at < started+40*time.Second {
			return 1
		}
		return 0
	}
	x.pass(time.Minute)
	n := x.trial.Numbers()
	if next, why := plan.Decide(MetricsOnly, time.Minute, &n); next != Canary {
		t.Errorf("%s: %s", next, why)
	}
	for _, s := range []Side{n.Candidate, n.Current} {
		if s.Opened == 0 || s.PassedPercent() > 30 || s.Bad < 10_000 {
			t.Errorf("%+v: want an outage that opens and blocks most of what fails", s)
		}
	}
}

func TestWhatNoLongerOpensIsTakenBack(t *testing.T) {
	x := newTraffic(t, `"failureRateThreshold": 30, "minimumNumberOfCalls": 20`, `"failureRateThreshold": 95, "minimumNumberOfCalls": 20`, 0.8)
	x.pass(time.Minute)
	n := x.trial.Numbers()
	next, why := plan.Decide(MetricsOnly, time.Minute, &n)
	if next != RolledBack || !strings.Contains(why, "bad calls") {
		t.Errorf("%s: %s: want it taken back for the bad calls that it lets through", next, why)
	}
}

func TestCanariesAreComparedWithTheOthers(t *testing.T) {
	for rejects, want := range map[float64]Stage{0: Enforce, 0.05: RolledBack} {
		x := newTraffic(t, `"failureRateThreshold": 50`, `"failureRateThreshold": 5`, 0.01)
		x.trial.Stage(Canary)
		x.onTrial = 1
		x.rejects = func(time.Duration) float64 { return rejects }
		x.pass(plan.StageDuration)
		n := x.trial.Numbers()
		next, why := plan.Decide(Canary, plan.StageDuration, &n)
		if next != want || n.OnTrial != 1 || n.Replicas != 4 {
			t.Errorf("rejecting %v: %s, %s, %+v: want %s", rejects, next, why, n, want)
		}
		if p := n.Candidate.BlockedPercent(); rejects > 0 && (p < 4 || p > 6) {
			t.Errorf("%.1f %% measured: want about 5", p)
		}
		if p := n.UnknownPercent(); rejects > 0 && (p < 0.5 || p > 2) {
			t.Errorf("%.1f %% unknown: want about a quarter of 5", p)
		}
	}
}

// Under the change, in an outage, everybody rejects and only probes are known: that
// blocks nothing good.
func TestAnOutageUnderTheChangeTakesNothingBack(t *testing.T) {
	x := newTraffic(t, `"failureRateThreshold": 50`, `"failureRateThreshold": 40`, 0)
	x.trial.Stage(Enforce)
	x.onTrial = x.replicas
	outage := func(at time.Duration) bool { return at > started+20*time.Second && at < started+50*time.Second }
	x.failing = func(at time.Duration) float64 {
		if outage(at) {
			return 1
		}
		return 0
	}
	x.rejects = func(at time.Duration) float64 {
		if outage(at) && at > started+21*time.Second {
			return 0.99
		}
		return 0
	}
	x.pass(time.Minute)
	n := x.trial.Numbers()
	if next, why := plan.Decide(Enforce, time.Minute, &n); next != Done {
		t.Errorf("%s: %s: %+v", next, why, n)
	}
}

func TestStagesWaitForTimeCallsAndReplicas(t *testing.T) {
	good := Side{Good: 5000}
	for _, test := range []struct {
		stage   Stage
		lasted  time.Duration
		numbers Numbers
		want    Stage
		says    string
	}{
		{MetricsOnly, 59 * time.Second, Numbers{Candidate: good}, MetricsOnly, "another 1s"},
		{MetricsOnly, time.Minute, Numbers{Candidate: good}, Canary, "passed"},
		{MetricsOnly, time.Hour, Numbers{Candidate: Side{Good: 999}}, MetricsOnly, "999 of 1000"},
		{Canary, time.Hour, Numbers{Replicas: 3}, Canary, "no replica"},
		{Canary, time.Hour, Numbers{Replicas: 1}, Enforce, "passed"},
		{Canary, time.Minute, Numbers{Candidate: good, Replicas: 3, OnTrial: 1}, Enforce, "passed"},
		{Enforce, time.Minute, Numbers{Candidate: good}, Done, "passed"},
		{Enforce, time.Minute, Numbers{Candidate: good, Replicas: 3, OnTrial: 2}, Enforce, "2 of 3"},
		{Enforce, 3 * time.Minute, Numbers{Candidate: good, Replicas: 3, OnTrial: 2}, Done, "passed"},
		{Enforce, 11 * time.Second, Numbers{Candidate: good}, Enforce, "another 49s"},
		{Enforce, 11 * time.Second, Numbers{Candidate: Side{Good: 5000, BlockedGood: 5000}}, Enforce, "another 49s"},
		{Enforce, 12 * time.Second, Numbers{Candidate: Side{Good: 5000, BlockedGood: 250}}, RolledBack, "it blocks 5.0 % of 5000 good calls"},
		{RolledBack, time.Hour, Numbers{}, RolledBack, ""},
	} {
		next, why := plan.Decide(test.stage, test.lasted, &test.numbers)
		if next != test.want || !strings.Contains(why, test.says) {
			t.Errorf("%s after %v: %s, %q: want %s, %q", test.stage, test.lasted, next, why, test.want, test.says)
		}
	}
}

func TestPlansAreBounded(t *testing.T) {
	if err := Usual().Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Plan){
		"stageDuration 1ms":     func(p *Plan) { p.StageDuration = time.Millisecond },
		"canaryPercent 100":     func(p *Plan) { p.CanaryPercent = 100 },
		"minimumCalls 0":        func(p *Plan) { p.MinimumCalls = 0 },
		"maxBlockedPercent 101": func(p *Plan) { p.MaxBlockedPercent = 101 },
		"maxPassedPercent -1":   func(p *Plan) { p.MaxPassedPercent = -1 },
	} {
		p := Usual()
		change(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
}

func TestStagesTravelAsWords(t *testing.T) {
	for s := MetricsOnly; s <= RolledBack; s++ {
		data, err := json.Marshal(s)
		var back Stage
		if err != nil || json.Unmarshal(data, &back) != nil || back != s {
			t.Errorf("%s: %v", data, err)
		}
	}
	if err := new(Stage).UnmarshalText([]byte("other")); err == nil {
		t.Error("a stage that is none was read")
	}
}

func BenchmarkTrialSecond(b *testing.B) {
	x := &traffic{
		rng: rand.New(rand.NewPCG(1, 1)), replicas: 4, perStep: 400, now: started,
		failing: func(time.Duration) float64 { return 0.01 }, rejects: func(time.Duration) float64 { return 0 },
	}
	s := policy.Default()
	t := s
	t.OpenAbove, t.Revision = 40, "x"
	x.trial = NewTrial(1, func(policy.Circuit) (*policy.Settings, *policy.Settings) { return &s, &t })
	for b.Loop() {
		x.pass(time.Second)
	}
}

func TestReplicasThatAreGoneAreCountedNoMore(t *testing.T) {
	x := newTraffic(t, `"failureRateThreshold": 50`, `"failureRateThreshold": 60`, 0)
	x.onTrial = 2
	x.pass(3 * time.Second)
	if n := x.trial.Numbers(); n.Replicas != 4 || n.OnTrial != 2 {
		t.Errorf("%+v: want 2 of 4", n)
	}
	x.trial.Gone(fleet.ReplicaID{Service: web, Name: "web-0", Incarnation: 1})
	x.trial.Gone(fleet.ReplicaID{Service: web, Name: "nobody"})
	if n := x.trial.Numbers(); n.Replicas != 3 || n.OnTrial != 1 || x.trial.pairs != 3 {
		t.Errorf("%+v, %d pairs: want 1 of 3", n, x.trial.pairs)
	}
	x.then = settings(t, `"failureRateThreshold": 50`)
	x.onTrial = 4
	x.pass(3 * time.Second)
	if n := x.trial.Numbers(); n.OnTrial != 0 {
		t.Errorf("%+v: want none on trial, since all were led back", n)
	}
}
