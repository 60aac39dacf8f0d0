package policy

import (
	"fmt"
	"time"
)

// layer is what policies say of each field: the place in the table, the value
// that wins, and who gave it. Layers merge field by field, and it does not matter
// which neighbours are merged first.
type layer []choice

// choice is a field's value. Rank 0 is nothing said; a greater rank is more
// specific.
type choice struct {
	value any
	rank  int
	note  string // why the effective value is another
}

// over lays b over a.
func (a layer) over(b layer) layer {
	out := make(layer, len(fields))
	for i := range out {
		out[i] = a[i]
		if b[i].rank > 0 {
			out[i] = b[i]
		}
	}
	return out
}

// lay lays a policy over what is there, at a place in the order of merging.
func (a layer) lay(p *Policy, at int) {
	for i := range p.settings {
		x := &p.settings[i]
		rank := 2*at + 1
		if !x.preset {
			rank++
		}
		a[x.field] = choice{value: x.value, rank: rank}
	}
}

// merged are the settings that policies give, from general to specific, on top of
// a base, the default if nil. They are valid if the base is.
func merged(policies []*Policy, base *Settings) (Settings, layer) {
	all := make(layer, len(fields))
	for i, p := range policies {
		all.lay(p, i)
	}
	if base == nil {
		base = &usual
	}
	return all.apply(base), all
}

var usual = Default()

func (a layer) apply(base *Settings) Settings {
	s := *base
	for _, i := range rules {
		if a[i].rank > 0 {
			s.rule()
			break
		}
	}
	for i := range a {
		if a[i].rank > 0 {
			fields[i].put(&s, a[i].value)
		}
	}
	if s.Strategy != base.Strategy {
		s.Breaker.Strategy = nil
	}
	a.settle(&s)
	eject := s.MaxEjectionPercent // 0 is a value in a policy, where in code it is none
	s = s.WithDefaults()
	s.MaxEjectionPercent = eject
	return s
}

// settle ends contradictions between policies: the value of the more general one
// yields, as far as it must.
func (a layer) settle(s *Settings) {
	b := &s.Breaker
	if b.WindowSize > 0 && b.MinimumNumberOfCalls > b.WindowSize {
		a[atMinimum].note = fmt.Sprintf("%d, but no more than windowSize", b.MinimumNumberOfCalls)
		b.MinimumNumberOfCalls = b.WindowSize
	}
	if b.Wait.Max < b.Wait.Base {
		if a[atWait].rank >= a[atMaxWait].rank {
			a[atMaxWait].note = fmt.Sprintf("%s, but no less than waitDurationInOpenState", short(b.Wait.Max))
			b.Wait.Max = b.Wait.Base
		} else {
			a[atWait].note = fmt.Sprintf("%s, but no more than maxWaitDurationInOpenState", short(b.Wait.Base))
			b.Wait.Base = b.Wait.Max
		}
	}
	if b.SlowCallRateThreshold > 0 && b.SlowCallDurationThreshold == 0 {
		a[atSlowRate].note = fmt.Sprintf("%s, but a more specific policy has set slowCallDurationThreshold to 0", number(b.SlowCallRateThreshold))
		b.SlowCallRateThreshold = 0
	}
	if len(b.Ramp.StepPercents) > 0 && b.Ramp.Window > 0 {
		if a[atSlowStart].rank > a[atSteps].rank {
			a[atSteps].note = words(b.Ramp.StepPercents) + ", but a more specific policy has set slowStartWindow"
			b.Ramp.StepPercents = nil
		} else {
			a[atSlowStart].note = short(b.Ramp.Window) + ", but a more specific policy has set rampStepPercents"
			b.Ramp.Window = 0
		}
	}
}

func whole(v any) int {
	n, _ := v.(int)
	return n
}

func span(v any) time.Duration {
	d, _ := v.(time.Duration)
	return d
}
