package wire

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/policy"
)

var (
	web      = policy.Service{Namespace: "shop", Name: "web"}
	checkout = policy.Service{Namespace: "shop", Name: "checkout"}
	circuit  = policy.Circuit{Caller: web, Callee: checkout, Route: "POST /orders"}
	replica  = fleet.ReplicaID{Service: web, Name: "web-1", Incarnation: 7}
)

func sampleDirective() fleet.Directive {
	return fleet.Directive{
		Circuit: circuit, Epoch: fleet.Epoch{Incarnation: 3, Counter: 9, Daemon: "d1"},
		TTL: time.Minute, Enforce: true, Hot: true,
		Gate:   fleet.Gate{State: breaker.Closed, Phase: "ramp", Share: 0.25, Generation: 4, Reason: "3 of 3 probes were answered"},
		Parts:  []fleet.Part{{Instance: "10.0.0.1:80", Gate: fleet.Gate{State: breaker.Open, Generation: 2, Reason: "alone at fault"}, Override: &fleet.Override{ID: "o2", Mode: breaker.Off, Author: "bob", Reason: "drill", TTL: time.Hour}}},
		Leases: []fleet.Lease{{Token: 11, Instance: "10.0.0.1:80", TTL: 2 * time.Second}},

		Override: &fleet.Override{ID: "o1", Mode: breaker.ForcedOpen, Author: "ada", Reason: "migration", TTL: 25 * time.Hour},
		Settings: sampleSettings(),
	}
}

func sampleSettings() *policy.Settings {
	s := policy.Default()
	s.Breaker.Ramp = breaker.Ramp{StepPercents: []float64{10, 50}, StepDuration: time.Second}
	s.MaxOpenPercent, s.WhenAllBad, s.GradingDelay = 30, policy.Panic, 3*time.Second
	s.ActiveCheck = policy.ActiveCheck{Interval: time.Minute, Port: 8080, Path: "/healthz"}
	s.Revision, s.Strategy = "r1", "error-budget"
	return &s
}

func sampleReport() fleet.Report {
	counts := fleet.Counts{
		Offered: 30, Succeeded: 10, Failed: 8, Ignored: 1, Inherited: 2, Rejected: 3, Shadow: 4, Slow: 5, LateSucceeded: 6, LateFailed: 7, LateLatency: 765432 * time.Microsecond,
		RetriedSucceeded: 1, RetriedFailed: 2, Latency: 1234567 * time.Microsecond,
	}
	counts.Kinds[breaker.Timeout], counts.Kinds[breaker.CallerDeadline] = 8, 1
	return fleet.Report{
		Sequence: 5, Dropped: 1, Final: true,
		Circuits: []fleet.CircuitReport{{
			Callee: checkout, Route: "POST /orders", Settings: sampleSettings(), State: breaker.HalfOpen, Mode: breaker.MetricsOnly,
			Generation: 4, Since: 1500 * time.Millisecond, Why: "60 % of 25 calls failed",
			Cells: []fleet.Cell{{Route: "POST /orders", Instance: "10.0.0.1:80", Generation: 2, Buckets: []fleet.Bucket{{Age: 300 * time.Millisecond, Counts: counts}}}},
		}},
		Answers: []fleet.Answer{{Circuit: circuit, Token: 11, Used: true, Verdict: breaker.Failure, Kind: breaker.Reset, Latency: time.Millisecond}},
	}
}

func sampleHello() fleet.Hello {
	return fleet.Hello{
		Protocol: 1, Features: []string{"parts", "leases"}, Replica: replica, Version: "1.2.3",
		Held: []fleet.Directive{sampleDirective()},
	}
}

func TestWhatIsSentIsWhatIsRead(t *testing.T) {
	report, err := FromReport(ToReport(sampleReport()))
	if want := sampleReport(); err != nil || !reflect.DeepEqual(report, want) {
		t.Errorf("report: %v\n got %+v\nwant %+v", err, report, want)
	}
	hello, err := FromHello(ToHello(sampleHello()))
	if want := sampleHello(); err != nil || !reflect.DeepEqual(hello, want) {
		t.Errorf("hello: %v\n got %+v\nwant %+v", err, hello, want)
	}
	directives, err := FromDirectives(ToDirectives([]fleet.Directive{sampleDirective()}))
	if want := []fleet.Directive{sampleDirective()}; err != nil || !reflect.DeepEqual(directives, want) {
		t.Errorf("directives: %v\n got %+v\nwant %+v", err, directives, want)
	}
}

func TestEveryWordOfTheBreakerHasItsNumber(t *testing.T) {
	for s := breaker.Closed; s <= breaker.HalfOpen; s++ {
		if got, known := fromState(toState(s)); got != s || !known || !strings.EqualFold("STATE_"+s.String(), toState(s).String()) {
			t.Errorf("state %v: %v, %v", s, toState(s), got)
		}
	}
	for m := breaker.Enforce; m <= breaker.ForcedOpen; m++ {
		if got := fromMode(toMode(m)); got != m || !strings.EqualFold("MODE_"+m.String(), toMode(m).String()) {
			t.Errorf("mode %v: %v, %v", m, toMode(m), got)
		}
	}
	for v := breaker.Success; v <= breaker.Inherited; v++ {
		if p := linkv1.Verdict(v) + 1; fromVerdict(p) != v || !strings.EqualFold("VERDICT_"+v.String(), p.String()) {
			t.Errorf("verdict %v: %v", v, p)
		}
	}
	for k := breaker.NoKind + 1; k < breaker.Kinds; k++ {
		if p := linkv1.Kind(k); fromKind(p) != k || !strings.EqualFold("KIND_"+k.String(), p.String()) {
			t.Errorf("kind %v: %v", k, p)
		}
	}
	if n := len(linkv1.Kind_name); n != int(breaker.Kinds) {
		t.Errorf("the link has %d kinds, the breaker %d", n, breaker.Kinds)
	}
}

func TestAnUnknownStateIsNeverEnforced(t *testing.T) {
	p := ToDirective(&fleet.Directive{Circuit: circuit, TTL: time.Minute, Enforce: true, Gate: fleet.Gate{State: breaker.Open}})
	p.Gate.State = 99
	d, err := FromDirective(p)
	if err != nil || d.Enforce || d.State != breaker.Closed || d.Share != 1 {
		t.Errorf("%+v, %v: want closed, whole and not enforced", d, err)
	}
	sample := sampleDirective()
	p = ToDirective(&sample)
	p.Parts[0].Gate.State = 99
	if d, err := FromDirective(p); err != nil || len(d.Parts) != 0 || !d.Enforce {
		t.Errorf("%+v, %v: want the part left out and the rest enforced", d, err)
	}
}

func TestAnOverrideThatIsNotKnownShutsNothingOff(t *testing.T) {
	sample := sampleDirective()
	p := ToDirective(&sample)
	p.Override.Mode = 99
	if d, err := FromDirective(p); err != nil || d.Override.Mode != breaker.MetricsOnly {
		t.Errorf("%+v, %v: want metrics_only", d.Override, err)
	}
	p.Override.Mode = linkv1.Mode_MODE_ENFORCE
	if _, err := FromDirective(p); err == nil {
		t.Error("an override that enforces was read")
	}
	p.Override.Ttl = nil
	if d, err := FromDirective(p); err != nil || d.Override != nil {
		t.Errorf("%+v, %v: want one without time left to be none", d.Override, err)
	}
}

func TestSettingsOfAnEarlierReleaseHaveTheDefaults(t *testing.T) {
	p := toSettings(sampleSettings())
	p.MaxOpenPercent, p.WhenAllBad, p.GradingDelay, p.ActiveCheck = 0, 0, nil, nil
	s, err := fromSettings(p)
	if d := policy.Default(); err != nil || s.MaxOpenPercent != d.MaxOpenPercent || s.GradingDelay != d.GradingDelay || s.WhenAllBad != policy.FailFast || s.ActiveCheck.Interval != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestUnknownValuesAreNeutral(t *testing.T) {
	p := ToReport(sampleReport())
	p.Answers[0].Verdict, p.Answers[0].Kind = 99, 99
	p.Circuits[0].Mode, p.Circuits[0].State = 99, 99
	p.Circuits[0].Cells[0].Buckets[0].Kinds = append(p.Circuits[0].Cells[0].Buckets[0].Kinds, 5, 6)
	r, err := FromReport(p)
	if err != nil {
		t.Fatal(err)
	}
	if a := r.Answers[0]; a.Verdict != breaker.Ignored || a.Kind != breaker.NoKind {
		t.Errorf("answer %+v: want ignored, kind none", a)
	}
	if c := r.Circuits[0]; c.Mode != breaker.MetricsOnly || c.State != breaker.Closed {
		t.Errorf("mode %v, state %v: want metrics_only, closed", c.Mode, c.State)
	}
	if n := r.Circuits[0].Cells[0].Buckets[0].Kinds[breaker.NoKind]; n != 11 {
		t.Errorf("kinds beyond the known ones: %d, want 11 under none", n)
	}
}

func TestHostileMessagesAreRefused(t *testing.T) {
	directive := func(f func(*linkv1.Directive)) error {
		d := sampleDirective()
		p := ToDirective(&d)
		f(p)
		_, err := FromDirective(p)
		return err
	}
	report := func(f func(*linkv1.Report)) error {
		p := ToReport(sampleReport())
		f(p)
		_, err := FromReport(p)
		return err
	}
	hello := func(f func(*linkv1.Hello)) error {
		p := ToHello(sampleHello())
		f(p)
		_, err := FromHello(p)
		return err
	}
	for what, err := range map[string]error{
		"share NaN":          directive(func(p *linkv1.Directive) { p.Gate.Share = math.NaN() }),
		"share negative":     directive(func(p *linkv1.Directive) { p.Gate.Share = -0.1 }),
		"share over 1":       directive(func(p *linkv1.Directive) { p.Gate.Share = 1.1 }),
		"share of a part":    directive(func(p *linkv1.Directive) { p.Parts[0].Gate.Share = math.Inf(1) }),
		"ttl negative":       directive(func(p *linkv1.Directive) { p.Ttl = durationpb.New(-1) }),
		"ttl invalid":        directive(func(p *linkv1.Directive) { p.Ttl = &durationpb.Duration{Seconds: math.MaxInt64} }),
		"override negative":  directive(func(p *linkv1.Directive) { p.Override.Ttl = durationpb.New(-1) }),
		"settings of none":   directive(func(p *linkv1.Directive) { p.Settings = &linkv1.Settings{} }),
		"path of a check":    directive(func(p *linkv1.Directive) { p.Settings.ActiveCheck.Path = "http://x/" }),
		"no circuit":         directive(func(p *linkv1.Directive) { p.Circuit = nil }),
		"leases":             directive(func(p *linkv1.Directive) { p.Leases = make([]*linkv1.Lease, maxLeases+1) }),
		"name of a callee":   report(func(p *linkv1.Report) { p.Circuits[0].Callee.Name = "a\nb" }),
		"long instance":      report(func(p *linkv1.Report) { p.Circuits[0].Cells[0].Instance = strings.Repeat("x", 254) }),
		"no callee":          report(func(p *linkv1.Report) { p.Circuits[0].Callee = nil }),
		"threshold NaN":      report(func(p *linkv1.Report) { p.Circuits[0].Settings.Breaker.FailureRateThreshold = math.NaN() }),
		"settings beyond":    report(func(p *linkv1.Report) { p.Circuits[0].Settings.Breaker.WindowBuckets = 1 << 31 }),
		"circuits":           report(func(p *linkv1.Report) { p.Circuits = make([]*linkv1.CircuitReport, maxCircuits+1) }),
		"buckets":            report(func(p *linkv1.Report) { p.Circuits[0].Cells[0].Buckets = make([]*linkv1.Bucket, maxBuckets+1) }),
		"no replica":         hello(func(p *linkv1.Hello) { p.Replica = nil }),
		"replica's name":     hello(func(p *linkv1.Hello) { p.Replica.Name = "" }),
		"features":           hello(func(p *linkv1.Hello) { p.Features = make([]string, maxFeatures+1) }),
		"no protocol":        hello(func(p *linkv1.Hello) { p.Protocol = 0 }),
		"a message of nils":  report(func(p *linkv1.Report) { p.Circuits[0] = nil }),
		"an answer of nils":  report(func(p *linkv1.Report) { p.Answers[0] = nil }),
		"a directive of nil": func() error { _, err := FromDirective(nil); return err }(),
	} {
		if err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestAHelloTellsOnlyOfItsOwnService(t *testing.T) {
	h := sampleHello()
	other := sampleDirective()
	other.Circuit = policy.Circuit{Caller: checkout, Callee: web}
	h.Held = append(h.Held, other)
	got, err := FromHello(ToHello(h))
	if err != nil || len(got.Held) != 1 {
		t.Errorf("%d directives held, %v: want only the own service's", len(got.Held), err)
	}
}

func TestOneBadDirectiveDoesNotSilenceTheRest(t *testing.T) {
	good, bad := sampleDirective(), ToDirective(&fleet.Directive{})
	got, err := FromDirectives([]*linkv1.Directive{bad, ToDirective(&good)})
	if len(got) != 1 || err == nil {
		t.Errorf("%d directives, error %v: want the good one and an error", len(got), err)
	}
}

func TestLongReasonsAreCutAtAWholeCharacter(t *testing.T) {
	got := text(strings.Repeat("é", maxText))
	if len(got) > maxText || len(got) < maxText-4 || strings.ContainsRune(got, '\uFFFD') {
		t.Errorf("%d bytes", len(got))
	}
}

// What can be read can be written and read again as the same.
func fuzz[P proto.Message, V any](f *testing.F, seed proto.Message, from func(P) (V, error), to func(V) P, empty func() P) {
	f.Helper()
	data, err := proto.Marshal(seed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		p := empty()
		if proto.Unmarshal(data, p) != nil {
			return
		}
		v, err := from(p)
		if err != nil {
			return
		}
		again, err := from(to(v))
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Errorf("%v\nfirst %+v\nagain %+v", err, v, again)
		}
	})
}

func FuzzReport(f *testing.F) {
	fuzz(f, ToReport(sampleReport()), FromReport, ToReport, func() *linkv1.Report { return new(linkv1.Report) })
}

func FuzzHello(f *testing.F) {
	fuzz(f, ToHello(sampleHello()), FromHello, ToHello, func() *linkv1.Hello { return new(linkv1.Hello) })
}

func FuzzDirective(f *testing.F) {
	d := sampleDirective()
	fuzz(f, ToDirective(&d), FromDirective, func(d fleet.Directive) *linkv1.Directive { return ToDirective(&d) }, func() *linkv1.Directive { return new(linkv1.Directive) })
}
