package demo

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var sample = []row{
	{circuit: "checkout..payments", state: "open", since: 4200 * time.Millisecond, failing: 100, calls: 101.4, open: 4, of: 4, why: "104 of 208 calls failed in 2 s, seen by 4 replicas"},
	{circuit: "search..catalog", state: "closed", since: 2 * time.Minute, calls: 80, of: 2, share: 1},
	{circuit: "  @catalog-2", state: "half_open", since: 45 * time.Second, failing: 100, share: 0.1, why: "only this instance fails", part: true},
}

func TestTheTableFitsEveryWidth(t *testing.T) {
	for width := 1; width <= 200; width++ {
		for _, line := range table(sample, width, 24) {
			if n := utf8.RuneCountInString(line); n > width {
				t.Fatalf("width %d: %d characters: %q", width, n, line)
			}
		}
	}
}

func TestNarrowTerminalsLoseTheLeastFirst(t *testing.T) {
	for _, c := range []struct {
		width int
		want  []string
	}{
		{120, []string{
			"circuit              state     since  fail call/s  open  pass why",
			"checkout..payments   open       4.2s 100 %    101   4/4   0 % 104 of 208 calls failed in 2 s, seen by 4 replicas",
			"search..catalog      closed       2m   0 %     80   0/2 100 %",
			"  @catalog-2         half_open   45s 100 %      0        10 % only this instance fails",
		}},
		{80, []string{
			"circuit              state     since  fail call/s  open  pass why",
			"checkout..payments   open       4.2s 100 %    101   4/4   0 % 104 of 208 calls…",
			"search..catalog      closed       2m   0 %     80   0/2 100 %",
			"  @catalog-2         half_open   45s 100 %      0        10 % only this instan…",
		}},
		{40, []string{
			"circuit              state      open",
			"checkout..payments   open        4/4",
			"search..catalog      closed      0/2",
			"  @catalog-2         half_open",
		}},
	} {
		got := table(sample, c.width, 24)
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("width %d:\n%s\nwant\n%s", c.width, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestLowTerminalsSayWhatIsHidden(t *testing.T) {
	got := table(sample, 40, 3)
	if len(got) != 3 || got[2] != "… and 2 more" {
		t.Errorf("%q", got)
	}
	if got := table(sample, 40, -1); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestReasonsWithoutRoomAreGivenBelow(t *testing.T) {
	want := "|checkout..payments: 104 of 208 calls|failed in 2 s, seen by 4 replicas||@catalog-2: only this instance fails"
	if got := strings.Join(reasons(sample, 40), "|"); got != want {
		t.Errorf("%s", got)
	}
	if got := reasons(sample, 120); len(got) != 0 {
		t.Errorf("%q though there is room", got)
	}
}

func TestSentencesAreWrappedAtWords(t *testing.T) {
	got := wrap("payments fails outright, every call", 12)
	if want := "payments|fails|outright,|every call"; strings.Join(got, "|") != want {
		t.Errorf("%q", got)
	}
	if got := wrap("", 10); len(got) != 1 || got[0] != "" {
		t.Errorf("%q", got)
	}
}

func TestAgesAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0.0s", 12 * time.Second: "12s", 3 * time.Minute: "3m", 30 * time.Hour: "30h"} {
		if got := age(d); got != want {
			t.Errorf("%v is %q", d, got)
		}
	}
}
