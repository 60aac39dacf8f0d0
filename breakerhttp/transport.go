// Package breakerhttp guards net/http clients with a manager's breakers, and
// lets servers say that a failure is inherited from a service that they called.
//
// Transport is the default choice for clients, Handler for servers. Both are
// safe for concurrent use and add neither goroutines nor buffering.
package breakerhttp

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/cause"
	"github.com/datapunk/switchgear/internal/fleet"
	"github.com/datapunk/switchgear/internal/outbound"
)

// Option is a rarer choice of Transport.
type Option func(*transport)

// WithCallee names the callee of all requests, where the URL's host does not.
func WithCallee(name string) Option {
	return func(t *transport) { t.callee = name }
}

// WithInstances gives the addresses (host:port) that serve the callee. The
// transport chooses among them before sending, evenly, and leaves out those that
// control has opened; it never sends a request a second time. Without it, behind
// one virtual address, a faulty instance can't be told apart nor left out: the
// manager's log says so once for each circuit.
func WithInstances(addresses ...string) Option {
	addresses = slices.Clone(addresses)
	return WithResolver(func() []string { return addresses })
}

// WithResolver is WithInstances for addresses that come and go: resolve gives
// those of now. It is asked with each request, so it must be cheap, not block and
// be safe for concurrent use; it may not change a slice that it has given. While
// it gives none, requests go where their URL says.
func WithResolver(resolve func() []string) Option {
	return func(t *transport) { t.resolve = resolve }
}

// WithTrust says from which hosts a mark is believed that a failure is inherited.
// The default believes hosts of the own network: names of one label or below
// .svc, .cluster.local and .internal, loopback and private addresses. Whoever is
// believed can hide its failures behind others' names.
func WithTrust(trusts func(host string) bool) Option {
	return func(t *transport) { t.trusts = trusts }
}

type routeKey struct{}

// WithRoute names the route of the requests made with ctx: a template like
// "/users/{id}", never a raw path. Where a policy selects the route it has a
// circuit of its own.
func WithRoute(ctx context.Context, template string) context.Context {
	return context.WithValue(ctx, routeKey{}, template)
}

// Transport guards a RoundTripper: a request that its circuit does not permit
// fails with a *switchgear.NotPermittedError and is not sent. The callee is
// named by the URL's host. A nil base is http.DefaultTransport.
//
// Time-outs, refused and reset connections and 5xx answers are failures;
// cancelled requests and 4xx answers but 429 are neutral. The outcome is known
// when the body has been read or closed; of an event stream, with its header.
func Transport(m *switchgear.Manager, base http.RoundTripper, options ...Option) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	t := &transport{manager: m, base: base, trusts: cause.Inside, resolve: func() []string { return nil }}
	for _, o := range options {
		o(t)
	}
	return t
}

type transport struct {
	manager *switchgear.Manager
	base    http.RoundTripper
	callee  string
	trusts  func(host string) bool
	resolve func() []string
	pools   sync.Map // *switchgear.Breaker → *pool
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	route, _ := req.Context().Value(routeKey{}).(string)
	b := t.manager.Breaker(t.key(req)).Route(route)
	c, err := outbound.Begin(req.Context(), t.manager, b, route)
	var to *instance
	if err == nil {
		to, err = t.choose(c)
	}
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	panicked := true
	defer func() {
		if panicked {
			c.Release()
		}
	}()
	res, err := t.base.RoundTrip(to.direct(req))
	panicked = false
	c.Answered()
	o, mark := classify(res, err, t.trusts(req.URL.Host))
	if err != nil || o.Verdict != breaker.Success || ended(res) {
		c.Done(err, status(res), o, mark)
		return res, err
	}
	res.Body = guard(c, res)
	return res, nil
}

func (t *transport) key(req *http.Request) switchgear.Key {
	if t.callee != "" {
		return switchgear.Key{Callee: t.callee}
	}
	return t.manager.KeyOfHost(req.URL.Host)
}

// pool is the instances of one circuit as a transport chooses among them.
type pool struct {
	addresses []string
	instances []*instance
	next      atomic.Uint32
}

type instance struct {
	address string
	part    *fleet.Instance // nil where there are too many
}

// pool of a circuit's instances, made anew when their addresses have changed.
func (t *transport) pool(b *switchgear.Breaker, addresses []string) *pool {
	known, _ := t.pools.Load(b)
	if p, ok := known.(*pool); ok && slices.Equal(p.addresses, addresses) {
		return p
	}
	p := &pool{addresses: addresses}
	for _, a := range addresses {
		p.instances = append(p.instances, &instance{address: a, part: b.Circuit().Instance(a)})
	}
	t.pools.Store(b, p)
	return p
}

// choose picks an instance that takes calls, before anything is sent; nil where
// there is nothing to choose from. An error has ended the call.
func (t *transport) choose(c *outbound.Call) (*instance, error) {
	addresses := t.resolve()
	if len(addresses) == 0 {
		c.Breaker.Undivided()
		return nil, nil
	}
	p := t.pool(c.Breaker, addresses)
	first := p.next.Add(1)
	var err error
	for i := range uint32(len(p.instances)) {
		x := p.instances[(first+i)%uint32(len(p.instances))]
		if err = c.Choose(x.address, x.part); err == nil {
			return x, nil
		}
	}
	c.Refuse()
	return nil, err
}

// direct sends a request to the instance; a nil one leaves it as it is.
func (x *instance) direct(req *http.Request) *http.Request {
	if x == nil {
		return req
	}
	to := *req
	u := *req.URL
	u.Host = x.address
	to.URL = &u
	if to.Host == "" {
		to.Host = req.URL.Host
	}
	return &to
}
