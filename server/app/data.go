package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// dataDir is a daemon's directory. Its lock ends with the process, however that
// ends.
type dataDir struct {
	lock        *os.File
	incarnation uint64 // raised, and on the disk, before anything uses it
}

func openData(dir string) (_ *dataDir, err error) {
	if dir == "" {
		return nil, usageError{errors.New("no data directory: name one with --data")}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w: choose another one with --data", err)
	}
	d := &dataDir{}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	d.lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory %s can't be written: %w: mend its owner and mode, or choose another one with --data", dir, err)
	}
	if err := syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s is used by another daemon: stop that one, or choose another one with --data", dir)
		}
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	file := filepath.Join(dir, "incarnation")
	last, err := readIncarnation(file)
	if err != nil {
		return nil, err
	}
	d.incarnation = last + 1
	if err := replaceFile(file, strconv.FormatUint(d.incarnation, 10)+"\n"); err != nil {
		return nil, fmt.Errorf("write the incarnation: %w", err)
	}
	return d, nil
}

func (d *dataDir) close() {
	if d.lock != nil {
		_ = d.lock.Close()
	}
}

// readIncarnation refuses what it can't read: to begin again with a lesser number
// would make replicas ignore this daemon's words.
func readIncarnation(file string) (uint64, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the incarnation: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s is damaged: want how often a daemon was started here, a number: "+
			"write one greater than in any epoch that replicas show, or choose another directory with --data", file)
	}
	return n, nil
}

// replaceFile is durable when it returns: either the old content stands, or the
// new.
func replaceFile(file, content string) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already, where all went well
	_, err = f.WriteString(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
