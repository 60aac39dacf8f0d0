// Package breaker is the engine of one circuit breaker: a state machine, a
// window and counters for the calls of one process to one callee. Most programs
// use package switchgear, which keeps breakers and their clock; use this one to
// build something else on the engine.
//
// Start from [Default]: it opens at 50 % failures of at least 20 calls in 10 s,
// and probes after a second.
//
// A Breaker starts no goroutine and no timer and does no input or output. Time
// comes from its [Clock]; what is due is done by the next call. Acquire and Done
// neither block nor allocate, and are safe for any number of goroutines.
//
// Guaranteed: each outcome counts once, in the generation of its permit, or is
// counted as late; half-open permits and concurrent calls never exceed their
// limits; reading changes nothing. Not guaranteed: that two calls at the same
// instant see a change of state in one order.
package breaker
