package switchgear

import "github.com/datapunk/switchgear/policy"

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
	c := policy.ParseHost(host).Callee()
	return Key{Callee: c.Name, Namespace: c.Namespace}
}

// KeyOfHost names the callee that the policies' host map gives for a URL's host,
// else what the function of that name does.
func (m *Manager) KeyOfHost(host string) Key {
	c := m.policies.Load().Callee(m.service.Name, host)
	return Key{Callee: c.Name, Namespace: c.Namespace}
}

// circuit is the fleet-wide name of a key's circuit.
func (m *Manager) circuitOf(k Key) policy.Circuit {
	ns := k.Namespace
	if ns == "" {
		ns = m.service.Namespace
	}
	return policy.Circuit{Caller: m.service, Callee: policy.Service{Namespace: ns, Name: k.Callee}, Route: k.Route}
}
