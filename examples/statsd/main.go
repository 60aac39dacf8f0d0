// Command statsd sends a manager's metrics to a statsd daemon: what an exporter
// of your own looks like. Send is all of it.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"time"

	"github.com/datapunk/switchgear"
)

// Send writes a gauge for each figure, one packet per circuit. Gauges of totals
// survive a lost packet; the graph takes their rate.
func Send(w io.Writer, m *switchgear.Manager) error {
	clean := strings.NewReplacer(":", "_", "|", "_", "@", "_", "/", ".")
	for c := range m.Metrics() {
		var b strings.Builder
		gauge := func(name string, v float64) {
			fmt.Fprintf(&b, "switchgear.%s.%s:%g|g\n", clean.Replace(c.Key.String()), name, v)
		}
		for s := range c.InState {
			is := 0.0
			if switchgear.State(s) == c.State {
				is = 1
			}
			gauge("state."+switchgear.State(s).String(), is)
		}
		gauge("calls.success", float64(c.Succeeded+c.LateSucceeded))
		gauge("calls.failure", float64(c.Failed+c.LateFailed))
		for r, n := range c.Rejected {
			gauge("rejections."+switchgear.Reason(r).String(), float64(n))
		}
		if _, err := io.WriteString(w, b.String()); err != nil {
			return fmt.Errorf("send metrics: %w", err)
		}
	}
	return nil
}

func main() {
	m, err := switchgear.New(switchgear.Config{Service: "checkout"})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "udp", "127.0.0.1:8125")
	if err != nil {
		log.Fatal(err)
	}
	m.Breaker(switchgear.Key{Callee: "ledger"})
	for range time.Tick(10 * time.Second) {
		if err := Send(conn, m); err != nil {
			log.Print(err)
		}
	}
}
