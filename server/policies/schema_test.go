package policies

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/datapunk/switchgear/policy"
)

func TestTheSchemaInDocsIsFresh(t *testing.T) {
	committed, err := os.ReadFile("../../docs/policy.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, policy.Schema()) {
		t.Error("docs/policy.schema.json is not what the fields say: switchgear policy schema > docs/policy.schema.json")
	}
}

func compiled(tb testing.TB) *jsonschema.Schema {
	tb.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(policy.Schema()))
	if err != nil {
		tb.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(policy.SchemaID, doc); err != nil {
		tb.Fatal(err)
	}
	s, err := c.Compile(policy.SchemaID)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// agree checks that decoder and schema say the same of a document: what the one
// accepts the other does, but for what is marked as beyond a schema.
func agree(t *testing.T, s *jsonschema.Schema, text []byte) (accepted bool) {
	t.Helper()
	root, err := policy.ParseJSON(text)
	if err != nil {
		return false // not JSON, or twice the same field: no matter of the schema
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return false
	}
	refused := s.Validate(value)
	_, wrong := policy.DecodeNode(root)
	beyond := true
	var p *policy.Problems
	if errors.As(wrong, &p) {
		for _, x := range p.List {
			beyond = beyond && x.BeyondSchema
		}
	}
	switch {
	case wrong == nil && refused != nil:
		t.Errorf("%.300s\nthe decoder accepts it, the schema does not: %v", text, refused)
	case wrong != nil && refused != nil && beyond:
		t.Errorf("%.300s\nthe schema refuses it, the decoder only for what is beyond a schema: %v\n%v", text, wrong, refused)
	case wrong != nil && refused == nil && !beyond:
		t.Errorf("%.300s\nthe schema accepts it, the decoder does not: %v", text, wrong)
	}
	return wrong == nil
}

func spec(text string) []byte {
	return []byte(`{"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":"p"},"spec":` + text + `}`)
}

// values to try in every place.
var values = []string{
	`0`, `1`, `2`, `-1`, `0.5`, `1.0`, `1e2`, `50`, `95`, `96`, `100`, `100.5`, `1001`, `65536`, `1000001`, `1e300`, `-0`, `true`, `null`, `""`, `"x"`, `"p*"`, `"a b"`, `"a\u0000"`, `"a\u0085"`,
	`"0"`, `"0s"`, `"1ns"`, `"200ms"`, `"1s"`, `"1.5s"`, `".5s"`, `"1.s"`, `"."`, `"1h30m"`, `"1m0.5s"`, `"24h"`, `"25h"`, `"-1s"`, `"+1s"`, `"-0s"`, `"1µs"`, `"1d"`, `"99999999999h"`, `"1s "`,
	`"enforce"`, `"off"`, `"by_age"`, `"panic"`, `"Enforce"`, `"batch"`, `"/healthz"`, `"/a#b"`, `"//"`, `"healthz"`, `"/a\nb"`,
	`[]`, `[1]`, `[0]`, `[1, 50, 100]`, `[50, 1]`, `[1, 1]`, `["a"]`, `[101]`, `{}`, `{"a": "b"}`, `{"a": 1}`, `{"": "x"}`, `{"callee": "p"}`, `{"calee": "p"}`,
	`"` + strings.Repeat("x", 253) + `"`, `"` + strings.Repeat("x", 254) + `"`, `"` + strings.Repeat("ü", 127) + `"`, `"/` + strings.Repeat("x", 253) + `"`,
	`[` + strings.TrimSuffix(strings.Repeat("1,", 33), ",") + `]`,
}

func words() []string {
	var doc struct {
		Defs struct {
			Policy struct {
				Properties struct {
					Spec struct{ Properties map[string]any }
				}
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(policy.Schema(), &doc); err != nil {
		return nil
	}
	var names []string
	for name := range doc.Defs.Policy.Properties.Spec.Properties {
		names = append(names, name)
	}
	return append(names, "nothing")
}

func TestSchemaAndDecoderAgree(t *testing.T) {
	s := compiled(t)
	names := words()
	if len(names) < 30 {
		t.Fatalf("%d fields in the schema", len(names))
	}
	accepted := 0
	for _, name := range names {
		for _, v := range values {
			if agree(t, s, spec(fmt.Sprintf(`{%q: %s}`, name, v))) {
				accepted++
			}
		}
	}
	if accepted < 2*len(names) {
		t.Errorf("only %d of the documents are accepted", accepted)
	}
	ok := string(spec("{}"))
	for _, text := range []string{
		ok, "[]", "[" + ok + "]", "[[]]", "{}", "1", "[" + ok + ", 1]",
		`{"apiVersion":"switchgear/v2","kind":"CircuitPolicy","metadata":{"name":"p"},"spec":{}}`,
		`{"apiVersion":"switchgear/v1","kind":"Policy","metadata":{"name":"p"},"spec":{}}`,
		`{"apiVersion":"switchgear/v1","kind":"CircuitPolicy","metadata":{"name":"p"}}`,
		`{"apiVersion":"switchgear/v1","kind":"CircuitPolicy","spec":{}}`,
		strings.Replace(ok, `{"name":"p"}`, `{}`, 1), strings.Replace(ok, `{"name":"p"}`, `{"name":""}`, 1), strings.Replace(ok, `{"name":"p"}`, `7`, 1),
		strings.Replace(ok, `{"name":"p"}`, `{"name":"p","namespace":""}`, 1), strings.Replace(ok, `{"name":"p"}`, `{"name":"p","namespace":"n","labels":{"a":""}}`, 1),
		strings.Replace(ok, `"spec"`, `"status":{},"spec"`, 1),
	} {
		agree(t, s, []byte(text))
	}
	for _, where := range []string{`{"selector":{%q:%s}}`, `{"selector":{"labels":{%q:%s}}}`} {
		for _, name := range []string{"namespace", "caller", "callee", "route", "labels", "x", strings.Repeat("y", 254)} {
			for _, v := range values {
				agree(t, s, spec(fmt.Sprintf(where, name, v)))
			}
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 { // several fields at once
		var fields []string
		seen := make(map[string]bool)
		for range 1 + rng.IntN(5) {
			if name := names[rng.IntN(len(names))]; !seen[name] {
				seen[name] = true
				fields = append(fields, fmt.Sprintf(`%q: %s`, name, values[rng.IntN(len(values))]))
			}
		}
		agree(t, s, spec("{"+strings.Join(fields, ", ")+"}"))
	}
}

func FuzzSchemaAgrees(f *testing.F) {
	s := compiled(f)
	for _, v := range values {
		f.Add(`"windowDuration": ` + v)
		f.Add(`"openAbove": ` + v)
	}
	f.Add(`"selector": {"callee": "pay"}, "hosts": ["a"], "preset": "batch", "rampStepPercents": [1, 2], "strategy": "s"`)
	f.Fuzz(func(t *testing.T, fields string) {
		if strings.ContainsAny(fields, "eE") && strings.Count(fields, "9") > 3 {
			return // the validator takes exact numbers, and time for 1e99999
		}
		agree(t, s, spec("{"+fields+"}"))
	})
}
