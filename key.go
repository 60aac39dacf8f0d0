package switchgear

import (
	"net/netip"
	"strings"

	"github.com/datapunk/switchgear/policy"
)

// Key names what a breaker guards: the callee, and a route of it only where that
// route is to have a circuit of its own. The caller is the manager's service.
type Key struct {
	Callee    string
	Namespace string // of the callee; the manager's own if empty
	Route     string // a template like "/users/{id}", never a raw path
}

func (k Key) String() string {
	s := k.Callee
	if k.Namespace != "" {
		s = k.Namespace + "/" + s
	}
	if k.Route != "" {
		s += "#" + k.Route
	}
	return s
}

// KeyOfHost names the callee behind a URL's host: lower case, without port,
// trailing dot or Kubernetes' search domain, whose second label is the
// namespace. A literal address keeps its port, since it names no service.
func KeyOfHost(host string) Key {
	host = strings.ToLower(host)
	if ap, err := netip.ParseAddrPort(host); err == nil {
		return Key{Callee: netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()}
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return Key{Callee: a.Unmap().String()}
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	name, ok := strings.CutSuffix(host, ".svc.cluster.local")
	if !ok {
		name, ok = strings.CutSuffix(host, ".svc")
	}
	if ok {
		if service, namespace, two := strings.Cut(name, "."); two && !strings.Contains(namespace, ".") {
			return Key{Callee: service, Namespace: namespace}
		}
	}
	return Key{Callee: host}
}

// circuit is the fleet-wide name of a key's circuit.
func (m *Manager) circuitOf(k Key) policy.Circuit {
	ns := k.Namespace
	if ns == "" {
		ns = m.service.Namespace
	}
	return policy.Circuit{Caller: m.service, Callee: policy.Service{Namespace: ns, Name: k.Callee}, Route: k.Route}
}
