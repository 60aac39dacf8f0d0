package switchgear

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/datapunk/switchgear/policy"
)

const (
	// lookAtFile is how often the policy file is looked at.
	lookAtFile = 500 * time.Millisecond
	// restless is how long after its time of change a file is read at every look:
	// its clock may be too coarse to show a second change.
	restless = 2 * time.Second
)

// policyFile is the file that policies come from, and what was last found there.
type policyFile struct {
	path string

	mu      sync.Mutex // guards what follows: one look at a time
	info    os.FileInfo
	sum     [sha256.Size]byte // of what is in force
	trouble string            // at the last look, "" if none
	said    string            // of it, what was logged
}

// watchFile looks at the policy file until the manager is closed.
func (m *Manager) watchFile() {
	tick := time.NewTicker(lookAtFile)
	defer tick.Stop()
	for {
		select {
		case <-m.done:
			return
		case <-tick.C:
			m.file.look(m)
		}
	}
}

// reload reads the file and puts it in force.
func (f *policyFile) reload(m *Manager) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.info = nil
	data, err := f.read()
	if err == nil {
		err = f.apply(m, data)
	}
	if err != nil {
		f.info = nil
	}
	return err
}

// look puts a file that has changed in force. Trouble is told once, and not before
// it has stood for two looks: a file that is just being written or swapped is none.
func (f *policyFile) look(m *Manager) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, err := f.read()
	if err == nil && data != nil && sha256.Sum256(data) != f.sum {
		if err = f.apply(m, data); err == nil {
			m.log.Info("policies changed", "file", f.path, "policies", m.policies.Load().Len())
		}
	}
	if err == nil {
		if f.said != "" {
			m.log.Info("policy file is well again", "file", f.path)
		}
		f.trouble, f.said = "", ""
		return
	}
	f.info = nil // look again, whatever its times say
	text := err.Error()
	if text == f.trouble && text != f.said {
		f.said = text
		m.log.Error("policy file is not usable; the last good policies stay", "file", f.path, "error", text)
	}
	f.trouble = text
}

// read gives the file's text, nil if it is the one that was read before.
func (f *policyFile) read() ([]byte, error) {
	info, err := os.Stat(f.path) // of what a link leads to
	switch {
	case err != nil:
		return nil, fmt.Errorf("read policies: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("read policies: %s is not a regular file", f.path)
	case info.Size() > policy.MaxDocument:
		return nil, fmt.Errorf("read policies: %s has %d bytes: at most %d", f.path, info.Size(), policy.MaxDocument)
	}
	if f.info != nil && sameFile(f.info, info) && time.Since(info.ModTime()) > restless {
		return nil, nil
	}
	file, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, policy.MaxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	after, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	if !sameFile(info, after) {
		return nil, fmt.Errorf("read policies: %s changes while it is read", f.path)
	}
	f.info = info
	return data, nil
}

func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// apply puts a text in force, all of it or nothing.
func (f *policyFile) apply(m *Manager, data []byte) error {
	set, err := policy.Decode(data)
	if err == nil {
		err = m.SetPolicies(set)
	}
	if err != nil {
		return fmt.Errorf("policy file %s: %w", f.path, err)
	}
	f.sum = sha256.Sum256(data)
	if runtime.GOOS != "windows" && f.info.Mode().Perm()&0o002 != 0 {
		m.log.Warn("anybody on this machine can change the policy file, and with it which calls are made", "file", f.path, "mode", f.info.Mode().String())
	}
	return nil
}
