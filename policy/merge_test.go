package policy

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// one is a policy document on a line of its own.
func one(name, meta, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":%q%s},"spec":{%s}}`, name, meta, spec)
}

func decode(tb testing.TB, policies ...string) *Set {
	tb.Helper()
	set, err := Decode([]byte("[" + strings.Join(policies, ",\n") + "]"))
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func TestTheMoreSpecificPolicyWins(t *testing.T) {
	ladder := []struct{ name, selector, spec string }{
		{"all", ``, ``},
		{"star", `"namespace":"*","caller":"*"`, ``},
		{"namespace glob", `"namespace":"ba*"`, ``},
		{"namespace", `"namespace":"bank"`, ``},
		{"caller glob", `"caller":"*b"`, ``},
		{"caller longer glob", `"caller":"we*"`, ``},
		{"caller", `"caller":"web"`, ``},
		{"callee glob", `"callee":"p*"`, ``},
		{"callee and namespace", `"callee":"p*","namespace":"bank"`, ``},
		{"callee", `"callee":"pay"`, ``},
		{"both ends", `"callee":"pay","caller":"web"`, ``},
		{"route glob", `"route":"/u*"`, ``},
		{"route", `"route":"/users/{id}"`, ``},
		{"route, by priority", `"route":"/users/{id}"`, `"priority":1,`},
	}
	c := Circuit{Service{"shop", "web"}, Service{"bank", "pay"}, "/users/{id}"}
	for i, rung := range ladder {
		var policies []string
		for j, r := range ladder[:i+1] {
			policies = append(policies, one(r.name, "", fmt.Sprintf(`"selector":{%s},%s"quorum":%d`, r.selector, r.spec, 10+j)))
		}
		rand.New(rand.NewPCG(uint64(i), 1)).Shuffle(len(policies), func(a, b int) { policies[a], policies[b] = policies[b], policies[a] })
		if i == 1 {
			continue // a star says as much as nothing: those two tie, and the name decides
		}
		if got := decode(t, policies...).Settings(c).Quorum; got != 10+i {
			t.Errorf("%s does not win over what stands before it: quorum %d", rung.name, got)
		}
	}
}

func TestSpecificityBeatsPriorityAndNamesDecideLast(t *testing.T) {
	set := decode(t, one("exact", "", `"selector":{"callee":"pay"},"quorum":3`), one("all", "", `"priority":1000,"quorum":9`))
	if got := set.Settings(webPay).Quorum; got != 3 {
		t.Errorf("quorum %d: want the more specific policy's, whatever the priority of the other", got)
	}
	set = decode(t, one("b", "", `"quorum":3`), one("a", "", `"quorum":4`), one("c", "", `"quorum":5`))
	if got := set.Settings(webPay).Quorum; got != 4 {
		t.Errorf("quorum %d: want that of the name that comes first", got)
	}
}

func TestLabelsAreOfTheProcess(t *testing.T) {
	set := decode(t, one("canary", "", `"selector":{"labels":{"track":"can*","zone":""}},"quorum":7`))
	for _, c := range []struct {
		labels map[string]string
		want   int
	}{
		{nil, 2},
		{map[string]string{"track": "canary"}, 2},
		{map[string]string{"track": "stable", "zone": "a"}, 2},
		{map[string]string{"track": "canary", "zone": "a"}, 7},
	} {
		in, err := set.With(Environment{Labels: c.labels})
		if err != nil {
			t.Fatal(err)
		}
		if got := in.Settings(webPay).Quorum; got != c.want {
			t.Errorf("%v: quorum %d: want %d", c.labels, got, c.want)
		}
	}
}

func TestANamespacedPolicySelectsItsNamespaceAlone(t *testing.T) {
	set := decode(t, one("p", `,"namespace":"bank"`, `"quorum":7`), one("p", `,"namespace":"shop"`, `"quorum":8`))
	if got := set.Settings(Circuit{Service{"shop", "web"}, Service{"bank", "pay"}, ""}).Quorum; got != 7 {
		t.Errorf("quorum %d: want the callee's namespace's", got)
	}
	if got := set.Settings(webPay).Quorum; got != 2 {
		t.Errorf("quorum %d: want the default in another namespace", got)
	}
}

func TestAPresetYieldsToItsPolicyAndMeansTheSameEverywhere(t *testing.T) {
	set := decode(t,
		one("all", "", `"failureRateThreshold":30,"consecutiveFailures":9,"strategy":"own","mode":"metrics_only"`),
		one("pay", "", `"selector":{"callee":"pay"},"preset":"like-resilience4j","permittedNumberOfCallsInHalfOpenState":4`))
	s := set.Settings(webPay)
	b := &s.Breaker
	if b.FailureRateThreshold != 50 || b.ConsecutiveFailures != 0 || s.Strategy != "" || b.WindowSize != 100 || b.MinimumNumberOfCalls != 100 ||
		b.Wait.Base != time.Minute || b.Wait.Shape != breaker.WaitFixed || b.SlowCallDurationThreshold != time.Minute || b.SlowCallRateThreshold != 100 {
		t.Errorf("%+v: want the preset's values, whatever a more general policy says", b)
	}
	if b.PermittedNumberOfCallsInHalfOpenState != 4 {
		t.Error("the preset overrides what its policy sets")
	}
	if b.Mode != breaker.MetricsOnly {
		t.Error("a preset says nothing of the mode")
	}
	for i := range presets {
		s := decode(t, one("p", "", fmt.Sprintf(`"preset":%q`, presets[i].name))).Settings(webPay)
		if err := s.Validate(); err != nil {
			t.Errorf("preset %s: %v", presets[i].name, err)
		}
		for _, v := range presets[i].values {
			if f := &fields[v.field]; words(f.get(s)) != words(v.value) && (v.field != atFailureRate || !s.Automatic()) {
				t.Errorf("preset %s: %s is %s: want %s", presets[i].name, f.name, words(f.get(s)), words(v.value))
			}
		}
	}
	if s := decode(t, one("p", "", `"preset":"default"`)).Settings(webPay); !s.Automatic() || !s.Same(&usual) {
		t.Errorf("the preset default is not the default: %+v", s)
	}
	if s := decode(t, one("p", "", `"preset":"like-envoy"`)).Settings(webPay); s.Automatic() || s.Breaker.ConsecutiveFailures != 5 || s.MaxEjectionPercent != 10 {
		t.Errorf("like-envoy: %+v", s)
	}
}

// Contradictions between policies end in favour of the more specific one.
func TestMergingSettlesContradictions(t *testing.T) {
	for _, c := range []struct {
		name, general, specific string
		holds                   func(*Settings) bool
	}{
		{"window size under the usual minimum", ``, `"windowSize":10`, func(s *Settings) bool { return s.Breaker.MinimumNumberOfCalls == 10 }},
		{"minimum over a general size", `"windowSize":10`, `"minimumNumberOfCalls":50`, func(s *Settings) bool { return s.Breaker.MinimumNumberOfCalls == 10 && s.Breaker.WindowSize == 10 }},
		{"wait over the usual greatest", ``, `"waitDurationInOpenState":"1m"`, func(s *Settings) bool { return s.Breaker.Wait.Max == time.Minute }},
		{"greatest wait under a general one", `"waitDurationInOpenState":"1m"`, `"maxWaitDurationInOpenState":"5s"`, func(s *Settings) bool { return s.Breaker.Wait.Base == 5*time.Second }},
		{"wait over a general greatest", `"maxWaitDurationInOpenState":"5s"`, `"waitDurationInOpenState":"1m"`, func(s *Settings) bool { return s.Breaker.Wait.Max == time.Minute }},
		{"no duration any more", `"slowCallRateThreshold":50,"slowCallDurationThreshold":"1s"`, `"slowCallDurationThreshold":"0s"`, func(s *Settings) bool { return s.Breaker.SlowCallRateThreshold == 0 }},
		{"curve after steps", `"rampStepPercents":[1,10]`, `"slowStartWindow":"5s"`, func(s *Settings) bool { return s.Breaker.Ramp.StepPercents == nil && s.Breaker.Ramp.MinPercent == 10 }},
		{"steps after a curve", `"slowStartWindow":"5s"`, `"rampStepPercents":[1,10]`, func(s *Settings) bool {
			return s.Breaker.Ramp.Window == 0 && s.Breaker.Ramp.StepDuration == time.Second
		}},
		{"a threshold ends the default rule", ``, `"consecutiveFailures":5`, func(s *Settings) bool { return s.Breaker.FailureRateThreshold == 0 && !s.Automatic() }},
		{"no threshold brings it back", `"failureRateThreshold":30`, `"failureRateThreshold":0`, func(s *Settings) bool { return s.Breaker.FailureRateThreshold == 50 && s.Automatic() }},
		{"no instance may be ejected", ``, `"maxEjectionPercent":0`, func(s *Settings) bool { return s.MaxEjectionPercent == 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			policies := []string{one("specific", "", `"selector":{"callee":"pay"},`+c.specific)}
			if c.general != "" {
				policies = append(policies, one("general", "", c.general))
			}
			s := decode(t, policies...).Settings(webPay)
			if !c.holds(s) {
				t.Errorf("merged %+v", s)
			}
			if err := s.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// drawPolicies that are valid each by itself, over few values, so that they meet.
func drawPolicies(rng *rand.Rand, n int) []string {
	values := map[string][]string{
		"minimumNumberOfCalls": {"1", "50"}, "windowSize": {"0", "10", "100"}, "waitDurationInOpenState": {`"1ms"`, `"1h"`}, "maxWaitDurationInOpenState": {`"1h"`, `"2h"`},
		"slowStartWindow": {`"0s"`, `"5s"`}, "failureRateThreshold": {"0", "40"}, "consecutiveFailures": {"0", "3"}, "openAbove": {"20", "90"},
		"strategy": {`""`, `"s"`}, "mode": {`"off"`, `"enforce"`}, "quorum": {"1", "5"}, "gradingDelay": {`"0s"`, `"1s"`}, "maxEjectionPercent": {"0", "100"},
		"slowCallDurationThreshold": {`"0s"`, `"1s"`}, "rampStepDuration": {`"0s"`, `"2s"`}, "slowStartMinPercent": {"0", "50"},
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	var all []string
	for i := range n {
		var spec []string
		for _, name := range names {
			if v := values[name]; rng.IntN(4) == 0 {
				spec = append(spec, fmt.Sprintf("%q:%s", name, v[rng.IntN(len(v))]))
			}
		}
		pick := func(words ...string) string { return words[rng.IntN(len(words))] }
		if rng.IntN(3) == 0 {
			spec = append(spec, `"preset":"`+presets[rng.IntN(len(presets))].name+`"`)
		}
		spec = append(spec, fmt.Sprintf(`"selector":{"callee":%q,"caller":%q,"namespace":%q,"route":%q}`,
			pick("", "", "pay", "p*", "*y", "cart", "?ay"), pick("", "", "web", "w*", "x"), pick("", "", "a", "*"), pick("", "", "", "/x", "/*")))
		doc := one(fmt.Sprintf("p%d", i), "", strings.Join(spec, ","))
		if _, err := Decode([]byte(doc)); err == nil {
			all = append(all, doc)
		}
	}
	return all
}

func TestMergedSettingsAreValidAndFoundByTheIndex(t *testing.T) {
	callees, callers, routes := []string{"pay", "cart", "py", ""}, []string{"web", "x", "wx"}, []string{"", "/x", "/y"}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		set := decode(t, drawPolicies(rng, 12)...)
		for range 10 {
			c := Circuit{Service{"a", callers[rng.IntN(3)]}, Service{"a", callees[rng.IntN(3)]}, routes[rng.IntN(3)]}
			s := set.Settings(c)
			if err := s.Validate(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			var want []*Policy
			for _, p := range set.policies {
				if p.Selector.Matches(&c) {
					want = append(want, p)
				}
			}
			got := set.at(set.index.find(set.policies, &c, nil))
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: the index finds %d policies for %s, a look at each %d", seed, len(got), c, len(want))
			}
			if again := set.Settings(c); again != s {
				t.Fatal("the same circuit has other settings")
			}
			explained(t, set, c, s)
		}
	}
}

// explained checks that an explanation tells what the settings are.
func explained(t *testing.T, set *Set, c Circuit, s *Settings) {
	t.Helper()
	e := s.Explain(c)
	for i, f := range e.Fields {
		if f.Value != words(fields[i].get(s)) {
			t.Fatalf("%s: explained as %s: it is %s", f.Field, f.Value, words(fields[i].get(s)))
		}
		for _, l := range f.Losers {
			if l.Origin == f.Origin {
				t.Fatalf("%s: %v wins over itself", f.Field, l.Origin)
			}
		}
		if p := f.Origin.Policy; p != "" && !slices.Contains(e.Policies, p) {
			t.Fatalf("%s comes from %s, which does not select %s", f.Field, p, c)
		}
	}
	if set.Len() < len(e.Policies) {
		t.Fatal("more policies than there are")
	}
}

func TestMergeIsAssociative(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 5))
		set := decode(t, drawPolicies(rng, 6)...)
		layers := make([]layer, len(set.policies))
		for i, p := range set.policies {
			layers[i] = make(layer, len(fields))
			layers[i].lay(p, i)
		}
		var fold func(from, to int) layer
		fold = func(from, to int) layer { // as one likes to put the brackets
			if to-from == 1 {
				return layers[from]
			}
			at := from + 1 + rng.IntN(to-from-1)
			return fold(from, at).over(fold(at, to))
		}
		if len(layers) == 0 {
			continue
		}
		_, all := merged(set.policies, nil)
		for i := range all {
			all[i].note = "" // of settling, which comes after
		}
		if got := fold(0, len(layers)); !reflect.DeepEqual(got, all) {
			t.Fatalf("seed %d: brackets change what is merged", seed)
		}
	}
}

func TestCircuitsWithTheSameSettingsShareThem(t *testing.T) {
	set := decode(t, one("a", "", `"selector":{"callee":"pay"},"quorum":3`), one("b", "", `"selector":{"callee":"cart"},"quorum":3`), one("c", "", `"selector":{"callee":"users"},"quorum":2`))
	set, err := set.With(Environment{})
	if err != nil {
		t.Fatal(err)
	}
	to := func(callee string) *Settings {
		return set.Settings(Circuit{Service{"a", "web"}, Service{"a", callee}, ""})
	}
	if to("pay") != to("cart") {
		t.Error("two circuits with the same settings hold them twice")
	}
	if to("users") != to("nobody") || to("users").Revision != "" {
		t.Error("a policy that says what is so anyway makes settings of its own")
	}
	if to("pay") == to("users") || to("pay").Revision == "" {
		t.Error("other settings are shared, or have no revision")
	}
	pay := Circuit{Callee: Service{"a", "pay"}}
	if to("cart").Explain(pay).Policies[0] != "a" {
		t.Error("shared settings explain another circuit's policies")
	}
}

func TestExplainNamesOriginAndLosers(t *testing.T) {
	text := "[" + one("all", "", `"quorum":3,"openAbove":70`) + ",\n\n" +
		one("pay", `,"namespace":"a"`, "\n\"selector\":{\"callee\":\"pay\"},\n\"preset\":\"like-envoy\",\n\"consecutiveFailures\":9,\"windowSize\":5") + "]"
	node, err := ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	set, err := DecodeSources(Source{"p.json", node})
	if err != nil {
		t.Fatal(err)
	}
	base := Default()
	base.MaxOpenPercent = 20
	if set, err = set.With(Environment{Base: &base, Mode: breaker.MetricsOnly}); err != nil {
		t.Fatal(err)
	}
	e := set.Explain(webPay)
	if !slices.Equal(e.Policies, []string{"all", "a/pay"}) {
		t.Errorf("policies %v", e.Policies)
	}
	got := make(map[string]string)
	for _, f := range e.Fields {
		line := f.Value + " from " + f.Origin.String()
		for _, l := range f.Losers {
			line += "; " + l.Value + " from " + l.Origin.String()
		}
		if f.Note != "" {
			line += " – " + f.Note
		}
		got[f.Field] = line
	}
	for field, want := range map[string]string{
		"consecutiveFailures":  "9 from policy a/pay (p.json:6); 5 from preset like-envoy of policy a/pay (p.json:5); 0 from default",
		"quorum":               "2 from preset like-envoy of policy a/pay (p.json:5); 3 from policy all (p.json:1); 2 from default",
		"openAbove":            "50 from preset like-envoy of policy a/pay (p.json:5); 70 from policy all (p.json:1); 50 from default – not used: consecutiveFailures decides",
		"maxOpenPercent":       "20 from code",
		"mode":                 "metrics_only from environment; enforce from default",
		"minimumNumberOfCalls": "5 from preset like-envoy of policy a/pay (p.json:5); 20 from default – 20, but no more than windowSize",
	} {
		if got[field] != want {
			t.Errorf("%s: %s\nwant %s", field, got[field], want)
		}
	}
}

func TestLintFindsTiesAndWhatDoesNothing(t *testing.T) {
	for _, c := range []struct {
		name     string
		policies []string
		want     string
	}{
		{"a tie", []string{one("a", "", `"selector":{"callee":"p*"},"quorum":3`), one("b", "", `"selector":{"callee":"*y"},"quorum":4`)}, "ties with policy a and says otherwise of quorum (4, 3): only the names decide that a wins"},
		{"a tie of presets", []string{one("a", "", `"preset":"batch"`), one("b", "", `"preset":"default"`)}, "openAbove (50, 80)"},
		{"by priority", []string{one("a", "", `"selector":{"callee":"p*"},"quorum":3`), one("b", "", `"selector":{"callee":"*y"},"priority":1,"quorum":4`)}, ""},
		{"no circuit in common", []string{one("a", "", `"selector":{"callee":"a*"},"quorum":3`), one("b", "", `"selector":{"callee":"b*"},"quorum":4`)}, ""},
		{"the same said", []string{one("a", "", `"quorum":3`), one("b", "", `"quorum":3`)}, ""},
		{"hosts", []string{one("a", "", `"selector":{"callee":"pay"},"hosts":["x.example"]`), one("b", "", `"selector":{"callee":"buy"},"hosts":["X.example."]`)}, "host x.example leads elsewhere"},
		{"who decides", []string{one("a", "", `"failureRateThreshold":30,"openAbove":20`)}, "failureRateThreshold decides"},
		{"forced open", []string{one("a", "", `"mode":"forced_open"`)}, "has no end"},
		{"nothing", []string{one("a", "", ``)}, "sets nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := decode(t, c.policies...).Lint()
			if c.want == "" && len(found) == 0 {
				return
			}
			if len(found) != 1 || c.want == "" || !strings.Contains(found[0].String(), c.want) {
				t.Errorf("found %v: want %q", found, c.want)
			}
		})
	}
}

func TestAStrategyIsKnownByItsName(t *testing.T) {
	set := decode(t, one("p", "", `"strategy":"own"`))
	if _, err := set.With(Environment{Strategies: map[string]breaker.Strategy{}}); err == nil || !strings.Contains(err.Error(), `policy "p", line 1: strategy "own" is not there: add WithStrategy("own", …)`) {
		t.Errorf("got %v: want the strategy that is missing, and who names it", err)
	}
	called := false
	in, err := set.With(Environment{Strategies: map[string]breaker.Strategy{"own": func(breaker.Window) (bool, string) { called = true; return false, "" }}})
	if err != nil {
		t.Fatal(err)
	}
	s := in.Settings(webPay)
	s.Breaker.Strategy(breaker.Window{})
	if !called || s.Automatic() {
		t.Error("the strategy is not the circuit's")
	}
	if s := set.Settings(webPay); s.Automatic() || s.Breaker.Strategy != nil || s.Strategy != "own" {
		t.Error("who can't run a strategy must know that there is one")
	}
	code := Settings{Breaker: breaker.Settings{Strategy: func(breaker.Window) (bool, string) { return false, "" }}}.WithDefaults()
	if code.Automatic() || code.Strategy == "" {
		t.Error("a strategy in code has no name to travel by")
	}
}

func TestADecodedPolicyIsNeverDroppedInTheMerge(t *testing.T) {
	s := decode(t, one("slow", "", `"failureRateThreshold": 60, "waitDurationInOpenState": "30s"`)).Settings(webPay)
	if b := &s.Breaker; b.FailureRateThreshold != 60 || b.Wait.Base != 30*time.Second || b.Wait.Max != 30*time.Second {
		t.Errorf("threshold %v, %+v: the policy was dropped without a word", b.FailureRateThreshold, b.Wait)
	}
}
