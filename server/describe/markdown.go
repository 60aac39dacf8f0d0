package describe

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

const intro = `# The API

What operators, scripts and pages ask a daemon, on the address that replicas attach to. Every method answers Connect, gRPC, gRPC-Web, and plain JSON by POST:

` + "```sh" + `
curl -s -H 'Content-Type: application/json' -d '{"states":["STATE_OPEN"]}' http://127.0.0.1:7443/switchgear.api.v1.CircuitService/ListCircuits
curl -s -H 'Content-Type: application/json' -d '{"circuit":"web..checkout","mode":"MODE_FORCED_OPEN","timeToLive":"900s","reason":"database is moved","author":"ada"}' http://127.0.0.1:7443/switchgear.api.v1.OverrideService/Force
` + "```" + `

The daemon serves the same as OpenAPI 3.1 at ` + "`/openapi.json`" + `. Fields may be written as here or in lowerCamelCase; answers have the latter. A duration is a string of
seconds (` + "`\"900s\"`" + `), an instant is RFC 3339, numbers of 64 bits are strings in answers, and a field with its zero value is left out of them.

**Errors** have a code, a message, and one detail, an [ErrorDetail](#errordetail): the field that is wrong and what was in it, what to do, and the request's id, which the
daemon's log has too. The header ` + "`Switchgear-Request-Id`" + ` is in every answer; a request may bring its own.

**Lists** come in pages of up to 1,000, ordered, so that no page holds twice what another does.

**Streams** need a client of Connect or gRPC: each message stands behind a byte of flags and four bytes of length.

This page is made from the proto files: ` + "`go test ./server/describe -update`" + `.
`

// Markdown gives the reference page.
func (a *API) Markdown() string {
	var b strings.Builder
	b.WriteString(intro)
	for _, s := range a.Services() {
		fmt.Fprintf(&b, "\n## %s\n", s.Name())
		if words := comment(s); words != "" {
			fmt.Fprintf(&b, "%s\n", words)
		}
		b.WriteString("\n| method | takes | answers | |\n| --- | --- | --- | --- |\n")
		for i := range s.Methods().Len() {
			m := s.Methods().Get(i)
			answers := link(m.Output())
			if m.IsStreamingServer() {
				answers = "stream of " + answers
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", Path(m), link(m.Input()), answers, cell(comment(m)))
		}
	}
	b.WriteString("\n# Messages\n")
	for _, m := range a.messages() {
		fmt.Fprintf(&b, "\n## %s\n", m.Name())
		if words := comment(m); words != "" {
			fmt.Fprintf(&b, "%s\n", words)
		}
		if m.Fields().Len() == 0 {
			b.WriteString("\nIt has no fields.\n")
			continue
		}
		b.WriteString("\n| field | type | |\n| --- | --- | --- |\n")
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			words := comment(f)
			if o := f.ContainingOneof(); o != nil {
				words = strings.TrimSpace(words + " One of `" + string(o.Name()) + "`.")
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name(), typeOf(f), cell(words))
		}
	}
	b.WriteString("\n# Values\n")
	for _, e := range a.enums() {
		fmt.Fprintf(&b, "\n## %s\n", e.Name())
		if words := comment(e); words != "" {
			fmt.Fprintf(&b, "%s\n", words)
		}
		b.WriteString("\n")
		for i := range e.Values().Len() {
			v := e.Values().Get(i)
			line := "- `" + string(v.Name()) + "`"
			if words := comment(v); words != "" {
				line += ": " + words
			}
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func link(d protoreflect.Descriptor) string {
	return fmt.Sprintf("[%s](#%s)", d.Name(), strings.ToLower(string(d.Name())))
}

func typeOf(f protoreflect.FieldDescriptor) string {
	if f.IsMap() {
		return "map of " + typeOf(f.MapKey()) + " to " + typeOf(f.MapValue())
	}
	name := f.Kind().String()
	switch f.Kind() {
	case protoreflect.EnumKind:
		name = link(f.Enum())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		switch f.Message().FullName() {
		case "google.protobuf.Duration":
			name = "duration"
		case "google.protobuf.Timestamp":
			name = "instant"
		default:
			name = link(f.Message())
		}
	}
	if f.IsList() {
		return "list of " + name
	}
	return name
}

// cell is text that can stand in a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
