package cause

import (
	"net"
	"net/netip"
	"strings"
)

// MaxHops bounds how far a mark travels: one that came further is none.
const MaxHops = 16

// Inside reports whether a host is of the own network, whose marks are believed
// by default: a name of one label, of a cluster (….svc, ….cluster.local) or of a
// private domain (….internal), and a loopback or private address. Who answers
// under a public name or address can't hide a failure of its own by a mark.
func Inside(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		a = a.Unmap()
		return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast()
	}
	if host == "" {
		return false
	}
	for _, domain := range []string{".svc", ".cluster.local", ".internal"} {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return !strings.Contains(host, ".")
}
