package fault

import (
	"reflect"
	"testing"
	"time"
)

const seeds = 200

func TestSameSeedSameEpisode(t *testing.T) {
	for _, f := range Families {
		for seed := range uint64(20) {
			if !reflect.DeepEqual(Draw(f, seed), Draw(f, seed)) {
				t.Errorf("%s, seed %d: two draws differ", f.Name, seed)
			}
			if reflect.DeepEqual(Draw(f, seed).Calm, Draw(f, seed+1).Calm) {
				t.Errorf("%s: seeds %d and the next draw the same calm", f.Name, seed)
			}
		}
	}
}

// each hands out the weather of every 50 ms, at each instance and for the first
// and last of ten callers.
func each(e *Episode, f func(t time.Duration, w Weather)) {
	for t := time.Duration(0); t < e.Duration; t += 50 * time.Millisecond {
		for i := range e.Instances {
			f(t, e.At(t, 0, 10, i))
			f(t, e.At(t, 9, 10, i))
		}
	}
}

func TestEpisodesStayWithinTheirRanges(t *testing.T) {
	for _, f := range Families {
		for seed := range uint64(seeds) {
			e := Draw(f, seed)
			in := func(what string, v, lo, hi float64) {
				t.Helper()
				if v < lo || v > hi {
					t.Errorf("%s, seed %d: %s %g: want %g to %g", f.Name, seed, what, v, lo, hi)
				}
			}
			in("duration in s", e.Duration.Seconds(), 60, 300)
			in("time-out in s", e.Timeout.Seconds(), .25, 3)
			in("instances", float64(e.Instances), 2, 16)
			in("spread", e.Spread, .1, 1)
			in("retries", float64(e.Retries), 0, 3)
			in("calls per second", e.Calm.Rate, 1, 500)
			in("median latency in s", e.Calm.Latency.Seconds(), .003, .15)
			in("share failed in calm", e.Calm.Fail, 0, .35)
			for _, p := range e.phases {
				for _, w := range []Weather{p.start, p.end} {
					in("share failed", w.Fail, 0, 1)
					in("share hung", w.Hang, 0, 1)
					in("load", w.Rate, 1, 6000)
					in("bad", e.Bad(w), 0, 1)
					if (w.Capacity == 0) != (e.Calm.Capacity == 0) {
						t.Errorf("%s, seed %d: a bound on capacity that comes or goes", f.Name, seed)
					}
				}
			}
		}
	}
}

func TestFaultsDifferFromCalmAndEnd(t *testing.T) {
	for _, f := range Families {
		for seed := range uint64(seeds) / 10 {
			e := Draw(f, seed)
			var first, last time.Duration
			each(e, func(at time.Duration, w Weather) {
				if w != e.Calm {
					if first == 0 {
						first = at
					}
					last = at
				}
				if e.Steady && e.Bad(w) > .4 {
					t.Fatalf("%s, seed %d: %.0f %% bad at %v in calm", f.Name, seed, 100*e.Bad(w), at)
				}
			})
			if e.Steady {
				continue
			}
			if first < 8*time.Second || first > 21*time.Second {
				t.Errorf("%s, seed %d: the fault begins at %v: want 8 s to 20 s", f.Name, seed, first)
			}
			if f.Name != "deployment" && last > e.Duration-time.Second {
				t.Errorf("%s, seed %d: of %v, the fault lasts until %v: want time to recover", f.Name, seed, e.Duration, last)
			}
		}
	}
}

// TestFaultsAreWhatTheySay holds what a clairvoyant could do about each family:
// keep all calls back at times, keep some back, or none at all.
func TestFaultsAreWhatTheySay(t *testing.T) {
	const breakEven = 2. / 3
	shuts := map[string]bool{"outage": true, "burst": true, "creep": true, "hang": true, "flapping": true, "low_traffic": true, "weak_recovery": true, "cold_start": true, "sick_caller": true, "partition": true, "bad_instance": true, "deployment": true}
	never := map[string]bool{"calm": true, "swing": true, "slow": true, "capacity": true, "surge": true, "retry_storm": true, "rate_limit": true}
	for _, f := range Families {
		for seed := range uint64(20) {
			e := Draw(f, seed)
			bad := false
			each(e, func(_ time.Duration, w Weather) { bad = bad || e.Bad(w) > breakEven })
			if shuts[f.Name] && !bad || never[f.Name] && bad {
				t.Errorf("%s, seed %d: over break-even: %v", f.Name, seed, bad)
			}
		}
	}
}

func TestFaultsHitOnlyTheirPart(t *testing.T) {
	for _, f := range Families {
		e := Draw(f, 3)
		wellInstance, wellCaller := false, false
		for at := time.Duration(0); at < e.Duration; at += 50 * time.Millisecond {
			sick := e.At(at, 0, 10, 0)
			wellInstance = wellInstance || e.Bad(sick) > .66 && e.Bad(e.At(at, 0, 10, e.Instances-1)) < .1
			wellCaller = wellCaller || e.Bad(sick) > .66 && e.Bad(e.At(at, 9, 10, 0)) < .1
		}
		if want := f.Name == "bad_instance" || f.Name == "deployment"; wellInstance != want {
			t.Errorf("%s: one instance is sick and another well: %v", f.Name, wellInstance)
		}
		if want := f.Name == "sick_caller" || f.Name == "partition"; wellCaller != want {
			t.Errorf("%s: one caller is sick and another well: %v", f.Name, wellCaller)
		}
	}
}
