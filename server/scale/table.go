package scale

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table prints what was measured for people; with markdown as tables of a
// document.
func (r *Result) Table(w io.Writer, markdown bool) error {
	t := &table{w: w, markdown: markdown}
	t.line("measure", "measured", "aimed at")
	t.rule(3)
	r.figures(t)
	if len(r.Coordination) > 0 {
		t.gap()
		t.line("replicas", "calm: B/s each", "calm: % of a core", "outage: B/s each", "outage: % of a core",
			"open after ms, p50 / p99", "alone", "failed calls", "alone", "spared", "each", "rejected after it", "alone")
		t.rule(13)
		for _, c := range r.Coordination {
			t.line(fmt.Sprint(c.Replicas), figure(c.CalmBytesPerS), figure(c.CalmPercent), figure(c.OutageBytesPerS), figure(c.OutagePercent),
				figure(c.OpenP50Ms)+" / "+figure(c.OpenP99Ms), figure(c.OpenAloneP50Ms)+" / "+figure(c.OpenAloneP99Ms),
				fmt.Sprint(c.Failed), fmt.Sprint(c.FailedAlone), figure(c.SparedPercent)+" %", figure(c.SparedPerReplica), fmt.Sprint(c.LostAfter), fmt.Sprint(c.LostAfterAlone))
		}
	}
	return t.end()
}

func (r *Result) figures(t *table) {
	if x := r.Reports; x != nil {
		t.line("circuit reports a second and core, busy circuits (ten calls a second): control", figure(x.Control), "1,000,000")
		t.line("the same: decoding and validating", figure(x.Decode), "")
		t.line("the same: all that a lone daemon does, but for sockets and queues", figure(x.Whole), "")
		t.line("the same: all that a daemon among others does, over the bus", figure(x.Bus), "")
		t.line("circuit reports a second and core, slow circuits (one call a second): control", figure(x.ControlSlow), "1,000,000")
		t.line("the same: decoding and validating", figure(x.DecodeSlow), "")
		t.line("the same: all that a lone daemon does, but for sockets and queues", figure(x.WholeSlow), "")
		t.line("the same: all that a daemon among others does, over the bus", figure(x.BusSlow), "")
	}
	if r.BytesPerCircuitReplica != nil {
		t.line("bytes of control per active circuit and replica", figure(*r.BytesPerCircuitReplica), "")
	}
	if x := r.Fanout; x != nil {
		t.line(fmt.Sprintf("a directive to %d live streams, ms: p50 / p99 / longest", x.Streams), figure(x.P50Ms)+" / "+figure(x.P99Ms)+" / "+figure(x.MaxMs), "p99 < 50")
		t.line("meanwhile others used of the machine, % of a core", figure(x.OthersPercent), "")
	}
	if x := r.Calm; x != nil {
		t.line(fmt.Sprintf("calm: %d live clients, %d circuits and %d calls a second each: the daemon, %% of a core", x.Clients, x.Circuits, x.CallsPerS), figure(*r.CalmCorePercent), "< 15")
		t.line("calm: the daemon's memory, MB", figure(float64(x.RSSBytes)/1e6), "")
	}
	if x := r.Hot; x != nil {
		t.line(fmt.Sprintf("hot: %d live clients, %d callees fail at once: open after, ms: p50 / p99 / last", x.Clients, x.Failing), figure(x.OpenP50Ms)+" / "+figure(x.OpenP99Ms)+" / "+figure(x.OpenMaxMs), "")
		t.line("hot: meanwhile others used of the machine, % of a core", figure(x.OthersPercent), "")
		t.line("hot: breakers that never opened", fmt.Sprint(x.NeverOpened), "0")
		t.line("hot: the daemon, % of a core: first second / while it lasts / 20 s after", figure(x.FirstSecondPercent)+" / "+figure(x.OutagePercent)+" / "+figure(x.AfterPercent), "")
		t.line("hot: reports a second, of all clients", figure(x.ReportsPerS), "")
		t.line("hot: reports shed / overflows of the bus", figure(x.ShedReports)+" / "+figure(x.BusOverflows), "0 / 0")
		t.line("hot: closed again after the cure, ms: p50 / p99", figure(x.RecoverP50Ms)+" / "+figure(x.RecoverP99Ms), "")
		t.line("hot: the daemon's memory, MB", figure(float64(x.RSSBytes)/1e6), "")
	}
	if x := r.Simulated; x != nil {
		t.line(fmt.Sprintf("simulated: %d replicas, %d circuits each: processor seconds for a second", x.Replicas, x.Circuits), figure(x.CPU), "< 1")
		t.line("of these: replicas and their calls, without a daemon", figure(x.CPUReplicas), "")
		t.line("of these: control, without the collection of garbage", figure(x.CPUControl), "< 1")
		t.line("simulated: greatest memory, MiB", figure(float64(x.PeakRSS)/(1<<20)), "< 1024")
		t.line("simulated: bytes per circuit and replica: control / the replica's half", figure(x.BytesControl)+" / "+figure(x.BytesReplicas), "")
	}
}

// figure prints a number with three digits that count.
func figure(x float64) string {
	switch {
	case x >= 1000:
		return thousands(fmt.Sprintf("%.0f", x))
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

func thousands(s string) string {
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// table is aligned for a terminal, or a document's.
type table struct {
	w        io.Writer
	aligned  *tabwriter.Writer
	markdown bool
}

func (t *table) line(cells ...string) {
	if t.markdown {
		fmt.Fprintln(t.w, "| "+strings.Join(cells, " | ")+" |")
		return
	}
	if t.aligned == nil {
		t.aligned = tabwriter.NewWriter(t.w, 0, 0, 2, ' ', 0)
	}
	fmt.Fprintln(t.aligned, strings.Join(cells, "\t"))
}

func (t *table) rule(columns int) {
	if t.markdown {
		fmt.Fprintln(t.w, "|"+strings.Repeat(" --- |", columns))
	}
}

func (t *table) gap() {
	if t.aligned != nil {
		t.aligned.Flush()
		t.aligned = nil
	}
	fmt.Fprintln(t.w)
}

func (t *table) end() error {
	if t.aligned != nil {
		return t.aligned.Flush()
	}
	return nil
}
