package policy

// SelectsRoute reports whether a policy selects the circuit by its route: such a
// route has a circuit of its own.
func (s *Set) SelectsRoute(c Circuit) bool {
	for _, p := range s.policies {
		if p.Selector.Route != "" && p.Selector.Matches(c) {
			return true
		}
	}
	return false
}
