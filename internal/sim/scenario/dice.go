package scenario

import "math"

// key is where dice are thrown for one call. It depends on the request and the
// call alone, not on what anybody decided before: all policies meet the same
// calls.
type key uint64

// and derives another key (splitmix64).
func (k key) and(n uint64) key {
	x := uint64(k) + (n+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return key(x ^ x>>31)
}

// throw number n: evenly, 0–1.
func (k key) throw(n uint64) float64 { return float64(k.and(n)>>11) / (1 << 53) }

// normal throw number n, of mean 0 and deviation 1.
func (k key) normal(n uint64) float64 {
	return math.Sqrt(-2*math.Log(1-k.throw(n))) * math.Cos(2*math.Pi*k.throw(n+1<<32))
}

// What each throw of a call decides.
const (
	diceRoute = iota
	diceMade
	diceFail
	diceHang
	diceLatency
	diceClient
	diceBackoff
	diceLoad
)
