// Package policies reads policy documents as people keep them: YAML or JSON,
// several in a file, several files in a directory. It gives package policy the
// nodes, which knows what they mean.
package policies

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/datapunk/switchgear/policy"
)

// Of what is read at once.
const (
	maxFiles = 1000
	maxBytes = 16 << 20
)

// Read reads files, and of directories all *.json, *.yaml and *.yml in them but
// hidden ones, as one set. It reports all that is wrong with all of them; each
// problem names file and line.
func Read(paths ...string) (*policy.Set, error) {
	files, err := list(paths)
	if err != nil {
		return nil, err
	}
	var sources []policy.Source
	var broken []error
	total := 0
	for _, file := range files {
		data, err := read(file)
		if err != nil {
			broken = append(broken, err)
			continue
		}
		if total += len(data); total > maxBytes {
			return nil, fmt.Errorf("read policies: more than %d bytes in all", maxBytes)
		}
		nodes, err := Parse(file, data)
		if err != nil {
			broken = append(broken, fmt.Errorf("%s: %w", file, err))
		}
		for _, n := range nodes {
			sources = append(sources, policy.Source{File: file, Node: n})
		}
	}
	set, err := policy.DecodeSources(sources...)
	if err = errors.Join(append(broken, err)...); err != nil {
		return nil, err
	}
	return set, nil
}

// File is one as it stands on the disk.
type File struct {
	Name string
	Data []byte
}

// Files gives files, and of directories those that Read reads, without looking at
// what they say.
func Files(paths ...string) (files []File, err error) {
	names, err := list(paths)
	if err != nil {
		return nil, err
	}
	total := 0
	for _, name := range names {
		data, err := read(name)
		if err != nil {
			return nil, err
		}
		if total += len(data); total > maxBytes {
			return nil, fmt.Errorf("read policies: more than %d bytes in all", maxBytes)
		}
		files = append(files, File{name, data})
	}
	return files, nil
}

// Parse reads the documents of one file into nodes, by its name's ending.
func Parse(file string, data []byte) ([]*policy.Node, error) {
	if filepath.Ext(file) != ".json" {
		return parseYAML(data)
	}
	n, err := policy.ParseJSON(data)
	if err != nil {
		return nil, err
	}
	return []*policy.Node{n}, nil
}

// list gives the files that paths name, in their order, those of a directory by
// name.
func list(paths []string) (files []string, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("read policies: %w", err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, fmt.Errorf("read policies: %w", err)
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), ".") && slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(e.Name())) {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
	}
	if len(files) > maxFiles {
		return nil, fmt.Errorf("read policies: %d files: at most %d", len(files), maxFiles)
	}
	return files, nil
}

func read(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read policies: %s is not a regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, policy.MaxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	if len(data) > policy.MaxDocument {
		return nil, fmt.Errorf("read policies: %s has more than %d bytes", file, policy.MaxDocument)
	}
	return data, nil
}
