// Command redis keeps what breakers know in Redis, for processes without a disk
// of their own: what a state cache of your own looks like. Cache is all of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/datapunk/switchgear"
)

// Cache keeps one state for a service: a new process goes on from what any of the
// service's processes has saved last. Redis is asked at start and told of changes,
// never on the way of a call.
type Cache struct{ Client *redis.Client }

// Load implements switchgear.StateCache.
func (c Cache) Load(service string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state, err := c.Client.Get(ctx, "switchgear:"+service).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return state, err
}

// Save implements switchgear.StateCache.
func (c Cache) Save(service string, state []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return c.Client.Set(ctx, "switchgear:"+service, state, time.Hour).Err()
}

// Close implements io.Closer.
func (c Cache) Close() error { return c.Client.Close() }

func main() {
	cache := Cache{redis.NewClient(&redis.Options{Addr: "localhost:6379"})}
	m, err := switchgear.New(switchgear.Config{Service: "checkout", Logger: slog.Default()}, switchgear.WithStateCache(cache))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	n, err := switchgear.Do(context.Background(), m.Breaker(switchgear.Key{Callee: "ledger"}), func(context.Context) (int, error) { return 42, nil })
	fmt.Println(n, err)
}
