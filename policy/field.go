package policy

import (
	"slices"
	"time"
)

// field is one setting that a policy can make: one line in the table, from which
// decoder, JSON Schema, document and explanation come.
type field struct {
	name string
	domain
	at    func(*Settings) any // where it stands in settings
	about string
	costs string // what raising it costs, or choosing another word
}

// fields in the order in which documents list them: what decides, the window,
// the way back, limits, the fleet.
var fields = []field{
	{"mode", oneOf("enforce", "metrics_only", "off", "forced_open"), func(s *Settings) any { return &s.Breaker.Mode }, "what is done with the calculated state: reject, only count, nothing at all, reject everything", "metrics_only and off protect nobody; forced_open serves nobody"},
	{"openAbove", percent(1, 95), func(s *Settings) any { return &s.OpenAbove }, "the steady share of failures above which the automatic engine opens for sure; it decides where no threshold and no strategy is set", "more failed calls reach callers before it opens; a low one opens what a callee could have survived"},
	{"failureRateThreshold", percent(0, 100).zero("off"), func(s *Settings) any { return &s.Breaker.FailureRateThreshold }, "opens at or above this share of failed calls in the window", "more failed calls before it opens"},
	{"slowCallRateThreshold", percent(0, 100).zero("off"), func(s *Settings) any { return &s.Breaker.SlowCallRateThreshold }, "opens at or above this share of calls that took slowCallDurationThreshold or longer", "more slow calls before it opens"},
	{"slowCallDurationThreshold", between(0, time.Hour).zero("off"), func(s *Settings) any { return &s.Breaker.SlowCallDurationThreshold }, "from when on a call is slow, failed or not", "callers wait longer before it counts; under 100ms each call reads a finer clock"},
	{"consecutiveFailures", count(0, 1_000_000).zero("off"), func(s *Settings) any { return &s.Breaker.ConsecutiveFailures }, "opens after so many failures in a row, whatever the window says", "a callee that fails often but not always is never opened"},
	{"strategy", named(), func(s *Settings) any { return &s.Strategy }, "a rule of the team's own, by the name given to WithStrategy; empty is none", "control can't pool it: each replica pays its own failures"},
	{"minimumNumberOfCalls", count(1, 1_000_000), func(s *Settings) any { return &s.Breaker.MinimumNumberOfCalls }, "calls in the window before a rate is judged", "quiet circuits never open; a low one lets chance open them"},
	{"windowDuration", between(100*time.Millisecond, time.Hour), func(s *Settings) any { return &s.Breaker.WindowDuration }, "the time window of the rates", "old good calls outweigh a new outage for longer"},
	{"windowBuckets", count(2, 60), func(s *Settings) any { return &s.Breaker.WindowBuckets }, "steps of the time window; a call leaves it with its step", "memory of each breaker that is in use"},
	{"windowSize", count(0, 10_000).zero("a time window"), func(s *Settings) any { return &s.Breaker.WindowSize }, "makes it a window of the last so many calls", "two bits a call, and a lock for each call"},
	{"wait", oneOf("by_age", "fixed", "exponential"), func(s *Settings) any { return &s.Breaker.Wait.Shape }, "how waits grow while an outage lasts: with the root of its age, not at all, doubling", "exponential finds a recovery late"},
	{"waitDurationInOpenState", between(time.Millisecond, time.Hour), func(s *Settings) any { return &s.Breaker.Wait.Base }, "the first wait of an open breaker before it probes", "a recovery is found later, and costs all calls until then; a probe costs one"},
	{"maxWaitDurationInOpenState", between(time.Millisecond, 24*time.Hour), func(s *Settings) any { return &s.Breaker.Wait.Max }, "where growing waits end", "as waitDurationInOpenState, in long outages"},
	{"jitterRatio", ratio(0, 1), func(s *Settings) any { return &s.Breaker.Wait.JitterRatio }, "spreads waits evenly over ± this share of them", "waits are less predictable; 0 lets replicas probe together"},
	{"permittedNumberOfCallsInHalfOpenState", count(1, 1000), func(s *Settings) any { return &s.Breaker.PermittedNumberOfCallsInHalfOpenState }, "probes of one trial; with a daemon, in the whole fleet", "a callee that is still ill fails more callers; a weak one is hit by a burst"},
	{"maxWaitDurationInHalfOpenState", between(10*time.Millisecond, time.Hour), func(s *Settings) any { return &s.Breaker.MaxWaitDurationInHalfOpenState }, "how long a probe may stay unanswered before its permit is given again", "a lost probe keeps it half-open for longer"},
	{"rampStepPercents", list(0, 100, 32), func(s *Settings) any { return &s.Breaker.Ramp.StepPercents }, "the admitted share after a good trial, in rising steps; empty is none", "more or lower steps reject good calls for longer"},
	{"rampStepDuration", between(time.Millisecond, time.Hour).zero("1s"), func(s *Settings) any { return &s.Breaker.Ramp.StepDuration }, "how long each step lasts", "full traffic comes later"},
	{"slowStartWindow", between(0, time.Hour).zero("off"), func(s *Settings) any { return &s.Breaker.Ramp.Window }, "raises the share by Envoy's slow-start curve over this time, instead of by steps", "full traffic comes later"},
	{"slowStartAggression", ratio(0.01, 100).zero("1"), func(s *Settings) any { return &s.Breaker.Ramp.Aggression }, "the curve's shape: 1 is linear", "more traffic sooner, for a callee that may still be weak"},
	{"slowStartMinPercent", percent(0, 100).zero("10"), func(s *Settings) any { return &s.Breaker.Ramp.MinPercent }, "where the curve starts", "a greater first burst"},
	{"maxConcurrentCalls", count(0, 1_000_000).zero("no limit"), func(s *Settings) any { return &s.Breaker.MaxConcurrentCalls }, "rejects calls beyond so many in flight, per replica", "a slow callee holds more of the caller's memory and connections"},
	{"maxRetryAfter", between(0, time.Hour).zero("ignored"), func(s *Settings) any { return &s.Breaker.MaxRetryAfter }, "obeys a callee's Retry-After up to here", "a callee may turn its callers away for as long"},
	{"callTimeout", between(0, time.Hour).zero("the calls' own deadlines"), func(s *Settings) any { return &s.CallTimeout }, "the callers' time-out, where it is the same for all", "more than callers wait hides congestion from the limiter"},
	{"quorum", count(1, 1000), func(s *Settings) any { return &s.Quorum }, "replicas that must have seen failures before control opens for all, of those that there are", "opens later; 1 lets one ill replica speak for all"},
	{"maxEjectionPercent", percent(0, 100), func(s *Settings) any { return &s.MaxEjectionPercent }, "of a callee's instances that control may take out; never the last one", "those that are left carry more"},
	{"maxOpenPercent", percent(1, 100), func(s *Settings) any { return &s.MaxOpenPercent }, "of a namespace's circuits that automation may hold open, and always one; beyond it people decide", "a fault of the evidence itself can shut off more"},
	{"whenAllBad", oneOf("fail_fast", "panic"), func(s *Settings) any { return &s.WhenAllBad }, "what happens where every instance of a callee fails: open the circuit, or let all calls through", "panic sends every call to what fails"},
	{"gradingDelay", between(0, time.Minute).zero("2s"), func(s *Settings) any { return &s.GradingDelay }, "how long a circuit waits for those behind its callee, while they explain its failures", "opens later where they turn out not to be the fault"},
	{"activeCheckInterval", between(time.Second, time.Hour).zero("off"), func(s *Settings) any { return &s.ActiveCheck.Interval }, "lets the daemon ask instances of an open circuit that has too few calls to probe with", "a recovery that no call finds is found later"},
	{"activeCheckPort", count(0, 65535).zero("the instance's own"), func(s *Settings) any { return &s.ActiveCheck.Port }, "the port that is asked", "another port may answer while calls fail"},
	{"activeCheckPath", pathname(), func(s *Settings) any { return &s.ActiveCheck.Path }, "of an HTTP GET that must answer with a status under 400; empty is a TCP connection alone", "a path that is well says nothing of others"},
}

// Places of the fields that contradict each other, or that say more of others.
var (
	atMode, atOpenAbove       = place("mode"), place("openAbove")
	atFailureRate             = place("failureRateThreshold")
	atSlowRate                = place("slowCallRateThreshold")
	atConsecutive, atStrategy = place("consecutiveFailures"), place("strategy")
	atMinimum, atWindowSize   = place("minimumNumberOfCalls"), place("windowSize")
	atWait, atMaxWait         = place("waitDurationInOpenState"), place("maxWaitDurationInOpenState")
	atSteps, atSlowStart      = place("rampStepPercents"), place("slowStartWindow")

	rules = []int{atFailureRate, atSlowRate, atConsecutive, atStrategy} // each says when to open
)

// place of a field in the table, -1 if there is none of that name.
func place(name string) int {
	return slices.IndexFunc(fields, func(f field) bool { return f.name == name })
}
