// Mutants changes the breaker's source in small ways, one at a time, and runs
// its tests: each change must fail one. It fails if one survives, or if the
// source has moved on and a change does not apply any more.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	root := flag.String("root", "../..", "folder of the root module")
	only := flag.String("only", "", "run the mutants whose description contains this")
	flag.Parse()
	if err := run(*root, *only); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(root, only string) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, part := range []string{"breaker", "switchgeartest", "docs"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(root, part))); err != nil {
			return fmt.Errorf("copy %s: %w", part, err)
		}
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), mod, 0o600); err != nil {
		return err
	}
	if out, err := test(dir); err != nil {
		return fmt.Errorf("the tests fail without any change:\n%s", out)
	}
	alive := 0
	for i, m := range mutants {
		if !strings.Contains(m.what, only) {
			continue
		}
		survived, err := m.try(dir)
		switch {
		case err != nil:
			return fmt.Errorf("mutant %d, %s: %w", i+1, m.what, err)
		case survived:
			alive++
			fmt.Printf("%2d SURVIVED  %s\n", i+1, m.what)
		default:
			fmt.Printf("%2d caught    %s\n", i+1, m.what)
		}
	}
	if alive > 0 {
		return fmt.Errorf("%d survived", alive)
	}
	return nil
}

// try applies the mutant, runs the tests and puts the source back.
func (m mutant) try(dir string) (survived bool, err error) {
	file := filepath.Join(dir, "breaker", m.file)
	source, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.WriteFile(file, source, 0o600)) }()
	if n := strings.Count(string(source), m.old); n != 1 {
		return false, fmt.Errorf("%s has %q %d times, want once", m.file, m.old, n)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(source), m.old, m.new, 1)), 0o600); err != nil {
		return false, err
	}
	if out, err := command(dir, "go", "build", "./..."); err != nil {
		return false, fmt.Errorf("does not compile:\n%s", out)
	}
	_, failed := test(dir)
	return failed == nil, nil
}

func test(dir string) (string, error) {
	// The documents name tests of packages that are not copied.
	return command(dir, "go", "test", "-count=1", "-timeout=60s", "-skip=TestDocumentsNameTestsThatExist", "./...")
}

func command(dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GOWORK=off")
	out, err := c.CombinedOutput()
	return string(out), err
}
