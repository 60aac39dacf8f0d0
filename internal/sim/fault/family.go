package fault

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"
)

// Family is a kind of fault.
type Family struct {
	Name  string
	About string
	draw  func(*dice)
}

// Families are all kinds, in the order of reports. Ranges are drawn evenly, those
// of durations, rates and factors evenly in their logarithm.
var Families = []Family{
	{"calm", "no fault; a constant 0–35 % of the calls fail", calm},
	{"swing", "no fault; the load goes up and down by a factor of 2–6, latency has a heavy tail", swing},
	{"outage", "90–100 % errors for 5–40 s", outage},
	{"burst", "one to four bursts of 70–100 % errors, 0.3–2 s each", burst},
	{"brownout", "30–90 % errors for 10–40 s", brownout},
	{"creep", "errors rise to 80–100 % over 5–30 s, stay for 5–15 s and fall over 1–10 s", creep},
	{"slow", "latency grows to 10–50 % of the time-out for 10–40 s: unpleasant, and no failure", slow},
	{"too_slow", "median latency grows to 0.8–3 time-outs for 10–40 s", tooSlow},
	{"hang", "90–100 % of the calls get no answer for 5–40 s", hang},
	{"half_hang", "20–60 % get no answer and 10–40 % of the others fail for 10–40 s", halfHang},
	{"flapping", "bad (90–100 % errors) and good by turns of 1–8 s each, for 20–45 s", flapping},
	{"pauses", "pauses of 0.2–4 s every 4–12 s, when calls wait for the end", pauses},
	{"bad_instance", "one instance, or up to a third of them, fails 80–100 % for 15–40 s", badInstance},
	{"sick_caller", "the way of 2–25 % of the callers, one at least, is broken for 15–40 s", sickCaller},
	{"partition", "30–70 % of the callers get no answer for 5–30 s", partition},
	{"capacity", "capacity falls to 30–90 % of the load for 10–40 s", capacity},
	{"surge", "load grows to 1.3–4 times the capacity for 5–30 s", surge},
	{"retry_storm", "capacity falls to 20–70 % for 2–10 s; callers retry 1–3 times and keep it busy", retryStorm},
	{"rate_limit", "a quota of 30–90 % of the load for 10–40 s; the rest is refused at once", rateLimit},
	{"cold_start", "down for 1–4 s, then 10–40 % capacity and 1.5–4 times the latency, well after 5–30 s", coldStart},
	{"deployment", "instances restart one by one, each down for 0.5–4 s", deployment},
	{"low_traffic", "1–10 calls per second for 2–5 minutes, 90–100 % errors for 15–45 s of them", lowTraffic},
	{"weak_recovery", "down for 5–20 s, then 20–70 % of the load's capacity, well after 10–30 s", weakRecovery},
}

// Draw makes an episode of a family; the same seed gives the same.
func Draw(f Family, seed uint64) *Episode {
	h := fnv.New64a()
	fmt.Fprint(h, f.Name)
	d := &dice{Rand: rand.New(rand.NewPCG(seed, h.Sum64()))}
	latency := d.span(3*time.Millisecond, 150*time.Millisecond)
	d.e = &Episode{
		Family: f.Name, Seed: seed,
		Duration:  d.span(60*time.Second, 120*time.Second),
		Timeout:   max(d.span(250*time.Millisecond, 3*time.Second), 8*latency),
		Instances: 2 + d.IntN(15),
		Spread:    d.in(.15, .8),
		Patience:  d.span(200*time.Millisecond, 10*time.Second),
		Calm:      Weather{Rate: d.log(50, 500), Fail: d.in(0, .02), Latency: latency},
	}
	d.onset = d.span(8*time.Second, 20*time.Second)
	f.draw(d)
	return d.e
}

// dice draw one episode.
type dice struct {
	*rand.Rand
	e     *Episode
	onset time.Duration
}

func (d *dice) in(lo, hi float64) float64  { return lo + (hi-lo)*d.Float64() }
func (d *dice) log(lo, hi float64) float64 { return lo * math.Pow(hi/lo, d.Float64()) }

func (d *dice) span(lo, hi time.Duration) time.Duration {
	return time.Duration(d.log(float64(lo), float64(hi)))
}

func (d *dice) seconds(lo, hi float64) time.Duration {
	return time.Duration(d.log(lo, hi) * float64(time.Second))
}

// change adds a phase of so long, and returns it for more.
func (d *dice) change(from, length time.Duration, start, end Weather) *phase {
	d.e.phases = append(d.e.phases, phase{from: from, to: min(from+length, d.e.Duration), start: start, end: end})
	return &d.e.phases[len(d.e.phases)-1]
}

// hold adds a phase of the calm weather but for what f changes.
func (d *dice) hold(from, length time.Duration, f func(*Weather)) *phase {
	w := d.e.Calm
	f(&w)
	return d.change(from, length, w, w)
}

func failing(share float64) func(*Weather) { return func(w *Weather) { w.Fail = share } }
func hanging(share float64) func(*Weather) { return func(w *Weather) { w.Hang = share } }

func calm(d *dice) {
	d.e.Steady = true
	d.e.Calm.Fail = d.in(0, .35)
}

func swing(d *dice) {
	d.e.Steady = true
	d.e.Spread = d.in(.6, 1)
	d.e.Timeout = max(d.e.Timeout, 20*d.e.Calm.Latency)
	high := d.e.Calm
	high.Rate *= d.log(2, 6)
	for t := time.Duration(0); t < d.e.Duration; {
		up, down := d.seconds(.5, 20), d.seconds(.5, 20)
		d.change(t, up, d.e.Calm, high)
		d.change(t+up, down, high, d.e.Calm)
		t += up + down
	}
}

func outage(d *dice) { d.hold(d.onset, d.seconds(5, 40), failing(d.in(.9, 1))) }

func burst(d *dice) {
	t := d.onset
	for range 1 + d.IntN(4) {
		length := d.seconds(.3, 2)
		d.hold(t, length, failing(d.in(.7, 1)))
		t += length + d.seconds(3, 15)
	}
}

func brownout(d *dice) { d.hold(d.onset, d.seconds(10, 40), failing(d.in(.3, .9))) }

func creep(d *dice) {
	worst := d.e.Calm
	worst.Fail = d.in(.8, 1)
	rise, stay := d.seconds(5, 30), d.seconds(5, 15)
	d.change(d.onset, rise, d.e.Calm, worst)
	d.change(d.onset+rise, stay, worst, worst)
	d.change(d.onset+rise+stay, d.seconds(1, 10), worst, d.e.Calm)
}

func slow(d *dice) {
	// A narrow spread keeps what is within the time-out in the median within it in
	// nearly all.
	d.e.Spread = d.in(.1, .3)
	d.hold(d.onset, d.seconds(10, 40), func(w *Weather) {
		w.Latency = max(w.Latency, time.Duration(d.in(.1, .5)*float64(d.e.Timeout)))
	})
}

func tooSlow(d *dice) {
	d.hold(d.onset, d.seconds(10, 40), func(w *Weather) {
		w.Latency = time.Duration(d.log(.8, 3) * float64(d.e.Timeout))
	})
}

func hang(d *dice) { d.hold(d.onset, d.seconds(5, 40), hanging(d.in(.9, 1))) }

func halfHang(d *dice) {
	d.hold(d.onset, d.seconds(10, 40), func(w *Weather) { w.Hang, w.Fail = d.in(.2, .6), d.in(.1, .4) })
}

func flapping(d *dice) {
	end := d.onset + d.seconds(20, 45)
	share, bad, good := d.in(.9, 1), d.seconds(1, 8), d.seconds(1, 8)
	for t := d.onset; t < end; t += bad + good {
		d.hold(t, bad, failing(share))
	}
}

func pauses(d *dice) {
	every := d.seconds(4, 12)
	for t := d.onset; t < d.e.Duration-15*time.Second; t += time.Duration(d.in(.7, 1.3) * float64(every)) {
		length := d.seconds(.2, 4)
		waiting := d.e.Calm
		waiting.Delay = length
		d.change(t, length, waiting, d.e.Calm)
		t += length
	}
}

func badInstance(d *dice) {
	p := d.hold(d.onset, d.seconds(15, 40), failing(d.in(.8, 1)))
	p.last = 1
	if d.IntN(3) == 0 {
		p.last = max(1, d.e.Instances/3)
	}
}

func sickCaller(d *dice) {
	cure := failing(d.in(.8, 1))
	if d.IntN(2) == 0 {
		cure = hanging(d.in(.8, 1))
	}
	d.hold(d.onset, d.seconds(15, 40), cure).callers = d.log(.02, .25)
}

func partition(d *dice) {
	d.hold(d.onset, d.seconds(5, 30), hanging(1)).callers = d.in(.3, .7)
}

// bounded gives the callee a capacity in calm, as a multiple of the load.
func (d *dice) bounded(lo, hi float64) { d.e.Calm.Capacity = d.log(lo, hi) * d.e.Calm.Rate }

func (d *dice) share(lo, hi float64) func(*Weather) {
	return func(w *Weather) { w.Capacity = d.in(lo, hi) * w.Rate }
}

func capacity(d *dice) {
	d.bounded(1.3, 4)
	d.hold(d.onset, d.seconds(10, 40), d.share(.3, .9))
}

func surge(d *dice) {
	d.bounded(1.3, 3)
	d.hold(d.onset, d.seconds(5, 30), func(w *Weather) { w.Rate = d.log(1.3, 4) * w.Capacity })
}

func retryStorm(d *dice) {
	d.bounded(1.2, 2.5)
	d.e.Retries = 1 + d.IntN(3)
	d.e.Backoff = d.span(20*time.Millisecond, time.Second)
	d.hold(d.onset, d.seconds(2, 10), d.share(.2, .7))
}

func rateLimit(d *dice) {
	d.bounded(1.3, 4)
	d.e.Patience = 50 * time.Millisecond
	d.hold(d.onset, d.seconds(10, 40), d.share(.3, .9))
}

func coldStart(d *dice) {
	d.bounded(1.3, 4)
	down := d.seconds(1, 4)
	d.hold(d.onset, down, failing(1))
	cold := d.e.Calm
	cold.Capacity *= d.in(.1, .4)
	cold.Latency = time.Duration(float64(cold.Latency) * d.log(1.5, 4))
	d.change(d.onset+down, d.seconds(5, 30), cold, d.e.Calm)
}

func deployment(d *dice) {
	down, pause := d.seconds(.5, 4), d.seconds(.1, 3)
	t := d.onset
	for i := range d.e.Instances {
		p := d.hold(t, down, failing(1))
		p.first, p.last = i, i+1
		t += down + pause
	}
}

func lowTraffic(d *dice) {
	d.e.Calm.Rate = d.log(1, 10)
	d.e.Duration = d.span(120*time.Second, 300*time.Second)
	d.hold(d.onset, d.seconds(15, 45), failing(d.in(.9, 1)))
}

func weakRecovery(d *dice) {
	d.bounded(1.3, 4)
	down := d.seconds(5, 20)
	d.hold(d.onset, down, failing(d.in(.95, 1)))
	weak := d.e.Calm
	weak.Capacity = d.in(.2, .7) * weak.Rate
	d.change(d.onset+down, d.seconds(10, 30), weak, d.e.Calm)
}
