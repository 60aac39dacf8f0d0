package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
)

// Node is one value of a document with the line it stands on, whatever the
// document was written in. Value is nil, a bool, a json.Number, a string,
// []*Node or []Member.
type Node struct {
	Line  int
	Value any
}

// Member is one field of an object, in the document's order.
type Member struct {
	Name string
	Line int
	Node *Node
}

// Of documents, whatever they are written in: beyond these one is refused,
// whatever it says.
const (
	MaxDocument = 1 << 20 // bytes
	MaxDepth    = 32
)

// ParseJSON reads JSON into nodes. Errors name the line.
func ParseJSON(data []byte) (*Node, error) {
	if len(data) > MaxDocument {
		return nil, fmt.Errorf("document of %d bytes: at most %d", len(data), MaxDocument)
	}
	p := jsonParser{dec: json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	for i, b := range data {
		if b == '\n' {
			p.lines = append(p.lines, int64(i))
		}
	}
	n, err := p.value(0)
	if err == nil {
		if _, more := p.dec.Token(); more != io.EOF {
			err = errors.New("more follows after the document's end")
		}
	}
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the document ends too early")
		}
		return nil, fmt.Errorf("line %d: %w", p.line(), err)
	}
	return n, nil
}

type jsonParser struct {
	dec   *json.Decoder
	lines []int64 // offsets of the line ends
}

// line on which the last token ended.
func (p *jsonParser) line() int {
	at := p.dec.InputOffset()
	return sort.Search(len(p.lines), func(i int) bool { return p.lines[i] >= at }) + 1
}

func (p *jsonParser) value(depth int) (*Node, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	t, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &Node{Line: p.line(), Value: t}
	switch t {
	case json.Delim('['):
		items := []*Node{}
		for p.dec.More() {
			item, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		n.Value = items
		_, err = p.dec.Token()
	case json.Delim('{'):
		n.Value, err = p.object(depth)
	}
	return n, err
}

func (p *jsonParser) object(depth int) ([]Member, error) {
	members := []Member{}
	seen := make(map[string]bool)
	for p.dec.More() {
		t, err := p.dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		if seen[name] {
			return nil, fmt.Errorf("field %q stands twice", name)
		}
		seen[name] = true
		line := p.line()
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		members = append(members, Member{name, line, v})
	}
	_, err := p.dec.Token()
	return members, err
}
