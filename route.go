package switchgear

// maxRoutes bounds the routes of a callee that have circuits of their own; those
// beyond share the route "other".
const maxRoutes = 64

// Route gives the breaker of a route of b's callee where a policy selects that
// route, else b. A route is a template like "/users/{id}" or a full method, never
// a raw path. It is for transports; a Key can name a route, too.
func (b *Breaker) Route(route string) *Breaker {
	m := b.manager
	if route == "" || b.circuit.ID.Route != "" {
		return b
	}
	id := b.circuit.ID
	id.Route = route
	if id.Validate() != nil || !m.policies.Load().SelectsRoute(id) {
		return b
	}
	k := b.canonical()
	k.Route = route
	if r := m.breakers.find(k); r != nil {
		return r
	}
	if !b.takes(route) {
		k.Route = "other"
	}
	return m.Breaker(k)
}

// takes reports whether a route gets a breaker of its own.
func (b *Breaker) takes(route string) bool {
	if b.full.Load() {
		return false
	}
	b.manager.making.Lock()
	defer b.manager.making.Unlock()
	if _, known := b.routes[route]; known {
		return true
	}
	if len(b.routes) >= maxRoutes {
		b.full.Store(true)
		return false
	}
	if b.routes == nil {
		b.routes = make(map[string]struct{})
	}
	b.routes[route] = struct{}{}
	return true
}
