package scenario

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/datapunk/switchgear/policy"
)

// Decode reads a scenario from JSON. It reports all that is wrong at once, each
// with its line, path, value and what was wanted.
func Decode(data []byte) (*Scenario, error) {
	root, err := policy.ParseJSON(data)
	if err != nil {
		return nil, err
	}
	d := decoder{lines: make(map[string]int)}
	s := d.scenario(root)
	if len(d.found) > 0 {
		return nil, join(d.found)
	}
	ps := s.problems()
	for _, p := range ps {
		p.Line = d.line(p.Path)
	}
	if len(ps) > 0 {
		return nil, join(ps)
	}
	return s, nil
}

// decoder keeps where everything stands.
type decoder struct {
	checker
	lines map[string]int // by path
}

// line of a path, or of what it would be in.
func (d *decoder) line(at string) int {
	for {
		if n := d.lines[at]; n > 0 {
			return n
		}
		i := strings.LastIndexAny(at, ".[")
		if i < 0 {
			return d.lines[""]
		}
		at = at[:i]
	}
}

func (d *decoder) bad(at string, line int, format string, args ...any) {
	d.wrong(at, format, args...)
	d.found[len(d.found)-1].Line = line
}

// field is one that an object may have.
type field struct {
	name string
	read func(d *decoder, at string, n *policy.Node)
}

func (d *decoder) object(at string, n *policy.Node, fields ...field) {
	d.lines[at] = n.Line
	members, ok := n.Value.([]policy.Member)
	if !ok {
		d.bad(at, n.Line, "%s: want an object", shown(n.Value))
		return
	}
next:
	for _, m := range members {
		path := strings.TrimPrefix(at+"."+m.Name, ".")
		for _, f := range fields {
			if f.name == m.Name {
				d.lines[path] = m.Line
				f.read(d, path, m.Node)
				continue next
			}
		}
		var names []string
		for _, f := range fields {
			names = append(names, f.name)
		}
		d.bad(path, m.Line, "unknown field: want %s", strings.Join(names, ", "))
	}
}

// list reads the items of a list.
func list(name string, read func(d *decoder, at string, n *policy.Node)) field {
	return field{name, func(d *decoder, at string, n *policy.Node) {
		items, ok := n.Value.([]*policy.Node)
		if !ok {
			d.bad(at, n.Line, "%s: want a list", shown(n.Value))
			return
		}
		for i, item := range items {
			at := fmt.Sprintf("%s[%d]", at, i)
			d.lines[at] = item.Line
			read(d, at, item)
		}
	}}
}

func text(name string, to *string) field {
	return field{name, func(d *decoder, at string, n *policy.Node) {
		var ok bool
		if *to, ok = n.Value.(string); !ok {
			d.bad(at, n.Line, "%s: want a text in quotes", shown(n.Value))
		}
	}}
}

func texts(name string, to *[]string) field {
	return list(name, func(d *decoder, at string, n *policy.Node) {
		var s string
		text("", &s).read(d, at, n)
		*to = append(*to, s)
	})
}

func truth(name string, to *bool) field {
	return field{name, func(d *decoder, at string, n *policy.Node) {
		var ok bool
		if *to, ok = n.Value.(bool); !ok {
			d.bad(at, n.Line, "%s: want true or false", shown(n.Value))
		}
	}}
}

func number(name string, to *float64) field {
	return field{name, func(d *decoder, at string, n *policy.Node) {
		v, ok := n.Value.(json.Number)
		f, err := v.Float64()
		if !ok || err != nil || math.IsInf(f, 0) {
			d.bad(at, n.Line, "%s: want a number", shown(n.Value))
			return
		}
		*to = f
	}}
}

func whole(name string, to *int) field {
	return field{name, func(d *decoder, at string, n *policy.Node) {
		v, ok := n.Value.(json.Number)
		i, err := v.Int64()
		if !ok || err != nil || i > math.MaxInt32 || i < math.MinInt32 {
			d.bad(at, n.Line, "%s: want a whole number", shown(n.Value))
			return
		}
		*to = int(i)
	}}
}

func seed(name string, to *uint64) field {
	return field{name, func(d *decoder, at string, n *policy.Node) {
		v, ok := n.Value.(json.Number)
		i, err := v.Int64()
		if !ok || err != nil || i < 0 {
			d.bad(at, n.Line, "%s: want a whole number from 0 on", shown(n.Value))
			return
		}
		*to = uint64(i)
	}}
}

func span(name string, to *time.Duration) field {
	return field{name, func(d *decoder, at string, n *policy.Node) {
		v, ok := n.Value.(string)
		t, err := time.ParseDuration(v)
		if !ok || err != nil {
			d.bad(at, n.Line, `%s: want a duration like "1.5s" or "200ms"`, shown(n.Value))
			return
		}
		*to = t
	}}
}

func shown(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case []*policy.Node:
		return "a list"
	case []policy.Member:
		return "an object"
	case nil:
		return "null"
	}
	return fmt.Sprint(v)
}

func (d *decoder) scenario(root *policy.Node) *Scenario {
	s := New("", 1, 0)
	d.object("", root,
		text("name", &s.Name), text("about", &s.About), seed("seed", &s.Seed), span("duration", &s.Duration), whole("daemons", &s.Daemons),
		field{"link", func(d *decoder, at string, n *policy.Node) {
			d.object(at, n, span("delay", &s.Link.Delay), span("jitter", &s.Link.Jitter), number("lossPercent", &s.Link.LossPercent))
		}},
		list("services", func(d *decoder, at string, n *policy.Node) { s.Services = append(s.Services, d.service(at, n)) }),
		list("faults", func(d *decoder, at string, n *policy.Node) { s.Faults = append(s.Faults, d.fault(at, n)) }),
		field{"policies", func(d *decoder, at string, n *policy.Node) {
			var err error
			if s.Policies, err = policy.DecodeNode(n); err != nil {
				d.policies(at, n.Line, err)
			}
		}},
	)
	return s
}

// policies takes over what is wrong with them: each has its line already.
func (d *decoder) policies(at string, line int, err error) {
	errs := []error{err}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		errs = many.Unwrap()
	}
	for _, err := range errs {
		text := err.Error()
		n := line
		if _, e := fmt.Sscanf(text, "line %d:", &n); e == nil {
			_, text, _ = strings.Cut(text, ": ")
		}
		in, reason, _ := strings.Cut(text, ": ")
		if in != "" && in[0] != '[' {
			in = "." + in
		}
		d.bad(at+in, n, "%s", reason)
	}
}

func (d *decoder) service(at string, n *policy.Node) (x Service) {
	x = newService()
	d.object(at, n,
		text("name", &x.Name), text("namespace", &x.Namespace), whole("replicas", &x.Replicas), span("latency", &x.Latency),
		number("spread", &x.Spread), number("failPercent", &x.FailPercent), number("capacity", &x.Capacity), span("queue", &x.Queue),
		list("routes", func(d *decoder, at string, n *policy.Node) {
			r := Route{Weight: 1}
			d.object(at, n, text("name", &r.Name), number("weight", &r.Weight))
			x.Routes = append(x.Routes, r)
		}),
		field{"load", func(d *decoder, at string, n *policy.Node) {
			x.Load = new(Load)
			arrivals := "poisson"
			d.object(at, n, number("perSecond", &x.Load.PerSecond), text("arrivals", &arrivals), span("deadline", &x.Load.Deadline))
			x.Load.Even = arrivals == "even"
			if arrivals != "even" && arrivals != "poisson" {
				d.bad(at+".arrivals", d.line(at+".arrivals"), "%q: want even or poisson", arrivals)
			}
		}},
		list("calls", func(d *decoder, at string, n *policy.Node) {
			c := newCall()
			d.object(at, n, text("to", &c.To), span("timeout", &c.Timeout), whole("retries", &c.Retries), span("backoff", &c.Backoff),
				number("percent", &c.Percent), truth("optional", &c.Optional))
			x.Calls = append(x.Calls, c)
		}),
	)
	return x
}

func (d *decoder) fault(at string, n *policy.Node) (f Fault) {
	d.object(at, n,
		text("kind", &f.Kind), span("at", &f.At), span("for", &f.For), text("service", &f.Service),
		texts("instances", &f.Instances), texts("routes", &f.Routes), texts("callers", &f.Callers), texts("replicas", &f.Replicas),
		number("percent", &f.Percent), text("as", &f.As), span("latency", &f.Latency), number("factor", &f.Factor), span("period", &f.Period),
		span("down", &f.Down), span("gap", &f.Gap), whole("retries", &f.Retries), span("backoff", &f.Backoff),
		span("delay", &f.Delay), span("jitter", &f.Jitter), text("family", &f.Family), seed("seed", &f.Seed),
	)
	return f
}
