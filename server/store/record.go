package store

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// stored is a record as it stands in the store: docs/protocol.md.
type stored struct {
	Version uint64    `json:"version"`
	At      time.Time `json:"at"`
	Author  string    `json:"author,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Deleted bool      `json:"deleted,omitempty"`
	Body    []byte    `json:"body,omitempty"`
}

// key of a record: names are any text, keys are not.
func key(kind, name string) string {
	return kind + "." + base64.RawURLEncoding.EncodeToString([]byte(name))
}

func encode(r *Record) ([]byte, error) {
	return json.Marshal(stored{r.Version, r.At.UTC(), r.Author, r.Reason, r.Deleted, r.Body})
}

// decode reads what stands in the store; it never trusts it.
func decode(e jetstream.KeyValueEntry) (Record, error) {
	kind, text, ok := strings.Cut(e.Key(), ".")
	name, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil {
		return Record{}, fmt.Errorf("key %q: want a kind and a name", e.Key())
	}
	var x stored
	if err := json.Unmarshal(e.Value(), &x); err != nil {
		return Record{}, fmt.Errorf("revision %d of %s %q is damaged: %w", e.Revision(), kind, name, err)
	}
	if x.Version == 0 {
		return Record{}, fmt.Errorf("revision %d of %s %q is damaged: it has no version", e.Revision(), kind, name)
	}
	return Record{
		Kind: kind, Name: string(name), Version: x.Version, At: x.At, Author: x.Author, Reason: x.Reason,
		Deleted: x.Deleted, Body: x.Body, revision: e.Revision(),
	}, nil
}
