package breaker

// news is what the owner is to be told once the lock is free.
type news struct {
	transition Transition // if token is not answered
	answer     bool
	token      uint64
	used       bool
	outcome    Outcome
}

func (c *core) tellAnswer(token uint64, used bool, o Outcome) {
	c.news = append(c.news, news{answer: true, token: token, used: used, outcome: o})
}

// unlock frees the lock and tells the owner what happened under it, in order:
// who tells already goes on to tell what others leave here.
func (b *Breaker) unlock(c *core) {
	if c.telling || len(c.news) == 0 && !c.active && !c.failing {
		c.mu.Unlock()
		return
	}
	b.tell(c)
}

func (b *Breaker) tell(c *core) {
	c.telling = true
	locked := true
	defer func() { // an owner that panics does so into the call, and is told again
		if !locked {
			c.mu.Lock()
		}
		c.telling = false
		c.mu.Unlock()
	}()
	for len(c.news) > 0 || c.active || c.failing {
		list, active, failing := c.news, c.active, c.failing
		c.news, c.active, c.failing = nil, false, false
		c.mu.Unlock()
		locked = false
		if active {
			b.owner.Active(b)
		}
		if failing {
			b.owner.Failed(b)
		}
		for i := range list {
			if n := &list[i]; n.answer {
				b.owner.Answered(b, n.token, n.used, n.outcome)
			} else {
				b.owner.Changed(b, n.transition)
			}
		}
		c.mu.Lock()
		locked = true
	}
}
