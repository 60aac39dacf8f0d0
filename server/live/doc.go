// Package live measures the scenarios that operators judge by with real parts:
// the built binary as the daemon, replicas as processes with the library in them,
// HTTP over loopback, and fault proxies before each instance of the callee.
//
// What arrived and how it was answered is told by the proxies; what a replica
// rejected and when its breakers changed by the replicas themselves, with the
// machine's clock. Whatever ends [Run], no process outlives it.
package live
