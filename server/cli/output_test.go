package cli

import (
	"strings"
	"testing"
)

func TestWordsOfOthersCantDriveTheTerminal(t *testing.T) {
	var b strings.Builder
	if err := printTable(&b, []string{"a\x1b[2J", "b\nc\u202e"}); err != nil || strings.ContainsAny(b.String(), "\x1b\u202e") || strings.Count(b.String(), "\n") != 1 {
		t.Errorf("%q, %v", b.String(), err)
	}
}
