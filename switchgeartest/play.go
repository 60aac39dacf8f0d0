package switchgeartest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// Play plays a log's script, its lines that are not indented, and returns the
// whole log: the script with what came of each line, indented, below it.
//
//	settings failure=50 minimum=10 wait=1s probes=1   make the breaker
//	update failure=60                                 change settings in place
//	pass 1s                                           advance the clock
//	ok 5 | fail 5 [kind] [retry=1s] | ignored 1 kind | inherited 1
//	                                                  so many calls, "took=1s" each
//	take a, done a fail, release a                    one call in steps, named
//	mode forced_open why, clear                       override the mode
//	direct closed share=0.5 generation=2 for=60s why  control's word
//	grant 7 1s, expire                                leases
//	snapshot, restore                                 into a new breaker
//	see                                               show what there is to see
func Play(n New, log string) (string, error) {
	p := player{new: n, permits: make(map[string]Permit), now: time.Hour}
	p.clock = breaker.NewClock(func() time.Duration { return p.now })
	p.clock.Advance(p.now)
	for i, line := range strings.Split(strings.TrimSuffix(log, "\n"), "\n") {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		p.out.WriteString(line + "\n")
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		if err := p.do(f[0], f[1:]); err != nil {
			return "", fmt.Errorf("line %d, %q: %w", i+1, line, err)
		}
	}
	return p.out.String(), nil
}

type player struct {
	new      New
	out      strings.Builder
	now      time.Duration
	clock    *breaker.Clock
	settings breaker.Settings
	b        Breaker
	permits  map[string]Permit
	saved    breaker.Snapshot
}

func (p *player) say(format string, args ...any) { fmt.Fprintf(&p.out, "  "+format+"\n", args...) }

func (p *player) make() {
	s := p.settings
	p.b = p.new(&s, p.clock, Hooks{
		Changed: func(t breaker.Transition) {
			if t.FromMode != t.ToMode {
				p.say("mode %v → %v: %s", t.FromMode, t.ToMode, t.Why)
			}
			if t.From != t.To {
				p.say("%v → %v: %s", t.From, t.To, t.Why)
			}
		},
		Answered: func(token uint64, used bool, o breaker.Outcome) {
			if used {
				p.say("grant %d answered: %v", token, o.Verdict)
			} else {
				p.say("grant %d came back", token)
			}
		},
	})
}

func (p *player) do(verb string, args []string) error {
	if p.b == nil && verb != "settings" {
		return errors.New("settings come first")
	}
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	switch verb {
	case "settings", "update":
		for _, a := range args {
			if err := set(&p.settings, a); err != nil {
				return err
			}
		}
		s := p.settings.WithDefaults()
		if err := s.Validate(); err != nil {
			return err
		}
		if p.settings = s; verb == "settings" {
			p.make()
		} else {
			p.b.Update(&s)
		}
	case "pass":
		d, err := time.ParseDuration(arg(0))
		if err != nil {
			return err
		}
		p.now += d
		p.clock.Advance(p.now)
	case "ok", "fail", "ignored", "inherited":
		return p.calls(verb, args)
	case "take":
		permit, err := p.b.Acquire()
		if err != nil {
			p.say("%s", rejection(err))
			return nil
		}
		p.permits[arg(0)] = permit
		p.say("permitted%s", shadow(permit))
	case "done", "release":
		permit := p.permits[arg(0)]
		if permit == nil {
			return errors.New("no such permit")
		}
		if verb == "release" {
			permit.Release()
			return nil
		}
		o, err := outcome(arg(1), args[2:])
		if err != nil {
			return err
		}
		p.say("%s", counted(permit.Done(o)))
	case "mode":
		var m breaker.Mode
		if err := m.UnmarshalText([]byte(arg(0))); err != nil {
			return err
		}
		p.b.SetMode(m, strings.Join(args[1:], " "))
	case "clear":
		p.b.ClearMode()
	case "direct":
		d, err := p.direction(args)
		if err != nil {
			return err
		}
		p.b.Direct(d)
	case "grant":
		token, err := strconv.ParseUint(arg(0), 10, 64)
		if err != nil {
			return err
		}
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			return err
		}
		p.b.Grant(token, p.now+d)
	case "expire":
		p.b.Expire(p.now)
	case "snapshot":
		p.saved = p.b.Snapshot()
		p.say("%v for %v, %v left to wait", p.saved.State, p.saved.Age, p.saved.Wait)
	case "restore":
		p.make()
		p.b.Restore(p.saved)
	case "see":
		p.see()
	default:
		return errors.New("unknown command")
	}
	return nil
}

func (p *player) see() {
	v := p.b.View()
	w := v.Window
	s := fmt.Sprintf("%v for %v, %v, share %.3g, %d calls, %d failed, %d slow, %d in a row",
		v.State, p.now-v.Since, v.Mode, v.Share, w.Calls, w.Failed, w.Slow, w.Consecutive)
	if v.Attached {
		s += ", attached"
	}
	if v.Local {
		s += ", local"
	}
	p.say("%s", s)
}

// calls makes calls one after the other and sums up what became of them.
func (p *player) calls(verb string, args []string) error {
	n, rest := 1, args
	if len(args) > 0 {
		if x, err := strconv.Atoi(args[0]); err == nil {
			n, rest = x, args[1:]
		}
	}
	o, err := outcome(verb, rest)
	if err != nil {
		return err
	}
	var last string
	times := 0
	flush := func() {
		if times > 0 {
			p.say("%d × %s", times, last)
		}
		times = 0
	}
	for range n {
		mark := p.out.Len()
		permit, err := p.b.Acquire()
		s := ""
		if err != nil {
			s = rejection(err)
		} else {
			shade := shadow(permit)
			s = counted(permit.Done(o)) + shade
		}
		events := p.out.String()[mark:]
		if s != last || events != "" {
			// What happened during this call stands after the calls before it.
			head := p.out.String()[:mark]
			p.out.Reset()
			p.out.WriteString(head)
			if s != last {
				flush()
			}
			last = s
			times++
			if events != "" {
				flush()
			}
			p.out.WriteString(events)
			continue
		}
		times++
	}
	flush()
	return nil
}

func counted(yes bool) string {
	if yes {
		return "counted"
	}
	return "not counted"
}

func shadow(p Permit) string {
	if p.Shadow() {
		return ", shadow"
	}
	return ""
}

func rejection(err error) string {
	e, ok := errors.AsType[*breaker.NotPermittedError](err)
	if !ok {
		return "rejected by " + err.Error()
	}
	s := "rejected: " + e.Reason.String()
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(", retry after %v", e.RetryAfter)
	}
	return s
}
