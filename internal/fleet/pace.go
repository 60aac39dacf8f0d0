package fleet

import "time"

// pace follows how long a circuit's good answers take, so that a replica tells at
// once, and not with the next calm report, when they get slow: a queue grows
// before anything fails.
type pace struct{ usual time.Duration }

// slowed takes the answers of one sample and reports whether they use up more of
// the room between usual and time-out than a queue in calm ever does.
func (p *pace) slowed(d *Counts, timeout time.Duration) bool {
	const few = 2
	if d.Succeeded < few {
		return false
	}
	mean := d.Latency / time.Duration(d.Succeeded)
	if p.usual == 0 {
		p.usual = mean
	}
	if mean < 2*p.usual {
		p.usual += (mean - p.usual) / 50
	}
	return timeout > p.usual && mean > p.usual+(timeout-p.usual)*3/10
}
