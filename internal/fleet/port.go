package fleet

import (
	"context"
	"errors"
)

// Port is where a link meets a replica's manager. A link calls Hello, then Next
// and Obey by turns with a goroutine each, until the stream ends; then Linked
// and, on the next stream, Hello again.
type Port interface {
	// Hello begins a session: who I am, what I hold.
	Hello() Hello
	// Next blocks until a report is due: each second in calm, within 50 ms when it
	// matters. While the link is slow evidence accumulates in it and is not lost.
	// It returns the cause of ctx's end, and then keeps what it has gathered; only
	// where the cause is ErrClosing it gives all of it at once, as a report that is
	// Final, and no error.
	Next(ctx context.Context) (Report, error)
	// Obey hands over what control said, in the order in which it was said.
	Obey([]Directive)
	// Linked tells that the stream is up (err nil), or why it is lost or can't be
	// made: for logs, state and metrics.
	Linked(address string, err error)
}

// ErrClosing is the cause with which a link ends a Port's Next when it closes
// for good.
var ErrClosing = errors.New("link is closing")
