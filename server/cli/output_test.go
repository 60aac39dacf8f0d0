package cli

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

func TestWordsOfOthersCantDriveTheTerminal(t *testing.T) {
	var b strings.Builder
	if err := printTable(&b, []string{"a\x1b[2J", "b\nc\u202e"}); err != nil || strings.ContainsAny(b.String(), "\x1b\u202e") || strings.Count(b.String(), "\n") != 1 {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestARowSaysWhoForcedAndWhatIsHeld(t *testing.T) {
	m := &apiv1.Circuit{
		Name: "a", State: apiv1.State_STATE_CLOSED, Mode: apiv1.Mode_MODE_FORCED_OPEN, Why: "well",
		Override: &apiv1.Override{Mode: apiv1.Mode_MODE_FORCED_OPEN, Author: "ada", Reason: "migration", Left: durationpb.New(90 * time.Second)},
	}
	got := row(m, false)
	if got[1] != "closed, forced_open" || got[len(got)-1] != "forced_open by ada for another 1m30s: migration" {
		t.Errorf("%q", got)
	}
	got = row(&apiv1.Circuit{State: apiv1.State_STATE_CLOSED, Held: "the guard holds"}, false)
	if got[1] != "closed" || got[len(got)-1] != "held: the guard holds" {
		t.Errorf("%q", got)
	}
	c := circuitOf(m)
	if c.Override == nil || c.Override.LeftSeconds != 90 || c.Override.Mode != "forced_open" || circuitOf(&apiv1.Circuit{}).Override != nil {
		t.Errorf("%+v", c.Override)
	}
}

func TestARowSaysWhyItIsOpenAndThatItIsHeld(t *testing.T) {
	const held = "automation is paused by ada"
	for want, m := range map[string]*apiv1.Circuit{
		"held: " + held:                     {State: apiv1.State_STATE_CLOSED, Held: held, Why: "recovered"},
		"4 of 4 have opened; held: " + held: {State: apiv1.State_STATE_OPEN, Held: held, Why: "4 of 4 have opened"},
		"recovered":                         {State: apiv1.State_STATE_CLOSED, Why: "recovered"},
		"off by ada for another 9s: night": {
			State: apiv1.State_STATE_OPEN, Why: "x", Override: &apiv1.Override{Mode: apiv1.Mode_MODE_OFF, Author: "ada", Reason: "night", Left: durationpb.New(9 * time.Second)},
		},
	} {
		if r := row(m, false); r[len(r)-1] != want {
			t.Errorf("%q: want %q", r[len(r)-1], want)
		}
	}
}
