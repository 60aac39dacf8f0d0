package policies

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/datapunk/switchgear/policy"
)

// parseYAML reads every document of a YAML stream into the nodes that JSON gives.
// Anchors, aliases, merge keys and tags of one's own are refused: a few lines of
// them stand for any number of others. So is a field that stands twice.
func parseYAML(data []byte) (docs []*policy.Node, err error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var root yaml.Node
		if err := d.Decode(&root); err != nil {
			if errors.Is(err, io.EOF) {
				return docs, nil
			}
			// The library's message has the line, but where it is the first.
			text := strings.TrimPrefix(err.Error(), "yaml: ")
			if !strings.HasPrefix(text, "line ") {
				text = "line 1: " + text
			}
			return docs, errors.New(text)
		}
		n, err := convert(&root, 0)
		if err != nil {
			return docs, err
		}
		if n.Value == nil {
			continue // nothing stands between two separators, or behind the last
		}
		docs = append(docs, n)
	}
}

func refuse(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", n.Line, fmt.Sprintf(format, args...))
}

func convert(n *yaml.Node, depth int) (*policy.Node, error) {
	out := &policy.Node{Line: n.Line}
	switch {
	case depth > policy.MaxDepth:
		return nil, refuse(n, "nested deeper than %d", policy.MaxDepth)
	case n.Kind == yaml.AliasNode:
		return nil, refuse(n, "*%s: aliases are refused: write out what is meant", n.Value)
	case n.Anchor != "":
		return nil, refuse(n, "&%s: anchors are refused: write out what is meant", n.Anchor)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return out, nil
		}
		return convert(n.Content[0], depth)
	case yaml.SequenceNode:
		if n.Tag != "!!seq" {
			return nil, refuse(n, "%s: tags are refused", n.Tag)
		}
		items := []*policy.Node{}
		for _, c := range n.Content {
			item, err := convert(c, depth+1)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		out.Value = items
	case yaml.MappingNode:
		if n.Tag != "!!map" {
			return nil, refuse(n, "%s: tags are refused", n.Tag)
		}
		members, err := convertMembers(n, depth)
		if err != nil {
			return nil, err
		}
		out.Value = members
	default:
		v, err := scalar(n)
		if err != nil {
			return nil, err
		}
		out.Value = v
	}
	return out, nil
}

func convertMembers(n *yaml.Node, depth int) ([]policy.Member, error) {
	members := []policy.Member{}
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode || key.Anchor != "":
			return nil, refuse(key, "a field's name is a plain text")
		case key.Tag == "!!merge":
			return nil, refuse(key, "<<: merge keys are refused: write out what is meant")
		}
		if first, twice := seen[key.Value]; twice {
			return nil, refuse(key, "field %q stands twice, on line %d too", key.Value, first)
		}
		seen[key.Value] = key.Line
		v, err := convert(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		members = append(members, policy.Member{Name: key.Value, Line: key.Line, Node: v})
	}
	return members, nil
}

// scalar is a value as JSON has it. Numbers in YAML's other notations are turned
// into JSON's; dates are texts.
func scalar(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!!str", "!!timestamp":
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			return nil, refuse(n, "%q: want true or false", n.Value)
		}
		return b, nil
	case "!!int", "!!float":
		var i int64
		if n.Tag == "!!int" && n.Decode(&i) == nil {
			return json.Number(strconv.FormatInt(i, 10)), nil
		}
		var f float64
		if err := n.Decode(&f); err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, refuse(n, "%q: want a number", n.Value)
		}
		return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), nil
	}
	return nil, refuse(n, "%s: tags are refused", n.Tag)
}
