package breaker

import "time"

// Owner is who keeps a breaker and hears of it. All methods are called from
// within calls, without any lock held, and must return at once; several may run
// at the same time, but Changed runs in order, one at a time per breaker. They
// may call the breaker.
type Owner interface {
	// Rejected builds the error that callers get. One is kept for up to 20 ms, so
	// that rejections don't allocate.
	Rejected(*Breaker, Rejection) error
	// Changed tells of a transition, after it is published.
	Changed(*Breaker, Transition)
	// Active tells of the first outcome in a while: at most once a second and
	// once per bucket of the window.
	Active(*Breaker)
	// Failed tells of the first failure since Counts was last called.
	Failed(*Breaker)
	// Answered tells what became of a grant, once: a call used it and o is its
	// outcome, or it came back unused.
	Answered(b *Breaker, token uint64, used bool, o Outcome)
}

// Transition is one change of state or mode.
type Transition struct {
	At               time.Duration
	From, To         State
	FromMode, ToMode Mode
	Generation       uint64
	Why              string
	Window           Window // as it was judged
}

// nobody owns a breaker that nobody else does.
type nobody struct{}

func (nobody) Rejected(_ *Breaker, r Rejection) error   { return &NotPermittedError{r} }
func (nobody) Changed(*Breaker, Transition)             {}
func (nobody) Active(*Breaker)                          {}
func (nobody) Failed(*Breaker)                          {}
func (nobody) Answered(*Breaker, uint64, bool, Outcome) {}
