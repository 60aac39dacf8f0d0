package api

import (
	"fmt"
	"strings"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
)

// sentence tells what is going on with a circuit, to somebody who was woken up.
// Control knows no time of day: the view was taken at one instant and is told at
// another.
func sentence(v *control.CircuitView, name string, at, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is %s", name, v.State)
	switch v.Phase {
	case "ramp":
		b.WriteString(", on its way back to full traffic,")
	case "limited":
		b.WriteString(", limited to what its callee can serve,")
	}
	fmt.Fprintf(&b, " since %s (%s)", timeOfDay(at.Add(-v.Since), now), Age(v.Since+now.Sub(at)))
	var whys []string
	if v.Why != "" {
		whys = append(whys, v.Why)
	}
	if v.Inherited > 0 {
		whys = append(whys, fmt.Sprintf("%d more failed because of what the callee calls, and do not count", v.Inherited))
	}
	if only := onlyParts(v); only != "" {
		whys = append(whys, only)
	}
	if left := v.NextProbe - now.Sub(at); v.NextProbe > 0 && left > 0 {
		whys = append(whys, "next probe in "+Age(left))
	}
	if len(v.Holders) > 0 {
		whys = append(whys, "the next probe is held by "+strings.Join(v.Holders, ", "))
	}
	if v.Marker != "" {
		whys = append(whys, v.Marker)
	}
	if v.Revision != "" {
		whys = append(whys, "settings "+v.Revision)
	}
	if len(whys) > 0 {
		b.WriteString(": " + strings.Join(whys, "; "))
	}
	b.WriteString(".")
	if v.Held != "" {
		fmt.Fprintf(&b, " It is held: %s.", v.Held)
	}
	if v.Paused != "" && !strings.Contains(v.Held, "automation is paused") {
		fmt.Fprintf(&b, " %s%s.", strings.ToUpper(v.Paused[:1]), v.Paused[1:])
	}
	if v.State != breaker.Closed || v.Phase != "" {
		fmt.Fprintf(&b, " %.0f %% of its calls are admitted;", 100*v.Share)
		fmt.Fprintf(&b, " %d of %s not closed.", v.Open, plural(v.Breakers, "breaker is", "breakers are"))
	}
	if o := v.Override; o != nil {
		fmt.Fprintf(&b, " Mode %s by %s, for another %s: %s (%s).", o.Mode, o.Author, Age(o.TTL-now.Sub(at)), o.Reason, o.ID)
		switch o.Mode {
		case breaker.ForcedOpen:
			b.WriteString(" Every call is rejected; the state stands still.")
		case breaker.Off:
			b.WriteString(" Nothing is judged and nothing rejected.")
		default:
			b.WriteString(" No call is rejected.")
		}
	} else if v.Mode != breaker.Enforce {
		fmt.Fprintf(&b, " Mode %s: ", v.Mode)
		switch v.Mode {
		case breaker.MetricsOnly:
			b.WriteString("this is only shown, and replicas decide alone.")
		case breaker.Off:
			b.WriteString("nothing is judged and nothing rejected.")
		default:
			b.WriteString("every call is rejected, whatever the state.")
		}
	}
	for _, p := range v.Parts {
		fmt.Fprintf(&b, " Instance %s has a verdict of its own: %s", p.Instance, p.State)
		if p.Why != "" {
			b.WriteString(", because " + p.Why)
		}
		if o := p.Override; o != nil {
			fmt.Fprintf(&b, "; mode %s by %s, for another %s: %s", o.Mode, o.Author, Age(o.TTL-now.Sub(at)), o.Reason)
		}
		b.WriteString(".")
	}
	return b.String()
}

// onlyParts says that a circuit that is closed is open in parts.
func onlyParts(v *control.CircuitView) string {
	var open []string
	for _, p := range v.Parts {
		if p.State != breaker.Closed {
			open = append(open, p.Instance)
		}
	}
	if len(open) == 0 || v.State != breaker.Closed {
		return ""
	}
	return "only instance " + strings.Join(open, ", ")
}

// timeOfDay is an instant as people say it: with the day, where it is another one.
func timeOfDay(t, now time.Time) string {
	if now.Sub(t) < 12*time.Hour {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Age is a duration as people read it: 340ms, 12s, 3m4s, 2h5m, 3d4h.
func Age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}
