package policy

import "time"

// preset is a set of fields by one word: where to begin before turning knobs. A
// preset says all that decides, so that it means the same whatever more general
// policies say; what a policy sets beside it wins over it.
type preset struct {
	name, about string
	values      []given
}

// given is a value of the field at a place in the table.
type given struct {
	field int
	value any
}

var presets = []preset{
	newPreset("default", "The automatic engine: opens what fails outright within a few calls, and a steady half of failures for sure; waits a second at first and probes with three calls.",
		rule{}, way{}),
	newPreset("latency-sensitive", "For callers with a fallback at hand, to whom a late answer is none: opens at a steady quarter of failures, and looks twice a second whether the callee is back.",
		rule{openAbove: 25}, way{wait: 500 * time.Millisecond, max: 5 * time.Second}),
	newPreset("batch", "For work that can wait and had better get through: opens only where most calls fail, and leaves an ill callee in peace for longer.",
		rule{openAbove: 80}, way{wait: 5 * time.Second, max: time.Minute}),
	newPreset("low-traffic", "For a few calls a minute: one replica's word is enough, one probe decides, and windows are a minute long with a minimum of five (Linkerd's requests before it judges).",
		rule{minimum: 5, window: time.Minute, quorum: 1}, way{permitted: 1}),
	newPreset("like-resilience4j", "Its defaults, to move without surprises: 50 % of the last 100 calls, or all of them over a minute; a minute open whatever happens, then ten probes. Switchgear frees a probe that stays unanswered for an hour; resilience4j never does.",
		rule{failureRate: 50, slowRate: 100, slow: time.Minute, minimum: 100, size: 100},
		way{shape: "fixed", wait: time.Minute, max: time.Minute, permitted: 10, unanswered: time.Hour}),
	newPreset("like-envoy", "Its outlier detection: five failures in a row, half a minute out and longer each time up to five minutes, at most a tenth of the instances. Envoy adds the half minute each time, switchgear doubles; Envoy lets all traffic back at once, switchgear probes with one call.",
		rule{consecutive: 5, eject: 10},
		way{shape: "exponential", wait: 30 * time.Second, max: 5 * time.Minute, permitted: 1}),
}

// rule is when a preset opens; what is zero is switchgear's default.
type rule struct {
	openAbove, failureRate, slowRate, eject float64
	slow, window                            time.Duration
	minimum, size, consecutive, quorum      int
}

// way is a preset's way back.
type way struct {
	shape                 string
	wait, max, unanswered time.Duration
	permitted             int
}

func newPreset(name, about string, r rule, w way) preset {
	s := Default()
	s.Breaker.FailureRateThreshold, s.Breaker.SlowCallRateThreshold, s.Breaker.SlowCallDurationThreshold = r.failureRate, r.slowRate, r.slow
	s.Breaker.ConsecutiveFailures, s.Breaker.WindowSize = r.consecutive, r.size
	p := preset{name: name, about: about}
	set := func(field string, v any) {
		at := place(field)
		switch v {
		case 0.0, 0, time.Duration(0), "":
			v = fields[at].get(&s)
		}
		p.values = append(p.values, given{at, v})
	}
	set("openAbove", r.openAbove)
	set("failureRateThreshold", r.failureRate)
	set("slowCallRateThreshold", r.slowRate)
	set("slowCallDurationThreshold", r.slow)
	set("consecutiveFailures", r.consecutive)
	set("strategy", "")
	set("minimumNumberOfCalls", r.minimum)
	set("windowDuration", r.window)
	set("windowSize", r.size)
	set("wait", w.shape)
	set("waitDurationInOpenState", w.wait)
	set("maxWaitDurationInOpenState", w.max)
	set("permittedNumberOfCallsInHalfOpenState", w.permitted)
	set("maxWaitDurationInHalfOpenState", w.unanswered)
	set("quorum", r.quorum)
	set("maxEjectionPercent", r.eject)
	return p
}

func presetNamed(name string) *preset {
	for i := range presets {
		if presets[i].name == name {
			return &presets[i]
		}
	}
	return nil
}
