package api

import (
	"encoding/base64"
)

// page collects the part of an ordered list that a request asks for.
type page[T any] struct {
	size        int
	after, last string
	items       []T
	next        string // the token of the page that follows, "" if none does
	total       uint32
}

type pageRequest interface {
	GetPageSize() uint32
	GetPageToken() string
	GetPrefix() string
}

func newPage[T any](q pageRequest) (*page[T], error) {
	p := &page[T]{size: int(q.GetPageSize())}
	if p.size == 0 {
		p.size = defaultPage
	}
	if p.size > maxPage {
		return nil, badField("page_size", p.size, "page_size %d: want 1 to %d, or 0 for %d", p.size, maxPage, defaultPage)
	}
	if len(q.GetPrefix()) > maxText {
		return nil, badField("prefix", q.GetPrefix(), "prefix of %d bytes: want at most %d", len(q.GetPrefix()), maxText)
	}
	after, err := base64.RawURLEncoding.DecodeString(q.GetPageToken())
	if err != nil {
		return nil, badField("page_token", q.GetPageToken(), "page_token %q: want one that an earlier page gave, or none", cut(q.GetPageToken(), maxValue))
	}
	p.after = string(after)
	return p, nil
}

// add takes the next one that passes the filter; keys rise. It is made only where
// it is on this page.
func (p *page[T]) add(key string, item func() T) {
	p.total++
	switch {
	case key <= p.after:
	case len(p.items) == p.size:
		p.next = base64.RawURLEncoding.EncodeToString([]byte(p.last))
	default:
		p.items = append(p.items, item())
		p.last = key
	}
}
