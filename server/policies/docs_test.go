package policies

import (
	"os"
	"regexp"
	"testing"

	"github.com/datapunk/switchgear/policy"
)

func TestTheManualsYAMLIsDecoded(t *testing.T) {
	text, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Fatal("no example")
	}
	for _, b := range blocks {
		nodes, err := Parse("x.yaml", []byte(b[1]))
		if err != nil {
			t.Fatal(err)
		}
		set, err := policy.DecodeNode(nodes[0])
		if err != nil {
			t.Fatalf("%s: %v", b[1], err)
		}
		c := policy.Circuit{Caller: policy.Service{Namespace: "shop", Name: "checkout"}, Callee: policy.Service{Namespace: "bank", Name: "payments"}}
		if got := set.Settings(c).OpenAbove; got != 20 {
			t.Errorf("openAbove %v: the manual says 20", got)
		}
		if got := set.Callee("checkout", "eu.pay.bank.example:8443"); got != c.Callee {
			t.Errorf("the host leads to %v", got)
		}
	}
}
