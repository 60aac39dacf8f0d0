package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Change is a new version of a record.
type Change struct {
	Kind, Name string
	Body       []byte
	Author     string
	Reason     string
	// Expect is the version that the change was made from: 0 is that there is no
	// such record, or a deleted one. Any takes whatever there is.
	Expect uint64
}

// Any is a Change's Expect that whatever there is fulfils.
const Any = math.MaxUint64

// Put writes a new version. It returns once that is durable, and in the copy in
// memory. Errors are *ConflictError, *LimitError, ErrInvalid and ErrUnavailable.
func (s *Store) Put(ctx context.Context, c Change) (Record, error) {
	if k, ok := s.kinds[c.Kind]; ok && len(c.Body) > k.MaxBody {
		return Record{}, &LimitError{Kind: c.Kind, What: fmt.Sprintf("%q has %d bytes: at most %d", c.Name, len(c.Body), k.MaxBody)}
	}
	return s.change(ctx, c, false)
}

// Delete writes that there is no such record any more. Its history stays.
func (s *Store) Delete(ctx context.Context, c Change) (Record, error) {
	c.Body = nil
	r, err := s.change(ctx, c, true)
	if err == nil {
		s.forget(ctx, c.Kind)
	}
	return r, err
}

func (s *Store) change(ctx context.Context, c Change, deleted bool) (Record, error) {
	if err := s.check(c.Kind, c.Name); err != nil {
		return Record{}, err
	}
	for what, text := range map[string]string{"author": c.Author, "reason": c.Reason} {
		if len(text) > maxWords {
			return Record{}, invalid("%s of %d bytes: at most %d", what, len(text), maxWords)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	before, err := s.current(ctx, c.Kind, c.Name)
	if err != nil {
		return Record{}, err
	}
	there := before.Version
	if before.Deleted {
		there = 0
	}
	switch {
	case deleted && there == 0:
		return Record{}, &NotFoundError{c.Kind, c.Name}
	case c.Expect != Any && c.Expect != there:
		return Record{}, &ConflictError{c.Kind, c.Name, c.Expect, before}
	}
	if !deleted {
		if err := s.room(&c, &before); err != nil {
			return Record{}, err
		}
	}
	if err := s.slow(c.Kind, time.Now()); err != nil {
		return Record{}, err
	}
	r := Record{
		Kind: c.Kind, Name: c.Name, Version: before.Version + 1, At: time.Now(), Author: c.Author, Reason: c.Reason,
		Deleted: deleted, Body: slices.Clone(c.Body),
	}
	data, err := encode(&r)
	if err != nil {
		return Record{}, fmt.Errorf("write %s %q: %w", c.Kind, c.Name, err)
	}
	r.revision, err = s.kv.Update(ctx, key(c.Kind, c.Name), data, before.revision)
	switch {
	case errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.Is(err, jetstream.ErrKeyExists):
		now, err := s.current(ctx, c.Kind, c.Name)
		if err != nil {
			return Record{}, err
		}
		return Record{}, &ConflictError{c.Kind, c.Name, there, now}
	case isFull(err):
		return Record{}, &LimitError{Kind: c.Kind, What: "the store on the disk is full, with all history: nothing can be written"}
	case err != nil:
		return Record{}, unavailable("write", c.Kind, c.Name, err)
	}
	s.apply(r, false)
	return r, nil
}

// isFull reports whether the server refused because a bound of the bucket is
// reached.
func isFull(err error) bool {
	const maximumBytesExceeded, insufficientResources = 10077, 10023
	var e *jetstream.APIError
	return errors.As(err, &e) && (e.ErrorCode == maximumBytesExceeded || e.ErrorCode == insufficientResources)
}

// current reads a record from the store itself: the copy may be behind.
func (s *Store) current(ctx context.Context, kind, name string) (Record, error) {
	e, err := s.kv.Get(ctx, key(kind, name))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Record{}, nil
	}
	if err != nil {
		return Record{}, unavailable("read", kind, name, err)
	}
	r, err := decode(e)
	if err != nil {
		return Record{}, fmt.Errorf("read %s %q: %w", kind, name, err)
	}
	return r, nil
}

func (s *Store) check(kind, name string) error {
	switch _, known := s.kinds[kind]; {
	case !known:
		return invalid("there is no kind %q", kind)
	case name == "":
		return invalid("a %s has a name", kind)
	case len(name) > maxWords:
		return invalid("name of %d bytes: at most %d", len(name), maxWords)
	}
	return nil
}

// room says what would be too much. Daemons that write at the same time can pass
// a bound by as many records as there are daemons.
func (s *Store) room(c *Change, before *Record) error {
	k := s.kinds[c.Kind]
	s.mu.RLock()
	defer s.mu.RUnlock()
	if (before.Version == 0 || before.Deleted) && s.live[c.Kind] >= k.MaxRecords {
		return &LimitError{Kind: c.Kind, What: fmt.Sprintf("there are %d already, and no more are kept: delete what is not needed", k.MaxRecords)}
	}
	if total := s.sizes[c.Kind] - len(before.Body) + len(c.Body); total > k.MaxTotal {
		return &LimitError{Kind: c.Kind, What: fmt.Sprintf("all together would have %d bytes: at most %d", total, k.MaxTotal)}
	}
	return nil
}

// allowance bounds the rate of writes.
type allowance struct {
	tokens float64
	at     time.Time
}

// slow says how long to wait where writes come too fast.
func (s *Store) slow(kind string, now time.Time) error {
	k := s.kinds[kind]
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.tokens[kind]
	b.tokens = min(b.tokens+now.Sub(b.at).Seconds()*k.WritesPerSecond, float64(k.Burst))
	b.at = now
	if b.tokens < 1 {
		wait := time.Duration((1 - b.tokens) / k.WritesPerSecond * float64(time.Second))
		return &LimitError{Kind: kind, What: fmt.Sprintf("more than %g writes a second", k.WritesPerSecond), RetryAfter: wait}
	}
	b.tokens--
	return nil
}

// forget takes out the deleted names of a kind that are beyond their bound, the
// oldest first. A name that has come back meanwhile stays.
func (s *Store) forget(ctx context.Context, kind string) {
	s.mu.RLock()
	var gone []Record
	if len(s.records[kind])-s.live[kind] > maxDeleted {
		for _, r := range s.records[kind] {
			if r.Deleted {
				gone = append(gone, r)
			}
		}
	}
	s.mu.RUnlock()
	if len(gone) <= maxDeleted {
		return
	}
	slices.SortFunc(gone, func(a, b Record) int { return cmp.Compare(a.revision, b.revision) })
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	stream, err := s.js.Stream(ctx, "KV_"+bucket)
	if err != nil {
		s.log.Warn("old deletions were not forgotten", "error", err)
		return
	}
	// Some at once, so that not every deletion pays for it.
	const spare = maxDeleted / 10
	for _, r := range gone[:len(gone)-maxDeleted+spare] {
		subject := "$KV." + bucket + "." + key(kind, r.Name)
		if err := stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(r.revision+1)); err != nil {
			s.log.Warn("old deletions were not forgotten", "error", err)
			return
		}
		s.drop(r)
	}
}

// drop forgets a deleted record in memory, if it is still the last one.
func (s *Store) drop(r Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.records[r.Kind][r.Name]; now.revision == r.revision {
		delete(s.records[r.Kind], r.Name)
	}
}
