package live

import (
	"context"
	"strings"
	"time"
)

// sickCaller is scenario 2: whose fault is it, and who says so.
var sickCaller = chapter{2, []part{
	{
		name: "replica 7's network fails",
		spec: spec{callers: []callers{twenty()}, instances: 3},
		rows: []promise{
			{measure: "other replicas that opened", op: "=", promised: 0},
			{measure: "it opened (1 is yes)", op: "=", promised: 1},
			{measure: "its event says that the caller is at fault (1 is yes)", op: "=", promised: 1},
		},
		play: func(ctx context.Context, m *mesh) ([]float64, error) {
			if err := m.cut(ctx, 20*time.Second, func(name string) bool { return name == "web-7" }); err != nil {
				return nil, err
			}
			changes := m.changed(0)
			return []float64{
				count(changes, func(c *told[change]) bool { return opening(c) && c.replica != "web-7" }),
				min(1, count(changes, func(c *told[change]) bool { return opening(c) && c.replica == "web-7" })),
				min(1, count(changes, func(c *told[change]) bool {
					return c.replica == "web-7" && strings.Contains(c.what.Why, "the caller or its way is sick, not the callee")
				})),
			}, nil
		},
	},
	{
		name: "19 of 20 fail",
		spec: spec{callers: []callers{twenty()}, instances: 3},
		rows: []promise{{measure: "replicas that are open 5 s later", op: "=", promised: 20}},
		play: func(ctx context.Context, m *mesh) ([]float64, error) {
			if err := m.cut(ctx, 5*time.Second, func(name string) bool { return name != "web-7" }); err != nil {
				return nil, err
			}
			most := 0
			m.standing(func(_ time.Duration, open map[string]bool) { most = max(most, len(open)) })
			return []float64{float64(most)}, nil
		},
	},
	{
		name: "one of 20 lies at 1,000 times the volume",
		spec: spec{callers: []callers{lying()}, instances: 3},
		rows: []promise{
			{measure: "breakers of others that opened", op: "=", promised: 0},
			{measure: "calls of others that were rejected", op: "=", promised: 0},
		},
		play: func(ctx context.Context, m *mesh) ([]float64, error) {
			if err := hold(ctx, 20*time.Second); err != nil {
				return nil, err
			}
			const liar = "web-1"
			return []float64{
				count(m.changed(0), func(c *told[change]) bool { return opening(c) && c.replica != liar }),
				count(m.called(0), func(c *told[call]) bool { return c.what.Rejected && c.replica != liar }),
			}, nil
		},
	},
}}

func lying() callers {
	c := twenty()
	c.Lies = 1000
	return c
}

// cut severs replicas after ten calm seconds, and waits.
func (m *mesh) cut(ctx context.Context, then time.Duration, severed func(string) bool) error {
	if err := hold(ctx, 10*time.Second); err != nil {
		return err
	}
	if err := m.sever(ctx, severed); err != nil {
		return err
	}
	return hold(ctx, then)
}
