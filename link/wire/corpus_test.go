package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
)

// The corpus is what releases have put on the wire, each message in binary and
// in JSON, with what is read of it. Today's decoder must read the same, for ever.
//
// A new field or message gets a new case here, and then
//
//	go test ./wire -run TestTheCorpusIsReadAsEver -update
//
// writes the files that are missing, in the folder of today's protocol. It never
// writes over one that is there, and neither should anybody.
var update = flag.Bool("update", false, "write the files of the corpus that are missing")

const corpus = "../testdata/corpus"

// sent is one case: the message as it is sent. Files are named by it.
type sent struct {
	name    string
	message proto.Message
	// strange adds what a later release may send: fields and values that nobody here
	// knows, in binary and in JSON.
	strange bool
}

func cases() []sent {
	hello, report, directive := ToHello(sampleHello()), ToReport(sampleReport()), ToDirective(pointer(sampleDirective()))
	report.Dropped = 12
	report.Circuits[0].CallTimeout = durationpb.New(2 * time.Second)
	bare := &linkv1.Report{Circuits: []*linkv1.CircuitReport{{Callee: toService(checkout)}}}
	welcome := &linkv1.Welcome{Protocol: 1, Features: []string{"parts", "leases"}, Daemon: "d1", Version: "0.1.0"}
	change := func(f func(*linkv1.Directive)) *linkv1.AttachResponse {
		d := proto.CloneOf(directive)
		f(d)
		return toDirectives(d)
	}
	said := func(f func(*linkv1.Report)) *linkv1.AttachRequest {
		r := proto.CloneOf(report)
		f(r)
		return &linkv1.AttachRequest{Message: &linkv1.AttachRequest_Report{Report: r}}
	}
	return []sent{
		{"hello", &linkv1.AttachRequest{Message: &linkv1.AttachRequest_Hello{Hello: hello}}, false},
		{"hello-strange", &linkv1.AttachRequest{Message: &linkv1.AttachRequest_Hello{Hello: hello}}, true},
		{"hello-without-protocol", &linkv1.AttachRequest{Message: &linkv1.AttachRequest_Hello{Hello: &linkv1.Hello{Replica: ToReplica(replica)}}}, false},
		{"nothing", &linkv1.AttachRequest{}, true},
		{"report", said(func(*linkv1.Report) {}), false},
		{"report-bare", &linkv1.AttachRequest{Message: &linkv1.AttachRequest_Report{Report: bare}}, false},
		{"report-every-setting", said(func(r *linkv1.Report) {
			s := sampleSettings()
			s.CallTimeout = 2 * time.Second
			b := &s.Breaker
			b.WindowSize, b.MinimumNumberOfCalls = 100, 10
			b.SlowCallRateThreshold, b.SlowCallDurationThreshold, b.ConsecutiveFailures = 80, time.Second, 7
			b.MaxConcurrentCalls, b.MaxRetryAfter, b.Wait.JitterRatio = 64, time.Minute, 0.2
			b.Ramp = breaker.Ramp{Window: 10 * time.Second, Aggression: 1.5, MinPercent: 5}
			r.Circuits[0].Settings = toSettings(s)
		}), false},
		{"report-with-a-strategy", said(func(r *linkv1.Report) { r.Circuits[0].Settings.Strategy = "night-shift" }), false},
		{"report-strange", said(func(r *linkv1.Report) {
			r.Circuits[0].State, r.Circuits[0].Mode, r.Answers[0].Verdict, r.Answers[0].Kind = 99, 99, 99, 99
			r.Circuits[0].Settings.WhenAllBad, r.Circuits[0].Settings.Breaker.Wait.Shape = 99, 99
		}), true},
		{"report-beyond", said(func(r *linkv1.Report) {
			r.Circuits[0].Why = strings.Repeat("é", maxText)
			r.Circuits[0].Cells[0].Buckets[0].AgeSteps = 1 << 30
			r.Circuits[0].Cells[0].Buckets[0].Kinds = []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
		}), false},
		{"report-without-callee", said(func(r *linkv1.Report) { r.Circuits[0].Callee = nil }), false},
		{"report-with-a-bad-name", said(func(r *linkv1.Report) { r.Circuits[0].Callee.Name = "a\nb" }), false},
		{"welcome", &linkv1.AttachResponse{Message: &linkv1.AttachResponse_Welcome{Welcome: welcome}}, false},
		{"directives", toDirectives(directive), false},
		{"directives-strange", change(func(d *linkv1.Directive) { d.Override.Mode, d.Parts[0].Gate.State = 99, 99 }), true},
		{"directive-of-an-unknown-state", change(func(d *linkv1.Directive) { d.Gate.State = 99 }), false},
		{"directive-beyond", change(func(d *linkv1.Directive) { d.Ttl = durationpb.New(48 * time.Hour) }), false},
		{"directives-one-of-which-is-bad", toDirectives(&linkv1.Directive{}, change(func(d *linkv1.Directive) { d.Gate.Share = 1.5 }).GetDirectives().GetDirectives()[0], directive), false},
		{"poll", &linkv1.PollRequest{Hello: hello, Report: report, Acknowledged: 41}, false},
		{"poll-strange", &linkv1.PollRequest{Hello: hello}, true},
		{"poll-answer", &linkv1.PollResponse{Welcome: welcome, Directives: []*linkv1.Directive{directive}, Number: 42, PollAfter: durationpb.New(time.Second), SessionTtl: durationpb.New(10 * time.Second)}, false},
	}
}

func pointer[T any](v T) *T { return &v }

func toDirectives(ds ...*linkv1.Directive) *linkv1.AttachResponse {
	return &linkv1.AttachResponse{Message: &linkv1.AttachResponse_Directives{Directives: &linkv1.Directives{Directives: ds}}}
}

// read is what this program understands of a message, in the wire's own words: so
// that names in the code may change.
func read(m proto.Message) proto.Message {
	out := proto.Clone(m)
	var errs []error
	hello := func(p *linkv1.Hello) *linkv1.Hello {
		h, err := FromHello(p)
		errs = append(errs, err)
		return ToHello(h)
	}
	report := func(p *linkv1.Report) *linkv1.Report {
		r, err := FromReport(p)
		errs = append(errs, err)
		return ToReport(r)
	}
	directives := func(ps []*linkv1.Directive) []*linkv1.Directive {
		ds, _ := FromDirectives(ps) // one that is bad is left out
		return ToDirectives(ds)
	}
	switch m := out.(type) {
	case *linkv1.AttachRequest:
		if p := m.GetHello(); p != nil {
			m.Message = &linkv1.AttachRequest_Hello{Hello: hello(p)}
		}
		if p := m.GetReport(); p != nil {
			m.Message = &linkv1.AttachRequest_Report{Report: report(p)}
		}
	case *linkv1.AttachResponse:
		if p := m.GetDirectives(); p != nil {
			p.Directives = directives(p.GetDirectives())
		}
	case *linkv1.PollRequest:
		if m.Hello = hello(m.GetHello()); m.GetReport() != nil {
			m.Report = report(m.GetReport())
		}
	case *linkv1.PollResponse:
		m.Directives = directives(m.GetDirectives())
	}
	if errors.Join(errs...) != nil {
		return nil
	}
	return out
}

// understood is a reading as a file has it: with every field, also those that are
// not set, so that one that changes is seen.
func understood(m proto.Message) ([]byte, error) {
	r := read(m)
	if r == nil {
		return []byte("{\"refused\": true}\n"), nil
	}
	r.ProtoReflect().SetUnknown(nil)
	b, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(r)
	return indent(b), err
}

func indent(b []byte) []byte {
	var out bytes.Buffer
	if json.Indent(&out, b, "", " ") != nil {
		return b
	}
	return append(out.Bytes(), '\n')
}

func TestTheCorpusIsReadAsEver(t *testing.T) {
	if *update {
		grow(t)
	}
	files := 0
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".read.json") {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		stem := strings.TrimSuffix(path, filepath.Ext(path))
		name, kind, _ := strings.Cut(filepath.Base(stem), ".")
		m, err := blank(kind)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if filepath.Ext(path) == ".bin" {
			err = proto.Unmarshal(data, m)
		} else {
			err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, m)
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		want, err := os.ReadFile(stem + ".read.json")
		if err != nil {
			return err
		}
		got, err := understood(m)
		if err != nil {
			return err
		}
		if diff := missing(name, value(t, want), value(t, got)); diff != "" {
			t.Errorf("%s is read in another way than ever before: %s", path, diff)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 2*len(cases()) {
		t.Errorf("%d files of %d cases, in binary and JSON each: write what is missing with -update", files, len(cases()))
	}
}

// blank is the message that a file's name says.
func blank(kind string) (proto.Message, error) {
	d := linkv1.File_switchgear_link_v1_link_proto.Messages().ByName(protoreflect.Name(kind))
	for _, m := range []proto.Message{&linkv1.AttachRequest{}, &linkv1.AttachResponse{}, &linkv1.PollRequest{}, &linkv1.PollResponse{}} {
		if m.ProtoReflect().Descriptor() == d {
			return m, nil
		}
	}
	return nil, fmt.Errorf("no message %q is on the wire", kind)
}

func value(t *testing.T, b []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// missing says where got lacks something of want. What it has beyond is of fields
// that are newer.
func missing(at string, want, got any) string {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %v, was %v", at, got, want)
		}
		for k, v := range want {
			if diff := missing(at+"."+k, v, g[k]); diff != "" {
				return diff
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return fmt.Sprintf("%s is %v, was %v", at, got, want)
		}
		for i, v := range want {
			if diff := missing(fmt.Sprintf("%s[%d]", at, i), v, g[i]); diff != "" {
				return diff
			}
		}
	default:
		if !reflect.DeepEqual(want, got) {
			return fmt.Sprintf("%s is %v, was %v", at, got, want)
		}
	}
	return ""
}

// grow writes the files that are missing.
func grow(t *testing.T) {
	t.Helper()
	dir := filepath.Join(corpus, fmt.Sprintf("v%d", fleet.Protocol))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases() {
		stem := filepath.Join(dir, c.name+"."+string(c.message.ProtoReflect().Descriptor().Name()))
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.message)
		if err != nil {
			t.Fatal(err)
		}
		j, err := protojson.Marshal(c.message)
		if err != nil {
			t.Fatal(err)
		}
		if c.strange {
			b = protowire.AppendString(protowire.AppendTag(b, 1000, protowire.BytesType), "of a later release")
			j = append(bytes.TrimSuffix(bytes.TrimSpace(j), []byte("}")), `,"ofALaterRelease":{"state":"STATE_OF_A_LATER_RELEASE"}}`...)
			j = bytes.ReplaceAll(bytes.ReplaceAll(j, []byte("{,"), []byte("{")), []byte(":99"), []byte(`:"OF_A_LATER_RELEASE"`))
		}
		r, err := understood(c.message)
		if err != nil {
			t.Fatal(err)
		}
		for ext, data := range map[string][]byte{".bin": b, ".json": indent(j), ".read.json": r} {
			f, err := os.OpenFile(stem+ext, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if errors.Is(err, fs.ErrExist) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A field that is not in the corpus could be renumbered and no test would notice.
func TestEveryFieldIsInTheCorpus(t *testing.T) {
	seen := make(map[protoreflect.FullName]bool)
	var look func(protoreflect.Message)
	look = func(m protoreflect.Message) {
		m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			seen[f.FullName()] = true
			switch {
			case f.Message() != nil && f.IsList():
				for i := range v.List().Len() {
					look(v.List().Get(i).Message())
				}
			case f.Message() != nil:
				look(v.Message())
			}
			return true
		})
	}
	files, err := filepath.Glob(filepath.Join(corpus, "*", "*.bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, kind, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".bin"), ".")
		m, err := blank(kind)
		if err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(data, m); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		look(m.ProtoReflect())
	}
	messages := linkv1.File_switchgear_link_v1_link_proto.Messages()
	for i := range messages.Len() {
		for fields, j := messages.Get(i).Fields(), 0; j < fields.Len(); j++ {
			if f := fields.Get(j).FullName(); !seen[f] {
				t.Errorf("%s is in no file: add a case, and -update", f)
			}
		}
	}
}
