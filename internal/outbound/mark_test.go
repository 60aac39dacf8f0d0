package outbound

import (
	"strings"
	"testing"
)

func TestAMarkThatIsNotOneIsIgnored(t *testing.T) {
	for name, c := range map[string]struct {
		circuit, hops string
		ok            bool
	}{
		"as it is written":    {"default/checkout..default/payments", "1", true},
		"from as far as may":  {"a..b", "16", true},
		"from too far":        {"a..b", "17", false},
		"no hop at all":       {"a..b", "0", false},
		"negative hops":       {"a..b", "-1", false},
		"hops past an int":    {"a..b", "99999999999999999999", false},
		"hops of words":       {"a..b", "one", false},
		"no hops":             {"a..b", "", false},
		"no circuit":          {"", "1", false},
		"not a circuit":       {"payments", "1", false},
		"half a circuit":      {"..b", "1", false},
		"control characters":  {"a%0d%0a..b", "1", false},
		"a name without end":  {"a.." + strings.Repeat("b", 254), "1", false},
		"a huge mark":         {"a.." + strings.Repeat("b", 1<<20), "1", false},
		"a route beyond form": {"a..b#" + strings.Repeat("/x", 600), "1", false},
	} {
		t.Run(name, func(t *testing.T) {
			o, ok := Mark(c.circuit, c.hops)
			if ok != c.ok {
				t.Fatalf("%+v, %v: want %v", o, ok, c.ok)
			}
			if ok && o.Circuit != c.circuit {
				t.Errorf("origin %q: want %q", o.Circuit, c.circuit)
			}
		})
	}
}

func FuzzMark(f *testing.F) {
	f.Add("default/checkout..default/payments#/pay", "3")
	f.Add("..", "-0")
	f.Fuzz(func(t *testing.T, circuit, hops string) {
		if o, ok := Mark(circuit, hops); ok && (o.Hops < 1 || o.Hops > 16 || len(o.Circuit) > maxOrigin) {
			t.Errorf("believed %+v", o)
		}
	})
}
