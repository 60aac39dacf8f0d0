package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
)

// Host is a URL's host as callees are known by: lower case, without a trailing
// dot, literal addresses in their one shortest form. Port is empty where none is
// said.
type Host struct {
	Name, Port string
	Literal    bool // an address, which names no service
}

// ParseHost reads host, host:port, or an address in either form.
func ParseHost(host string) Host {
	host = strings.ToLower(host)
	if ap, err := netip.ParseAddrPort(host); err == nil {
		return Host{ap.Addr().Unmap().String(), fmt.Sprint(ap.Port()), true}
	}
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host, ':') == i {
		name, port = host[:i], host[i+1:]
	}
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")); err == nil {
		return Host{a.Unmap().String(), "", true}
	}
	return Host{strings.TrimSuffix(name, "."), port, false}
}

// Callee is the service that a host is without any map: Kubernetes' names are
// service and namespace, whatever the cluster's domain; of others all of the name
// is; an address keeps its port, since it names no service. The namespace is empty
// where the host says none.
func (h Host) Callee() Service {
	if h.Literal {
		if h.Port == "" {
			return Service{Name: h.Name}
		}
		if strings.Contains(h.Name, ":") {
			return Service{Name: "[" + h.Name + "]:" + h.Port}
		}
		return Service{Name: h.Name + ":" + h.Port}
	}
	labels := strings.SplitN(h.Name, ".", 4)
	if len(labels) >= 3 && labels[2] == "svc" && labels[0] != "" && labels[1] != "" {
		return Service{labels[1], labels[0]}
	}
	return Service{Name: h.Name}
}

// hostMap finds the callee that policies name for a host.
type hostMap struct {
	exact map[string][]hostEntry // by name, or name and port
	below map[string][]hostEntry // by what stands behind the star and its dot
}

type hostEntry struct {
	policy *Policy
	callee Service
}

// hostPattern is one of a policy's hosts: a name, or all names below one.
type hostPattern struct {
	Host
	below bool
}

func (h Host) key() string {
	if h.Port == "" {
		return h.Name
	}
	return h.Name + " " + h.Port
}

func newHostMap(policies []*Policy) hostMap {
	m := hostMap{exact: make(map[string][]hostEntry), below: make(map[string][]hostEntry)}
	for _, p := range policies {
		callee := Service{Name: p.Selector.Callee}
		if says(p.Selector.Namespace) == exactly {
			callee.Namespace = p.Selector.Namespace
		}
		for _, h := range p.hosts {
			to := m.exact
			if h.below {
				to = m.below
			}
			to[h.key()] = append(to[h.key()], hostEntry{p, callee})
		}
	}
	return m
}

// Callee is the service behind a host, for calls of a caller: the one that a
// policy names, with the port before without, a name before all below one, the
// longer first; else the host's own name. The namespace is empty where neither
// says one.
func (s *Set) Callee(caller, host string) Service {
	h := ParseHost(host)
	if len(s.hosts.exact) == 0 && len(s.hosts.below) == 0 {
		return h.Callee()
	}
	if c, ok := find(s.hosts.exact, caller, h); ok {
		return c
	}
	for rest := h.Name; !h.Literal; {
		_, parent, more := strings.Cut(rest, ".")
		if !more {
			break
		}
		if c, ok := find(s.hosts.below, caller, Host{Name: parent, Port: h.Port}); ok {
			return c
		}
		rest = parent
	}
	return h.Callee()
}

// find looks with the port, then without; the policy that wins stands last.
func find(in map[string][]hostEntry, caller string, h Host) (Service, bool) {
	for _, key := range []string{h.key(), h.Name} {
		entries := in[key]
		for i := len(entries) - 1; i >= 0; i-- {
			if matches(entries[i].policy.Selector.Caller, caller) {
				return entries[i].callee, true
			}
		}
	}
	return Service{}, false
}

// hosts reads a policy's part of the host map.
func (d *decoder) hosts(at string, n *Node, p *Policy) {
	at += ".hosts"
	items, ok := n.Value.([]*Node)
	if !ok {
		d.wrong(at, n, n.Line, "want a list of hosts", false)
		return
	}
	if len(items) > maxHosts {
		d.wrong(at, nil, n.Line, fmt.Sprintf("%d hosts: at most %d", len(items), maxHosts), false)
		return
	}
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", at, i)
		text := d.naming(at, item, false)
		h, err := parsePattern(text)
		if err != nil {
			d.wrong(at, item, item.Line, err.Error(), true)
			continue
		}
		p.Hosts = append(p.Hosts, text)
		p.hosts = append(p.hosts, h)
	}
	if len(items) > 0 && says(p.Selector.Callee) != exactly {
		d.wrong(at, nil, n.Line, "hosts lead to one callee: name it, exactly, in selector.callee", true)
	}
	if len(items) > 0 && says(p.Selector.Route) != 0 {
		d.wrong(at, nil, n.Line, "hosts lead to a callee, whatever the route: leave selector.route out", true)
	}
}

func parsePattern(text string) (hostPattern, error) {
	h := hostPattern{Host: ParseHost(text)}
	h.Name, h.below = strings.CutPrefix(h.Name, "*.")
	_, err := netip.ParseAddrPort("0.0.0.0:" + cmp.Or(h.Port, "1"))
	switch {
	case h.Name == "" || err != nil || strings.ContainsAny(h.Name, "*?/@[] "), !h.Literal && strings.Contains(h.Name, ":"):
		return h, fmt.Errorf("want a host like pay.example.com, *.example.com, 10.0.0.7 or [::1]:8443, with a port or without")
	case strings.HasSuffix(text, ":"):
		return h, fmt.Errorf("no port stands behind the colon")
	}
	return h, nil
}
