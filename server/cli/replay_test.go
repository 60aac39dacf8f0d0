package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/datapunk/switchgear/internal/control"
)

func TestReplayTellsFindingsToo(t *testing.T) {
	text := control.AppendHeader(nil, control.Config{Daemon: "d", Join: time.Second})
	for _, in := range []control.Input{{At: 1, Order: &control.Order{ID: "o1", Action: "shoot", Author: "ada"}}, {At: time.Hour, Tick: true}} {
		var err error
		if text, err = control.AppendInput(text, in); err != nil {
			t.Fatal(err)
		}
	}
	for asJSON, wants := range map[bool][]string{
		false: {`finding, order: order "o1" by "ada" was refused: action "shoot"`},
		true:  {`{"At":1,"Finding":{"Kind":"order"`, `{"At":3600000000000,"Member":{"Daemon":"d"`},
	} {
		var out strings.Builder
		if err := replay(strings.NewReader(string(text)), &out, asJSON); err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(out.String(), want) {
				t.Errorf("json %v: %s: want %s", asJSON, out.String(), want)
			}
		}
	}
}
