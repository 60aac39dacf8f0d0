package describe

import (
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

type object = map[string]any

// OpenAPI gives the API as an OpenAPI 3.1 document, in JSON.
func (a *API) OpenAPI(version string) ([]byte, error) {
	paths := object{}
	var tags []object
	for _, s := range a.Services() {
		tags = append(tags, object{"name": string(s.Name()), "description": comment(s)})
		for i := range s.Methods().Len() {
			m := s.Methods().Get(i)
			paths[Path(m)] = object{"post": operation(s, m)}
		}
	}
	schemas := object{"Error": errorSchema()}
	for _, m := range a.messages() {
		schemas[string(m.Name())] = messageSchema(m)
	}
	for _, e := range a.enums() {
		schemas[string(e.Name())] = enumSchema(e)
	}
	return json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "switchgear", "version": version,
			"description": "What operators, scripts and pages ask a daemon. The same methods answer gRPC, gRPC-Web and Connect on the same port.",
		},
		"tags": tags, "paths": paths, "components": object{"schemas": schemas},
	}, "", "  ")
}

func operation(s protoreflect.ServiceDescriptor, m protoreflect.MethodDescriptor) object {
	kind, description := "application/json", comment(m)
	if m.IsStreamingServer() {
		kind = "application/connect+json"
		description += " " + streamNote
	}
	summary, _, _ := strings.Cut(description, ". ")
	body := func(d protoreflect.MessageDescriptor) object {
		return object{kind: object{"schema": ref(d)}}
	}
	return object{
		"operationId": string(s.Name()) + "_" + string(m.Name()), "tags": []string{string(s.Name())},
		"summary": strings.TrimSuffix(summary, "."), "description": description,
		"requestBody": object{"required": true, "content": body(m.Input())},
		"responses": object{
			"200": object{"description": "the answer", "content": body(m.Output())},
			"default": object{
				"description": "an error",
				"content":     object{"application/json": object{"schema": object{"$ref": "#/components/schemas/Error"}}},
			},
		},
	}
}

const streamNote = "It is a stream: question and answers are messages of Connect's streaming protocol, each behind a byte of flags and four bytes of length."

func ref(d protoreflect.Descriptor) object {
	return object{"$ref": "#/components/schemas/" + string(d.Name())}
}

func messageSchema(m protoreflect.MessageDescriptor) object {
	properties := object{}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		var schema object
		switch {
		case f.IsMap():
			schema = object{"type": "object", "additionalProperties": fieldSchema(f.MapValue())}
		case f.IsList():
			schema = object{"type": "array", "items": fieldSchema(f)}
		default:
			schema = fieldSchema(f)
		}
		words := comment(f)
		if o := f.ContainingOneof(); o != nil {
			words = strings.TrimSpace(words + " At most one of " + oneofNames(o) + " is set.")
		}
		if words != "" {
			schema["description"] = words
		}
		properties[f.JSONName()] = schema
	}
	out := object{"type": "object", "properties": properties}
	if words := comment(m); words != "" {
		out["description"] = words
	}
	return out
}

func oneofNames(o protoreflect.OneofDescriptor) string {
	var names []string
	for i := range o.Fields().Len() {
		names = append(names, o.Fields().Get(i).JSONName())
	}
	return strings.Join(names, ", ")
}

// fieldSchema follows the JSON form of Protocol Buffers.
func fieldSchema(f protoreflect.FieldDescriptor) object {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.StringKind:
		return object{"type": "string"}
	case protoreflect.BytesKind:
		return object{"type": "string", "contentEncoding": "base64"}
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return object{"type": "number"}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return object{"type": []string{"string", "integer"}, "pattern": "^-?[0-9]+$"} // answers have strings
	case protoreflect.EnumKind:
		return ref(f.Enum())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		switch f.Message().FullName() {
		case "google.protobuf.Duration":
			return object{"type": "string", "pattern": `^-?[0-9]+(\.[0-9]{1,9})?s$`, "examples": []string{"900s"}}
		case "google.protobuf.Timestamp":
			return object{"type": "string", "format": "date-time"}
		}
		return ref(f.Message())
	default:
		return object{"type": "integer"}
	}
}

func enumSchema(e protoreflect.EnumDescriptor) object {
	var names []string
	for i := range e.Values().Len() {
		names = append(names, string(e.Values().Get(i).Name()))
	}
	out := object{"type": "string", "enum": names}
	if words := comment(e); words != "" {
		out["description"] = words
	}
	return out
}

func errorSchema() object {
	text := object{"type": "string"}
	return object{
		"type": "object", "description": "Connect's form of an error. The one detail that a daemon adds is an ErrorDetail, readable in debug.",
		"required": []string{"code"},
		"properties": object{
			"code": object{"type": "string", "enum": []string{
				"canceled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists", "permission_denied", "resource_exhausted",
				"failed_precondition", "aborted", "out_of_range", "unimplemented", "internal", "unavailable", "data_loss", "unauthenticated",
			}},
			"message": text,
			"details": object{"type": "array", "items": object{
				"type":       "object",
				"properties": object{"type": text, "value": text, "debug": object{"$ref": "#/components/schemas/ErrorDetail"}},
			}},
		},
	}
}
