package policies

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/datapunk/switchgear/policy"
)

// Render writes a document as YAML, its fields in their order: what says the same
// in JSON and YAML gives the same text. Comments are gone.
func Render(n *policy.Node) (string, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(toYAML(n)); err != nil {
		return "", fmt.Errorf("write a policy: %w", err)
	}
	if err := e.Close(); err != nil {
		return "", fmt.Errorf("write a policy: %w", err)
	}
	return b.String(), nil
}

func toYAML(n *policy.Node) *yaml.Node {
	scalar := func(tag, text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text} }
	switch v := n.Value.(type) {
	case bool:
		return scalar("!!bool", fmt.Sprint(v))
	case json.Number:
		tag := "!!int"
		if strings.ContainsAny(v.String(), ".eE") {
			tag = "!!float"
		}
		return scalar(tag, v.String())
	case string:
		return scalar("!!str", v)
	case []*policy.Node:
		list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
		for _, item := range v {
			list.Content = append(list.Content, toYAML(item))
		}
		return list
	case []policy.Member:
		object := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, m := range v {
			object.Content = append(object.Content, scalar("!!str", m.Name), toYAML(m.Node))
		}
		return object
	}
	return scalar("!!null", "null")
}

// Split gives the policies of a file one by one, those of a list too.
func Split(nodes []*policy.Node) (each []*policy.Node) {
	for _, n := range nodes {
		if items, list := n.Value.([]*policy.Node); list {
			each = append(each, items...)
			continue
		}
		each = append(each, n)
	}
	return each
}
