package scenario

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/policy"
)

func metricsOnly(t *testing.T) *policy.Set {
	t.Helper()
	set, err := policy.Decode([]byte(`{"apiVersion": "switchgear/v1", "kind": "CircuitPolicy", "metadata": {"name": "watch"}, "spec": {"mode": "metrics_only"}}`))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

const small = `{
"duration": "10s",
"services": [
{"name": "web", "load": {"perSecond": 1}, "calls": [{"to": "db"}]},
{"name": "db"}
],
"faults": [
{"kind": "outage", "service": "db", "at": "1s"}
]}`

func TestDecodeFillsDefaults(t *testing.T) {
	s, err := Decode([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	web, db := s.Services[0], s.Services[1]
	if s.Seed != 1 || s.Daemons != 1 || s.Link.Delay != 5*time.Millisecond || web.Replicas != 1 || db.Latency != 5*time.Millisecond ||
		db.Queue != 500*time.Millisecond || web.Namespace != "default" || web.Load.Even || web.Calls[0].Timeout != time.Second || web.Calls[0].Percent != 100 {
		t.Errorf("defaults: %+v", s)
	}
}

// Each change to the small scenario is refused, with its line, path, value and
// what was wanted.
func TestDecodeRefuses(t *testing.T) {
	for _, test := range []struct{ old, new, want string }{
		{`"duration": "10s",`, `"duration": "10s"`, "line 3: "},
		{`]}`, ``, "line 9: the document ends too early"},
		{`"duration": "10s"`, `"duration": 10`, `line 2: duration: 10: want a duration like "1.5s"`},
		{`"duration": "10s"`, `"duration": "10ms"`, "line 2: duration: 10ms: want 1s to 48h0m0s"},
		{`"duration": "10s",`, ``, "line 1: duration: 0s: want 1s"},
		{`"duration": "10s"`, `"duration": "10s", "duratoin": 1`, "line 2: duratoin: unknown field: want name, about, seed, duration"},
		{`"duration": "10s"`, `"duration": "10s", "seed": -1`, "line 2: seed: -1: want a whole number from 0 on"},
		{`"duration": "10s"`, `"duration": "10s", "daemons": 2`, "line 2: daemons: 2: want 0 to 1"},
		{`"duration": "10s"`, `"duration": "10s", "link": {"lossPercent": 101}`, "line 2: link.lossPercent: 101: want 0 to 100"},
		{`{"name": "db"}`, `{"name": "db"}, {"name": "db"}`, `line 5: services[2].name: "db" is the name of services[1] too`},
		{`{"name": "db"}`, `{"name": ""}`, "line 5: services[1].name: empty name"},
		{`{"name": "db"}`, `7`, "line 5: services[1]: 7: want an object"},
		{`{"name": "db"}`, `{"name": "db", "replicas": 0}`, "line 5: services[1].replicas: 0: want 1 to 100000"},
		{`{"name": "db"}`, `{"name": "db", "replicas": 1.5}`, "line 5: services[1].replicas: 1.5: want a whole number"},
		{`{"name": "db"}`, `{"name": "db", "latency": "0s"}`, "line 5: services[1].latency: 0s: want 1µs to 1h0m0s"},
		{`{"name": "db"}`, `{"name": "db", "load": {"perSecond": 1}}`, "line 5: services[1].load: without calls nothing comes of it"},
		{`{"name": "db"}`, `{"name": "db", "calls": [{"to": "web"}]}`, "a circle: web → db → web"},
		{`{"name": "db"}`, `{"name": "db", "routes": [{"name": "/a"}, {"name": "/a"}]}`, `line 5: services[1].routes[1].name: "/a" stands twice`},
		{`{"to": "db"}`, `{"to": "bd"}`, `line 4: services[0].calls[0].to: "bd": want the name of one of the services`},
		{`{"to": "db"}`, `{"to": "db"}, {"to": "db"}`, `line 4: services[0].calls[1].to: "db" is called by calls[0] too`},
		{`{"to": "db"}`, `{"to": "db", "optional": 1}`, "line 4: services[0].calls[0].optional: 1: want true or false"},
		{`"perSecond": 1`, `"perSecond": "1"`, `line 4: services[0].load.perSecond: "1": want a number`},
		{`"perSecond": 1`, `"perSecond": 1, "arrivals": "odd"`, `line 4: services[0].load.arrivals: "odd": want even or poisson`},
		{`"outage"`, `"outrage"`, `line 8: faults[0].kind: "outrage": want outage, brownout`},
		{`"outage"`, `"brownout"`, "line 8: faults[0].percent: missing: brownout needs it"},
		{`"outage"`, `"outage", "factor": 2`, "line 8: faults[0].factor: outage has none: it takes percent, as"},
		{`"outage"`, `"outage", "as": "canceled"`, `line 8: faults[0].as: "canceled": want timeout`},
		{`"outage"`, `"outage", "instances": ["db-2"]`, `line 8: faults[0].instances[0]: "db-2" names nothing that is there: want names such as db-1`},
		{`"outage"`, `"outage", "instances": ["db-["]`, `line 8: faults[0].instances[0]: "db-[" is not a pattern`},
		{`"outage"`, `"outage", "replicas": "web-1"`, `line 8: faults[0].replicas: "web-1": want a list`},
		{`"outage"`, `"capacity", "percent": 10`, "line 8: faults[0].service: db has no capacity to lose"},
		{`"outage"`, `"surge", "factor": 2`, "line 8: faults[0].service: db has no load of its own"},
		{`"outage"`, `"daemon_kill"`, "line 8: faults[0].service: daemon_kill has none"},
		{`"outage"`, `"family", "family": "nobody"`, `line 8: faults[0].family: "nobody": want one of lab evaluate's families`},
		{`"service": "db"`, `"service": "dc"`, `line 8: faults[0].service: "dc": want the name of one of the services`},
		{`"at": "1s"`, `"at": "10s"`, "line 8: faults[0].at: 10s: want 0 to less than the duration, 10s"},
		{`"duration": "10s"`, `"duration": "10s", "policies": {"kind": "X"}`, "line 2: policies.apiVersion: "},
		{`"duration": "10s"`, "\"duration\": \"10s\", \"policies\": [\n{\"apiVersion\": \"switchgear/v1\", \"kind\": \"CircuitPolicy\", \"metadata\": {\"name\": \"a\"},\n\"spec\": {\"quorun\": 1}}]", "line 4: policies[0].spec.quorun: unknown field"},
	} {
		text := strings.Replace(small, test.old, test.new, 1)
		if text == small {
			t.Fatalf("%q is not in the small scenario", test.old)
		}
		_, err := Decode([]byte(text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("with %s: %v\nwant %s", test.new, err, test.want)
		}
	}
}

func TestDecodeSaysAllThatIsWrongAtOnce(t *testing.T) {
	text := strings.NewReplacer(`"to": "db"`, `"to": "nobody"`, `"outage"`, `"outrage"`, `"10s"`, `"0s"`).Replace(small)
	_, err := Decode([]byte(text))
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%v: want three lines", err)
	}
	many := strings.Replace(small, `{"name": "db"}`, `{"name": "db", "routes": [`+strings.Repeat("7,", 99)+"7]}", 1)
	_, err = Decode([]byte(many))
	if err == nil || strings.Count(err.Error(), "\n") != 50 || !strings.HasSuffix(err.Error(), "and 50 more") {
		t.Errorf("%v: want fifty lines and how many more", err)
	}
}

func TestScenariosAreBounded(t *testing.T) {
	many := func(n int) []Call { return make([]Call, n) }
	for _, test := range []struct {
		change func(*Scenario)
		want   string
	}{
		{func(s *Scenario) { s.Services[0].Replicas, s.Services[1].Replicas = 60_000, 60_000 }, "120000 replicas in all: at most 100000"},
		{func(s *Scenario) { s.Services[0].Calls = many(2000) }, "2000 of them: want at most 1000"},
		{func(s *Scenario) { s.Services[0].Load.PerSecond = 1e5; s.Services[0].Replicas = 100 }, "own requests a second in all: at most 1000000"},
		{func(s *Scenario) { s.Services = make([]Service, 3000) }, "3000 of them: want 1 to 2000"},
		{func(s *Scenario) { s.Faults = make([]Fault, 1001) }, "1001 of them: want at most 1000"},
		{func(s *Scenario) {
			s.Faults = []Fault{{Kind: "outage", Service: "db", Instances: make([]string, 501)}}
		}, "501 names and patterns in all: at most 500"},
		{func(s *Scenario) {
			for i := range 30 {
				s.Add(Service{Name: "x" + strings.Repeat("y", i)})
				s.Services[0].Calls = append(s.Services[0].Calls, Call{To: s.Services[i+2].Name, Timeout: time.Second, Backoff: time.Second, Percent: 100})
			}
			s.Duration = maxDuration
		}, "48h0m0s of 31 circuits: at most 3h35m"},
		{func(s *Scenario) {
			for i := range 40 {
				s.Add(Service{Name: "x" + strings.Repeat("y", i)})
				last := len(s.Services) - 2
				s.Services[last].Calls = append(s.Services[last].Calls, Call{To: s.Services[last+1].Name, Timeout: time.Second, Backoff: time.Second, Percent: 100})
			}
		}, "deep"},
	} {
		s := pair(1, 10*time.Second)
		test.change(s)
		_, err := Run(s, Options{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: want %s", err, test.want)
		}
	}
}

// The document lists every kind, what it takes and what it does.
func TestTheDocumentKnowsEveryFault(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/simulate.md")
	if err != nil {
		t.Fatal(err)
	}
	for i := range kinds {
		k := &kinds[i]
		want := "| `" + k.name + "` | " + k.about + " |"
		if !strings.Contains(string(doc), want) {
			t.Errorf("docs/simulate.md has no row %s", want)
		}
	}
}

func TestTheDocumentsSnippetIsAScenario(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/simulate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```json\n")
	snippet, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("no JSON in docs/simulate.md")
	}
	s, err := Decode([]byte(snippet))
	if err != nil {
		t.Fatal(err)
	}
	if r := play(t, s, Options{}); r.Circuits[0].Openings < 20 {
		t.Errorf("%d openings: want all 20 replicas'", r.Circuits[0].Openings)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(small))
	for _, name := range []string{"chain.json", "sick-caller.json", "retry-storm.json"} {
		data, err := os.ReadFile("../../../docs/scenarios/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Decode(data)
		if err != nil {
			if s != nil || err.Error() == "" {
				t.Fatalf("%v and a scenario", err)
			}
			return
		}
		if err := s.Validate(); err != nil {
			t.Fatalf("decoded, and not valid: %v", err)
		}
		if size(s) > 50 {
			return // right, and too long for a test
		}
		s.Duration = min(s.Duration, 2*time.Second)
		for i := range s.Faults {
			s.Faults[i].At = min(s.Faults[i].At, time.Second)
		}
		if _, err := Run(s, Options{}); err != nil {
			t.Fatal(err)
		}
	})
}

// size is about how many calls a second there are, in thousands.
func size(s *Scenario) (n float64) {
	for i := range s.Services {
		x := &s.Services[i]
		n += float64(x.Replicas*(1+len(x.Calls))) / 100
		if x.Load != nil {
			n += x.Load.PerSecond * float64(x.Replicas*len(s.Services)) / 1000
		}
	}
	for i := range s.Faults {
		n += s.Faults[i].Factor
	}
	return n
}
