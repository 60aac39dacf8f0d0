package api

import (
	"fmt"
	"strings"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
)

// sentence tells what is going on with a circuit, to somebody who was woken up.
func sentence(v *control.CircuitView, name string, age time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is %s", name, v.State)
	switch v.Phase {
	case "ramp":
		b.WriteString(", on its way back to full traffic,")
	case "limited":
		b.WriteString(", limited to what its callee can serve,")
	}
	fmt.Fprintf(&b, " for %s", Age(v.Since+age))
	if v.Why != "" {
		b.WriteString(": " + v.Why)
	}
	b.WriteString(".")
	if v.State != breaker.Closed || v.Phase != "" {
		fmt.Fprintf(&b, " %.0f %% of its calls are admitted;", 100*v.Share)
		fmt.Fprintf(&b, " %d of %s not closed.", v.Open, plural(v.Breakers, "breaker is", "breakers are"))
	}
	if v.Mode != breaker.Enforce {
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
		b.WriteString(".")
	}
	return b.String()
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
