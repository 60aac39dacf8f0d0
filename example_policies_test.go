package switchgear_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/policy"
)

// What docs/policies.md shows of Go stands here, and so compiles.

func manualStrategy() (*switchgear.Manager, error) {
	m, err := switchgear.New(switchgear.Config{Service: "checkout"},
		switchgear.WithStrategy("error-budget", func(w switchgear.Window) (open bool, why string) {
			return w.Failed > 50, fmt.Sprintf("%d of 50 allowed failures spent", w.Failed)
		}),
		switchgear.WithPolicyFile("policy.json"))
	return m, err
}

func manualSet(m *switchgear.Manager, document []byte) error {
	set, err := policy.Decode(document)
	if err != nil {
		return err
	}
	return m.SetPolicies(set)
}

func manualExplain(b *switchgear.Breaker) {
	for _, f := range b.Explain().Fields {
		fmt.Println(f.Field, f.Value, f.Origin, f.Losers, f.Note)
	}
}

func TestTheManualsGoStandsInTheTests(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join("docs", "policies.md"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_policies_test.go")
	if err != nil {
		t.Fatal(err)
	}
	plain := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(manual), -1)
	if len(blocks) != 3 {
		t.Fatalf("%d examples: want 3", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(plain(string(source)), plain(b[1])) {
			t.Errorf("this does not stand in a test:\n%s", b[1])
		}
	}
	document := regexp.MustCompile("(?s)```json\n(\\{.*?)```").FindStringSubmatch(string(manual))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "policy.json"), []byte(document[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	m, err := manualStrategy()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if s := m.Breaker(switchgear.Key{Callee: "ledger"}).Circuit().Settings(); s.Strategy != "error-budget" || s.Breaker.Strategy == nil {
		t.Errorf("settings %+v: want the strategy", s)
	}
	manualExplain(m.Breaker(switchgear.Key{Callee: "ledger"}))
	if err := manualSet(m, []byte("[]")); err != nil {
		t.Error(err)
	}
}

func ExampleBreaker_Explain() {
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		panic(err)
	}
	defer m.Close()
	if err := manualSet(m, []byte(`{"apiVersion": "switchgear/v1", "kind": "CircuitPolicy", "metadata": {"name": "ledger"},
	"spec": {"selector": {"callee": "ledger"}, "preset": "batch", "openAbove": 70}}`)); err != nil {
		panic(err)
	}
	for _, f := range m.Breaker(switchgear.Key{Callee: "ledger"}).Explain().Fields {
		if f.Field == "openAbove" {
			fmt.Println(f.Value, f.Origin)
			fmt.Println(f.Losers[0].Value, f.Losers[0].Origin)
		}
	}
	// Output:
	// 70 policy ledger (line 2)
	// 80 preset batch of policy ledger (line 2)
}
