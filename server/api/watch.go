package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	apiv1 "github.com/datapunk/switchgear/server/gen/switchgear/api/v1"
)

// Stream is where a watch goes: connect.ServerStream.
type Stream interface {
	Send(*apiv1.WatchCircuitsResponse) error
}

const (
	heartbeatInterval = 10 * time.Second
	snapshotPart      = 1000 // circuits in one message
)

// WatchCircuits tells the circuits that pass the filter, and then what changes.
func (c *Circuits) WatchCircuits(ctx context.Context, q *apiv1.WatchCircuitsRequest, s *connect.ServerStream[apiv1.WatchCircuitsResponse]) error {
	return c.watch(ctx, q, s)
}

func (c *Circuits) watch(ctx context.Context, q *apiv1.WatchCircuitsRequest, to Stream) error {
	if len(q.GetPrefix()) > maxText {
		return badField("prefix", q.GetPrefix(), "prefix of %d bytes: want at most %d", len(q.GetPrefix()), maxText)
	}
	if !c.feed.join() {
		return &Problem{
			Code: connect.CodeResourceExhausted, Err: fmt.Errorf("%d watch this daemon already", maxWatchers),
			Advice: "end a watch that nobody reads, or list instead",
		}
	}
	defer c.feed.leave()
	pass := newFilter(q)
	feed, number := q.GetResumeFeed(), q.GetResumeNumber()
	heartbeat := time.NewTicker(heartbeatInterval)
	defer heartbeat.Stop()
	quiet := true
	for {
		news := c.feed.after(feed, number)
		feed, number = c.feed.id, news.number
		told, err := tell(to, &news, feed, pass)
		if err != nil {
			return err
		}
		quiet = quiet && !told
		more, beat := c.feed.wait(ctx, news, heartbeat.C)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !more:
			return &Problem{Code: connect.CodeUnavailable, Err: errors.New("the daemon is stopping"), Advice: "go on from the last number when it is back"}
		case beat && quiet:
			err := to.Send(&apiv1.WatchCircuitsResponse{Feed: feed, Number: number, Event: &apiv1.WatchCircuitsResponse_Heartbeat{Heartbeat: &apiv1.CircuitsHeartbeat{}}})
			if err != nil {
				return err
			}
		}
		if beat {
			quiet = true
		}
	}
}

// tell sends what is new, if anything of it passes.
func tell(to Stream, news *since, feed string, pass *filter) (told bool, err error) {
	if news.fresh {
		return true, tellAll(to, news, feed, pass)
	}
	age := time.Since(news.snapshot.At)
	d := &apiv1.CircuitsDelta{Removed: news.removed}
	for _, i := range news.changed {
		v, name := &news.snapshot.Circuits[i], news.snapshot.names[i]
		if pass.circuit(v, name) {
			d.Changed = append(d.Changed, message(v, name, age))
		} else if len(pass.states) > 0 && pass.match(name) {
			d.Removed = append(d.Removed, name) // it may have passed before
		}
	}
	if len(d.GetChanged())+len(d.GetRemoved()) == 0 {
		return false, nil
	}
	return true, to.Send(&apiv1.WatchCircuitsResponse{Feed: feed, Number: news.number, Event: &apiv1.WatchCircuitsResponse_Delta{Delta: d}})
}

func tellAll(to Stream, news *since, feed string, pass *filter) error {
	age := time.Since(news.snapshot.At)
	part := &apiv1.CircuitsSnapshot{First: true}
	send := func() error {
		m := &apiv1.WatchCircuitsResponse{Feed: feed, Number: news.number, Event: &apiv1.WatchCircuitsResponse_Snapshot{Snapshot: part}}
		part = &apiv1.CircuitsSnapshot{}
		return to.Send(m)
	}
	for i := range news.snapshot.Circuits {
		v, name := &news.snapshot.Circuits[i], news.snapshot.names[i]
		if !pass.circuit(v, name) {
			continue
		}
		if len(part.GetCircuits()) == snapshotPart {
			if err := send(); err != nil {
				return err
			}
		}
		part.Circuits = append(part.Circuits, message(v, name, age))
	}
	part.Last = true
	return send()
}
