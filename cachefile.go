package switchgear

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
)

// slots bounds the processes of one service that keep their state in one folder.
const slots = 64

// FileCache keeps the state in a folder, in a file for each process of the service
// that runs there at the same time: a process locks the first that is free, and
// finds there what the one before it has left. On a disk that can't be written it
// reads, and its Save fails.
func FileCache(folder string) StateCache { return &fileCache{folder: folder} }

type fileCache struct {
	folder string

	mu   sync.Mutex
	path string   // of the slot that is ours, "" if none
	lock *os.File // held until the process ends
}

func (c *fileCache) Load(service string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.path != "" {
		return nil, fmt.Errorf("file cache of %s: it has a manager already: give each one of its own", c.folder)
	}
	err := c.claim(service)
	path := c.path
	if err != nil {
		path = c.slot(service, 0) // to read is better than nothing
	}
	data, readErr := readState(path)
	if readErr != nil || err == nil || len(data) > 0 {
		return data, readErr
	}
	return nil, err
}

// claim locks the first free slot.
func (c *fileCache) claim(service string) error {
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return fmt.Errorf("file cache: %w", err)
	}
	for i := range slots {
		path := c.slot(service, i)
		f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("file cache: %w", err)
		}
		if err = lockFile(f); err == nil {
			c.path, c.lock = path, f
			return nil
		}
		_ = f.Close()
		if !errors.Is(err, errLocked) {
			return fmt.Errorf("file cache: lock %s: %w", path, err)
		}
	}
	return fmt.Errorf("file cache: all %d slots of %s in %s are taken", slots, service, c.folder)
}

func (c *fileCache) slot(service string, i int) string {
	return filepath.Join(c.folder, fmt.Sprintf("%s.%d.state", url.PathEscape(service), i))
}

func readState(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("file cache: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return nil, fmt.Errorf("file cache: read %s: %w", path, err)
	}
	return data, nil
}

// Close frees the slot for another process.
func (c *fileCache) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lock == nil {
		return nil
	}
	err := c.lock.Close()
	c.path, c.lock = "", nil
	return err
}

// Save writes a new file and puts it in the place of the old one, so that a crash
// leaves either. It does not wait for the disk: what a power cut loses is an outage
// that the machine's restart has outlasted.
func (c *fileCache) Save(service string, state []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.path == "" {
		if err := c.claim(service); err != nil {
			return err
		}
	}
	next := c.path + ".next"
	if err := os.WriteFile(next, state, 0o600); err != nil {
		return fmt.Errorf("file cache: %w", err)
	}
	if err := os.Rename(next, c.path); err != nil {
		return fmt.Errorf("file cache: %w", err)
	}
	return nil
}
