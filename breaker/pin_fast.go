//go:build (amd64 || arm64) && gc && !race

package breaker

import _ "unsafe" // for go:linkname

// perProcessor says that a goroutine can be kept on its processor while it
// counts. A locked add costs 6–9 ns, a pinned plain one 2 (make bench).
const perProcessor = true

// pin keeps the goroutine on its processor, whose number it returns, until unpin.
//
//go:linkname pin runtime.procPin
func pin() int

//go:linkname unpin runtime.procUnpin
func unpin()
