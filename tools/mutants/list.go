package main

// mutant is one bug that somebody could have written.
type mutant struct{ what, file, old, new string }

var mutants = []mutant{
	{
		"opens above the threshold only, not at it", "judge.go",
		"100*float64(n) >= threshold*float64(w.Calls)", "100*float64(n) > threshold*float64(w.Calls)",
	},
	{
		"judges one call before the minimum", "judge.go",
		"if w.Calls < s.MinimumNumberOfCalls {", "if w.Calls < s.MinimumNumberOfCalls-1 {",
	},
	{
		"a success that completes the minimum is not judged", "judge.go",
		"c.state == Closed && w.Calls < s.MinimumNumberOfCalls && w.Failed+w.Slow > 0", "false",
	},
	{
		"busy failures are never judged", "permit.go",
		"if c.breaks(s, cells, p.generation) {", "if false {",
	},
	{
		"late outcomes count in the new generation", "permit.go",
		"late := p.generation != c.generation ||", "late :=",
	},
	{
		"the shared cell is not re-tagged", "transition.go",
		"	c.shared.retag()\n", "",
	},
	{
		"a processor's cell does not look at the generation", "permit.go",
		"if uint32(b.word.Load()>>32) == g {", "if true {",
	},
	{
		"a probe's copy counts again", "trial.go",
		"	t.out = slices.Delete(t.out, i, i+1)\n", "	_ = slices.Delete(t.out, i, i)\n",
	},
	{
		"lost probes never expire", "trial.go",
		"if len(t.out) == 0 || now < t.earliest {", "if true || len(t.out) == 0 || now < t.earliest {",
	},
	{
		"one probe too many", "breaker.go",
		"c.trial.done+len(c.trial.out) < s.", "c.trial.done+len(c.trial.out) <= s.",
	},
	{
		"an ignored probe decides", "transition.go",
		"	if o.Verdict <= Failure {\n		c.trial.done++", "	if o.Verdict <= Inherited {\n		c.trial.done++",
	},
	{
		"a released probe keeps its permit", "permit.go",
		"if c.trial.take(ticket) {", "if c.trial.take(0) {",
	},
	{
		"concurrency lets one more in", "core.go",
		"if n >= int64(most) && most > 0 {", "if n > int64(most) && most > 0 {",
	},
	{
		"a call in flight is never given back", "permit.go",
		"	if p.slot&permitCounted != 0 {\n		c.exit()\n	}\n	if p.slot&permitShadow", "	if p.slot&permitShadow",
	},
	{
		"reading rotates the window", "view.go",
		"	v := View{\n", "	c.rotate(now)\n	v := View{\n",
	},
	{
		"a forced opening ends as it began", "transition.go",
		"b.to(c, byMode, HalfOpen, m, now, \"the forced opening has ended\", Window{})", "b.to(c, byMode, c.state, m, now, \"the forced opening has ended\", Window{})",
	},
	{
		"the own wait leads back while control decides", "transition.go",
		"case c.state == Open && !c.directed && asked && now >= c.until:", "case c.state == Open && asked && now >= c.until:",
	},
	{
		"shadow calls are evidence", "permit.go",
		"		l.shadow.Add(1)\n", "		l.shadow.Add(1)\n		c.mu.Lock()\n		l.counts.record(&o, 0)\n		c.mu.Unlock()\n",
	},
	{
		"the ramp never rises", "transition.go",
		"share, next := r.share(now - from)", "share, next := r.share(0)",
	},
	{
		"a cached rejection outlives the wait", "breaker.go",
		"		r.until = min(r.until, c.until)\n", "",
	},
	{
		"buckets leave the window one too late", "window.go",
		"return counts.minus(w.buckets[(w.head+k+1)%len(w.buckets)])", "return counts.minus(w.buckets[(w.head+k+2)%len(w.buckets)])",
	},
	{
		"the streak survives a success", "judge.go",
		"		} else {\n			c.streak, c.streakOK = 1, totals.ok\n", "		} else {\n			c.streak, c.streakOK = c.streak+1, totals.ok\n",
	},
	{
		"push-back has no cap", "judge.go",
		"if d := min(o.RetryAfter, s.MaxRetryAfter); d > 0 {", "if d := o.RetryAfter; d > 0 {",
	},
	{
		"changes are told under the lock's back, out of order", "news.go",
		"	if c.telling || len(c.news) == 0", "	if len(c.news) == 0",
	},
}
