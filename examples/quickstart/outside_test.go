package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// TestACopyOutsideTheWorkspaceBuilds is a newcomer's program: this file's
// neighbour in a folder of its own, without go.work, against the modules here.
func TestACopyOutsideTheWorkspaceBuilds(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for from, to := range map[string]string{"main.go": "main.go", "../go.mod": "go.mod", "../go.sum": "go.sum"} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if to == "go.mod" {
			text = regexp.MustCompile(`=> \.\./`).ReplaceAll(text, []byte("=> "+root+"/"))
			text = regexp.MustCompile(`(?m)^module .*$`).ReplaceAll(text, []byte("module example.org/newcomer"))
		}
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "program"), ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false -mod=readonly")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
}
