package evaluate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/internal/sim"
	"github.com/datapunk/switchgear/policy"
)

// Random meshes with random faults, links that are cut, replicas that die
// and a daemon that restarts: never more open than the guard lets, nothing half
// open for ever, no opening without a fault, and when faults end all closes.
func TestPropertyMeshesCloseWhenFaultsEnd(t *testing.T) {
	tryOut(t, func(x *trial) {
		seed := x.Uint64()
		if a := x.mesh(seed, true, 0); x.seed%5 == 0 && !bytes.Equal(a, x.mesh(seed, false, 0)) {
			x.Errorf("two runs, of which one was looked at, say different things")
		}
	})
}

// The same with a replica that reports each call as a thousand failures: it may
// shut its own end, but nothing of the others' stays open because of it.
func TestPropertyALiarKeepsNothingOpen(t *testing.T) {
	tryOut(t, func(x *trial) {
		if x.seed%4 == 0 { // a mesh takes long, and its own test plays every seed
			x.mesh(x.Uint64(), true, 1000)
		}
	})
}

const (
	meshFaults = 40 * time.Second // when the last one has ended
	meshEnd    = 100 * time.Second
)

// mesh plays one and gives all that control has said.
func (x *trial) mesh(seed uint64, look bool, lie uint32) []byte {
	w := sim.New(seed)
	rng := w.Rand()
	var said bytes.Buffer
	w.Outputs = func(o control.Output) {
		line, err := json.Marshal(o)
		if err != nil {
			panic(err) // control has said a number that is none
		}
		said.Write(line)
	}
	w.StartDaemon(1)
	settings := policy.Default()
	callees, faulty := 2+rng.IntN(4), 0
	var replicas []*sim.Replica
	for i := range callees {
		callee := &sim.Callee{Service: policy.Service{Namespace: "lab", Name: fmt.Sprintf("callee-%d", i)}}
		for j := range 1 + rng.IntN(4) {
			callee.Instances = append(callee.Instances, fmt.Sprintf("10.0.%d.%d:80", i, j+1))
		}
		from := 8*time.Second + time.Duration(rng.Int64N(int64(10*time.Second)))
		to := from + time.Second + time.Duration(rng.Int64N(int64(meshFaults-from-time.Second)))
		kind := rng.IntN(4) // none, all fail, one instance fails, all hang
		if kind > 0 {
			faulty++
		}
		callee.Answer = func(_ *sim.Replica, instance string) breaker.Outcome {
			o := breaker.Outcome{Latency: 10 * time.Millisecond}
			if now := w.Now(); now >= from && now < to && (kind == 1 || kind == 2 && instance == callee.Instances[0]) {
				o.Verdict, o.Kind = breaker.Failure, breaker.ServerError
			} else if now >= from && now < to && kind == 3 {
				o = breaker.Outcome{Latency: 500 * time.Millisecond, Verdict: breaker.Failure, Kind: breaker.Timeout}
			}
			return o
		}
		for j := range 3 + rng.IntN(5) {
			r := w.AddReplica(policy.Service{Namespace: "lab", Name: "caller"}, fmt.Sprintf("caller-%d-%d", i, j))
			l := r.Call(callee, 5+30*rng.Float64(), settings)
			l.Circuit.Deadline(500 * time.Millisecond)
			replicas = append(replicas, r)
		}
	}
	at := func() time.Duration {
		return 5*time.Second + time.Duration(rng.Int64N(int64(meshFaults-15*time.Second)))
	}
	for range rng.IntN(4) {
		r, from := replicas[rng.IntN(len(replicas))], at()
		w.At(from, func() { r.Cut(true) })
		w.At(from+time.Duration(rng.Int64N(int64(10*time.Second))), func() { r.Cut(false) })
	}
	dead := replicas[rng.IntN(len(replicas))]
	w.At(at(), dead.Stop)
	if rng.IntN(3) == 0 {
		from := at()
		w.At(from, w.KillDaemon)
		w.At(from+time.Second, func() { w.StartDaemon(2) })
	}
	if lie > 0 {
		replicas[rng.IntN(len(replicas))].Distort = func(r *fleet.Report) {
			for i := range r.Circuits {
				for j := range r.Circuits[i].Cells {
					for k := range r.Circuits[i].Cells[j].Buckets {
						b := &r.Circuits[i].Cells[j].Buckets[k]
						n := lie * b.Offered
						b.Counts = fleet.Counts{Offered: n, Failed: n}
						b.Kinds[breaker.Timeout] = n
					}
				}
			}
		}
	}
	most := max(1, int(settings.MaxOpenPercent*float64(callees)/100))
	openings, open := make(map[policy.Circuit]int), make(map[policy.Circuit]bool)
	var watch func()
	watch = func() {
		if m := w.Mind(); m != nil {
			now := 0
			for _, c := range m.Circuits() {
				if c.State != breaker.Closed {
					now++
				}
				if is := c.State != breaker.Closed; is != open[c.Circuit] {
					open[c.Circuit] = is
					if is {
						openings[c.Circuit]++
					}
				}
			}
			if now > most && !x.failed {
				x.Errorf("at %v %d of %d circuits are open: at most %d may be", w.Now(), now, callees, most)
			}
		}
		w.After(50*time.Millisecond, watch)
	}
	if look {
		w.At(time.Second, watch)
	}
	w.Run(meshEnd)
	for _, c := range w.Mind().Circuits() {
		if look && (c.State != breaker.Closed || c.Phase != "" || c.Share < 1) {
			x.Errorf("a minute after the last fault %s is %v %s, %.2f let through: %s", c.Circuit, c.State, c.Phase, c.Share, c.Why)
		}
		for _, p := range c.Parts {
			if look && p.State != breaker.Closed {
				x.Errorf("a minute after the last fault %s of %s is %v: %s", p.Instance, c.Circuit, p.State, p.Why)
			}
		}
		if n := openings[c.Circuit]; n > 4 {
			x.Errorf("%s opened %d times in one fault", c.Circuit, n)
		}
	}
	if n := len(openings); n > faulty {
		x.Errorf("%d circuits have opened, %d had a fault", n, faulty)
	}
	return said.Bytes()
}
