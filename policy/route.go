package policy

// SelectsRoute reports whether a policy selects the circuit by its route: such a
// route has a circuit of its own.
func (s *Set) SelectsRoute(c Circuit) bool {
	var buffer [16]int
	return len(s.routed) > 0 && len(s.byRoute.find(s.routed, &c, buffer[:0])) > 0
}

// ofRoutes gives the policies that ask for a route.
func ofRoutes(policies []*Policy) []*Policy {
	var routed []*Policy
	for _, p := range policies {
		if p.Selector.Route != "" {
			routed = append(routed, p)
		}
	}
	return routed
}
