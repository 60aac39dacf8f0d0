package describe

import (
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/datapunk/switchgear/server/gen/switchgear/api/v1" // what is served
)

var update = flag.Bool("update", false, "write docs/api.md anew")

func load(t *testing.T) *API {
	t.Helper()
	a, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTheReferencePageSaysWhatTheProtoFilesSay(t *testing.T) {
	const page = "../../docs/api.md"
	got := load(t).Markdown()
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil || got != string(want) {
		t.Errorf("%v: docs/api.md differs from the proto files: go test ./server/describe -update", err)
	}
}

// What is described is what the program was compiled with.
func TestTheDescriptionIsOfWhatIsServed(t *testing.T) {
	described := map[protoreflect.FullName]bool{}
	for _, s := range load(t).Services() {
		described[s.FullName()] = true
		served, err := protoregistry.GlobalFiles.FindDescriptorByName(s.FullName())
		if err != nil {
			t.Errorf("%s: %v", s.FullName(), err)
			continue
		}
		service, ok := served.(protoreflect.ServiceDescriptor)
		if !ok || service.Methods().Len() != s.Methods().Len() {
			t.Errorf("%s has other methods", s.FullName())
		}
	}
	protoregistry.GlobalFiles.RangeFilesByPackage("switchgear.api.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			if name := f.Services().Get(i).FullName(); !described[name] {
				t.Errorf("%s is not described: make generate", name)
			}
		}
		return true
	})
}

func TestEveryMethodSaysWhatItIs(t *testing.T) {
	a := load(t)
	for _, s := range a.Services() {
		for i := range s.Methods().Len() {
			if m := s.Methods().Get(i); comment(m) == "" {
				t.Errorf("%s has no comment", m.FullName())
			}
		}
	}
}

// Each reference leads somewhere.
func TestTheOpenAPIDocumentIsWhole(t *testing.T) {
	data, err := load(t).OpenAPI("1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OpenAPI    string
		Info       struct{ Version string }
		Paths      map[string]map[string]struct{ OperationID, Summary string }
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(data, &doc); err != nil || doc.OpenAPI != "3.1.0" || doc.Info.Version != "1.2.3" {
		t.Fatalf("%v: %+v", err, doc.Info)
	}
	for _, m := range regexp.MustCompile(`"#/components/schemas/([A-Za-z]+)"`).FindAllStringSubmatch(string(data), -1) {
		if doc.Components.Schemas[m[1]] == nil {
			t.Errorf("there is no schema %s", m[1])
		}
	}
	for path, ops := range doc.Paths {
		if op := ops["post"]; !strings.HasPrefix(path, "/switchgear.api.v1.") || op.OperationID == "" || op.Summary == "" {
			t.Errorf("%s: %+v", path, ops)
		}
	}
	if len(doc.Paths) < 13 {
		t.Errorf("%d methods", len(doc.Paths))
	}
}
