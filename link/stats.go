package link

import "sync/atomic"

// Stats are what a link has done since it was made.
type Stats struct {
	// Up is whether a stream stands on which the daemon has said welcome.
	Up bool
	// Streams that stood. More than one means that the link was lost as often, or
	// that the daemon has ended streams by their age.
	Streams uint64
	// Reports sent.
	Reports uint64
	// Lost are circuit reports that the manager had given and no stream took, because
	// it broke meanwhile. They are not sent again, since they may have arrived. What
	// a stream had taken and not delivered when it broke is not known, so not counted.
	Lost uint64
	// Directives handed to the manager.
	Directives uint64
	// Ignored are directives that could not be read.
	Ignored uint64
}

// counts are Stats as they grow.
type counts struct {
	up                                          atomic.Bool
	streams, reports, lost, directives, ignored atomic.Uint64
}

// Stats may be called at any time, also after Close.
func (l *Link) Stats() Stats {
	c := &l.counts
	return Stats{
		Up: c.up.Load(), Streams: c.streams.Load(), Reports: c.reports.Load(), Lost: c.lost.Load(),
		Directives: c.directives.Load(), Ignored: c.ignored.Load(),
	}
}
