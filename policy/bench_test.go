package policy

import (
	"fmt"
	"testing"
)

// BenchmarkFirstCall is what the first call of a circuit pays for a thousand
// policies: to find those that select it, and to merge them.
func BenchmarkFirstCall(b *testing.B) {
	for _, c := range []struct {
		name     string
		selector func(i int) string
	}{
		{"exact", func(i int) string { return fmt.Sprintf(`"callee":"callee-%d"`, i) }},
		{"prefix", func(i int) string { return fmt.Sprintf(`"callee":"callee-%d*"`, i) }},
		{"suffix", func(i int) string { return fmt.Sprintf(`"callee":"*-%d"`, i) }},
		{"inner", func(i int) string { return fmt.Sprintf(`"callee":"*ee-%d*"`, i) }},
		{"all select", func(int) string { return `"namespace":"a"` }},
	} {
		b.Run(c.name, func(b *testing.B) {
			var all []string
			for i := range 1000 {
				all = append(all, one(fmt.Sprintf("p%d", i), "", fmt.Sprintf(`"selector":{%s},"priority":%d,"quorum":%d,"openAbove":%d`, c.selector(i), i%7, i%100+1, i%90+1)))
			}
			set := decode(b, all...)
			circuit := Circuit{Service{"a", "web"}, Service{"a", "callee-500"}, ""}
			if n := len(set.index.find(set.policies, &circuit, nil)); n == 0 {
				b.Fatal("nothing selects the circuit")
			}
			for b.Loop() {
				clear(set.byMatch) // so that each call is the first
				clear(set.byValue)
				set.Settings(circuit)
			}
		})
	}
}
