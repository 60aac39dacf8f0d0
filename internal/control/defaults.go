package control

import (
	"fmt"
	"time"

	"github.com/datapunk/switchgear/policy"
)

// Control's own constants: those that no policy sets. Defaults lists each with
// its reason.
const (
	directiveTTL   = 60 * time.Second
	renewal        = 20 * time.Second
	urgentInterval = 20 * time.Millisecond
	calmInterval   = time.Second
	lookInterval   = 50 * time.Millisecond

	hearOthers     = 200 * time.Millisecond
	wayOut         = 150 * time.Millisecond
	settleIn       = 500 * time.Millisecond
	answerDelay    = 40 * time.Millisecond
	patrolInterval = 250 * time.Millisecond
	clearly        = 2.3
	agreement      = 2.0
	relapseSpan    = time.Minute
	observerShare  = 0.3
	observerFloor  = 50
	oldEvidence    = 6 * time.Second
	silentReplica  = 10 * time.Second

	leaseTTL       = time.Second
	rampTick       = 100 * time.Millisecond
	minLimit       = 5.0
	forgetCapacity = 30 * time.Second
	cleanClose     = time.Second
	hotAfterClose  = 30 * time.Second

	heldFor        = 2 * time.Second
	troubleSpan    = 4 * time.Second
	chainLength    = 64
	alarmEnds      = 10 * time.Second
	memberInterval = 500 * time.Millisecond
	memberUrgent   = 100 * time.Millisecond
	memberSilence  = 2 * time.Second
	grantFor       = time.Second
	checkDeadline  = 2 * time.Second

	windowSteps   = 40
	cellSpan      = 16 * time.Second
	maxCircuits   = 20_000
	maxAlone      = 500
	maxCells      = 256
	maxLocated    = 4096
	maxInstances  = 4096
	forgetPart    = time.Minute
	forgetCircuit = time.Hour
	forgetAlone   = 10 * time.Minute
	maxCounter    = 1 << 62
	maxHeard      = 1 << 63
)

// Default is one of switchgear's own values, and why it is so.
type Default struct{ Name, Value, Why string }

// Defaults are the values that stand where no policy says otherwise, and those
// that no policy sets.
func Defaults() []Default {
	p := policy.Default()
	d := func(name string, value any, why string) Default { return Default{name, fmt.Sprint(value), why} }
	return []Default{
		d("openAbove", p.OpenAbove, "in percent of steady failures: half is what people mean by failing; calls that fail outright open sooner"),
		d("quorum", p.Quorum, "one observer can be ill itself; two who agree are the fewest that can't be one mistake"),
		d("maxEjectionPercent", p.MaxEjectionPercent, "half of the instances must carry what all did; never the last one"),
		d("maxOpenPercent", p.MaxOpenPercent, "of a namespace's circuits: where more fail at once the evidence may be what is wrong, and people decide; always one"),
		d("whenAllBad", p.WhenAllBad, "what fails are calls, not guesses about health: to let all of them through helps no caller"),
		d("gradingDelay", p.GradingDelay, "a fault behind the callee is found within a second of its first time-out; twice that spares the edges above it"),
		d("alarm: base", alarmBase, "nats: a constant 35 % of failures never gets there, at any rate"),
		d("alarm: by demand", alarmDemand, "times log(1 + calls a second): false alarms an hour stay the same at any rate"),
		d("alarm: base of a clean record", cleanBase, "where failures are rare, fewer are enough"),
		d("alarm: base after an opening", relapseBase, "a relapse is likelier than a first fault"),
		d("alarm: on the way back", rampAlarm, "six failures in a row are a relapse"),
		d("alarm: soon after an opening is within", relapseSpan, "what failed once fails again soon, or not soon"),
		d("suspicion", suspicion, "of an alarm's height: from there on every answer is heard at once"),
		d("agreement", agreement, "nats that others than the loudest observer must see: three failures"),
		d("a replica's own failures", clearly, "nats from which a replica or instance is looked at by itself"),
		d("probes: first after", firstProbe, "what was under way ends first"),
		d("probes: by turns from", steadyProbes, "rarer ones are withdrawn at the first answer, which takes about as long"),
		d("probes: offered", offered, "calls a second by turns: the first comes soon, the second hardly before it is answered"),
		d("probes: of an instance, at least", siblingProbes, "its calls go to its siblings meanwhile"),
		d("takeover: probes after", settleIn, "until replicas have told who calls how often, a share can't be chosen"),
		d("calm is looked at each", patrolInterval, "a queue fills within a second"),
		d("an answer is new after", answerDelay, "that a replica was asked for: the way there and back"),
		d("a share is obeyed after", wayOut, "the way to all replicas and back"),

		d("activeCheckInterval", "off", "a daemon that calls services by itself must be wanted"),
		d("failureRateThreshold", p.Breaker.FailureRateThreshold, "in percent: an open circuit costs the good half"),
		d("minimumNumberOfCalls", p.Breaker.MinimumNumberOfCalls, "20 of 20 can't be chance, 5 of 5 can"),
		d("permittedNumberOfCallsInHalfOpenState", p.Breaker.PermittedNumberOfCallsInHalfOpenState, "in the whole fleet: one can be lucky, ten are a burst for what is weak"),
		d("waitDurationInOpenState", p.Breaker.Wait.Base, "grows with the root of the outage's age: a probe costs little, a late recovery a lot"),

		d("directive: time to live", directiveTTL, "a daemon may restart or elect within it; after it replicas decide alone"),
		d("directive: renewal", renewal, "two may be lost before a directive ends"),
		d("step: urgent", urgentInterval, "less than a report's way, so that control never adds a round"),
		d("step: calm", calmInterval, "reports of calm replicas come as often"),
		d("look for faults", lookInterval, "the step of evidence; more often sees nothing new"),

		d("hear others", hearOthers, "replicas that are well report once a second until told: without the wait a sick one speaks for all"),
		d("observer: share", observerShare, "of what all others say is what one can say, whatever its volume"),
		d("observer: floor", observerFloor, "calls that anyone may say, so that few observers are heard at all"),
		d("evidence: age", oldEvidence, "older buckets feed totals only: an outage is younger"),
		d("replica: silence", silentReplica, "after it a replica gets no probes: it may have no calls"),

		d("held: shown for", heldFor, "automation looks each 100 ms while it wants to open: after it, it does not want to any more"),
		d("grading: span", troubleSpan, "of the evidence by which a circuit explains those before it: as long as a time-out and its wait"),
		d("grading: callees", chainLength, "that are looked at for what explains one circuit: more than a request passes"),
		d("guard: over after", alarmEnds, "that nothing was held: so that one incident is one alert"),
		d("members: heartbeat", memberInterval, "some bytes for each daemon; four may be lost"),
		d("members: when not calm", memberUrgent, "the step of evidence: owners know of each other what they know of replicas"),
		d("members: silence", memberSilence, "after it a daemon is gone and the next takes over: under the demo's patience, over a pause"),
		d("members: leave to open", grantFor, "it is used at the next look, or asked for again"),
		d("active check: deadline", checkDeadline, "a callee that needs longer is not well"),
		d("orders: time to live", maxOrderTTL, "at most: an order that nobody remembers must end"),
		d("marker is told for", recentMarker, "a change shows what it broke within minutes"),

		d("lease: time to live", leaseTTL, "leases go to replicas with demand: a second is many calls"),
		d("ramp: step", rampTick, "the step of evidence"),
		d("ramp: least limit", minLimit, "calls a second, or a slow callee would never show that it is well"),
		d("ramp: capacity is forgotten after", forgetCapacity, "without congestion it says nothing any more"),
		d("ramp: clean before closing", cleanClose, "above demand without congestion"),
		d("hot after closing", hotAfterClose, "a relapse comes soon; until then every answer is heard at once"),

		d("window: steps", windowSteps, "spans of a fortieth: 0.25 s of 10 s"),
		d("cells: span", cellSpan, "longest of the nested windows in which faults are located"),
		d("limit: circuits of a process alone", maxAlone, "followed without a daemon, at some 20 KB each; breakers of more have the plain rule"),
		d("limit: circuits", maxCircuits, "of one daemon, at some 10 KB each; reports of more are not followed"),
		d("limit: cells", maxCells, "of one replica and circuit; more are folded into one without labels"),
		d("limit: cells of a callee", maxLocated, "of all replicas: the routes with the fewest calls are folded first, then replicas into their caller"),
		d("normal: tolerance", tolerance, "times what a route used to fail: raised by as much, no part is sick"),
		d("normal: past that counts", pastCap, "calls of a route, older ones fade: some minutes to weeks"),
		d("limit: instances", maxInstances, "of one circuit"),
		d("instance is forgotten after", forgetPart, "that nobody has called: it no longer counts for maxEjectionPercent"),
		d("circuit of a process alone is forgotten after", forgetAlone, "without a call: what was normal is learned anew"),
		d("circuit is forgotten after", forgetCircuit, "that nobody has reported"),
		d("limit: daemons", maxDaemons, "of one fleet"),
		d("limit: summaries", maxSummaries, "of circuits that are not calm, from one daemon: more than any guard lets open"),
		d("limit: pauses", maxPauses, "namespaces; more are paused as one"),
		d("limit: markers", maxMarkers, "services of which the last change is remembered"),
		d("limit: claimants", maxObservers, "observers that are counted for one word that nobody here has said"),
		d("limit: counters", uint64(maxCounter), "what a replica says that it holds can't exhaust them"),
		d("limit: counters of daemons", uint64(maxHeard), "twice that, so that no replica can make daemons deaf to each other"),
	}
}
