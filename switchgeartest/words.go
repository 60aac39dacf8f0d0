package switchgeartest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/datapunk/switchgear/breaker"
)

// set reads one word of a script's settings.
func set(s *breaker.Settings, word string) (err error) {
	name, value, ok := strings.Cut(word, "=")
	if !ok {
		return fmt.Errorf("%q: want name=value", word)
	}
	number := func() float64 {
		x, e := strconv.ParseFloat(value, 64)
		if e != nil {
			err = e
		}
		return x
	}
	duration := func(v string) time.Duration {
		d, e := time.ParseDuration(v)
		if e != nil {
			err = e
		}
		return d
	}
	switch name {
	case "failure":
		s.FailureRateThreshold = number()
	case "slow":
		s.SlowCallRateThreshold = number()
	case "slower":
		s.SlowCallDurationThreshold = duration(value)
	case "row":
		s.ConsecutiveFailures = int(number())
	case "minimum":
		s.MinimumNumberOfCalls = int(number())
	case "last":
		s.WindowSize = int(number())
	case "window":
		s.WindowDuration = duration(value)
	case "buckets":
		s.WindowBuckets = int(number())
	case "probes":
		s.PermittedNumberOfCallsInHalfOpenState = int(number())
	case "answer":
		s.MaxWaitDurationInHalfOpenState = duration(value)
	case "concurrent":
		s.MaxConcurrentCalls = int(number())
	case "pushback":
		s.MaxRetryAfter = duration(value)
	case "mode":
		err = s.Mode.UnmarshalText([]byte(value))
	case "wait": // 1s, 1s..10s by_age, or 1s..10s*2
		shape := breaker.WaitFixed
		if v, ok := strings.CutSuffix(value, "*2"); ok {
			shape, value = breaker.WaitExponential, v
		} else if strings.Contains(value, "..") {
			shape = breaker.WaitByAge
		}
		base, most, _ := strings.Cut(value, "..")
		s.Wait = breaker.Wait{Shape: shape, Base: duration(base)}
		if most != "" {
			s.Wait.Max = duration(most)
		}
	case "steps": // 25,50@1s
		percents, each, _ := strings.Cut(value, "@")
		s.Ramp = breaker.Ramp{StepDuration: duration(each)}
		for _, p := range strings.Split(percents, ",") {
			value = p
			s.Ramp.StepPercents = append(s.Ramp.StepPercents, number())
		}
	case "start": // slow start over 10s
		s.Ramp = breaker.Ramp{Window: duration(value)}
	default:
		return fmt.Errorf("unknown setting %q", name)
	}
	return err
}

// outcome reads what a script says of a call.
func outcome(verb string, words []string) (o breaker.Outcome, err error) {
	switch verb {
	case "ok":
	case "fail":
		o.Verdict, o.Kind = breaker.Failure, breaker.ServerError
	case "ignored":
		o.Verdict, o.Kind = breaker.Ignored, breaker.Canceled
	case "inherited":
		o.Verdict = breaker.Inherited
	default:
		return o, fmt.Errorf("unknown outcome %q", verb)
	}
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			if err := o.Kind.UnmarshalText([]byte(w)); err != nil {
				return o, err
			}
			continue
		}
		d, err := time.ParseDuration(value)
		if err != nil {
			return o, err
		}
		switch name {
		case "took":
			o.Latency = d
		case "retry":
			o.RetryAfter = d
		default:
			return o, fmt.Errorf("unknown word %q", name)
		}
	}
	return o, nil
}

// direction reads control's word.
func (p *player) direction(words []string) (breaker.Direction, error) {
	d := breaker.Direction{Share: 1, Until: p.now + time.Minute}
	if len(words) == 0 {
		return d, fmt.Errorf("which state?")
	}
	if err := d.State.UnmarshalText([]byte(words[0])); err != nil {
		return d, err
	}
	var why []string
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		var err error
		switch name {
		case "share":
			d.Share, err = strconv.ParseFloat(value, 64)
		case "generation":
			d.Generation, err = strconv.ParseUint(value, 10, 64)
		case "for":
			var t time.Duration
			t, err = time.ParseDuration(value)
			d.Until = p.now + t
		default:
			why = append(why, w)
		}
		if err != nil {
			return d, err
		}
	}
	d.Reason = strings.Join(why, " ")
	return d, nil
}
