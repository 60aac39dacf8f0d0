package policy

import (
	"strings"
	"testing"
	"time"
)

func TestCircuitTextForm(t *testing.T) {
	for _, c := range []struct {
		circuit Circuit
		text    string
	}{
		{Circuit{Service{"shop", "web"}, Service{"shop", "cart"}, ""}, "shop/web..shop/cart"},
		{Circuit{Service{"shop", "web"}, Service{"bank", "pay.v2"}, "/pay/{id}"}, "shop/web..bank/pay.v2#%2Fpay%2F%7Bid%7D"},
		{Circuit{Service{"a", "b"}, Service{"c", "10.0.0.7:8080"}, ""}, "a/b..c/10.0.0.7:8080"},
		{Circuit{Service{"a", "x..y"}, Service{"c", ".d."}, "#"}, "a/x.%2Ey..c/%2Ed%2E#%23"},
		{Circuit{Service{"a", "ü b$"}, Service{"c", "d"}, ""}, "a/%C3%BC%20b%24..c/d"},
	} {
		if got := c.circuit.String(); got != c.text {
			t.Errorf("%+v is %q: want %q", c.circuit, got, c.text)
		}
		if got, err := ParseCircuit(c.text); err != nil || got != c.circuit {
			t.Errorf("ParseCircuit(%q) = %+v, %v", c.text, got, err)
		}
	}
	if got, err := ParseCircuit("web..cart"); err != nil || got.Caller.Namespace != DefaultNamespace {
		t.Errorf("without namespaces: %+v, %v: want the default's", got, err)
	}
	for _, bad := range []string{"", "web", "a/b", "a/..b", "/a..b", "a..b#", "a..%", "a..%zz", "a..%0A", "a..b#%00", "a..b/c/d%2"} {
		if got, err := ParseCircuit(bad); err == nil {
			t.Errorf("ParseCircuit(%q) = %+v: want an error", bad, got)
		}
	}
}

func FuzzCircuit(f *testing.F) {
	f.Add("shop", "web", "shop", "cart..x", "/a b")
	f.Fuzz(func(t *testing.T, a, b, c, d, e string) {
		want := Circuit{Service{a, b}, Service{c, d}, e}
		if want.Validate() != nil {
			return
		}
		text := want.String()
		if strings.ContainsAny(text, " '\"$`\\|&;<>()*?[]{}~!\n\t") {
			t.Errorf("%q is not safe in a shell", text)
		}
		if got, err := ParseCircuit(text); err != nil || got != want {
			t.Errorf("ParseCircuit(%q) = %+v, %v: want %+v", text, got, err, want)
		}
	})
}

var webPay = Circuit{Service{"a", "web"}, Service{"a", "pay"}, ""}

func document(spec string) string {
	return `{"apiVersion": "switchgear/v1", "kind": "CircuitPolicy", "metadata": {"name": "p"}, "spec": ` + spec + `}`
}

func TestDecodeNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "line 1: the document ends too early"},
		{"not an object", "3", "want an object"},
		{"two documents", document("{}") + "{}", "more follows"},
		{"no version", `{"kind": "CircuitPolicy", "metadata": {"name": "p"}, "spec": {}}`, `apiVersion: missing: want "switchgear/v1"`},
		{"no name", `{"apiVersion": "switchgear/v1", "kind": "CircuitPolicy", "spec": {}}`, "metadata.name: missing"},
		{"unknown field", document(`{"minimumnumberofcalls": 3}`), "spec.minimumnumberofcalls: unknown field: did you mean minimumNumberOfCalls?"},
		{"not a number", document(`{"failureRateThreshold": "50"}`), `spec.failureRateThreshold: "50": want a number, 0 (off) to 100`},
		{"not whole", document(`{"minimumNumberOfCalls": 1.5}`), "1.5: want a whole number"},
		{"not a duration", document(`{"windowDuration": 10}`), `10: want a duration like "1.5s"`},
		{"out of range", document(`{"failureRateThreshold": 101}`), "spec.failureRateThreshold: 101: want 0 (off) to 100"},
		{"contradiction", document(`{"windowSize": 10, "minimumNumberOfCalls": 20}`), "minimumNumberOfCalls: 20: more than windowSize 10: no rate is ever judged"},
		{"bad mode", document(`{"mode": "bypass"}`), `spec.mode: "bypass": want enforce, metrics_only, off or forced_open`},
		{"bad selector", document(`{"selector": {"callee": "a\u0000"}}`), "control characters"},
		{"twice", document(`{"quorum": 1, "quorum": 2}`), `field "quorum" stands twice`},
		{"same name", "[" + document("{}") + "," + document("{}") + "]", `"p" is the name of the policy on line 1 too`},
		{"null", document("null"), "spec: null: want an object"},
		{"deep", document(strings.Repeat("[", 100)), "nested deeper than 32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Decode([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v: want %q", err, c.want)
			}
		})
	}
}

func TestDecodeReportsAllAtOnceWithLines(t *testing.T) {
	_, err := Decode([]byte("{\n\"apiVersion\": \"v0\",\n\"kind\": \"CircuitPolicy\",\n\"metadata\": {\"name\": \"p\"},\n\"spec\": {\n\"quorum\": \"x\",\n\"nothing\": 1}}"))
	for _, want := range []string{"line 6: spec.quorum", "line 7: spec.nothing", "apiVersion"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v: want %q too", err, want)
		}
	}
}

func TestMergeGoesFromGeneralToSpecific(t *testing.T) {
	set, err := Decode([]byte(`[
	 {"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":"exact"},"spec":{"selector":{"callee":"pay"},"quorum":4}},
	 {"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":"all"},"spec":{"quorum":2,"callTimeout":"3s","failureRateThreshold":40}},
	 {"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":"glob"},"spec":{"selector":{"callee":"p*"},"quorum":3,"callTimeout":"2s"}},
	 {"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":"other"},"spec":{"selector":{"callee":"users"},"quorum":9}}]`))
	if err != nil {
		t.Fatal(err)
	}
	s := set.Settings(webPay)
	if s.Quorum != 4 || s.CallTimeout != 2*time.Second || s.Breaker.FailureRateThreshold != 40 || s.Breaker.MinimumNumberOfCalls != 20 {
		t.Errorf("merged %+v: want quorum of exact, time-out of glob, threshold of all, the rest by default", s)
	}
	if usual.Quorum != 2 {
		t.Error("merging changed what it was based on")
	}
}

func TestCoordinationIsSetAndBounded(t *testing.T) {
	set, err := Decode([]byte(document(`{"maxOpenPercent": 30, "whenAllBad": "panic", "gradingDelay": "3s", "activeCheckInterval": "5s", "activeCheckPort": 8080, "activeCheckPath": "/healthz"}`)))
	if err != nil {
		t.Fatal(err)
	}
	s := set.Settings(webPay)
	if s.MaxOpenPercent != 30 || s.WhenAllBad != Panic || s.GradingDelay != 3*time.Second || s.ActiveCheck != (ActiveCheck{5 * time.Second, 8080, "/healthz"}) {
		t.Errorf("%+v", s)
	}
	for spec, want := range map[string]string{
		`{"maxOpenPercent": 101}`:                 "maxOpenPercent: 101: want 1 to 100",
		`{"maxOpenPercent": -1}`:                  "maxOpenPercent: -1",
		`{"whenAllBad": "hope"}`:                  "want fail_fast or panic",
		`{"gradingDelay": "2m"}`:                  `gradingDelay: "2m": want 0 (2s) to 1m`,
		`{"activeCheckInterval": "10ms"}`:         `activeCheckInterval: "10ms": want 0 (off), or 1s to 1h`,
		`{"activeCheckPort": 70000}`:              "activeCheckPort: 70000",
		`{"activeCheckPath": "healthz"}`:          "activeCheckPath",
		`{"activeCheckPath": "/a b"}`:             "without spaces",
		`{"activeCheckPath": "//x\\r\\nHost: y"}`: "activeCheckPath",
		`{"activeCheckPath": 7}`:                  "want a text",
	} {
		if _, err := Decode([]byte(document(spec))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v: want %q", spec, err, want)
		}
	}
}
