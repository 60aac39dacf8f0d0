package cli

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Each command of the operators' manual is one that there is, with its flags and
// as many arguments as it takes.
func TestTheManualsCommandsExist(t *testing.T) {
	text, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for _, line := range strings.Split(strings.TrimSpace(block[1]), "\n") {
			n++
			var words []string
			for _, w := range regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(line, -1) {
				words = append(words, strings.Trim(w, `"`))
			}
			if words[0] != "switchgear" {
				t.Errorf("%s: want a command of switchgear", line)
				continue
			}
			cmd, rest, err := newRoot().Find(words[1:])
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err == nil {
				err = cmd.ValidateArgs(cmd.Flags().Args())
			}
			if err != nil || !cmd.HasParent() {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	if n < 15 {
		t.Errorf("%d commands", n)
	}
}

// The table of exit codes is the one that acts.
func TestTheManualsExitCodesAreThose(t *testing.T) {
	text, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| [^|]* \| ([a-z_, ]+) \|$`).FindAllStringSubmatch(string(text), -1) {
		for _, code := range strings.Split(row[2], ", ") {
			said[code] = row[1]
		}
	}
	for code, exit := range exitCodes {
		if got := said[code.String()]; got != strconv.Itoa(exit) {
			t.Errorf("%v: the manual says %q, and it is %d", code, got, exit)
		}
	}
	if len(said) != len(exitCodes)+3 {
		t.Errorf("the manual has %d codes: %v", len(said), said)
	}
}

// Every command that is shown has an example or needs none, and says what it does.
func TestEveryCommandSaysWhatItDoes(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if !c.Hidden && c.HasParent() && c.Short == "" {
			t.Errorf("%s says nothing", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
}
