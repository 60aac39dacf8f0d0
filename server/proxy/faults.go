package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Faults is what a proxy does to what passes through it. The zero Faults passes
// everything on untouched. Shares are percent, 0–100; fail and reset together
// take at most 100.
type Faults struct {
	FailPercent  float64       // requests answered with Status, the target isn't asked; HTTP only
	Status       int           // of failed requests, 400–599; 0 is 503
	ResetPercent float64       // requests, or TCP connections also in use, that end in a TCP reset
	Hang         bool          // nothing is answered, nothing is cut: until the caller leaves, or the cure
	Refuse       bool          // no listener, and connections that there are get reset: the process is dead
	HalfOpen     bool          // the target's side is closed, the caller's isn't told, cure or not; TCP only
	Delay        time.Duration // before a request, or before each chunk of a TCP stream, at most 1 h
	Jitter       time.Duration // spreads Delay evenly over ± this much, at most Delay
	Drip         int           // bytes a second of each answer's body, or of each TCP direction; 0 is all at once
	// Capacity is how many requests a second the target can serve, 0 is no limit;
	// HTTP only. A request beyond it waits for its turn; one that finds Queue
	// requests waiting is answered with Status. A caller that leaves while waiting
	// has spent its turn, as in a service that doesn't notice.
	Capacity float64
	Queue    int // 0 is as many as are served in one second
}

// Validate reports every field out of its range, at once.
func (f Faults) Validate(tcp bool) error {
	var errs []error
	check := func(ok bool, word string, value any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s %v: want %s", word, value, want))
		}
	}
	check(f.FailPercent >= 0 && f.FailPercent <= 100, "fail", f.FailPercent, "0 to 100 percent")
	check(f.ResetPercent >= 0 && f.ResetPercent <= 100, "reset", f.ResetPercent, "0 to 100 percent")
	check(f.FailPercent+f.ResetPercent <= 100, "fail and reset", f.FailPercent+f.ResetPercent, "at most 100 percent together")
	check(f.Status == 0 || f.Status >= 400 && f.Status <= 599, "status", f.Status, "400 to 599")
	check(f.Delay >= 0 && f.Delay <= time.Hour, "delay", f.Delay, "0 to 1h")
	check(f.Jitter >= 0 && f.Jitter <= f.Delay, "jitter", f.Jitter, "0 to the delay")
	check(f.Drip >= 0, "drip", f.Drip, "bytes a second, 0 or more")
	check(f.Capacity >= 0 && f.Capacity <= 1e6, "capacity", f.Capacity, "0 (no limit) to 1000000/s")
	check(f.Queue >= 0 && f.Queue <= 1_000_000, "queue", f.Queue, "0 (one second's worth) to 1000000")
	if tcp {
		check(f.FailPercent == 0, "fail", f.FailPercent, "none with tcp, which has no answers to fail; reset or refuse instead")
		check(f.Capacity == 0, "capacity", f.Capacity, "none with tcp, which has no requests to count")
	} else {
		check(!f.HalfOpen, "half-open", f.HalfOpen, "none without tcp")
	}
	return errors.Join(errs...)
}

func (f Faults) status() int {
	if f.Status == 0 {
		return http.StatusServiceUnavailable
	}
	return f.Status
}

func (f Faults) queue() int {
	if f.Queue == 0 {
		return max(1, int(f.Capacity))
	}
	return f.Queue
}

// Word is one fault as people write it: a flag's name and value on the command
// line, a form field at the admin address.
type Word struct {
	Name, Example, Use string
	Switch             bool // has no value: present is on

	set func(*Faults, string) error
	get func(Faults) string
}

// Words are all faults, in the order of a help text.
var Words = []Word{
	percent("fail", "50%", "share of requests that are failed", func(f *Faults) *float64 { return &f.FailPercent }),
	number("status", "503", "status of failed requests", func(f *Faults) *int { return &f.Status }),
	percent("reset", "10%", "share of requests (tcp: connections) that end in a TCP reset", func(f *Faults) *float64 { return &f.ResetPercent }),
	toggle("hang", "take everything, answer nothing", func(f *Faults) *bool { return &f.Hang }),
	toggle("refuse", "refuse connections, as a dead process does", func(f *Faults) *bool { return &f.Refuse }),
	toggle("half-open", "tcp: close the target's side, leave the caller's", func(f *Faults) *bool { return &f.HalfOpen }),
	duration("delay", "200ms", "wait before each request (tcp: chunk)", func(f *Faults) *time.Duration { return &f.Delay }),
	duration("jitter", "50ms", "spread the delay by plus or minus this", func(f *Faults) *time.Duration { return &f.Jitter }),
	number("drip", "100", "bytes a second of each body (tcp: direction)", func(f *Faults) *int { return &f.Drip }),
	rate("capacity", "100/s", "requests a second that are served; more wait", func(f *Faults) *float64 { return &f.Capacity }),
	number("queue", "50", "waiting requests beyond which more are failed (default: one second's worth)", func(f *Faults) *int { return &f.Queue }),
}

// Set changes the fault of that name. Percentages may end in %, rates in /s.
func (f *Faults) Set(name, value string) error {
	i := slices.IndexFunc(Words, func(w Word) bool { return w.Name == name })
	if i < 0 {
		names := make([]string, len(Words))
		for i, w := range Words {
			names[i] = w.Name
		}
		return fmt.Errorf("unknown fault %q: want one of %s", name, strings.Join(names, ", "))
	}
	if err := Words[i].set(f, value); err != nil {
		return fmt.Errorf("%s %q: want %s, as in %s=%s", name, value, Words[i].Use, name, Words[i].Example)
	}
	return nil
}

// String lists the faults that are on, as Set takes them; "none" without one.
func (f Faults) String() string {
	var on []string
	for _, w := range Words {
		if v := w.get(f); v != "" {
			on = append(on, w.Name+"="+v)
		}
	}
	if len(on) == 0 {
		return "none"
	}
	return strings.Join(on, " ")
}

func percent(name, example, use string, field func(*Faults) *float64) Word {
	return float(name, example, use, "%", field)
}

func rate(name, example, use string, field func(*Faults) *float64) Word {
	return float(name, example, use, "/s", field)
}

func float(name, example, use, unit string, field func(*Faults) *float64) Word {
	return Word{
		Name: name, Example: example, Use: use,
		set: func(f *Faults, v string) (err error) {
			*field(f), err = strconv.ParseFloat(strings.TrimSuffix(v, unit), 64)
			return err
		},
		get: func(f Faults) string {
			if *field(&f) == 0 {
				return ""
			}
			return strconv.FormatFloat(*field(&f), 'g', -1, 64) + unit
		},
	}
}

func number(name, example, use string, field func(*Faults) *int) Word {
	return Word{
		Name: name, Example: example, Use: use,
		set: func(f *Faults, v string) (err error) {
			*field(f), err = strconv.Atoi(v)
			return err
		},
		get: func(f Faults) string {
			if *field(&f) == 0 {
				return ""
			}
			return strconv.Itoa(*field(&f))
		},
	}
}

func duration(name, example, use string, field func(*Faults) *time.Duration) Word {
	return Word{
		Name: name, Example: example, Use: use,
		set: func(f *Faults, v string) (err error) {
			*field(f), err = time.ParseDuration(v)
			return err
		},
		get: func(f Faults) string {
			if *field(&f) == 0 {
				return ""
			}
			return field(&f).String()
		},
	}
}

func toggle(name, use string, field func(*Faults) *bool) Word {
	return Word{
		Name: name, Example: "true", Use: use, Switch: true,
		set: func(f *Faults, v string) (err error) {
			*field(f), err = strconv.ParseBool(v)
			return err
		},
		get: func(f Faults) string {
			if !*field(&f) {
				return ""
			}
			return "true"
		},
	}
}
