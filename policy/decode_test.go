package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestUnknownFieldsAreToldTheNearest(t *testing.T) {
	for name, want := range map[string]string{
		"failureRateTreshold": "did you mean failureRateThreshold?",
		"openabove":           "did you mean openAbove?",
		"slidingWindowSize":   "did you mean windowSize?",
		"consecutive_5xx":     "did you mean consecutiveFailures?",
		"quorom":              "did you mean quorum?",
		"selectors":           "did you mean selector?",
		"zzzzzzzzzz":          "none of the",
		"":                    "none of the",
	} {
		if _, err := Decode([]byte(document(fmt.Sprintf("{%q: 1}", name)))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v: want %q", name, err, want)
		}
	}
	if _, err := Decode([]byte(document(`{"selector": {"call": "x"}}`))); err == nil || !strings.Contains(err.Error(), "want namespace, caller, callee, route or labels") {
		t.Errorf("%v: want what a selector has", err)
	}
}

func TestContradictionsInOnePolicyAreProblems(t *testing.T) {
	for spec, want := range map[string]string{
		"{\n\"windowSize\": 10,\n\"minimumNumberOfCalls\": 20}":                                          "line 3: spec.minimumNumberOfCalls: 20: more than windowSize 10",
		"{\"waitDurationInOpenState\": \"1m\",\n\"maxWaitDurationInOpenState\": \"30s\"}":                "line 2: spec.maxWaitDurationInOpenState: 30s: less than waitDurationInOpenState 1m",
		`{"slowCallRateThreshold": 50}`:                                                                  "no slowCallDurationThreshold says what is slow",
		`{"slowCallRateThreshold": 50, "slowCallDurationThreshold": "0s"}`:                               "no slowCallDurationThreshold says what is slow",
		`{"preset": "like-resilience4j", "slowCallDurationThreshold": "0s", "slowCallRateThreshold": 1}`: "says what is slow",
		`{"rampStepPercents": [1, 2], "slowStartWindow": "1s"}`:                                          "together with slowStartWindow",
	} {
		if _, err := Decode([]byte(document(spec))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v: want %q", spec, err, want)
		}
	}
	for _, fine := range []string{
		`{"windowSize": 10}`, `{"preset": "like-resilience4j", "windowSize": 50}`, `{"preset": "like-resilience4j", "slowCallRateThreshold": 10}`,
		`{"failureRateThreshold": 30, "openAbove": 20}`, `{"waitDurationInOpenState": "1m"}`, `{"rampStepPercents": [], "slowStartWindow": "1s"}`, `{"quorum": 3.0, "openAbove": 5e1}`,
	} {
		if _, err := Decode([]byte(document(fine))); err != nil {
			t.Errorf("%s: %v", fine, err)
		}
	}
}

func TestProblemsHavePathValueReasonAndLineAndAreBounded(t *testing.T) {
	_, err := Decode([]byte("[" + strings.Repeat(document("{\n\"quorum\": \"x\"}")+",", 300) + "{}]"))
	var p *Problems
	if !errors.As(err, &p) || len(p.List) != 100 || p.More == 0 || !strings.HasSuffix(err.Error(), fmt.Sprintf("… and %d more", p.More)) {
		t.Fatalf("got %.200v: want a hundred problems and how many more", err)
	}
	if got, want := p.List[0], (Problem{"", 2, "[0].spec.quorum", `"x"`, "want a whole number, 1 to 1000", false}); got != want {
		t.Errorf("%+v: want %+v", got, want)
	}
	if _, err := Decode([]byte(document(`{"quorum": "` + strings.Repeat("x", 10_000) + `"}`))); len(err.Error()) > 300 {
		t.Errorf("a long value makes a message of %d bytes", len(err.Error()))
	}
	if _, err := Decode([]byte(strings.Repeat(" ", MaxDocument+1))); err == nil || !strings.Contains(err.Error(), "at most 1048576") {
		t.Errorf("a document that is too long: %v", err)
	}
	if _, err := Decode([]byte("[" + strings.Repeat("0,", MaxPolicies) + "0]")); err == nil || !strings.Contains(err.Error(), "10001 policies: at most 10000") {
		t.Errorf("too many policies: %v", err)
	}
}

func TestNamesAreUniqueAmongAllSources(t *testing.T) {
	parse := func(text string) *Node {
		n, err := ParseJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	_, err := DecodeSources(Source{"a.json", parse(one("p", "", ""))}, Source{"b.json", parse("\n" + one("p", "", ""))})
	if err == nil || err.Error() != `b.json: line 2: metadata.name: "p" is the name of the policy on a.json, line 1 too` {
		t.Errorf("got %v", err)
	}
	if _, err = DecodeSources(Source{"a.json", parse(one("p", "", ""))}, Source{"b.json", parse(one("p", `,"namespace":"n"`, ""))}); err != nil {
		t.Errorf("the same name in another namespace: %v", err)
	}
	if _, err = Decode([]byte(one("p", `,"namespace":"n"`, `"selector":{"namespace":"m"}`))); err == nil || !strings.Contains(err.Error(), "selects circuits of that one alone") {
		t.Errorf("a policy reaches out of its namespace: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(document(`{"selector":{"callee":"p*","labels":{"a":"b"}},"quorum":3,"windowDuration":"5s","mode":"off","wait":"fixed","preset":"batch"}`)))
	f.Add([]byte(document(`{"windowSize":5,"waitDurationInOpenState":"1h","rampStepPercents":[1,50.5],"slowCallRateThreshold":1,"slowCallDurationThreshold":"1s"}`)))
	f.Add([]byte(document(`{"selector":{"callee":"pay"},"hosts":["*.a.b:80","::1"],"strategy":"s","priority":-3}`)))
	f.Add([]byte("[" + document(`{"quorum":"x"}`) + "," + document(`{"slowStartWindow":"1s","slowStartAggression":0,"maxEjectionPercent":0}`) + "]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := Decode(data)
		if err != nil {
			if len(err.Error()) > 200_000 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
			return
		}
		s := set.Settings(webPay)
		if err := s.Validate(); err != nil {
			t.Errorf("a document that was accepted gives settings that are not valid: %v", err)
		}
		explained(t, set, webPay, s)
		set.Lint()
		set.Callee("web", string(data))
	})
}
