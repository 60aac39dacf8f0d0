package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Result is what a demo has shown, by those who know the truth: the load
// generator and the fault proxies.
type Result struct {
	Requests        int       `json:"requests"` // from outside
	Failed          int       `json:"failed"`   // of them answered with an error, or not at all
	Rejected        int       `json:"rejected"` // of them answered at once: a breaker on the way didn't permit a call
	BlockedByDaemon int       `json:"blocked_by_daemon"`
	Chapters        []Chapter `json:"chapters"`
	Seed            uint64    `json:"seed"`
	Seconds         float64   `json:"seconds"`
	Daemon          bool      `json:"daemon"`
	Interrupted     bool      `json:"interrupted,omitempty"`
}

// Kept tells whether each chapter was told and kept its promises.
func (r *Result) Kept() bool {
	for _, c := range r.Chapters {
		if !c.Kept {
			return false
		}
	}
	return len(r.Chapters) == chapters && !r.Interrupted
}

// Chapter is one fault and what became of it. Figures that a chapter has not, or
// could not measure, are left out.
type Chapter struct {
	Name string `json:"name"`
	Kept bool   `json:"kept"`
	Why  string `json:"why,omitempty"` // where it is not kept

	OpenMS           *int64 `json:"open_ms,omitempty"`            // fault to the last replica open
	DueMS            *int64 `json:"due_ms,omitempty"`             // fault to the pooled minimum: calls since then that suffice
	FailedBeforeOpen *int   `json:"failed_before_open,omitempty"` // answers of the faulty instances
	Probes           *int   `json:"probes,omitempty"`             // calls to faulty instances once open, in the whole fleet
	ProbeBurst       *int   `json:"probe_burst,omitempty"`        // the most of them within one wait
	RecoverMS        *int64 `json:"recover_ms,omitempty"`         // cure to full admission
	Collateral       *int   `json:"collateral,omitempty"`         // rejected though an instance of the callee was healthy
	RejectedAfter    *int   `json:"rejected_after_cure,omitempty"`

	CapacityPerSecond *float64 `json:"capacity_per_s,omitempty"` // of a weak return
	ArrivedPerSecond  *float64 `json:"arrived_per_s,omitempty"`  // meanwhile, on average
	Relapses          *int     `json:"relapses,omitempty"`       // times that it went silent again

	ConvergeMS   *int64 `json:"converge_ms,omitempty"`    // the daemon's start to the fleet's next probe
	HitByKilling *int   `json:"hit_by_killing,omitempty"` // calls to healthy services that failed, were rejected or waited

	Promises []Promise `json:"promises"`
}

// Promise of a chapter.
type Promise struct {
	Text string `json:"promise"`
	Kept bool   `json:"kept"`
	Seen string `json:"seen"`
}

func (c *Chapter) promise(text string, kept bool, seen string, args ...any) {
	c.Promises = append(c.Promises, Promise{text, kept, fmt.Sprintf(seen, args...)})
}

// judge says whether every promise was kept, and of the first that was not, why.
func (c *Chapter) judge() {
	c.Kept = len(c.Promises) > 0
	for _, p := range c.Promises {
		if !p.Kept {
			c.Kept = false
			c.Why = p.Text + ": " + p.Seen
			return
		}
	}
}

func milliseconds(d time.Duration) *int64 {
	n := d.Milliseconds()
	return &n
}

func of[T any](v T) *T { return &v }

// Print writes the result for people.
func (r *Result) Print(w io.Writer) {
	for _, c := range r.Chapters {
		word := "kept"
		if !c.Kept {
			word = "NOT KEPT"
		}
		fmt.Fprintf(w, "\n%-14s %s\n", c.Name, word)
		for _, p := range c.Promises {
			mark := "+"
			if !p.Kept {
				mark = "-"
			}
			fmt.Fprintf(w, "  %s %s: %s\n", mark, p.Text, p.Seen)
		}
		if len(c.Promises) == 0 && c.Why != "" {
			fmt.Fprintf(w, "  - %s\n", c.Why)
		}
		if f := c.figures(); f != "" {
			fmt.Fprintf(w, "    %s\n", f)
		}
	}
	fmt.Fprintf(w, "\n%d calls from outside: %d failed, %d rejected at once; %d blocked by the daemon\n",
		r.Requests, r.Failed, r.Rejected, r.BlockedByDaemon)
}

// figures that no promise of the chapter names already.
func (c *Chapter) figures() string {
	var f []string
	if c.FailedBeforeOpen != nil {
		f = append(f, fmt.Sprintf("%d calls failed before it was open", *c.FailedBeforeOpen))
	}
	if c.RejectedAfter != nil {
		f = append(f, fmt.Sprintf("%d were rejected between the cure and full admission", *c.RejectedAfter))
	}
	return strings.Join(f, ", ")
}
