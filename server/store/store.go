// Package store keeps what must outlive a daemon: a register of named records
// of a kind, in JetStream's key-value store. A change names the version that it
// was made from, and is acknowledged once it is durable.
//
// Every daemon keeps a copy in memory, by watching, and reads come from there:
// Age says how long ago the copy was last known to be complete. A Store is safe
// for concurrent use. Bodies are shared: never change one.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Kind is one sort of records, with its bounds.
type Kind struct {
	Name string // a word of lower-case letters
	// MaxRecords that there may be at once; more are refused.
	MaxRecords int
	// MaxBody is the size of one body, in bytes.
	MaxBody int
	// MaxTotal is the size of all bodies together, in bytes: each daemon holds
	// them in memory.
	MaxTotal int
	// WritesPerSecond that one daemon takes over time, and Burst at once.
	WritesPerSecond float64
	Burst           int
}

// Config of a store.
type Config struct {
	Kinds []Kind
	// MaxBytes on the disk, with all history; 0 is 1 GiB.
	MaxBytes int64
	Log      *slog.Logger
}

// Record is one version of a named record.
type Record struct {
	Kind, Name string
	// Version counts the changes of this name, from 1; a deletion is one too.
	Version uint64
	At      time.Time // of the daemon that wrote it
	Author  string
	Reason  string
	Deleted bool
	Body    []byte

	revision uint64 // the store's own number
}

// History is how many versions of a record are kept, the last one included.
const History = 64

const (
	bucket = "switchgear"
	// maxWords is the size of a name, an author or a reason, in bytes.
	maxWords = 1024
	// maxDeleted is how many deleted names of a kind are remembered, with their
	// history. The oldest go first; their numbering would begin anew.
	maxDeleted      = 1000
	defaultMaxBytes = 1 << 30
	openTime        = 10 * time.Second
	askTime         = 5 * time.Second
	confirmInterval = time.Second
)

// Store is one daemon's view of the register. Create one with Open.
type Store struct {
	js    jetstream.JetStream
	kv    jetstream.KeyValue
	kinds map[string]Kind
	log   *slog.Logger
	began time.Time

	cancel context.CancelFunc
	done   sync.WaitGroup

	mu        sync.RWMutex
	records   map[string]map[string]Record // by kind and name, with deleted ones
	sizes     map[string]int               // of the bodies, by kind
	live      map[string]int               // records that are not deleted, by kind
	applied   uint64                       // the greatest revision that was seen
	confirmed time.Time                    // when the copy was last known to be complete
	watchers  map[*watcher]bool
	tokens    map[string]*allowance
}

// Open gives the register that is kept in a JetStream, and makes it if there is
// none. It returns once the copy in memory is complete.
func Open(ctx context.Context, js jetstream.JetStream, cfg Config) (*Store, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		js: js, kinds: make(map[string]Kind), log: cfg.Log, began: time.Now(),
		records: make(map[string]map[string]Record), sizes: make(map[string]int), live: make(map[string]int),
		watchers: make(map[*watcher]bool), tokens: make(map[string]*allowance),
	}
	for _, k := range cfg.Kinds {
		s.kinds[k.Name] = k
		s.records[k.Name] = make(map[string]Record)
		s.tokens[k.Name] = &allowance{tokens: float64(k.Burst), at: s.began}
	}
	opening, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	var err error
	s.kv, err = js.CreateOrUpdateKeyValue(opening, jetstream.KeyValueConfig{
		Bucket: bucket, Description: "policies and orders of switchgear", History: History, MaxBytes: cfg.MaxBytes, Storage: jetstream.FileStorage,
	})
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.follow(opening); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends the watching; what was acknowledged is on the disk.
func (s *Store) Close() {
	s.cancel()
	s.done.Wait()
}

// Get gives a record of the copy in memory; a deleted one is none.
func (s *Store) Get(kind, name string) (Record, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.records[kind][name]
	return r, ok && !r.Deleted
}

// List gives all records of a kind of the copy in memory, by name.
func (s *Store) List(kind string) []Record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.list(kind)
}

func (s *Store) list(kind string) []Record {
	all := slices.SortedFunc(maps.Values(s.records[kind]), func(a, b Record) int { return strings.Compare(a.Name, b.Name) })
	return slices.DeleteFunc(all, func(r Record) bool { return r.Deleted })
}

// Age is how long ago the copy in memory was last known to be complete: about a
// second at most, while the store answers.
func (s *Store) Age() time.Duration {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return time.Since(s.confirmed)
}

// History gives the versions of a record that are kept, the last one first, from
// the disk.
func (s *Store) History(ctx context.Context, kind, name string) ([]Record, error) {
	if err := s.check(kind, name); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	entries, err := s.kv.History(ctx, key(kind, name))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, &NotFoundError{kind, name}
	}
	if err != nil {
		return nil, unavailable("read the history of", kind, name, err)
	}
	var all []Record
	for _, e := range entries {
		r, err := decode(e)
		if err != nil {
			return nil, fmt.Errorf("read the history of %s %q: %w", kind, name, err)
		}
		all = append(all, r)
	}
	slices.Reverse(all)
	return all, nil
}
