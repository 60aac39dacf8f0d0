package demo

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
	"github.com/datapunk/switchgear/server/gen/switchgear/api/v1/apiv1connect"
)

// Screen draws the fleet on a terminal, in place, and leaves it as it was.
type Screen struct {
	out   *os.File
	color bool
}

// NewScreen for a terminal; nil if out is none. NO_COLOR in the environment is
// honoured.
func NewScreen(out *os.File) *Screen {
	if !term.IsTerminal(int(out.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return &Screen{out: out, color: os.Getenv("NO_COLOR") == ""}
}

const (
	drawEach = 250 * time.Millisecond
	// The other screen of the terminal, without a cursor; and back.
	enter, leave = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
)

// headline is what happens now.
type headline struct {
	mu   sync.Mutex
	text string
}

func (h *headline) set(s string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = s
}

func (h *headline) get() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text
}

// show draws until ctx ends.
func (s *Screen) show(ctx context.Context, st *story) {
	fmt.Fprint(s.out, enter)
	defer fmt.Fprint(s.out, leave)
	fleet := newFleetView(st.world)
	defer fleet.client.CloseIdleConnections()
	for tick := time.Tick(drawEach); ; {
		rows, note := fleet.look(ctx)
		width, height, err := term.GetSize(int(s.out.Fd()))
		if err != nil {
			width, height = 80, 24
		}
		s.draw(frame(st, rows, note, width, height, s.color))
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
	}
}

// draw writes each line over the one before, so that nothing flickers.
func (s *Screen) draw(lines []string) {
	var b bytes.Buffer
	b.WriteString("\x1b[H")
	for i, l := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(l + "\x1b[K")
	}
	b.WriteString("\x1b[J")
	s.out.Write(b.Bytes()) //nolint:errcheck // a terminal that is gone ends the demo by a signal
}

// frame is everything on the screen: what happens, the calls from outside, the
// table.
func frame(st *story, rows []row, note string, width, height int, color bool) []string {
	n := st.world.load.recent()
	top := wrap(st.headline.get(), width)
	for i := range top {
		top[i] = paint(top[i], bold, color)
	}
	calls := fmt.Sprintf("from outside: %d/s answered, %d/s failed, %d/s rejected", n[answered], n[failed], n[rejected])
	top = append(top, "", clip(calls, width))
	if note != "" {
		top = append(top, clip(note, width))
	}
	top = append(top, "")
	// One line stays free, for Ctrl-C's echo.
	body := table(rows, width, height-len(top)-1)
	for i := range body {
		if i > 0 && i <= len(rows) {
			body[i] = paint(body[i], shade[rows[i-1].state], color)
		}
	}
	lines := append(top, body...)
	lines = append(lines, reasons(rows, width)...)
	return lines[:min(len(lines), max(1, height))]
}

// reasons are given in full below a table without room for them.
func reasons(rows []row, width int) []string {
	_, room := fit(width)
	var lines []string
	for _, r := range rows {
		if r.state == "closed" || utf8.RuneCountInString(r.why) <= room {
			continue
		}
		lines = append(append(lines, ""), wrap(strings.TrimSpace(r.circuit)+": "+r.why, width)...)
	}
	return lines
}

const bold = "1"

// shade of a state: what the words say already, for who sees colours.
var shade = map[string]string{"open": "31", "half_open": "33", "ramp": "33", "limited": "33"}

func paint(s, code string, color bool) string {
	if !color || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// fleetView reads circuits over the daemon's API, as any client may.
type fleetView struct {
	world  *world
	client *http.Client
	api    apiv1connect.CircuitServiceClient
	rows   []row
	seen   time.Time
}

func newFleetView(w *world) *fleetView {
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Second}
	return &fleetView{world: w, client: client, api: apiv1connect.NewCircuitServiceClient(client, "http://"+w.address)}
}

// look gives the rows, as last known, and says when that is not now.
func (f *fleetView) look(ctx context.Context) ([]row, string) {
	if f.world.address == "" {
		return nil, "no daemon: nobody sees the fleet's circuits together"
	}
	resp, err := f.api.ListCircuits(ctx, &apiv1.ListCircuitsRequest{})
	if err != nil {
		if f.seen.IsZero() {
			return nil, "the daemon does not answer yet"
		}
		return f.rows, fmt.Sprintf("the daemon does not answer; as last seen %s ago", age(time.Since(f.seen)))
	}
	f.seen = time.Now()
	f.rows = f.rows[:0]
	for _, c := range resp.GetCircuits() {
		parts := c.GetParts()
		if len(parts) == 0 && len(f.world.proxies) > 0 {
			parts = f.parts(ctx, c.GetName())
		}
		f.rows = append(f.rows, row{
			circuit: f.name(c.GetName()), state: state(c.GetState(), c.GetPhase()), since: c.GetSince().AsDuration(),
			failing: c.GetFailureRate(), calls: c.GetCallsPerSecond(), open: c.GetOpen(), of: c.GetBreakers(), share: c.GetShare(), why: f.name(c.GetWhy()),
		})
		for _, p := range parts {
			if p.GetState() == apiv1.State_STATE_CLOSED && p.GetPhase() == "" {
				continue
			}
			f.rows = append(f.rows, row{
				circuit: "  @" + f.name(p.GetInstance()), state: state(p.GetState(), p.GetPhase()), since: p.GetSince().AsDuration(),
				share: p.GetShare(), why: f.name(p.GetWhy()), part: true,
			})
		}
	}
	return f.rows, ""
}

// parts are listed with the single circuit only.
func (f *fleetView) parts(ctx context.Context, name string) []*apiv1.Part {
	resp, err := f.api.GetCircuit(ctx, &apiv1.GetCircuitRequest{Name: name})
	if err != nil {
		return nil
	}
	return resp.GetCircuit().GetParts()
}

// name puts replicas' names for their addresses, and leaves the one namespace
// that the demo has away.
func (f *fleetView) name(s string) string {
	s = strings.ReplaceAll(s, "default/", "")
	for _, address := range f.addresses() {
		s = strings.ReplaceAll(s, address, f.world.names[address])
	}
	return s
}

// addresses, the longest first: one may begin another.
func (f *fleetView) addresses() []string {
	var as []string
	for a := range f.world.names {
		as = append(as, a)
	}
	slices.SortFunc(as, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return as
}

func state(s apiv1.State, phase string) string {
	if phase != "" {
		return phase
	}
	return strings.ToLower(strings.TrimPrefix(s.String(), "STATE_"))
}
