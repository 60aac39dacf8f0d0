package breaker

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Successes are counted outside the lock, and never reset: windows are
// differences. A quiet breaker has one cell; a busy one has one per processor.
//
// INVARIANT: a success is counted in a cell of the generation of its permit or
// not at all. In the shared cell the count carries the generation's low bits, so
// that the compare-and-swap fails once a transition has re-tagged it. A
// processor's cell is written only while pinned to it, after the breaker's word
// was seen, there, to be of the generation that the cell is of.

// sharedCell is the one cell of a quiet breaker.
type sharedCell struct {
	n       atomic.Uint64 // generation 16 | count 48
	latency atomic.Int64
	lost    atomic.Uint32 // compare-and-swaps
	since   atomic.Int64  // when the count was last a multiple of busyCalls
}

const (
	tagShift  = 48
	countMask = 1<<tagShift - 1

	// So many calls within busyTime, or lost swaps, make a breaker busy.
	busyCalls = 1024
	busyTime  = time.Second
	busyLost  = 32
)

func (s *sharedCell) count() uint64 { return s.n.Load() & countMask }

// retag makes outcomes of the generation before late.
func (s *sharedCell) retag() { s.n.Add(1 << tagShift) }

// add counts one success of a generation; busy says that it is time for a cell
// per processor.
func (s *sharedCell) add(generation uint32, latency, now time.Duration) (counted, busy bool) {
	for {
		v := s.n.Load()
		if uint16(v>>tagShift) != uint16(generation) {
			return false, false
		}
		if s.n.CompareAndSwap(v, v+1) {
			if latency > 0 {
				s.latency.Add(int64(latency))
			}
			return true, v%busyCalls == busyCalls-1 && s.brisk(now) || s.lost.Load() >= busyLost
		}
		s.lost.Add(1)
	}
}

func (s *sharedCell) brisk(now time.Duration) bool {
	return now-time.Duration(s.since.Swap(int64(now))) < busyTime
}

// cell is what one processor counts of one breaker.
type cell struct {
	n, failed        uint64 // successes and failures, all
	base, failedBase uint64 // of them, before the generation
	generation       uint32
	latency          int64 // of successes
	rejected         [reasons]uint64
	kinds            [Kinds]uint64
	_                [256 - 6*8 - 8*int(reasons) - 8*int(Kinds)]byte // lines of its own
}

// of adds what the cell holds of a generation.
func (x *cell) of(generation uint32, ok, failed *uint32) {
	if atomic.LoadUint32(&x.generation) == generation {
		*ok += uint32(atomic.LoadUint64(&x.n) - atomic.LoadUint64(&x.base))
		*failed += uint32(atomic.LoadUint64(&x.failed) - atomic.LoadUint64(&x.failedBase))
	}
}

// begin makes the cell one of a generation; its processor calls it, pinned.
func (x *cell) begin(generation uint32) {
	atomic.StoreUint64(&x.base, x.n)
	atomic.StoreUint64(&x.failedBase, x.failed)
	atomic.StoreUint32(&x.generation, generation)
}

// cells of a busy breaker, one for each processor there was when it became busy.
type cells []cell

func newCells() *cells {
	c := make(cells, runtime.GOMAXPROCS(0))
	return &c
}

// sum adds what the cell has counted in all.
func (x *cell) sum(n *Counts) {
	n.Succeeded += atomic.LoadUint64(&x.n)
	n.Failed += atomic.LoadUint64(&x.failed)
	n.Latency += time.Duration(atomic.LoadInt64(&x.latency))
	for k := range n.Kinds {
		n.Kinds[k] += atomic.LoadUint64(&x.kinds[k])
	}
	for r := range n.Rejected {
		n.Rejected[r] += atomic.LoadUint64(&x.rejected[r])
	}
}
