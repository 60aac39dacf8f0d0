package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

const (
	topEach = 250 * time.Millisecond
	// The other screen of a terminal, without a cursor; and back.
	topEnter, topLeave = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
	topHome, topRest   = "\x1b[H", "\x1b[J"
)

func newTopCommand() *cobra.Command {
	var once bool
	q := &apiv1.WatchCircuitsRequest{}
	cmd := &cobra.Command{
		Use:   "top [PREFIX]",
		Short: "Watch circuits in a live table, what is not closed first",
		Long: `Watch circuits in a live table: what is not closed or under an override comes
first, then the busiest. It draws at most four times a second; Ctrl-C ends it.
Where standard output is no terminal it prints the table once, as with --once.
NO_COLOR in the environment is honoured.`,
		Example: `  switchgear top
  switchgear top web.. --once`,
		Args: func(cmd *cobra.Command, given []string) error {
			if len(given) > 1 {
				return usagef(cmd, "unexpected argument %q", given[1])
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&q.Namespace, "namespace", "n", "", "only circuits whose callee is in this `namespace`")
	cmd.Flags().BoolVar(&once, "once", false, "print the table once, for scripts")
	connectTo := serverOption(cmd)
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if len(given) == 1 {
			q.Prefix = given[0]
		}
		c, err := connectTo()
		if err != nil {
			return err
		}
		out, isFile := cmd.OutOrStdout().(*os.File)
		if once || !isFile || !term.IsTerminal(int(out.Fd())) || os.Getenv("TERM") == "dumb" {
			return topOnce(cmd.Context(), c, q, cmd.OutOrStdout())
		}
		return topLive(cmd.Context(), c, q, out)
	}
	return cmd
}

func topOnce(ctx context.Context, c *client, q *apiv1.WatchCircuitsRequest, to io.Writer) error {
	enough := errors.New("it was told once")
	err := c.follow(ctx, q, func(w *watched) error {
		if _, err := io.WriteString(to, topFrame(w, time.Now(), 0, 0, false)); err != nil {
			return err
		}
		return enough
	})
	if errors.Is(err, enough) {
		return nil
	}
	return err
}

func topLive(ctx context.Context, c *client, q *apiv1.WatchCircuitsRequest, out *os.File) error {
	t := &topScreen{out: out, color: os.Getenv("NO_COLOR") == "", wake: make(chan struct{}, 1)}
	fmt.Fprint(out, topEnter)
	drawn, quit := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(drawn)
		t.draw(quit)
	}()
	err := c.follow(ctx, q, func(w *watched) error {
		t.show(w)
		return nil
	})
	close(quit)
	<-drawn
	fmt.Fprint(out, topLeave)
	return err
}

// topScreen draws what was shown last, four times a second.
type topScreen struct {
	out   *os.File
	color bool
	wake  chan struct{}

	mu   sync.Mutex
	last *watched
}

func (t *topScreen) show(w *watched) {
	copied := &watched{make(map[string]*apiv1.Circuit, len(w.circuits)), make(map[string]time.Time, len(w.at))}
	for name, m := range w.circuits {
		copied.circuits[name], copied.at[name] = m, w.at[name]
	}
	t.mu.Lock()
	t.last = copied
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *topScreen) draw(quit <-chan struct{}) {
	tick := time.NewTicker(topEach)
	defer tick.Stop()
	for waiting := true; ; {
		if waiting { // the first is drawn as soon as it is there
			select {
			case <-t.wake:
				waiting = false
			case <-quit:
				return
			}
		}
		width, height, err := term.GetSize(int(t.out.Fd()))
		if err != nil {
			width, height = 80, 24
		}
		t.mu.Lock()
		w := t.last
		t.mu.Unlock()
		frame := topFrame(w, time.Now(), width, height, t.color)
		var b bytes.Buffer
		b.WriteString(topHome)
		b.WriteString(strings.ReplaceAll(frame, "\n", "\x1b[K\n"))
		b.WriteString(topRest)
		_, _ = t.out.Write(b.Bytes()) // to a terminal: who would be told?
		select {
		case <-tick.C:
		case <-quit:
			return
		}
	}
}

// topFrame is the table as text; width and height 0 are without bounds.
func topFrame(w *watched, now time.Time, width, height int, color bool) string {
	all := w.all()
	slices.SortStableFunc(all, func(a, b *apiv1.Circuit) int {
		return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(b.GetCallsPerSecond(), a.GetCallsPerSecond()))
	})
	var open, half, words int
	var calls float64
	for _, m := range all {
		calls += m.GetCallsPerSecond()
		switch {
		case m.GetState() == apiv1.State_STATE_OPEN:
			open++
		case m.GetState() == apiv1.State_STATE_HALF_OPEN:
			half++
		}
		if m.GetOverride() != nil {
			words++
		}
	}
	head := fmt.Sprintf("%s  circuits: %d, open: %d, half open: %d, overrides: %d, calls/s: %.1f",
		now.Format(time.TimeOnly), len(all), open, half, words, calls)
	rows := [][]string{slices.Clone(columns)}
	for _, m := range all {
		if height > 0 && len(rows) >= height-2 {
			break
		}
		rows = append(rows, row(older(m, now.Sub(w.at[m.GetName()])), false))
	}
	var b strings.Builder
	_ = printTable(&b, rows...) // to memory
	lines := append([]string{head}, strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")...)
	for i, line := range lines {
		line = strings.TrimRight(line, " ")
		if width > 0 && utf8.RuneCountInString(line) > width {
			line = string([]rune(line)[:width])
		}
		if color && i >= 2 {
			line = paint(line, all[i-2])
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n") + "\n"
}

// older is a circuit with its ages, as long after it was told.
func older(m *apiv1.Circuit, by time.Duration) *apiv1.Circuit {
	m = proto.CloneOf(m)
	m.Since = durationpb.New(m.GetSince().AsDuration() + by)
	if o := m.GetOverride(); o != nil {
		o.Left = durationpb.New(max(o.GetLeft().AsDuration()-by, 0))
	}
	return m
}

// rank puts what a person should look at first.
func rank(m *apiv1.Circuit) int {
	switch {
	case m.GetState() == apiv1.State_STATE_OPEN:
		return 4
	case m.GetState() == apiv1.State_STATE_HALF_OPEN:
		return 3
	case m.GetOverride() != nil, m.GetHeld() != "":
		return 2
	case m.GetPhase() != "" || m.GetOpen() > 0:
		return 1
	}
	return 0
}

func paint(line string, m *apiv1.Circuit) string {
	code := map[int]string{4: "31", 3: "33", 2: "35", 1: "36"}[rank(m)]
	if code == "" {
		return line
	}
	return "\x1b[" + code + "m" + line + "\x1b[0m"
}
