package evaluate

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/sim/fault"
)

func TestDebug(t *testing.T) {
	fam := os.Getenv("FAMILY")
	if fam == "" {
		return
	}
	seed, _ := strconv.Atoi(os.Getenv("SEED"))
	callers, _ := strconv.Atoi(os.Getenv("CALLERS"))
	for _, f := range fault.Families {
		if f.Name != fam {
			continue
		}
		l := newLoad(fault.Draw(f, uint64(seed)), callers)
		w := newWorld(l)
		best := w.play(newClairvoyant(w, 0, 0)).utility
		wb := w
		late := newWorld(l)
		lt := late.play(newClairvoyant(late, lateBy, lateByCalls)).utility
		w = newWorld(l)
		p := newSwitchgear(w.callers, w.Instances, w.Seed, w.Timeout)
		var lines []string
		lastWhy := ""
		p.world.Outputs = func(o control.Output) {
			d := o.Directive
			s := fmt.Sprintf("%8.2f to %q %v/%s share %.3f hot %v gen %d: %s", p.world.Now().Seconds(), o.To.Name, d.State, d.Phase, d.Share, d.Hot, d.Generation, d.Reason)
			for _, x := range d.Parts {
				s += fmt.Sprintf("\n            part %s %v/%s %.3f: %s", x.Instance, x.State, x.Phase, x.Share, x.Reason)
			}
			if d.Reason != lastWhy || os.Getenv("ALL") != "" {
				lines = append(lines, s)
			}
			lastWhy = d.Reason
		}
		o := w.play(p)
		fmt.Printf("%s seed %d callers %d: share %.4f (late clairvoyant %.4f) opened %d rate %.0f timeout %v latency %v inst %d spread %.2f fail %.3f\n", fam, seed, callers, o.utility/best, lt/best, o.opened, l.Calm.Rate, l.Timeout, l.Calm.Latency, l.Instances, l.Spread, l.Calm.Fail)
		li := 0
		for i := 0; i < len(w.ticks); i += 5 {
			a := tick{}
			b := 0
			for j := i; j < min(i+5, len(w.ticks)); j++ {
				a.offered += w.ticks[j].offered
				a.admitted += w.ticks[j].admitted
				b += wb.ticks[j].admitted
			}
			at := float64(i) / 10
			if a.admitted != a.offered || b != a.offered || os.Getenv("ALL") != "" {
				we := l.At(time.Duration(i)*tickWidth, 0, callers, 0)
				fmt.Printf("%6.1f offered %4d admitted %4d best %4d   fail %.2f hang %.2f lat %v delay %v cap %.0f\n", at, a.offered, a.admitted, b, we.Fail, we.Hang, we.Latency.Round(time.Millisecond), we.Delay.Round(time.Millisecond), we.Capacity)
			}
			for li < len(lines) {
				var x float64
				fmt.Sscanf(lines[li], "%f", &x)
				if x >= at+.5 {
					break
				}
				fmt.Println("      ", lines[li])
				li++
			}
		}
	}
}
