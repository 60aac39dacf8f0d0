package policy

import (
	"encoding/json"
	"fmt"
)

// SchemaID names the schema; it is a name, not an address.
const SchemaID = "https://switchgear.dev/schemas/policy-v1.json"

// What a name is, as far as a pattern can say; lengths count characters there,
// and bytes in the decoder. Control characters stand for themselves: how they are
// escaped differs among regular expressions.
const (
	nameShape     = "^[^\x00-\x1f\x7f-\u009f]+$"
	maybeShape    = "^[^\x00-\x1f\x7f-\u009f]*$"
	pathShape     = "^(/[^\x00-\x1f\x7f-\u009f #]*)?$"
	durationShape = `^(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`
)

type object = map[string]any

// Schema is the JSON Schema (2020-12) of what Decode reads, made from the table of
// fields. It can't say what depends on other fields or documents, nor ranges of
// durations: Decode does.
func Schema() []byte {
	spec := object{
		"selector": object{
			"type": "object", "additionalProperties": false,
			"description": "Which circuits the policy is for: each a name, a glob with * and ?, or empty for all.",
			"properties": object{
				"namespace": nameOr("of the callee"), "caller": nameOr("the service that calls"), "callee": nameOr("the service that is called"),
				"route":  nameOr("a template like /users/{id}"),
				"labels": labelsSchema("of the calling process, as its configuration says"),
			},
		},
		"priority": object{"type": "integer", "minimum": -1000, "maximum": 1000, "default": 0, "description": "Among policies that select as exactly, the greater wins."},
		"preset":   presetSchema(),
		"hosts": object{
			"type": "array", "maxItems": maxHosts,
			"description": "Hosts that lead to the callee that the selector names, with a port or without; *.example.com is all below it.",
			"items":       object{"type": "string", "minLength": 1, "maxLength": 253, "pattern": nameShape},
		},
	}
	for i := range fields {
		spec[fields[i].name] = fields[i].schema()
	}
	policy := object{
		"type": "object", "additionalProperties": false,
		"required": []string{"apiVersion", "kind", "metadata", "spec"},
		"properties": object{
			"apiVersion": object{"const": APIVersion},
			"kind":       object{"const": Kind},
			"metadata": object{
				"type": "object", "additionalProperties": false, "required": []string{"name"},
				"properties": object{
					"name":      object{"type": "string", "minLength": 1, "maxLength": 253, "pattern": nameShape, "description": "Unique in its namespace."},
					"namespace": object{"type": "string", "minLength": 1, "maxLength": 253, "pattern": nameShape, "description": "Of the circuits that the policy may select; without one it may select all."},
					"labels":    labelsSchema("for people"),
				},
			},
			"spec": object{"type": "object", "additionalProperties": false, "properties": spec},
		},
	}
	text, err := json.MarshalIndent(object{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"$id":     SchemaID,
		"title":   "switchgear circuit policy",
		"oneOf":   []object{{"$ref": "#/$defs/policy"}, {"type": "array", "maxItems": MaxPolicies, "items": object{"$ref": "#/$defs/policy"}}},
		"$defs":   object{"policy": policy},
	}, "", "  ")
	if err != nil {
		return nil // of maps of texts and numbers there is none
	}
	return append(text, '\n')
}

func nameOr(about string) object {
	return object{"type": "string", "maxLength": 253, "pattern": maybeShape, "description": about}
}

func labelsSchema(about string) object {
	return object{
		"type": "object", "maxProperties": maxLabels, "description": about,
		"propertyNames":        object{"minLength": 1, "maxLength": 253, "pattern": nameShape},
		"additionalProperties": object{"type": "string", "maxLength": 253, "pattern": maybeShape},
	}
}

func presetSchema() object {
	var choices []object
	for i := range presets {
		choices = append(choices, object{"const": presets[i].name, "description": presets[i].about})
	}
	return object{"oneOf": choices, "description": "Fields by one word; what the policy sets beside it wins over it."}
}

func (f *field) schema() object {
	about := fmt.Sprintf("%s. %s: %s. Default: %s. Raising or changing it: %s.", f.about, f.unit, f.span(), f.usual(), f.costs)
	switch f.kind {
	case isWord:
		return object{"enum": f.words, "description": about}
	case isName:
		return object{"type": "string", "maxLength": 253, "pattern": maybeShape, "description": about}
	case isPath:
		return object{"type": "string", "maxLength": 253, "pattern": pathShape, "description": about}
	case isDuration:
		return object{"type": "string", "pattern": durationShape, "description": about}
	case isList:
		return object{"type": "array", "maxItems": f.most, "items": object{"type": "number", "exclusiveMinimum": f.low, "maximum": f.high}, "description": about}
	}
	kind := "number"
	if f.kind == isCount {
		kind = "integer"
	}
	quantity := object{"type": kind, "minimum": f.low, "maximum": f.high, "description": about}
	if f.nothing != "" && f.low > 0 {
		return object{"oneOf": []object{{"const": 0}, quantity}, "description": about}
	}
	return quantity
}

// usual is the field's default in words.
func (f *field) usual() string {
	v := words(f.get(&usual))
	switch {
	case f.name == fields[atFailureRate].name:
		return "off; " + v + " where no rule is set and no daemon is there"
	case v == "" && f.kind != isWord:
		return "none"
	case f.nothing != "" && (v == "0" || v == "0s"):
		return f.nothing
	}
	return v
}
