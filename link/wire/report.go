package wire

import (
	"fmt"
	"slices"
	"time"

	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/fleet"
	linkv1 "github.com/datapunk/switchgear/link/gen/switchgear/link/v1"
)

// ToHello gives the wire form of a hello.
func ToHello(h fleet.Hello) *linkv1.Hello {
	return &linkv1.Hello{
		Protocol: h.Protocol, Features: h.Features, Replica: ToReplica(h.Replica), Version: h.Version,
		Held: ToDirectives(h.Held),
	}
}

// FromHello reads a hello. What it says to hold is left out where it can't be
// read: it is a memory of what some daemon said, and may be older than this one.
func FromHello(p *linkv1.Hello) (fleet.Hello, error) {
	if err := atMost("features", len(p.GetFeatures()), maxFeatures); err != nil {
		return fleet.Hello{}, fmt.Errorf("hello: %w", err)
	}
	if err := atMost("directives held", len(p.GetHeld()), maxHeld); err != nil {
		return fleet.Hello{}, fmt.Errorf("hello: %w", err)
	}
	if p.GetProtocol() == 0 {
		return fleet.Hello{}, fmt.Errorf("hello: no protocol version")
	}
	id, err := FromReplica(p.GetReplica())
	if err != nil {
		return fleet.Hello{}, fmt.Errorf("hello: %w", err)
	}
	h := fleet.Hello{Protocol: p.GetProtocol(), Replica: id, Version: text(p.GetVersion())}
	for _, f := range p.GetFeatures() {
		h.Features = append(h.Features, text(f))
	}
	h.Held, _ = FromDirectives(p.GetHeld())
	h.Held = slices.DeleteFunc(h.Held, func(d fleet.Directive) bool { return d.Circuit.Caller != id.Service })
	return h, nil
}

// ToReport gives the wire form of a report.
func ToReport(r fleet.Report) *linkv1.Report {
	p := &linkv1.Report{Sequence: r.Sequence, Dropped: r.Dropped, Final: r.Final}
	for i := range r.Circuits {
		p.Circuits = append(p.Circuits, toCircuitReport(&r.Circuits[i]))
	}
	for _, a := range r.Answers {
		p.Answers = append(p.Answers, &linkv1.Answer{
			Circuit: ToCircuit(a.Circuit), Token: a.Token, Used: a.Used, Latency: toDuration(a.Latency),
			Verdict: linkv1.Verdict(a.Verdict) + 1, Kind: linkv1.Kind(a.Kind),
		})
	}
	return p
}

// FromReport reads a report, or refuses it whole.
func FromReport(p *linkv1.Report) (fleet.Report, error) {
	r := fleet.Report{Sequence: p.GetSequence(), Dropped: p.GetDropped(), Final: p.GetFinal()}
	if err := atMost("circuits", len(p.GetCircuits()), maxCircuits); err != nil {
		return fleet.Report{}, fmt.Errorf("report: %w", err)
	}
	if err := atMost("answers", len(p.GetAnswers()), maxAnswers); err != nil {
		return fleet.Report{}, fmt.Errorf("report: %w", err)
	}
	r.Circuits = slices.Grow(r.Circuits, len(p.GetCircuits()))
	for _, c := range p.GetCircuits() {
		cr, err := fromCircuitReport(c)
		if err != nil {
			return fleet.Report{}, fmt.Errorf("report: %w", err)
		}
		r.Circuits = append(r.Circuits, cr)
	}
	for _, a := range p.GetAnswers() {
		answer, err := fromAnswer(a)
		if err != nil {
			return fleet.Report{}, fmt.Errorf("report: answer: %w", err)
		}
		r.Answers = append(r.Answers, answer)
	}
	return r, nil
}

func fromAnswer(a *linkv1.Answer) (fleet.Answer, error) {
	c, err := FromCircuit(a.GetCircuit())
	if err != nil {
		return fleet.Answer{}, err
	}
	latency, err := duration("latency", a.GetLatency(), maxAge)
	if err != nil {
		return fleet.Answer{}, err
	}
	return fleet.Answer{
		Circuit: c, Token: a.GetToken(), Used: a.GetUsed(),
		Verdict: fromVerdict(a.GetVerdict()), Kind: fromKind(a.GetKind()), Latency: latency,
	}, nil
}

func toCircuitReport(c *fleet.CircuitReport) *linkv1.CircuitReport {
	p := &linkv1.CircuitReport{
		Callee: toService(c.Callee), Route: c.Route, State: toState(c.State), Mode: toMode(c.Mode),
		Generation: c.Generation, Since: toDuration(c.Since), Why: c.Why, CallTimeout: toDuration(c.CallTimeout),
	}
	if c.Settings != nil {
		p.Settings = toSettings(c.Settings)
	}
	for i := range c.Cells {
		cell := &c.Cells[i]
		pc := &linkv1.Cell{Route: cell.Route, Instance: cell.Instance, Generation: cell.Generation}
		for j := range cell.Buckets {
			pc.Buckets = append(pc.Buckets, toBucket(&cell.Buckets[j]))
		}
		p.Cells = append(p.Cells, pc)
	}
	return p
}

func fromCircuitReport(p *linkv1.CircuitReport) (c fleet.CircuitReport, err error) {
	if c.Callee, err = fromService(p.GetCallee()); err != nil {
		return c, fmt.Errorf("callee: %w", err)
	}
	if c.Route, err = optionalName("route", p.GetRoute()); err != nil {
		return c, err
	}
	if p.GetSettings() != nil {
		if c.Settings, err = fromSettings(p.GetSettings()); err != nil {
			return c, fmt.Errorf("settings of the circuit to %s: %w", c.Callee, err)
		}
	}
	if c.Since, err = duration("since", p.GetSince(), maxDuration); err != nil {
		return c, err
	}
	if c.CallTimeout, err = duration("call time-out", p.GetCallTimeout(), maxDuration); err != nil {
		return c, err
	}
	// A state that this program does not know is counted as closed: it must not
	// make control believe that calls are held back.
	c.State, _ = fromState(p.GetState())
	c.Mode, c.Generation, c.Why = fromMode(p.GetMode()), p.GetGeneration(), text(p.GetWhy())
	if err := atMost("cells of a circuit", len(p.GetCells()), maxCells); err != nil {
		return c, err
	}
	c.Cells = slices.Grow(c.Cells, len(p.GetCells()))
	for _, pc := range p.GetCells() {
		cell, err := fromCell(pc)
		if err != nil {
			return c, fmt.Errorf("cell of the circuit to %s: %w", c.Callee, err)
		}
		c.Cells = append(c.Cells, cell)
	}
	return c, nil
}

func fromCell(p *linkv1.Cell) (c fleet.Cell, err error) {
	if c.Route, err = optionalName("route", p.GetRoute()); err != nil {
		return c, err
	}
	if c.Instance, err = optionalName("instance", p.GetInstance()); err != nil {
		return c, err
	}
	c.Generation = p.GetGeneration()
	if err := atMost("buckets of a cell", len(p.GetBuckets()), maxBuckets); err != nil {
		return c, err
	}
	c.Buckets = slices.Grow(c.Buckets, len(p.GetBuckets()))
	for _, b := range p.GetBuckets() {
		c.Buckets = append(c.Buckets, fromBucket(b))
	}
	return c, nil
}

func toBucket(b *fleet.Bucket) *linkv1.Bucket {
	p := &linkv1.Bucket{
		AgeSteps: uint32(b.Age / fleet.BucketWidth),
		Offered:  b.Offered, Succeeded: b.Succeeded, Failed: b.Failed, Ignored: b.Ignored, Inherited: b.Inherited,
		Rejected: b.Rejected, Shadow: b.Shadow, Slow: b.Slow, LateSucceeded: b.LateSucceeded, LateFailed: b.LateFailed,
		RetriedSucceeded: b.RetriedSucceeded, RetriedFailed: b.RetriedFailed,
		LatencyMicros:     uint64(max(b.Latency, 0) / time.Microsecond),
		LateLatencyMicros: uint64(max(b.LateLatency, 0) / time.Microsecond),
	}
	n := len(b.Kinds)
	for n > 0 && b.Kinds[n-1] == 0 {
		n--
	}
	p.Kinds = append(p.Kinds, b.Kinds[:n]...)
	return p
}

func fromBucket(p *linkv1.Bucket) fleet.Bucket {
	b := fleet.Bucket{
		Age: min(time.Duration(p.GetAgeSteps())*fleet.BucketWidth, maxAge),
		Counts: fleet.Counts{
			Offered: p.GetOffered(), Succeeded: p.GetSucceeded(), Failed: p.GetFailed(), Ignored: p.GetIgnored(),
			Inherited: p.GetInherited(), Rejected: p.GetRejected(), Shadow: p.GetShadow(), Slow: p.GetSlow(), LateSucceeded: p.GetLateSucceeded(), LateFailed: p.GetLateFailed(),
			RetriedSucceeded: p.GetRetriedSucceeded(), RetriedFailed: p.GetRetriedFailed(),
			Latency:     micros(p.GetLatencyMicros()),
			LateLatency: micros(p.GetLateLatencyMicros()),
		},
	}
	for i, n := range p.GetKinds() {
		if i >= int(breaker.Kinds) {
			i = int(breaker.NoKind)
		}
		b.Kinds[i] = addSaturating(b.Kinds[i], n)
	}
	return b
}

func addSaturating(a, b uint32) uint32 {
	if s := a + b; s >= a {
		return s
	}
	return ^uint32(0)
}

// micros reads a sum of latencies; one that can't be is cut.
func micros(n uint64) time.Duration {
	return time.Duration(min(n, uint64(maxDuration/time.Microsecond))) * time.Microsecond
}
