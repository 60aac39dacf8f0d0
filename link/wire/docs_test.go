package wire

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
)

func manual(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Strictly: an example with a field that is not there is none.
func TestTheExamplesOfTheManualAreValid(t *testing.T) {
	kinds := make(map[string]int)
	for i, block := range strings.Split(manual(t), "\n```json ")[1:] {
		kind, body, _ := strings.Cut(block, "\n")
		body, _, _ = strings.Cut(body, "\n```")
		m, err := blank(kind)
		if err != nil {
			t.Errorf("example %d: %v", i+1, err)
			continue
		}
		kinds[kind]++
		if err := protojson.Unmarshal([]byte(body), m); err != nil {
			t.Errorf("example %d, %s: %v", i+1, kind, err)
		}
		r := read(m)
		if r == nil {
			t.Errorf("example %d, %s: it is refused", i+1, kind)
		}
		if p, ok := m.(*linkv1.PollResponse); ok {
			if got, ok := r.(*linkv1.PollResponse); !ok || len(got.GetDirectives()) != len(p.GetDirectives()) {
				t.Errorf("example %d: a directive is left out", i+1)
			}
		}
	}
	if kinds["PollRequest"] != 1 || kinds["PollResponse"] != 1 || kinds["AttachRequest"] != 2 || kinds["AttachResponse"] != 2 {
		t.Errorf("examples %v: want hello, report and directives by poll and by stream", kinds)
	}
}

func TestTheManualHasEveryFieldAndValue(t *testing.T) {
	text := manual(t)
	file := linkv1.File_switchgear_link_v1_link_proto
	for i := range file.Messages().Len() {
		m := file.Messages().Get(i)
		_, section, found := strings.Cut(text, "\n### "+string(m.Name())+"\n")
		if !found {
			t.Errorf("no section %q", "### "+m.Name())
			continue
		}
		section, _, _ = strings.Cut(section, "\n### ")
		for j := range m.Fields().Len() {
			if f := m.Fields().Get(j); !strings.Contains(section, "\n| `"+f.JSONName()+"` |") {
				t.Errorf("%s has no line for `%s`", m.Name(), f.JSONName())
			}
		}
		if rows := strings.Count(section, "\n| `"); rows != m.Fields().Len() {
			t.Errorf("%s has %d lines for %d fields", m.Name(), rows, m.Fields().Len())
		}
	}
	for i := range file.Enums().Len() {
		values := file.Enums().Get(i).Values()
		for j := range values.Len() {
			v := values.Get(j)
			if v.Number() == 0 {
				continue // not set
			}
			if want := "`" + string(v.Name()) + "` " + strconv.Itoa(int(v.Number())); !strings.Contains(text, want) {
				t.Errorf("no %s", want)
			}
		}
	}
}
