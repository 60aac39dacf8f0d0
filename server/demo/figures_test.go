package demo

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

// steady gives a source's arrivals each so often, ended 2 ms later.
func steady(source string, s span, every time.Duration, failed bool) []arrival {
	var as []arrival
	for t := s.from; t < s.to; t += every {
		as = append(as, arrival{at: t, ended: t + 2*ms, source: source, failed: failed})
	}
	return as
}

func merge(parts ...[]arrival) []arrival {
	as := slices.Concat(parts...)
	slices.SortStableFunc(as, func(a, b arrival) int { return int(a.at - b.at) })
	return as
}

func TestOpenedIsTheLastReplicasLastCallBeforeItsSilence(t *testing.T) {
	fault := 10 * time.Second
	as := merge(
		steady("a", span{0, fault}, 40*ms, false), steady("a", span{fault, fault + 800*ms}, 40*ms, true),
		steady("b", span{0, fault}, 40*ms, false), steady("b", span{fault, fault + 1000*ms}, 40*ms, true),
		// Probes: three in a row from one replica, a second later.
		steady("a", span{fault + 2000*ms, fault + 2003*ms}, ms, true),
	)
	at, ok := opened(as, []string{"a", "b"}, span{fault, fault + 5*time.Second}, 3)
	if !ok || at != fault+960*ms {
		t.Errorf("opened at fault + %v, %v", at-fault, ok)
	}
	// Not known while the silence is short.
	if at, ok := opened(as, []string{"a", "b"}, span{fault, fault + 1300*ms}, 3); ok {
		t.Errorf("already known: fault + %v", at-fault)
	}
	// A pause that traffic follows is no opening.
	paused := merge(steady("a", span{fault, fault + 500*ms}, 40*ms, true), steady("a", span{fault + 1000*ms, fault + 2000*ms}, 40*ms, true))
	if at, ok := opened(paused, []string{"a"}, span{fault, fault + 5*time.Second}, 3); !ok || at != fault+1960*ms {
		t.Errorf("opened at fault + %v, %v, want after the last traffic", at-fault, ok)
	}
	// One that never stops is not open; one that never calls is.
	if _, ok := opened(steady("a", span{0, 20 * time.Second}, 40*ms, true), []string{"a"}, span{fault, 20 * time.Second}, 3); ok {
		t.Error("traffic that goes on counts as open")
	}
	if at, ok := opened(nil, []string{"a"}, span{fault, fault + time.Second}, 3); !ok || at != fault {
		t.Errorf("opened at %v, %v", at, ok)
	}
}

func TestDueIsWhenTheMinimumSinceTheFaultHasFailed(t *testing.T) {
	fault := 10 * time.Second
	sick := span{fault, fault + 5*time.Second}
	good := steady("a", span{0, fault}, 20*ms, false)
	as := merge(good, steady("a", sick, 20*ms, true))
	if at, ok := due(as, sick, 20, 50); !ok || at != fault+19*20*ms+2*ms {
		t.Errorf("the 20th failure is fault + %v, %v", at-fault, ok)
	}
	// Half of the calls fail: the 40th call is the 20th that counts, but 20 calls
	// of which half have failed suffice.
	half := merge(steady("a", sick, 40*ms, true), steady("b", span{fault + 20*ms, sick.to}, 40*ms, false))
	if at, ok := due(half, sick, 20, 50); !ok || at != fault+19*20*ms+2*ms {
		t.Errorf("half failing is due at fault + %v, %v", at-fault, ok)
	}
	third := merge(steady("a", sick, 60*ms, true), steady("b", sick, 30*ms, false))
	if at, ok := due(third, sick, 20, 50); ok {
		t.Errorf("a third failing is due at fault + %v", at-fault)
	}
	if _, ok := due(as, span{fault, fault + 200*ms}, 20, 50); ok {
		t.Error("due with 10 calls")
	}
}

func TestBurstAndQuiet(t *testing.T) {
	as := merge(steady("a", span{1000 * ms, 1003 * ms}, ms, true), steady("a", span{3000 * ms, 3005 * ms}, ms, true))
	if n := burst(as, 800*ms); n != 5 {
		t.Errorf("burst %d", n)
	}
	if n := burst(as, 3*time.Second); n != 8 {
		t.Errorf("burst over both %d", n)
	}
	if n := burst(nil, time.Second); n != 0 {
		t.Error(n)
	}
	if d := quiet(as, span{0, 4 * time.Second}); d != 1998*ms {
		t.Errorf("quiet for %v", d)
	}
	if d := quiet(nil, span{time.Second, 4 * time.Second}); d != 3*time.Second {
		t.Errorf("quiet for %v without any arrival", d)
	}
}

func TestFullAdmissionNeedsEveryCaller(t *testing.T) {
	before, cure := span{0, 2 * time.Second}, 10*time.Second
	var parts [][]arrival
	for i := range 4 {
		source := fmt.Sprint(i)
		parts = append(parts, steady(source, before, 40*ms, false))
		back := cure + time.Second
		if i == 3 {
			back = cure + 3*time.Second
		}
		parts = append(parts, steady(source, span{back, 20 * time.Second}, 40*ms, false))
	}
	at, ok := full(merge(parts...), span{cure, 20 * time.Second}, before)
	if d := at - cure; !ok || d < 2500*ms || d > 3000*ms {
		t.Errorf("full %v after the cure, %v; the last caller came back after 3 s", d, ok)
	}
	// Half admission is not full.
	halved := merge(steady("a", before, 40*ms, false), steady("a", span{cure, 20 * time.Second}, 80*ms, false))
	if at, ok := full(halved, span{cure, 20 * time.Second}, before); ok {
		t.Errorf("half the rate is full after %v", at-cure)
	}
	if _, ok := full(merge(parts...), span{cure, cure + 2*time.Second}, before); ok {
		t.Error("full before the second was over")
	}
}

func TestCountsAreOfTheirSpan(t *testing.T) {
	cs := []call{{at: 1, result: rejected, by: "a..b"}, {at: 2, result: failed}, {at: 3, result: rejected, by: "a..c"}}
	if n := count(cs, span{1, 3}, func(c call) bool { return c.result == rejected }); n != 1 {
		t.Error(n)
	}
	as := []arrival{{at: 1, ended: 5, failed: true}, {at: 2, ended: 3, failed: true}, {at: 2, ended: 3}}
	if n := failedWithin(as, span{0, 5}); n != 1 {
		t.Error(n)
	}
}

func TestRelapsesAreSilencesAfterCallsPassed(t *testing.T) {
	probes := steady("a", span{1000 * ms, 1003 * ms}, ms, true)
	ramp := steady("a", span{2000 * ms, 4000 * ms}, 100*ms, false)
	again := steady("b", span{6000 * ms, 8000 * ms}, 40*ms, false)
	if n := relapses(merge(probes, ramp), span{0, 4 * time.Second}, time.Second); n != 0 {
		t.Errorf("%d relapses of a steady return", n)
	}
	if n := relapses(merge(probes, ramp, again), span{0, 8 * time.Second}, time.Second); n != 1 {
		t.Errorf("%d relapses, want the one after 4 s", n)
	}
}

func TestStaleAreRejectionsByWordsPastTheirTime(t *testing.T) {
	dead := []span{{10 * time.Second, 200 * time.Second}}
	sick := []sickness{{"checkout..payments", span{5 * time.Second, 100 * time.Second}}}
	at := func(s int, by string) call {
		return call{at: time.Duration(s) * time.Second, result: rejected, by: by}
	}
	for c, want := range map[call]int{
		at(50, "search..catalog"):     0, // the word still stands
		at(90, "search..catalog"):     1,
		at(90, "checkout..payments"):  0, // open with good reason
		at(110, "checkout..payments"): 0, // on its own way back
		at(120, "checkout..payments"): 1,
		at(210, "checkout..payments"): 0, // a daemon lives again
	} {
		if n := stale([]call{c}, dead, sick); n != want {
			t.Errorf("%+v counts %d, want %d", c, n, want)
		}
	}
}
