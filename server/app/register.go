package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"connectrpc.com/connect"

	"github.com/datapunk/switchgear/server/api"
	"github.com/datapunk/switchgear/server/bus"
	"github.com/datapunk/switchgear/server/policybook"
	"github.com/datapunk/switchgear/server/store"
)

// Kinds of records of operators' words. Each daemon holds all of them in memory.
const (
	overrideKind = "override"
	pauseKind    = "pause"
	markerKind   = "marker"
)

// kinds are all that the daemon keeps, with their bounds.
var kinds = []store.Kind{
	{Name: overrideKind, MaxRecords: 10_000, MaxBody: 16 << 10, MaxTotal: 16 << 20, WritesPerSecond: 50, Burst: 500},
	{Name: pauseKind, MaxRecords: 1000, MaxBody: 4 << 10, MaxTotal: 2 << 20, WritesPerSecond: 50, Burst: 500},
	{Name: markerKind, MaxRecords: 10_000, MaxBody: 4 << 10, MaxTotal: 8 << 20, WritesPerSecond: 50, Burst: 500},
	policybook.Policies,
	policybook.Rollouts,
}

func openStore(b *bus.Bus, log *slog.Logger) (*store.Store, error) {
	js, err := b.JetStream()
	if err != nil {
		return nil, err
	}
	return store.Open(context.Background(), js, store.Config{Kinds: kinds, Log: log})
}

// problemOf gives an error of the store its place in the API.
func problemOf(err error) error {
	var conflict *store.ConflictError
	var missing *store.NotFoundError
	var limit *store.LimitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &conflict):
		return &api.Problem{
			Code: connect.CodeAborted, Field: "expected_revision", Value: fmt.Sprint(conflict.Expected), Err: err,
			Advice: "read what stands now, and name its revision if it is to be replaced",
		}
	case errors.As(err, &missing):
		return &api.Problem{Code: connect.CodeNotFound, Value: missing.Name, Err: err, Advice: "list what stands"}
	case errors.As(err, &limit):
		return &api.Problem{Code: connect.CodeResourceExhausted, Err: err, Advice: "end what is not needed any more, or ask again later"}
	case errors.Is(err, store.ErrInvalid):
		return &api.Problem{Code: connect.CodeInvalidArgument, Err: err}
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return &api.Problem{Code: connect.CodeUnavailable, Err: err, Advice: "list what stands before you ask again: it may have been written"}
	}
	return err
}
