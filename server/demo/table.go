package demo

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// A row of the live table: one circuit, or one instance of it with a verdict of
// its own.
type row struct {
	circuit string
	state   string
	since   time.Duration
	failing float64 // percent
	calls   float64 // a second
	open    uint32
	of      uint32
	share   float64 // 0–1
	why     string
	part    bool
}

// column of the table. Narrow terminals lose the columns of high rank first.
type column struct {
	title string
	width int
	rank  int
	right bool
	cell  func(row) string
}

var columns = []column{
	{"circuit", 20, 0, false, func(r row) string { return r.circuit }},
	{"state", 9, 0, false, func(r row) string { return r.state }},
	{"since", 5, 4, true, func(r row) string { return age(r.since) }},
	{"fail", 5, 2, true, func(r row) string { return fmt.Sprintf("%.0f %%", r.failing) }},
	{"call/s", 6, 3, true, func(r row) string { return fmt.Sprintf("%.0f", r.calls) }},
	{"open", 5, 1, true, func(r row) string {
		if r.part {
			return ""
		}
		return fmt.Sprintf("%d/%d", r.open, r.of)
	}},
	{"pass", 5, 5, true, func(r row) string { return fmt.Sprintf("%.0f %%", 100*r.share) }},
	{"why", 0, 6, false, func(r row) string { return r.why }}, // takes what is left
}

// whyAtLeast is the room under which reasons are left out.
const whyAtLeast = 12

// table draws rows into lines of at most width characters: a title line, then one
// per row, at most height lines in all.
func table(rows []row, width, height int) []string {
	shown, why := fit(width)
	lines := []string{layout(shown, why, width, func(c column) string { return c.title })}
	for _, r := range rows {
		lines = append(lines, layout(shown, why, width, func(c column) string { return c.cell(r) }))
	}
	if height = max(1, height); len(lines) > height {
		hidden := len(lines) - height + 1
		lines = append(lines[:height-1], clip(fmt.Sprintf("… and %d more", hidden), width))
	}
	return lines
}

// fit chooses the columns for a width, and the room for reasons.
func fit(width int) (shown []column, why int) {
	for limit := 6; ; limit-- {
		shown, used := shown[:0], 0
		for _, c := range columns {
			if c.rank <= limit {
				shown = append(shown, c)
				used += c.width + 1
			}
		}
		room := width - used + 1
		switch {
		case limit == 6 && room >= whyAtLeast+1:
			return shown, room - 1
		case limit < 6 && room >= 0, limit == 0:
			return shown, 0
		}
	}
}

func layout(shown []column, why, width int, cell func(column) string) string {
	var b strings.Builder
	for i, c := range shown {
		if i > 0 {
			b.WriteByte(' ')
		}
		w := c.width
		if w == 0 {
			w = why
		}
		text := clip(cell(c), w)
		pad := strings.Repeat(" ", max(0, w-utf8.RuneCountInString(text)))
		if c.right {
			b.WriteString(pad + text)
		} else {
			b.WriteString(text + pad)
		}
	}
	return clip(strings.TrimRight(b.String(), " "), width)
}

// clip cuts a text to so many characters, and shows that it did.
func clip(s string, width int) string {
	if width <= 0 {
		return ""
	}
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// wrap breaks a sentence into lines of at most width characters.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		word = clip(word, width)
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// age in at most five characters.
func age(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < 100*time.Minute:
		return fmt.Sprintf("%.0fm", d.Minutes())
	}
	return fmt.Sprintf("%.0fh", d.Hours())
}
