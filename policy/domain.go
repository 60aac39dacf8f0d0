package policy

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// domain is what values a field can have.
type domain struct {
	kind      kind
	unit      string
	low, high float64 // of durations in seconds; both within
	nothing   string  // what 0 says where it is no quantity; then 0 is within, too
	words     []string
	most      int // of a list
}

type kind uint8

const (
	isNumber kind = iota
	isCount
	isDuration
	isWord
	isName
	isPath
	isList
)

func percent(low, high float64) domain {
	return domain{kind: isNumber, unit: "percent", low: low, high: high}
}

func ratio(low, high float64) domain {
	return domain{kind: isNumber, unit: "ratio", low: low, high: high}
}

func count(low, high int) domain {
	return domain{kind: isCount, unit: "number", low: float64(low), high: float64(high)}
}

func between(low, high time.Duration) domain {
	return domain{kind: isDuration, unit: "duration", low: low.Seconds(), high: high.Seconds()}
}

func oneOf(words ...string) domain { return domain{kind: isWord, unit: "word", words: words} }

func named() domain { return domain{kind: isName, unit: "name"} }

func pathname() domain { return domain{kind: isPath, unit: "path"} }

// list of percents over low.
func list(low, high float64, most int) domain {
	return domain{kind: isList, unit: "percents", low: low, high: high, most: most}
}

func (d domain) zero(says string) domain {
	d.nothing = says
	return d
}

// span says the range in words.
func (d *domain) span() string {
	zero := ""
	if d.nothing != "" {
		zero = "0 (" + d.nothing + ")"
	}
	show := number
	switch d.kind {
	case isWord:
		return strings.Join(d.words[:len(d.words)-1], ", ") + " or " + d.words[len(d.words)-1]
	case isName:
		return "up to 253 bytes"
	case isPath:
		return "up to 253 bytes that begin with /, without spaces or #"
	case isList:
		return fmt.Sprintf("rising, over %v, at most %v, at most %d of them", d.low, d.high, d.most)
	case isDuration:
		show = func(v float64) string { return short(seconds(v)) }
	}
	switch {
	case zero != "" && d.low > 0:
		return zero + ", or " + show(d.low) + " to " + show(d.high)
	case zero != "":
		return zero + " to " + show(d.high)
	}
	return show(d.low) + " to " + show(d.high)
}

func seconds(s float64) time.Duration { return time.Duration(math.Round(s * float64(time.Second))) }

// holds reports whether a quantity is within the domain.
func (d *domain) holds(v float64) bool {
	return v >= d.low && v <= d.high || v == 0 && d.nothing != ""
}

// wrong is why a node is no value of the domain. What is beyond, JSON Schema
// can't say.
type wrong struct {
	reason string
	beyond bool
}

// parse reads a node's value: a float64, int, time.Duration, string or []float64.
func (d *domain) parse(n *Node) (any, *wrong) {
	switch d.kind {
	case isNumber, isCount:
		v, ok := numberOf(n)
		if whole := d.kind == isCount; !ok || whole && v != math.Trunc(v) {
			return nil, &wrong{reason: map[bool]string{false: "want a number, ", true: "want a whole number, "}[whole] + d.span()}
		}
		if !d.holds(v) {
			return nil, &wrong{reason: "want " + d.span()}
		}
		if d.kind == isCount {
			return int(v), nil
		}
		return v, nil
	case isDuration:
		return d.parseDuration(n)
	case isList:
		return d.parseList(n)
	}
	text, ok := n.Value.(string)
	if !ok {
		return nil, &wrong{reason: "want a text in quotes"}
	}
	switch {
	case d.kind == isWord && !slices.Contains(d.words, text):
		return nil, &wrong{reason: "want " + d.span()}
	case d.kind == isWord || text == "":
		return text, nil
	case d.kind == isPath && (text[0] != '/' || strings.ContainsAny(text, " #")):
		return nil, &wrong{reason: "want " + d.span()}
	}
	if w := notName(text); w != nil {
		return nil, w
	}
	return text, nil
}

// notName is why a text is no name.
func notName(text string) *wrong {
	if err := ValidName(text); err != nil {
		// The schema counts characters where names are bounded in bytes.
		return &wrong{err.Error(), len(text) > 253 && len([]rune(text)) <= 253}
	}
	return nil
}

// numberOf a node; -0 is 0.
func numberOf(n *Node) (float64, bool) {
	text, ok := n.Value.(json.Number)
	if !ok {
		return 0, false
	}
	v, err := text.Float64()
	return v + 0, err == nil
}

var durations = regexp.MustCompile(durationShape)

const aDuration = `want a duration like "1.5s", "200ms" or "1h30m"`

func (d *domain) parseDuration(n *Node) (any, *wrong) {
	text, ok := n.Value.(string)
	if !ok || text == "" || text[0] == '-' || text[0] == '+' {
		return nil, &wrong{reason: aDuration}
	}
	v, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return nil, &wrong{aDuration, durations.MatchString(text)} // the schema's pattern knows no greatest number
	case !d.holds(v.Seconds()):
		return nil, &wrong{"want " + d.span(), true}
	}
	return v, nil
}

func (d *domain) parseList(n *Node) (any, *wrong) {
	items, ok := n.Value.([]*Node)
	if !ok {
		return nil, &wrong{reason: "want a list of numbers"}
	}
	if len(items) > d.most {
		return nil, &wrong{reason: fmt.Sprintf("%d of them: at most %d", len(items), d.most)}
	}
	values := make([]float64, 0, len(items))
	falls := false
	for _, item := range items {
		v, ok := numberOf(item)
		if !ok || v <= d.low || v > d.high {
			return nil, &wrong{reason: "want numbers " + d.span()}
		}
		falls = falls || len(values) > 0 && v <= values[len(values)-1]
		values = append(values, v)
	}
	if falls {
		return nil, &wrong{"want numbers " + d.span(), true}
	}
	return values, nil
}

// put puts a value that parse gave in its place.
func (f *field) put(s *Settings, v any) {
	switch at := f.at(s).(type) {
	case *float64:
		*at, _ = v.(float64)
	case *int:
		*at, _ = v.(int)
	case *time.Duration:
		*at, _ = v.(time.Duration)
	case *string:
		*at, _ = v.(string)
	case *[]float64:
		*at, _ = v.([]float64)
	case encoding.TextUnmarshaler:
		word, _ := v.(string)
		_ = at.UnmarshalText([]byte(word)) // parse has seen that it is one
	}
}

// get is a field's value, as parse would give it.
func (f *field) get(s *Settings) any {
	switch at := f.at(s).(type) {
	case *float64:
		return *at
	case *int:
		return *at
	case *time.Duration:
		return *at
	case *string:
		return *at
	case *[]float64:
		return *at
	case fmt.Stringer:
		return at.String()
	}
	return nil
}

// words is a field's value as documents and people write it.
func words(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case float64:
		return number(v)
	case time.Duration:
		return short(v)
	case []float64:
		var b strings.Builder
		for i, x := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(number(x))
		}
		return b.String()
	}
	return fmt.Sprint(v)
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// short is a duration without the zeros at its end.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
