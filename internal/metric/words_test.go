package metric_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/datapunk/switchgear/internal/metric"
)

// wordsOf are the words that the document explains, in the first column of its
// table, and the plain ones below it.
func wordsOf(t *testing.T) map[string]bool {
	t.Helper()
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(doc), "\n## The words\n")
	if !ok {
		t.Fatal("docs/metrics.md explains no words")
	}
	words := make(map[string]bool)
	table, plain, _ := strings.Cut(text, "\nPlain words")
	for row := range strings.Lines(table) {
		if f := strings.Split(row, "|"); len(f) > 1 {
			plain += " " + f[1]
		}
	}
	for _, w := range regexp.MustCompile(`[a-z]+`).FindAllString(plain, -1) {
		words[w] = true
	}
	return words
}

// The library's and the daemon's names are made of the same words, and of no
// others.
func TestNamesAndLabelsAreMadeOfTheGlossarysWords(t *testing.T) {
	words := wordsOf(t)
	check := func(where, name string) {
		for _, w := range strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '.' }) {
			if w != "switchgear" && !words[w] && !words[strings.TrimSuffix(w, "s")] {
				t.Errorf("%s: %s has the word %q, which docs/metrics.md does not explain", where, name, w)
			}
		}
	}
	for _, file := range []string{"../../breakerprom/testdata/metrics.txt", "../../breakerotel/testdata/metrics.txt", "../../server/app/testdata/metrics.txt"} {
		names, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(names)) {
			name := strings.Fields(line)[0]
			if strings.HasPrefix(name, "switchgear") { // not resilience4j's
				check(file, name)
				n++
			}
		}
		if n == 0 {
			t.Errorf("%s holds no names", file)
		}
	}
	for _, m := range metric.List {
		for _, l := range m.Labels {
			check("label of "+m.Name, l)
		}
	}
	for _, l := range append([]string{"caller"}, metric.CircuitLabels...) {
		check("label of each circuit", l)
	}
}

// Each of the daemon's metrics has its row, with its type.
func TestTheDocumentListsTheDaemonsMetrics(t *testing.T) {
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadFile("../../server/app/testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, daemon, _ := strings.Cut(string(doc), "\n## The daemon\n")
	daemon, _, _ = strings.Cut(daemon, "\n## ")
	for line := range strings.Lines(string(names)) {
		f := strings.Fields(line)
		if row := "| `" + f[0] + "` | " + f[1] + " |"; !strings.Contains(daemon, row) {
			t.Errorf("docs/metrics.md has no row %q", row)
		}
	}
	if rows, want := strings.Count(daemon, "\n| `"), strings.Count(string(names), "\n"); rows != want {
		t.Errorf("%d rows for %d metrics of the daemon", rows, want)
	}
}
