package demo

import (
	"testing"
	"time"
)

func TestASpreadKnowsItsQuantilesWithinThreePercent(t *testing.T) {
	var s spread
	for i := 1; i <= 100_000; i++ {
		s.note(time.Duration(i) * time.Microsecond)
	}
	for ratio, want := range map[float64]time.Duration{0.5: 50 * time.Millisecond, 0.99: 99 * time.Millisecond, 0.999: 99_900 * time.Microsecond, 1: 100 * time.Millisecond} {
		if got := s.quantile(ratio); got < want || got > want*104/100 {
			t.Errorf("quantile %v: %v, want %v", ratio, got, want)
		}
	}
	if n := s.over(90 * time.Millisecond); n < 7000 || n > 10_000 {
		t.Errorf("%d over 90 ms: want about 10,000", n)
	}
	var sum spread
	sum.add(&s)
	sum.note(time.Hour)
	if sum.n != 100_001 || sum.max != time.Hour || sum.over(time.Minute) != 1 {
		t.Errorf("%d, max %v, %d over a minute", sum.n, sum.max, sum.over(time.Minute))
	}
}

func TestSizesAreInOrder(t *testing.T) {
	last := -1
	for _, v := range []uint64{0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 1000, 1 << 20, 1<<20 + 1<<16, 1 << 40, 1<<63 - 1} {
		size := sizeOf(v)
		if size < last || greatest(size) < time.Duration(v) || size >= len(spread{}.counts) {
			t.Errorf("%d is of size %d, which ends at %d", v, size, greatest(size))
		}
		last = size
	}
}
