package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"connectrpc.com/connect"

	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

const (
	// A watch whose daemon has gone asks again for so long.
	watchAgainFor  = 15 * time.Second
	watchAgainEach = 500 * time.Millisecond
)

// watched is what a watch knows.
type watched struct {
	circuits map[string]*apiv1.Circuit
	at       map[string]time.Time // when each was told
}

// follow watches until ctx ends: told is called with each change, once it is
// complete. A stream that breaks goes on from its last number.
func (c *client) follow(ctx context.Context, q *apiv1.WatchCircuitsRequest, told func(*watched) error) error {
	w := &watched{make(map[string]*apiv1.Circuit), make(map[string]time.Time)}
	var broken time.Time
	for {
		heard, err, fatal := c.followOnce(ctx, q, w, told)
		if fatal != nil {
			return fatal
		}
		code := connect.CodeOf(err)
		switch {
		case heard:
			broken = time.Now()
		case broken.IsZero(), time.Since(broken) > watchAgainFor:
			return c.explain(ctx, err)
		}
		if ctx.Err() != nil || code == connect.CodeResourceExhausted || code == connect.CodeInvalidArgument {
			return c.explain(ctx, err)
		}
		select {
		case <-time.After(watchAgainEach):
		case <-ctx.Done():
			return c.explain(ctx, ctx.Err())
		}
	}
}

func (c *client) followOnce(ctx context.Context, q *apiv1.WatchCircuitsRequest, w *watched, told func(*watched) error) (heard bool, err, fatal error) {
	s, err := c.WatchCircuits(ctx, q)
	if err != nil {
		return false, err, nil
	}
	defer s.Close()
	for s.Receive() {
		heard = true
		m := s.Msg()
		if !w.take(m) {
			continue
		}
		q.ResumeFeed, q.ResumeNumber = m.GetFeed(), m.GetNumber()
		if err := told(w); err != nil {
			return heard, nil, err
		}
	}
	if err = s.Err(); err == nil {
		err = connect.NewError(connect.CodeUnavailable, io.EOF)
	}
	return heard, err, nil
}

// take reports whether what is known is complete.
func (w *watched) take(m *apiv1.WatchCircuitsResponse) bool {
	now := time.Now()
	keep := func(all []*apiv1.Circuit) {
		for _, x := range all {
			w.circuits[x.GetName()], w.at[x.GetName()] = x, now
		}
	}
	switch e := m.GetEvent().(type) {
	case *apiv1.WatchCircuitsResponse_Snapshot:
		if e.Snapshot.GetFirst() {
			clear(w.circuits)
			clear(w.at)
		}
		keep(e.Snapshot.GetCircuits())
		return e.Snapshot.GetLast()
	case *apiv1.WatchCircuitsResponse_Delta:
		keep(e.Delta.GetChanged())
		for _, name := range e.Delta.GetRemoved() {
			delete(w.circuits, name)
			delete(w.at, name)
		}
	}
	return true
}

// all circuits by name.
func (w *watched) all() []*apiv1.Circuit {
	out := make([]*apiv1.Circuit, 0, len(w.circuits))
	for _, name := range slices.Sorted(maps.Keys(w.circuits)) {
		out = append(out, w.circuits[name])
	}
	return out
}

// printWatch prints all circuits once and then those that changed, until it is
// interrupted. Rates alone are not a change.
func printWatch(ctx context.Context, c *client, q *apiv1.ListCircuitsRequest, to io.Writer, output string) error {
	seen := map[string]string{}
	first := true
	return c.follow(ctx, &apiv1.WatchCircuitsRequest{States: q.GetStates(), Namespace: q.GetNamespace(), Prefix: q.GetPrefix()}, func(w *watched) error {
		var changed []*apiv1.Circuit
		for _, m := range w.all() {
			mark := fmt.Sprint(m.GetState(), m.GetMode(), m.GetPhase(), m.GetOpen(), m.GetBreakers(), m.GetShare(), m.GetWhy(), m.GetOverride().GetId())
			if seen[m.GetName()] != mark {
				seen[m.GetName()] = mark
				changed = append(changed, m)
			}
		}
		maps.DeleteFunc(seen, func(name, _ string) bool { return w.circuits[name] == nil })
		err := printChanged(to, changed, output, first)
		first = false
		return err
	})
}
