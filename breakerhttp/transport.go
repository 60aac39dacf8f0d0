// Package breakerhttp guards net/http clients with a manager's breakers, and
// lets servers say that a failure is inherited from a service that they called.
//
// Transport is the default choice for clients, Handler for servers. Both are
// safe for concurrent use and add neither goroutines nor buffering.
package breakerhttp

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/datapunk/switchgear"
	"github.com/datapunk/switchgear/breaker"
	"github.com/datapunk/switchgear/internal/cause"
	"github.com/datapunk/switchgear/internal/fleet"
)

// Option is a rarer choice of Transport.
type Option func(*transport)

// WithCallee names the callee of all requests, where the URL's host does not.
func WithCallee(name string) Option {
	return func(t *transport) { t.callee = name }
}

// WithInstances gives the addresses (host:port) that serve the callee. The
// transport chooses among them before sending, evenly, and leaves out those that
// control has opened; it never sends a request a second time. Without it, or
// behind one virtual address, a faulty instance is found but can't be left out.
func WithInstances(addresses ...string) Option {
	return func(t *transport) { t.instances = addresses }
}

type routeKey struct{}

// WithRoute names the route of the requests made with ctx: a template like
// "/users/{id}", never a raw path.
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
	t := &transport{manager: m, base: base}
	for _, o := range options {
		o(t)
	}
	return t
}

type transport struct {
	manager   *switchgear.Manager
	base      http.RoundTripper
	callee    string
	instances []string
	pools     sync.Map // *switchgear.Breaker → *pool
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	b := t.manager.Breaker(t.key(req))
	c := &call{transport: t, breaker: b, cause: cause.Of(req.Context()), start: time.Now()}
	if end, ok := req.Context().Deadline(); ok {
		b.Circuit().Deadline(end.Sub(c.start))
	}
	var err error
	if c.permit, err = b.Acquire(); err == nil {
		err = t.choose(c, req)
	}
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		c.cause.Record(cause.Origin{Circuit: b.Circuit().ID.String(), Kind: "not_permitted"})
		return nil, err
	}
	panicked := true
	defer func() {
		if panicked {
			c.release()
		}
	}()
	res, err := t.base.RoundTrip(c.address(req))
	panicked = false
	c.latency = time.Since(c.start)
	o := classify(res, err)
	if err != nil || o.Verdict != breaker.Success || ended(res) {
		c.done(res, err, o)
		return res, err
	}
	res.Body = &body{ReadCloser: res.Body, call: c, response: res}
	return res, nil
}

func (t *transport) key(req *http.Request) switchgear.Key {
	if t.callee != "" {
		return switchgear.Key{Callee: t.callee}
	}
	return t.manager.KeyOfHost(req.URL.Host)
}

// call is one request under way.
type call struct {
	transport *transport
	breaker   *switchgear.Breaker
	cause     *cause.Cause
	permit    switchgear.Permit
	instance  *instance
	part      breaker.Permit
	apart     bool // the instance is judged by itself: the circuit learns nothing
	tally     *breaker.Tally
	start     time.Time
	latency   time.Duration
}

// pool is the instances of one callee as a transport chooses among them.
type pool struct {
	instances []*instance
	next      atomic.Uint32
}

type instance struct {
	address string
	part    *fleet.Instance // nil where there are too many
}

func (t *transport) pool(b *switchgear.Breaker) *pool {
	if known, ok := t.pools.Load(b); ok {
		p, _ := known.(*pool)
		return p
	}
	p := &pool{}
	for _, a := range t.instances {
		p.instances = append(p.instances, &instance{address: a, part: b.Circuit().Instance(a)})
	}
	first, _ := t.pools.LoadOrStore(b, p)
	p, _ = first.(*pool)
	return p
}

// choose picks an instance that takes calls, before anything is sent, and
// resolves the labels of the call. An error gives the circuit's permit back.
func (t *transport) choose(c *call, req *http.Request) error {
	route, _ := req.Context().Value(routeKey{}).(string)
	if len(t.instances) == 0 {
		c.tally = c.breaker.Circuit().Tally(route, "")
		return nil
	}
	p := t.pool(c.breaker)
	first := p.next.Add(1)
	var err error
	for i := range uint32(len(p.instances)) {
		x := p.instances[(first+i)%uint32(len(p.instances))]
		c.instance = x
		if x.part != nil {
			if c.part, err = x.part.Acquire(); err != nil {
				continue
			}
			c.apart = x.part.View().State != breaker.Closed
		}
		c.tally = c.breaker.Circuit().Tally(route, x.address)
		return nil
	}
	c.permit.Release()
	return err
}

func (c *call) address(req *http.Request) *http.Request {
	if c.instance == nil {
		return req
	}
	to := *req
	u := *req.URL
	u.Host = c.instance.address
	to.URL = &u
	if to.Host == "" {
		to.Host = req.URL.Host
	}
	return &to
}

// done reports the outcome to the circuit, the instance and the labels.
func (c *call) done(res *http.Response, err error, o switchgear.Outcome) {
	o.Latency = c.latency
	r := switchgear.Result{Err: err, Default: o}
	if res != nil {
		r.Status = res.StatusCode
	}
	o = c.transport.manager.Classify(r)
	if o.Verdict == breaker.Failure || o.Verdict == breaker.Inherited {
		c.cause.Record(origin(c.breaker, res, o))
	}
	counted := true
	if c.apart {
		c.permit.Release()
	} else {
		counted = c.permit.Done(o)
	}
	if c.instance != nil && c.instance.part != nil {
		counted = c.part.Done(o) && counted
	}
	if counted && c.tally != nil {
		c.tally.Add(o, c.latency)
	}
}

func (c *call) release() {
	c.permit.Release()
	if c.instance != nil && c.instance.part != nil {
		c.part.Release()
	}
}
