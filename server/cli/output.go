package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/datapunk/switchgear/server/api"
	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

// apiVersion of what -o json and -o yaml print.
const apiVersion = "switchgear/v1"

// circuitList is the stable form of a list.
type circuitList struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Items      []circuit `json:"items"`
}

// circuit is the stable form of one circuit; durations are in seconds.
type circuit struct {
	Name           string    `json:"name"`
	State          string    `json:"state"`
	Mode           string    `json:"mode"`
	Phase          string    `json:"phase,omitempty"`
	SinceSeconds   float64   `json:"sinceSeconds"`
	FailureRate    float64   `json:"failureRate"`
	CallsPerSecond float64   `json:"callsPerSecond"`
	Breakers       uint32    `json:"breakers"`
	Open           uint32    `json:"open"`
	Share          float64   `json:"share"`
	Why            string    `json:"why,omitempty"`
	Override       *override `json:"override,omitempty"`
	Held           string    `json:"held,omitempty"`
	Revision       string    `json:"revision,omitempty"`
	Parts          []part    `json:"parts,omitempty"`
	Replicas       []replica `json:"replicas,omitempty"`
}

type part struct {
	Instance     string    `json:"instance"`
	State        string    `json:"state"`
	Phase        string    `json:"phase,omitempty"`
	Share        float64   `json:"share"`
	SinceSeconds float64   `json:"sinceSeconds"`
	Why          string    `json:"why,omitempty"`
	Override     *override `json:"override,omitempty"`
}

// override is an operator's word that stands above the state.
type override struct {
	ID          string  `json:"id"`
	Mode        string  `json:"mode"`
	Author      string  `json:"author"`
	Reason      string  `json:"reason"`
	LeftSeconds float64 `json:"leftSeconds"`
}

func overrideOf(o *apiv1.Override) *override {
	if o == nil {
		return nil
	}
	return &override{o.GetId(), api.Word(o.GetMode()), o.GetAuthor(), o.GetReason(), o.GetLeft().AsDuration().Seconds()}
}

type replica struct {
	Name       string  `json:"name"`
	State      string  `json:"state"`
	Mode       string  `json:"mode"`
	Generation uint64  `json:"generation"`
	AgeSeconds float64 `json:"ageSeconds"`
}

func circuitOf(m *apiv1.Circuit) circuit {
	c := circuit{
		Name: m.GetName(), State: api.Word(m.GetState()), Mode: api.Word(m.GetMode()), Phase: m.GetPhase(),
		SinceSeconds: m.GetSince().AsDuration().Seconds(), FailureRate: m.GetFailureRate(), CallsPerSecond: m.GetCallsPerSecond(),
		Breakers: m.GetBreakers(), Open: m.GetOpen(), Share: m.GetShare(), Why: m.GetWhy(),
		Override: overrideOf(m.GetOverride()), Held: m.GetHeld(), Revision: m.GetRevision(),
	}
	for _, p := range m.GetParts() {
		c.Parts = append(c.Parts, part{
			p.GetInstance(), api.Word(p.GetState()), p.GetPhase(), p.GetShare(), p.GetSince().AsDuration().Seconds(), p.GetWhy(), overrideOf(p.GetOverride()),
		})
	}
	for _, r := range m.GetReplicas() {
		c.Replicas = append(c.Replicas, replica{
			r.GetName(), api.Word(r.GetState()), api.Word(r.GetMode()), r.GetGeneration(), r.GetAge().AsDuration().Seconds(),
		})
	}
	return c
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printYAML prints what printJSON would, with the same names in the same order.
func printYAML(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var n yaml.Node
	if err := yaml.Unmarshal(data, &n); err != nil {
		return err
	}
	plain(&n)
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(&n); err != nil {
		return err
	}
	return e.Close()
}

// plain takes JSON's style from a tree: blocks and bare words.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}

var (
	columns     = []string{"CIRCUIT", "STATE", "SINCE", "FAILURES", "CALLS/S", "OPEN", "ADMITTED", "WHY"}
	wideColumns = []string{"CIRCUIT", "STATE", "SINCE", "FAILURES", "CALLS/S", "OPEN", "ADMITTED", "MODE", "PHASE", "WHY"}
)

func row(m *apiv1.Circuit, wide bool) []string {
	state, why := api.Word(m.GetState()), m.GetWhy()
	if o := m.GetOverride(); o != nil {
		state += ", " + api.Word(o.GetMode()) // calculated, and what a person made of it
		why = fmt.Sprintf("%s by %s for another %s: %s", api.Word(o.GetMode()), o.GetAuthor(), api.Age(o.GetLeft().AsDuration()), o.GetReason())
	} else if m.GetHeld() != "" && m.GetState() == apiv1.State_STATE_CLOSED {
		why = "held: " + m.GetHeld()
	} else if m.GetHeld() != "" {
		why = strings.TrimPrefix(why+"; held: "+m.GetHeld(), "; ") // replicas have opened by their own rule
	}
	c := []string{
		m.GetName(), state, api.Age(m.GetSince().AsDuration()),
		fmt.Sprintf("%.1f%%", m.GetFailureRate()), fmt.Sprintf("%.1f", m.GetCallsPerSecond()),
		fmt.Sprintf("%d/%d", m.GetOpen(), m.GetBreakers()), fmt.Sprintf("%.0f%%", 100*m.GetShare()),
	}
	if wide {
		c = append(c, api.Word(m.GetMode()), dash(m.GetPhase()))
	}
	return append(c, dash(why))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// printTable aligns rows. What services call themselves is printed, so what could
// drive a terminal is taken out.
func printTable(w io.Writer, rows ...[]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		for i := range r {
			r[i] = printable(r[i])
		}
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	return t.Flush()
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
