package fleet

import (
	"fmt"
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// ruled is a breaker under an operator's word, and until when. It ends here, on
// this replica's own clock, whether or not a daemon is there to say so.
type ruled struct {
	breaker *breaker.Breaker
	till    time.Duration
}

// String of an override is what callers and pages read.
func (o *Override) String() string {
	return fmt.Sprintf("%s by %s: %s (%s)", o.Mode, o.Author, o.Reason, o.ID)
}

// rule puts operators' words in force, each for its time, and ends those that a
// directive names no more.
func (c *Circuit) rule(now time.Duration, d *Directive) {
	was := c.ruled
	c.ruled = nil
	c.putUnder(now, c.Breaker, d.Override)
	for i := range d.Parts {
		if o := d.Parts[i].Override; o != nil {
			if x := c.Instance(d.Parts[i].Instance); x != nil {
				c.putUnder(now, x.Breaker, o)
			}
		}
	}
	for _, r := range was {
		if !c.rules(r.breaker) {
			r.breaker.ClearMode()
		}
	}
}

// putUnder is idempotent: a word that is heard again only tells anew how long it
// stands.
func (c *Circuit) putUnder(now time.Duration, b *breaker.Breaker, o *Override) {
	if o == nil || o.TTL <= 0 || o.Mode == breaker.Enforce {
		return
	}
	b.SetMode(o.Mode, o.String())
	c.ruled = append(c.ruled, ruled{b, now + o.TTL})
}

func (c *Circuit) rules(b *breaker.Breaker) bool {
	return slices.ContainsFunc(c.ruled, func(r ruled) bool { return r.breaker == b })
}

// unrule ends what has had its time.
func (c *Circuit) unrule(now time.Duration) {
	kept := c.ruled[:0]
	for _, r := range c.ruled {
		if r.till > now {
			kept = append(kept, r)
			continue
		}
		r.breaker.ClearMode()
	}
	c.ruled = kept
}
