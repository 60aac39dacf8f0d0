package policies

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/datapunk/switchgear/policy"
)

const pay = `apiVersion: switchgear/v1
kind: CircuitPolicy
metadata:
  name: pay
spec:
  selector: {callee: pay}
  quorum: 3
`

// stripped of lines, nodes of YAML and of JSON are the same.
func stripped(n *policy.Node) any {
	switch v := n.Value.(type) {
	case []*policy.Node:
		items := []any{}
		for _, x := range v {
			items = append(items, stripped(x))
		}
		return items
	case []policy.Member:
		members := []any{}
		for _, m := range v {
			members = append(members, m.Name, stripped(m.Node))
		}
		return members
	}
	return n.Value
}

func TestYAMLGivesTheNodesOfJSON(t *testing.T) {
	for yaml, json := range map[string]string{
		"a: 1\nb: [x, \"2\", 3.5, true, null, ~, '']": `{"a": 1, "b": ["x", "2", 3.5, true, null, null, ""]}`,
		"wait: 10s\nday: 2026-01-02\nno: no":          `{"wait": "10s", "day": "2026-01-02", "no": "no"}`,
		"a: 0x10\nb: 1_000\nc: 1e3\nd: -0.5":          `{"a": 16, "b": 1000, "c": 1000, "d": -0.5}`,
		"# only this\n---\n{a: {b: []}}":              `{"a": {"b": []}}`,
		"a: |\n  x\n  y\n":                            `{"a": "x\ny\n"}`,
	} {
		got, err := Parse("x.yaml", []byte(yaml))
		if err != nil || len(got) != 1 {
			t.Errorf("%q: %d documents, %v", yaml, len(got), err)
			continue
		}
		want, err := Parse("x.json", []byte(json))
		if err != nil {
			t.Fatal(err)
		}
		if a, b := stripped(got[0]), stripped(want[0]); !reflect.DeepEqual(a, b) {
			t.Errorf("%q is %v: want %v", yaml, a, b)
		}
	}
}

func TestWhatYAMLMayNotSay(t *testing.T) {
	for yaml, want := range map[string]string{
		"a: &x 1\nb: *x":                     "line 1: &x: anchors are refused",
		"b: *x":                              "unknown anchor",
		"x: 1\n<<: {a: 1}":                   "line 2: <<: merge keys are refused",
		"a: 1\nb: 2\na: 3":                   `line 3: field "a" stands twice, on line 1 too`,
		"a: !mine 1":                         "line 1: !mine: tags are refused",
		"a: !!binary aGk=":                   "tags are refused",
		"a: !mine {}":                        "tags are refused",
		"a: .inf":                            `".inf": want a number`,
		"[a]: 1":                             "a field's name is a plain text",
		"a: [":                               "line 1",
		"a: b: c":                            "line 1",
		strings.Repeat("[", 100):             "",
		strings.Repeat("- ", 40) + "a":       "nested deeper than 32",
		"a: \"\xff\"":                        "",
		strings.Repeat("{a: ", 20_000):       "",
		"---\na: 1\n---\nb: *a\n---\nc: 1\n": "unknown anchor",
	} {
		if _, err := Parse("x.yml", []byte(yaml)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v: want %q", yaml, err, want)
		}
	}
}

func TestReadTakesFilesAndDirectories(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("a.yaml", pay+"---\n"+strings.ReplaceAll(pay, "name: pay", "name: more")+"---\n")
	write("b.json", `[{"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":"j"},"spec":{"quorum":4}}]`)
	write("c.yml", "")
	write(".hidden.yaml", "broken: [")
	write("README.md", "not a policy")
	set, err := Read(dir)
	if err != nil || set.Len() != 3 {
		t.Fatalf("%v: want three policies", err)
	}
	e := set.Explain(policy.Circuit{Caller: policy.Service{Namespace: "a", Name: "web"}, Callee: policy.Service{Namespace: "a", Name: "pay"}})
	for _, f := range e.Fields {
		if f.Field == "quorum" && (f.Value != "3" || f.Origin.File != filepath.Join(dir, "a.yaml") || f.Origin.Line != 15) {
			t.Errorf("quorum %s from %s: want that of a.yaml", f.Value, f.Origin)
		}
	}

	write("d.yaml", "a: &x 1")
	write("e.yaml", strings.ReplaceAll(pay, "quorum: 3", "quorum: x\n  quorom: 3"))
	_, err = Read(dir)
	for _, want := range []string{
		"d.yaml: line 1: &x: anchors are refused", `e.yaml: line 7: spec.quorum: "x": want a whole number, 1 to 1000`, "e.yaml: line 8: spec.quorom: unknown field: did you mean quorum?",
		`e.yaml: line 1: metadata.name: "pay" is the name of the policy on ` + filepath.Join(dir, "a.yaml") + ", line 1 too",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v: want %q too", err, want)
		}
	}
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "none"), "no such file"},
		{write("long.yaml", strings.Repeat("#", policy.MaxDocument+1)), "more than 1048576 bytes"},
	} {
		if _, err := Read(c.path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v: want %q", c.path, err, c.want)
		}
	}
	many := t.TempDir()
	for i := range maxFiles + 1 {
		if err := os.WriteFile(filepath.Join(many, fmt.Sprintf("%d.yaml", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Read(many); err == nil || !strings.Contains(err.Error(), "1001 files: at most 1000") {
		t.Errorf("too many files: %v", err)
	}
}

// breaks of lines, as YAML 1.1 knows them.
var breaks = regexp.MustCompile("\r\n|[\r\n\u0085\u2028\u2029]")

func FuzzYAML(f *testing.F) {
	f.Add([]byte(pay))
	f.Add([]byte(pay + "---\n" + pay))
	f.Add([]byte("a: &x [*x]\n<<: 1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		nodes, err := Parse("x.yaml", data)
		if err != nil {
			return
		}
		for _, n := range nodes {
			if n.Line < 1 || n.Line > len(breaks.FindAllString(string(data), -1))+1 {
				t.Errorf("a node on line %d", n.Line)
			}
			_, _ = policy.DecodeNode(n)
		}
	})
}

// What is read, written as YAML and read again says the same, whatever it is; so
// does what is written once more.
func FuzzRender(f *testing.F) {
	for _, seed := range []string{pay, "a: [1, \"2\", 3.5, true, null, '', x: {y: no}]", "\"\\u0085\": \"#: - ? |\"\n'0x1': '1e3'\n? b\n: ' '", "a: |\n  x\n   y\n\n", "- 1.0\n- .5\n- 1e300\n- 0b1\n- '<<'\n- 2026-01-02"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		nodes, err := Parse("x.yaml", data)
		if err != nil {
			return
		}
		for _, n := range nodes {
			text, err := Render(n)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse("y.yaml", []byte(text))
			if err != nil || len(again) != 1 || !reflect.DeepEqual(stripped(n), stripped(again[0])) {
				t.Fatalf("%q was written as %q, read as %d documents, %v", data, text, len(again), err)
			}
			if once, err := Render(again[0]); err != nil || once != text {
				t.Fatalf("%q was written again as %q, %v", text, once, err)
			}
		}
	})
}

func TestFilesAreThoseThatReadReads(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b.yaml": "b", "a.json": "a", ".hidden.yaml": "h", "c.txt": "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := Files(dir, filepath.Join(dir, "c.txt"))
	if err != nil || len(files) != 3 || string(files[0].Data) != "a" || string(files[1].Data) != "b" || string(files[2].Data) != "c" {
		t.Errorf("%v, %v", files, err)
	}
	if _, err := Files(filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there was read")
	}
}
