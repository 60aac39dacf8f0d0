package scale

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/datapunk/switchgear/internal/control"
	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
	"github.com/datapunk/switchgear/link/wire"
	"github.com/datapunk/switchgear/policy"
	busv1 "github.com/datapunk/switchgear/server/gen/switchgear/bus/v1"
)

// Reports are circuit reports in a second of one core's time, the best of five
// rounds: of a busy circuit with ten buckets in each, and of a slow one with one.
type Reports struct {
	Control     float64 `json:"control_per_s"` // decoded ones, stepped by control
	ControlSlow float64 `json:"control_slow_per_s"`
	Decode      float64 `json:"decode_per_s"` // from bytes to control's input, with validation
	DecodeSlow  float64 `json:"decode_slow_per_s"`
	Whole       float64 `json:"whole_per_s"` // from the stream's bytes to control's answer, in a lone daemon
	WholeSlow   float64 `json:"whole_slow_per_s"`
	Bus         float64 `json:"bus_per_s"` // the same, over a bus that other daemons hear
	BusSlow     float64 `json:"bus_slow_per_s"`
}

// traffic is what replicas with so many circuits each report once a second.
type traffic struct {
	at      time.Duration
	reports []control.ReplicaReport
}

func newTraffic(replicas, circuits, buckets int) *traffic {
	t := &traffic{at: time.Second}
	for i := range replicas {
		name := fmt.Sprintf("web-%d", i)
		r := control.ReplicaReport{
			From:     fleet.ReplicaID{Service: policy.Service{Namespace: "shop", Name: "web"}, Name: name, Incarnation: uint64(i) + 1},
			Observer: fmt.Sprintf("10.1.%d.%d", i>>8, i&255),
		}
		for j := range circuits {
			x := fleet.Cell{}
			for k := range buckets {
				x.Buckets = append(x.Buckets, fleet.Bucket{
					Age:    time.Duration(buckets-1-k) * fleet.BucketWidth,
					Counts: fleet.Counts{Offered: 1, Succeeded: 1, Latency: 5 * time.Millisecond},
				})
			}
			r.Circuits = append(r.Circuits, fleet.CircuitReport{
				Callee: policy.Service{Namespace: "shop", Name: fmt.Sprintf("callee-%d", j)}, Cells: []fleet.Cell{x},
			})
		}
		t.reports = append(t.reports, r)
	}
	return t
}

// second lets each replica report once, spread over a second.
func (t *traffic) second(report func(at time.Duration, i int)) {
	for i := range t.reports {
		report(t.at+time.Second*time.Duration(i)/time.Duration(len(t.reports)), i)
	}
	t.at += time.Second
}

func measureReports(_ context.Context, o *Options, r *Result) error {
	replicas, circuits, seconds := o.size(1000, 20), 20, o.size(4, 1)
	x := &Reports{}
	for _, m := range []struct {
		buckets                     int
		control, decode, whole, bus *float64
	}{
		{10, &x.Control, &x.Decode, &x.Whole, &x.Bus},
		{1, &x.ControlSlow, &x.DecodeSlow, &x.WholeSlow, &x.BusSlow},
	} {
		t := newTraffic(replicas, circuits, m.buckets)
		// The best of some rounds: others on the machine only ever make it slower.
		perSecond := func(f func(at time.Duration, i int)) (best float64) {
			t.second(f) // rows are made
			for range 5 {
				took := onOneCore(func() {
					for range seconds {
						t.second(f)
					}
				})
				best = max(best, float64(seconds*replicas*circuits)/took.Seconds())
			}
			return best
		}
		mind := newMind()
		*m.control = perSecond(func(at time.Duration, i int) {
			mind.Step(control.Input{At: at, Report: &t.reports[i]})
			mind.Interval()
		})
		var sent [][]byte
		for i := range t.reports {
			data, err := proto.Marshal(wire.ToReport(t.reports[i].Report))
			if err != nil {
				return fmt.Errorf("encode: %w", err)
			}
			sent = append(sent, data)
		}
		var failed error
		*m.decode = perSecond(func(_ time.Duration, i int) {
			if _, err := decode(sent[i]); err != nil {
				failed = err
			}
		})
		mind = newMind()
		*m.whole = perSecond(func(at time.Duration, i int) {
			r, err := decode(sent[i])
			if err != nil {
				failed = err
			}
			from := &t.reports[i]
			mind.Step(control.Input{At: at, Report: &control.ReplicaReport{From: from.From, Observer: from.Observer, Report: r}})
			mind.Interval()
		})
		mind = newMind()
		*m.bus = perSecond(func(at time.Duration, i int) {
			if err := carry(mind, at, &t.reports[i], sent[i]); err != nil {
				failed = err
			}
		})
		if failed != nil {
			return failed
		}
	}
	r.ReportsPerS, r.Reports = &x.Control, x
	return nil
}

func newMind() *control.Mind { return control.New(control.Config{Daemon: "d", Enforce: true}) }

func decode(sent []byte) (fleet.Report, error) {
	p := new(linkv1.Report)
	if err := proto.Unmarshal(sent, p); err != nil {
		return fleet.Report{}, fmt.Errorf("decode: %w", err)
	}
	return wire.FromReport(p)
}

// carry does what a daemon among others does with a report, but for sockets and
// queues: the gateway decodes and validates it, the bus carries it, the owner
// decodes it again and steps control with it.
func carry(mind *control.Mind, at time.Duration, from *control.ReplicaReport, sent []byte) error {
	p := new(linkv1.Report)
	if err := proto.Unmarshal(sent, p); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if _, err := wire.FromReport(p); err != nil {
		return err
	}
	onBus, err := proto.Marshal(&busv1.Evidence{From: wire.ToReplica(from.From), Observer: from.Observer, Event: &busv1.Evidence_Report{Report: p}})
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	e := new(busv1.Evidence)
	if err := proto.Unmarshal(onBus, e); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	id, err := wire.FromReplica(e.GetFrom())
	if err != nil {
		return err
	}
	report, err := wire.FromReport(e.GetReport())
	if err != nil {
		return err
	}
	mind.Step(control.Input{At: at, Report: &control.ReplicaReport{From: id, Observer: e.GetObserver(), Report: report}})
	mind.Interval()
	return nil
}

// measureMemory weighs control with replicas that each report a hundred circuits.
func measureMemory(_ context.Context, o *Options, r *Result) error {
	replicas, circuits := o.size(1000, 20), 100
	t := newTraffic(replicas, circuits, 10)
	before := heap()
	mind := newMind()
	for range o.size(20, 2) {
		t.second(func(at time.Duration, i int) { mind.Step(control.Input{At: at, Report: &t.reports[i]}) })
	}
	after := heap()
	if n := len(mind.Circuits()); n != circuits {
		return errors.New("control does not follow all circuits")
	}
	runtime.KeepAlive(t)
	bytes := float64(after-before) / float64(replicas*circuits)
	r.BytesPerCircuitReplica = &bytes
	return nil
}
