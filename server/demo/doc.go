// Package demo shows a real fleet protected together: a daemon and the replicas
// of six services as processes, a steady load, fault proxies between them, and
// four chapters of faults with promises.
//
// Its figures come from the load generator and the proxies, which know the
// truth, never from the SDK or the daemon that they judge. Whatever ends [Run],
// and however the process dies that called it, no child outlives it.
package demo
