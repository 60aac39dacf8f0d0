package policy

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables in docs/policies.md anew")

const manual = "../docs/policies.md"

func readManual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheManualListsFieldsAndPresets(t *testing.T) {
	text := readManual(t)
	var f, p strings.Builder
	f.WriteString("| field | unit | range | default | what it is | raising or changing it costs |\n| --- | --- | --- | --- | --- | --- |\n")
	for i := range fields {
		x := &fields[i]
		fmt.Fprintf(&f, "| `%s` | %s | %s | %s | %s | %s |\n", x.name, x.unit, x.span(), x.usual(), x.about, x.costs)
	}
	p.WriteString("| preset | for whom, and what | sets, where it is not the default |\n| --- | --- | --- |\n")
	for i := range presets {
		var sets []string
		for _, v := range presets[i].values {
			usually := words(fields[v.field].get(&usual))
			if v.field == atFailureRate {
				usually = "0"
			}
			if words(v.value) != usually {
				sets = append(sets, fmt.Sprintf("`%s` %s", fields[v.field].name, words(v.value)))
			}
		}
		fmt.Fprintf(&p, "| `%s` | %s | %s |\n", presets[i].name, presets[i].about, strings.Join(sets, ", "))
	}
	want := text
	for name, table := range map[string]string{"fields": f.String(), "presets": p.String()} {
		between := regexp.MustCompile("(?s)<!-- " + name + " -->\n.*?<!-- end -->")
		want = between.ReplaceAllLiteralString(want, "<!-- "+name+" -->\n"+table+"<!-- end -->")
	}
	if *update {
		if err := os.WriteFile(manual, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if text != want {
		t.Error("docs/policies.md does not list the fields as they are: go test ./policy -run Manual -update")
	}
}

func TestTheManualsJSONIsDecoded(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(readManual(t), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d examples: want 2", len(blocks))
	}
	for _, b := range blocks {
		if _, err := Decode([]byte(b[1])); err != nil {
			t.Errorf("%s: %v", b[1], err)
		}
	}
	set, err := Decode([]byte(blocks[0][1]))
	if err != nil {
		t.Fatal(err)
	}
	s := set.Settings(Circuit{Service{"default", "batch-7"}, Service{"default", "payments"}, ""})
	if s.OpenAbove != 30 || s.Quorum != 2 || s.Breaker.MaxConcurrentCalls != 10 {
		t.Errorf("openAbove %v, quorum %d, maxConcurrentCalls %d: the manual says 30, 2 and 10", s.OpenAbove, s.Quorum, s.Breaker.MaxConcurrentCalls)
	}
	for _, f := range set.Explain(Circuit{Service{"default", "batch-7"}, Service{"default", "payments"}, ""}).Fields {
		if f.Field == "openAbove" && (f.Origin.Policy != "payments" || f.Losers[0].Value != "80" || f.Losers[1].Value != "60") {
			t.Errorf("openAbove from %v, overruled %v: the manual says otherwise", f.Origin, f.Losers)
		}
	}
}

func TestEveryCodeOfAFindingIsExplained(t *testing.T) {
	text, err := os.ReadFile("../docs/lint.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{LintTie, LintNothing, LintUnused, LintForcedOpen, LintHosts, LintStoredHosts} {
		if !strings.Contains(string(text), "\n## "+code+"\n") {
			t.Errorf("docs/lint.md does not explain %s", code)
		}
	}
	for i, c := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(string(text), -1) {
		if want := fmt.Sprintf("SG%03d", i+1); c[1] != want {
			t.Errorf("docs/lint.md explains %s: want %s", c[1], want)
		}
	}
}
