package main

import (
	"strings"
	"testing"
)

func TestItOpens(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if want := "20 calls failed, the next was not sent"; !strings.HasPrefix(out.String(), want) {
		t.Errorf("it printed %q: want %q", out.String(), want)
	}
}
