package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/sim"
)

const examples = "../../../docs/scenarios"

// play a scenario that must be right.
func play(t *testing.T, s *Scenario, o Options) *Result {
	t.Helper()
	r, err := Run(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func circuitOf(t *testing.T, r *Result, name string) *CircuitResult {
	t.Helper()
	for i := range r.Circuits {
		if r.Circuits[i].Circuit == name {
			return &r.Circuits[i]
		}
	}
	t.Fatalf("no circuit %s in %d", name, len(r.Circuits))
	return nil
}

// sum of a figure over the ticks of a span.
func sum(c *CircuitResult, from, to time.Duration, of func(*Tick) uint32) (n int) {
	for i := int(from / TickWidth); i < int(to/TickWidth); i++ {
		n += int(of(&c.Ticks[i]))
	}
	return n
}

func offered(t *Tick) uint32  { return t.Offered }
func sent(t *Tick) uint32     { return t.Sent }
func good(t *Tick) uint32     { return t.Good }
func failed(t *Tick) uint32   { return t.Failed }
func rejected(t *Tick) uint32 { return t.Rejected }

// pair is a caller and a callee, with the defaults for everything else.
func pair(seed uint64, duration time.Duration) *Scenario {
	return New("pair", seed, duration).
		Add(Service{Name: "web", Replicas: 4, Load: &Load{PerSecond: 25}, Calls: []Call{{To: "db", Timeout: 200 * time.Millisecond}}}).
		Add(Service{Name: "db", Replicas: 3, Capacity: 200})
}

func exampleFiles(t *testing.T) (files []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(examples, "*.json"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%d examples (%v): want at least 3", len(files), err)
	}
	return files
}

func example(t *testing.T, name string) *Scenario {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestExamplesPlayTheSameEachTime(t *testing.T) {
	for _, file := range exampleFiles(t) {
		s := example(t, filepath.Base(file))
		once, again := encode(t, play(t, s, Options{})), encode(t, play(t, s, Options{}))
		if !bytes.Equal(once, again) {
			t.Errorf("%s: two runs of one seed differ", file)
		}
		s.Seed++
		if bytes.Equal(once, encode(t, play(t, s, Options{}))) {
			t.Errorf("%s: another seed gives the same", file)
		}
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOnlyTheEdgeNextToTheFaultOpens(t *testing.T) {
	s := example(t, "chain.json")
	for seed := range uint64(5) {
		s.Seed = seed
		r := play(t, s, Options{})
		top, bottom := circuitOf(t, r, "default/web..default/orders"), circuitOf(t, r, "default/orders..default/db")
		if top.Openings+top.InstanceOpenings > 0 {
			t.Errorf("seed %d: web..orders opened, though its failures are inherited", seed)
		}
		if top.Failed > 20 || top.Inherited < 500 {
			t.Errorf("seed %d: %d failures and %d inherited ones of orders: want nearly all inherited", seed, top.Failed, top.Inherited)
		}
		if bottom.InstanceOpenings == 0 || bottom.Openings < bottom.Breakers {
			t.Errorf("seed %d: db's instance opened %d times, orders..db %d: want both", seed, bottom.InstanceOpenings, bottom.Openings)
		}
		for _, f := range bottom.Faults {
			if f.DetectSeconds == nil || *f.DetectSeconds > 3 || f.RecoverSeconds == nil || *f.RecoverSeconds > 10 {
				t.Errorf("seed %d: fault %d: %s", seed, f.Fault, encode(t, f))
			}
		}
	}
}

func TestLocalMeetsTheSameRequests(t *testing.T) {
	s := pair(3, 30*time.Second).Break(Fault{Kind: "outage", Service: "db", At: 10 * time.Second, For: 10 * time.Second})
	with := play(t, s, Options{})
	without, err := Local(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	with.AddPeer("local", without)
	if a, b := with.Requests[0].Made, without.Requests[0].Made; a != b || a < 2700 {
		t.Errorf("%d requests with a daemon, %d without: want the same, about 3000", a, b)
	}
	a, b := with.Circuits[0], with.Circuits[0].Peers["local"]
	if sum(&with.Circuits[0], 0, 10*time.Second, good) != sum(&without.Circuits[0], 0, 10*time.Second, good) {
		t.Error("before the fault the two differ")
	}
	if a.Failed >= b.Failed {
		t.Errorf("%d failed with a daemon, %d without: want fewer", a.Failed, b.Failed)
	}
	if without.Stats.Messages != 0 {
		t.Errorf("%d messages without a daemon", without.Stats.Messages)
	}
}

func TestEveryCallIsAccountedFor(t *testing.T) {
	for _, file := range exampleFiles(t) {
		s := example(t, filepath.Base(file))
		var calls, rejections, probes int
		openings, flights := 0, 0
		r := play(t, s, Options{Hooks: Hooks{
			Sent: func(c *CallRecord) {
				if c.Ended != 0 || c.Rejected {
					t.Fatalf("record %+v of a call that leaves", *c)
				}
				flights++
			},
			Call: func(c *CallRecord) {
				if c.Ended < c.Sent || c.Attempt == 0 || c.Instance == "" || c.From == "" {
					t.Fatalf("record %+v", *c)
				}
				switch {
				case c.Rejected:
					rejections++
				default:
					calls++
					flights--
				}
				if c.Probe && !c.Rejected {
					probes++
				}
			},
			Change: func(_ string, x sim.Change) {
				if x.From == breaker.Closed && x.To == breaker.Open && x.Instance == "" {
					openings++
				}
			},
		}})
		for i := range r.Circuits {
			c := &r.Circuits[i]
			ended := c.Good + c.Failed + c.Inherited + c.Ignored
			calls -= ended
			rejections -= c.Rejected
			openings -= c.Openings
			probes -= c.Probes
			flying := int(c.Ticks[len(c.Ticks)-1].InFlight)
			flights -= c.Sent - ended
			if c.Calls != c.Sent+c.Rejected || c.Sent < ended || c.Sent > ended+flying || c.Collateral > c.Rejected {
				t.Errorf("%s, %s: %+v does not add up, with %d in flight", file, c.Circuit, c.Figures, flying)
			}
			if n := sum(c, 0, s.Duration, sent); n != c.Sent {
				t.Errorf("%s, %s: %d sent in the ticks, %d in all", file, c.Circuit, n, c.Sent)
			}
			if n := sum(c, 0, s.Duration, offered); n != c.Calls {
				t.Errorf("%s, %s: %d offered in the ticks, %d in all", file, c.Circuit, n, c.Calls)
			}
		}
		if calls != 0 || flights != 0 || rejections != 0 || openings != 0 || probes < 0 || probes > 60 {
			t.Errorf("%s: the hooks heard %d calls, %d in flight, %d rejections, %d openings and %d probes more than there were", file, calls, flights, rejections, openings, probes)
		}
	}
}

// Each kind of fault does to the truth what its word says, with nobody to act.
func TestFaultsDoWhatTheySay(t *testing.T) {
	const from, to = 10 * time.Second, 20 * time.Second
	base := Fault{Service: "db", At: from, For: to - from}
	outcomes := func(f Fault, change ...func(*Scenario)) (before, during map[string]int, latency time.Duration) {
		f.Service, f.At, f.For = "db", base.At, base.For
		s := pair(1, 30*time.Second).Break(f)
		s.Daemons = 0
		s.Policies = metricsOnly(t)
		for _, c := range change {
			c(s)
		}
		before, during = map[string]int{}, map[string]int{}
		n := 0
		play(t, s, Options{Hooks: Hooks{Call: func(c *CallRecord) {
			word := c.Outcome.Verdict.String()
			if c.Outcome.Kind != breaker.NoKind {
				word = c.Outcome.Kind.String()
			}
			switch {
			case c.Rejected:
				t.Fatal("rejected in metrics_only")
			case c.Sent < from:
				before[word]++
			case c.Sent < to:
				during[word]++
				latency += c.Ended - c.Sent
				n++
			}
		}}})
		return before, during, latency / time.Duration(n)
	}
	for _, test := range []struct {
		fault     Fault
		word      string
		low, hi   int // of about 1000
		lat, lat2 time.Duration
	}{
		{Fault{Kind: "outage"}, "server_error", 900, 1100, 0, 0},
		{Fault{Kind: "outage", As: "connect"}, "connect", 900, 1100, 0, 2 * time.Millisecond},
		{Fault{Kind: "outage", Instances: []string{"db-2"}}, "server_error", 290, 380, 0, 0},
		{Fault{Kind: "outage", Replicas: []string{"web-1..2"}}, "server_error", 430, 570, 0, 0},
		{Fault{Kind: "outage", Callers: []string{"w*"}, Instances: []string{"db-[13]"}}, "server_error", 580, 750, 0, 0},
		{Fault{Kind: "brownout", Percent: 30, As: "gateway"}, "gateway", 230, 370, 0, 0},
		{Fault{Kind: "creep", Percent: 100}, "server_error", 400, 600, 0, 0},
		{Fault{Kind: "slow", Latency: 100 * time.Millisecond}, "success", 850, 1100, 90 * time.Millisecond, 120 * time.Millisecond},
		{Fault{Kind: "slow", Latency: 400 * time.Millisecond}, "timeout", 850, 1100, 150 * time.Millisecond, 201 * time.Millisecond},
		{Fault{Kind: "hang"}, "timeout", 900, 1100, 200 * time.Millisecond, 200 * time.Millisecond},
		{Fault{Kind: "flapping", Period: 2 * time.Second}, "server_error", 420, 580, 0, 0},
		{Fault{Kind: "pause"}, "timeout", 900, 1080, 100 * time.Millisecond, 200 * time.Millisecond},
		{Fault{Kind: "partition", Replicas: []string{"web-3"}}, "timeout", 200, 300, 0, 0},
		{Fault{Kind: "partition", As: "connect"}, "connect", 900, 1100, 0, 2 * time.Millisecond},
		{Fault{Kind: "capacity", Percent: 5}, "rate_limited", 600, 800, 0, 0}, // 30/s of 100/s, the others queue or are refused
		{Fault{Kind: "cold_start", Down: 5 * time.Second}, "connect", 420, 580, 0, 0},
		{Fault{Kind: "deployment", Down: 2 * time.Second, Gap: time.Second}, "connect", 150, 260, 0, 0}, // each third for 2 s
		{Fault{Kind: "bad_requests", Percent: 40}, "bad_request", 330, 470, 0, 0},
		{Fault{Kind: "cancels", Percent: 40}, "canceled", 330, 470, 0, 0},
		{Fault{Kind: "family", Family: "bad_instance", Seed: 1}, "success", 500, 1100, 0, 0},
	} {
		t.Run(test.fault.Kind, func(t *testing.T) {
			before, during, latency := outcomes(test.fault)
			if before["success"] < 900 || len(before) > 1 {
				t.Errorf("before it: %v: want successes only", before)
			}
			if n := during[test.word]; n < test.low || n > test.hi {
				t.Errorf("%d %s of %v: want %d to %d", n, test.word, during, test.low, test.hi)
			}
			if test.lat2 > 0 && (latency < test.lat || latency > test.lat2) {
				t.Errorf("mean latency %v: want %v to %v", latency, test.lat, test.lat2)
			}
		})
	}
	t.Run("routes", func(t *testing.T) {
		_, during, _ := outcomes(Fault{Kind: "outage", Routes: []string{"/a"}}, func(s *Scenario) {
			s.Services[1].Routes = []Route{{"/a", 1}, {"/b", 3}}
		})
		if n := during["server_error"]; n < 190 || n > 310 {
			t.Errorf("%d of %v failed on a route with a quarter of the calls", n, during)
		}
	})
	t.Run("retry_storm", func(t *testing.T) {
		_, during, _ := outcomes(Fault{Kind: "retry_storm", Percent: 5, Retries: 3, Backoff: 10 * time.Millisecond})
		n := 0
		for _, k := range during {
			n += k
		}
		if n < 1800 {
			t.Errorf("%d calls in the storm of about 1000 requests: want many retries", n)
		}
	})
	t.Run("surge", func(t *testing.T) {
		s := pair(1, 30*time.Second).Break(Fault{Kind: "surge", Service: "web", Factor: 3, At: from, For: to - from})
		c := &play(t, s, Options{}).Circuits[0]
		for _, span := range []struct{ from, to time.Duration }{{0, from}, {to, 30 * time.Second}} {
			if n := sum(c, span.from, span.to, offered); n < 850 || n > 1150 {
				t.Errorf("%d calls from %v to %v: want about 1000", n, span.from, span.to)
			}
		}
		if n := sum(c, from, to, offered); n < 2700 || n > 3300 {
			t.Errorf("%d calls in the surge: want about 3000", n)
		}
	})
	for i := range kinds {
		if !slices.Contains(tried, kinds[i].name) {
			t.Errorf("nobody has tried %s", kinds[i].name)
		}
	}
}

// tried are the kinds that this file has a test of.
var tried = []string{
	"outage", "brownout", "creep", "slow", "hang", "flapping", "pause", "partition", "capacity", "retry_storm", "cold_start",
	"deployment", "bad_requests", "cancels", "family", "surge", "liar", "restart", "daemon_partition", "daemon_kill", "link",
}

func TestTheDaemonDiesAndComesBack(t *testing.T) {
	s := pair(1, 60*time.Second).
		Break(Fault{Kind: "outage", Service: "db", At: 5 * time.Second, For: 25 * time.Second}).
		Break(Fault{Kind: "daemon_kill", At: 10 * time.Second, For: 10 * time.Second})
	inputs := []time.Duration{}
	incarnations := map[uint64]bool{}
	r := play(t, s, Options{
		Inputs: func(in control.Input) { inputs = append(inputs, in.At) },
		Hooks:  Hooks{Said: func(_ time.Duration, out *control.Output) { incarnations[out.Directive.Epoch.Incarnation] = true }},
	})
	for _, at := range inputs {
		if at > 10*time.Second && at < 20*time.Second {
			t.Fatalf("the dead daemon heard something at %v", at)
		}
	}
	if len(incarnations) != 2 {
		t.Errorf("incarnations %v: want two", incarnations)
	}
	if n := sum(&r.Circuits[0], 11*time.Second, 29*time.Second, sent); n > 133 { // 2.6 √(calls/s × seconds open) + 3
		t.Errorf("%d calls sent while open: what is open stays so without a daemon", n)
	}
	if n := sum(&r.Circuits[0], 50*time.Second, 60*time.Second, good); n < 850 {
		t.Errorf("%d good answers at the end: want all of about 1000", n)
	}
}

func TestReplicasBehindAPartitionAreNotHeard(t *testing.T) {
	s := pair(1, 30*time.Second).Break(Fault{Kind: "daemon_partition", Replicas: []string{"web-2"}, At: 10 * time.Second, For: 10 * time.Second})
	gone, hello := 0, 0
	play(t, s, Options{Inputs: func(in control.Input) {
		switch {
		case in.Gone != nil && in.Gone.Name == "web-2":
			gone++
		case in.Hello != nil && in.Hello.Replica.Name == "web-2":
			hello++
		case in.Report != nil && in.Report.From.Name == "web-2" && in.At > 10100*time.Millisecond && in.At < 20*time.Second:
			t.Fatalf("heard at %v", in.At)
		}
	}})
	if gone != 1 || hello != 2 {
		t.Errorf("gone %d times, said hello %d times: want once and twice", gone, hello)
	}
}

func TestRestartedReplicasKnowNothing(t *testing.T) {
	s := New("restart", 1, 40*time.Second).
		Add(Service{Name: "web", Replicas: 4, Load: &Load{PerSecond: 25}, Calls: []Call{{To: "mid"}}}).
		Add(Service{Name: "mid", Replicas: 2, Calls: []Call{{To: "db"}}}).
		Add(Service{Name: "db"}).
		Break(Fault{Kind: "outage", Service: "db", At: 5 * time.Second, For: 20 * time.Second}).
		Break(Fault{Kind: "restart", Replicas: []string{"mid-1", "web-2"}, At: 10 * time.Second, For: 5 * time.Second})
	incarnations := map[string]map[uint64]bool{}
	refused := 0
	r := play(t, s, Options{
		Inputs: func(in control.Input) {
			if h := in.Hello; h != nil {
				if incarnations[h.Replica.Name] == nil {
					incarnations[h.Replica.Name] = map[uint64]bool{}
				}
				incarnations[h.Replica.Name][h.Replica.Incarnation] = true
			}
		},
		Hooks: Hooks{Call: func(c *CallRecord) {
			down := c.Sent > 10*time.Second && c.Sent < 15*time.Second
			if down && (c.From == "web-2" || c.From == "mid-1") {
				t.Fatalf("%s called %s while it was down", c.From, c.Instance)
			}
			if c.Outcome.Kind == breaker.Connect {
				if refused++; !down || c.Instance != "mid-1" {
					t.Fatalf("%s refused a call at %v", c.Instance, c.Sent)
				}
			}
		}},
	})
	if len(incarnations["mid-1"]) != 2 || len(incarnations["mid-2"]) != 1 {
		t.Errorf("incarnations %v: want two of mid-1", incarnations)
	}
	if refused == 0 {
		t.Error("nobody was refused by what was down")
	}
	c := circuitOf(t, r, "default/mid..default/db")
	if n := sum(c, 11*time.Second, 24*time.Second, sent); n > 60 {
		t.Errorf("%d calls sent to db while it is out: what starts anew is told that it is open", n)
	}
	if c.SecondsOpen < 15 || c.SecondsOpen > 25 || c.Faults[0].RecoverSeconds == nil {
		t.Errorf("%+v: want it open for about 18 s, and recovered", c.Figures)
	}
}

func TestALiarReportsFailuresAndMakesNone(t *testing.T) {
	s := pair(1, 30*time.Second).Break(Fault{Kind: "liar", Replicas: []string{"web-2"}, Factor: 1000, At: 10 * time.Second})
	lies, others := uint32(0), uint32(0)
	r := play(t, s, Options{Inputs: func(in control.Input) {
		if in.Report == nil {
			return
		}
		for _, c := range in.Report.Circuits {
			for _, x := range c.Cells {
				for _, b := range x.Buckets {
					if in.Report.From.Name == "web-2" {
						lies += b.Failed
					} else {
						others += b.Failed
					}
				}
			}
		}
	}})
	if lies < 200_000 || others != 0 || r.Circuits[0].Failed != 0 {
		t.Errorf("%d lies, %d failures reported by others, %d in truth: want many, none, none", lies, others, r.Circuits[0].Failed)
	}
}

func TestTheLinkDelaysAndLoses(t *testing.T) {
	// Of calm evidence, how long is there nothing new, and how much is there?
	heard := func(f ...Fault) (n int, age time.Duration) {
		s := pair(1, 60*time.Second)
		s.Faults = f
		var told []time.Duration
		play(t, s, Options{Inputs: func(in control.Input) {
			if in.Report != nil && in.Report.From.Name == "web-1" {
				told = append(told, in.At)
			}
		}})
		for i := 1; i < len(told); i++ {
			age = max(age, told[i]-told[i-1])
		}
		return len(told), age
	}
	all, steady := heard()
	lossy, waited := heard(Fault{Kind: "link", Percent: 50})
	late, _ := heard(Fault{Kind: "link", Delay: 2 * time.Second, Jitter: 2 * time.Second})
	if steady > 1100*time.Millisecond || waited < 1500*time.Millisecond {
		t.Errorf("%v between reports at most, and %v where half are lost: want a second, and more", steady, waited)
	}
	if lossy < all/2 || late < all*9/10 || late >= all {
		t.Errorf("%d and %d of %d reports arrive in time: want most, and nearly all, later", lossy, late, all)
	}
}

func TestDeadlinesAreTheCallersOwn(t *testing.T) {
	s := pair(1, 20*time.Second).Break(Fault{Kind: "hang", Service: "db", At: 5 * time.Second})
	s.Services[0].Load.Deadline = 100 * time.Millisecond
	r := play(t, s, Options{})
	c := &r.Circuits[0]
	if c.Failed != 0 || c.Ignored < 1200 || c.Openings > 0 || r.Requests[0].Ignored != c.Ignored {
		t.Errorf("%+v: want the hangs ignored, as the callers' own deadline", c.Figures)
	}
}

func TestRejectionsThatWouldHaveSucceededAreCollateral(t *testing.T) {
	s := pair(1, 40*time.Second).Break(Fault{Kind: "outage", Service: "db", At: 10 * time.Second, For: 10 * time.Second})
	c := &play(t, s, Options{}).Circuits[0]
	during := sum(c, 11*time.Second, 19*time.Second, func(t *Tick) uint32 { return t.Collateral })
	after := sum(c, 20*time.Second, 30*time.Second, func(t *Tick) uint32 { return t.Collateral })
	if r := sum(c, 11*time.Second, 19*time.Second, rejected); r < 700 || during != 0 {
		t.Errorf("%d of %d rejections in the outage are collateral: want none of many", during, r)
	}
	if r := sum(c, 20*time.Second, 30*time.Second, rejected); after != r || r == 0 {
		t.Errorf("%d of %d rejections after it are collateral: want all", after, r)
	}
	if f := sum(c, 10*time.Second, 20*time.Second, failed); f != c.Failed || f == 0 {
		t.Errorf("%d of %d failures in the outage: want all", f, c.Failed)
	}
}

func TestARunCanBeStopped(t *testing.T) {
	_, err := Run(pair(1, time.Hour), Options{Progress: func(now time.Duration) bool { return now < 3*time.Second }})
	if err == nil || !strings.Contains(err.Error(), "stopped at 3s of 1h0m0s") {
		t.Errorf("%v: want it stopped at 3 s", err)
	}
}

func TestTheTimelineTellsTheStory(t *testing.T) {
	r := play(t, example(t, "chain.json"), Options{})
	var story strings.Builder
	last := 0.0
	for _, e := range r.Timeline {
		if e.Seconds < last || e.Text == "" || e.Where == "" {
			t.Errorf("entry %+v after %v s", e, last)
		}
		last = e.Seconds
		fmt.Fprintln(&story, e.Seconds, e.What, e.Where, e.Text)
	}
	for _, want := range []string{
		"10 fault db begins: outage: calls fail at once; instances db-2",
		"directive default/orders..default/db to all: closed: only instance db-2 is open; @db-2 open: ",
		"transition default/orders..default/db@db-2 closed → open at 4 of 4 replicas",
		"20 fault db ends: outage",
		"transition default/orders..default/db closed → open at 4 of 4 replicas",
		"back to full traffic",
	} {
		if !strings.Contains(story.String(), want) {
			t.Errorf("the timeline does not say %q:\n%s", want, story.String())
		}
	}
}

func TestConfigureHasTheLastWord(t *testing.T) {
	s := pair(1, 20*time.Second).Break(Fault{Kind: "outage", Service: "db", At: 5 * time.Second})
	r := play(t, s, Options{Configure: func(c *control.Config) { c.Enforce = false }, Hooks: Hooks{
		Said: func(_ time.Duration, out *control.Output) {
			if out.Directive.Enforce {
				t.Fatal("a directive is to be enforced")
			}
		},
	}})
	if r.Circuits[0].Openings == 0 {
		t.Error("no breaker opened by its own rule")
	}
}
