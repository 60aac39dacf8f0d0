package demo

import (
	"math/bits"
	"time"
)

// spread counts durations by size, to within 3 %, in bounded memory and without
// allocating. It is for one goroutine; Add sums several.
type spread struct {
	counts [64 << fine]uint64
	n      uint64
	max    time.Duration
}

const fine = 5 // bits of a size that are kept below its highest one

func (s *spread) note(d time.Duration) {
	s.counts[sizeOf(uint64(max(d, 0)))]++
	s.n++
	s.max = max(s.max, d)
}

func sizeOf(v uint64) int {
	if v < 1<<fine {
		return int(v)
	}
	shift := bits.Len64(v) - fine - 1
	return (shift+1)<<fine + int(v>>shift) - 1<<fine
}

// greatest is the greatest duration of a size.
func greatest(size int) time.Duration {
	if size < 1<<fine {
		return time.Duration(size)
	}
	shift := size>>fine - 1
	return time.Duration((uint64(size&(1<<fine-1)+1<<fine)+1)<<shift - 1)
}

func (s *spread) add(o *spread) {
	for i, n := range o.counts {
		s.counts[i] += n
	}
	s.n += o.n
	s.max = max(s.max, o.max)
}

// quantile is the duration that this ratio of all does not exceed.
func (s *spread) quantile(ratio float64) time.Duration {
	left := uint64(ratio * float64(s.n))
	for i, n := range s.counts {
		if n > left {
			return min(greatest(i), s.max)
		}
		left -= n
	}
	return s.max
}

// over counts what is longer than d, but for what is of d's size.
func (s *spread) over(d time.Duration) (n uint64) {
	for _, c := range s.counts[sizeOf(uint64(d))+1:] {
		n += c
	}
	return n
}
