package demo

import (
	"cmp"
	"slices"
	"time"
)

// An arrival is the truth of one request at a fault proxy: times are since the
// demo's origin.
type arrival struct {
	at, ended time.Duration
	source    string // the caller's replica
	failed    bool   // answered by the fault, not by the service
}

const (
	// silence after its last call, with nothing but probes following, is what an
	// open breaker looks like from outside. Under the demo's steady load a closed
	// one lets a call through each 40 ms or so.
	silence = 400 * time.Millisecond
	// settled is the length of the looks at a rate.
	settled = time.Second
	// fullPercent of the former rate is full admission; the rest is jitter.
	fullPercent = 95
)

// span of time, from included, to not.
type span struct{ from, to time.Duration }

func (s span) has(t time.Duration) bool { return t >= s.from && t < s.to }

func during(as []arrival, s span) []arrival {
	var in []arrival
	for _, a := range as {
		if s.has(a.at) {
			in = append(in, a)
		}
	}
	return in
}

// opened tells when the last of the sources had opened within s, which begins
// with the fault: its last arrival before a silence that only probes follow, at
// most so many a second. It is not known until that silence has passed.
func opened(as []arrival, sources []string, s span, probes int) (time.Duration, bool) {
	last := s.from
	for _, source := range sources {
		at, ok := openedOne(as, source, s, probes)
		if !ok {
			return 0, false
		}
		last = max(last, at)
	}
	return last, true
}

func openedOne(as []arrival, source string, s span, probes int) (time.Duration, bool) {
	times := []time.Duration{s.from} // without any arrival it was open at once
	for _, a := range as {
		if a.source == source && s.has(a.at) {
			times = append(times, a.at)
		}
	}
	for i, t := range times {
		if t+silence > s.to {
			return 0, false
		}
		next := times[i+1:]
		within := func(d time.Duration) int {
			n, _ := slices.BinarySearch(next, t+d)
			return n
		}
		if within(silence) == 0 && within(settled) <= probes {
			return t, true
		}
	}
	return 0, false
}

// due tells when the calls since the fault, of all replicas together, justified
// opening by themselves: at least minimum calls, and at least percent of them
// failed. Nobody could open sooner by the thresholds; a window that still holds
// the good time before opens later.
func due(as []arrival, s span, minimum int, percent float64) (time.Duration, bool) {
	since := during(as, s)
	slices.SortFunc(since, func(a, b arrival) int { return cmp.Compare(a.ended, b.ended) })
	failed := 0
	for i, a := range since {
		if a.failed {
			failed++
		}
		if i+1 >= minimum && 100*float64(failed) >= percent*float64(i+1) && a.ended < s.to {
			return a.ended, true
		}
	}
	return 0, false
}

func failedWithin(as []arrival, s span) int {
	n := 0
	for _, a := range as {
		if a.failed && s.has(a.ended) {
			n++
		}
	}
	return n
}

// burst is the greatest number of arrivals within any window of that length.
func burst(as []arrival, window time.Duration) int {
	most, first := 0, 0
	for i, a := range as {
		for as[first].at <= a.at-window {
			first++
		}
		most = max(most, i+1-first)
	}
	return most
}

// quiet is the longest time within s without an arrival.
func quiet(as []arrival, s span) time.Duration {
	longest, last := time.Duration(0), s.from
	for _, a := range during(as, s) {
		longest, last = max(longest, a.at-last), a.at
	}
	return max(longest, s.to-last)
}

// relapses counts how often within s calls that had begun to pass, more than
// probes are, went silent again for the wait of an open breaker.
func relapses(as []arrival, s span, wait time.Duration) int {
	n, first := 0, 0
	in := during(as, s)
	for i, a := range in {
		for in[first].at <= a.at-settled {
			first++
		}
		next := s.to
		if i+1 < len(in) {
			next = in[i+1].at
		}
		if i+1-first > probeCalls && next-a.at >= wait {
			n++
		}
	}
	return n
}

// rates are arrivals a second within s, of all and of each source.
func rates(as []arrival, s span) (all float64, each map[string]float64) {
	each = map[string]float64{}
	seconds := (s.to - s.from).Seconds()
	for _, a := range during(as, s) {
		each[a.source] += 1 / seconds
		all += 1 / seconds
	}
	return all, each
}

// full tells when full admission began within s: the start of the first second
// with 95 % of the former arrivals, in which every source had half of its own at
// least (calls are spread over callers by chance, so that single rates scatter).
func full(as []arrival, s, before span) (time.Duration, bool) {
	const step = 50 * time.Millisecond
	wantAll, wantEach := rates(as, before)
	for t := s.from; t+settled <= s.to; t += step {
		all, each := rates(as, span{t, t + settled})
		ok := all*100 >= wantAll*fullPercent
		for source, want := range wantEach {
			ok = ok && each[source] >= want/2
		}
		if ok {
			return t, true
		}
	}
	return 0, false
}

// A call is one from outside, as the load generator saw it.
type call struct {
	at, took time.Duration
	path     string
	result   result
	by       string // of a rejection: the circuit that rejected, caller..callee
}

type result uint8

const (
	answered result = iota
	failed
	rejected
)

// count gives the calls within s that match.
func count(cs []call, s span, match func(call) bool) int {
	n := 0
	for _, c := range cs {
		if s.has(c.at) && match(c) {
			n++
		}
	}
	return n
}

// A sickness of a callee, as far as one circuit sees it.
type sickness struct {
	circuit string
	span
}

const (
	// A directive stands so long without a newer one; then a replica decides alone.
	directiveTTL = time.Minute
	// aloneWithin is how long it may take to see by itself that a callee is well:
	// the longest wait, a trial, the way back.
	aloneWithin = 15 * time.Second
)

// stale counts the calls that were rejected by the word of a daemon that was dead
// for longer than its words stand: nothing was wrong with the callee, and the
// replica had had its time to find that out alone.
func stale(cs []call, dead []span, sick []sickness) int {
	n := 0
	for _, d := range dead {
		expired := span{d.from + directiveTTL + aloneWithin, d.to}
		n += count(cs, expired, func(c call) bool {
			return c.result == rejected && !slices.ContainsFunc(sick, func(s sickness) bool {
				return s.circuit == c.by && c.at >= s.from && c.at < s.to+aloneWithin
			})
		})
	}
	return n
}
