package vidu

import (
	"context"
	"net/http"
	"net/url"
)

// request is one call of the API.
type request struct {
	method  string
	path    string // below the API path, its elements checked
	query   string // encoded
	outside bool   // path is below the base URL, not the API path
	signed  *signedLink
	body    *body  // nil: none
	paid    bool   // costs money: sent again only when provably nothing was created
	payload string // of a paid request
	limit   int64  // bytes of a good reply
}

// signedLink is where a request goes that leaves the API: to another host, which gets the link and no key.
type signedLink struct {
	url         *url.URL
	contentType string
}

// attempt is one request on the wire and what came of it.
type attempt struct {
	status     int // 0: no answer
	header     http.Header
	body       []byte // of the answer, as far as it was read
	cut        bool   // not all of an answer that says no could be read
	incomplete bool   // the request never left whole, and never will
	ended      bool   // the caller's context is over
	err        error  // nil: a 2xx answer, whole
}

// newRequest builds the request by hand: everything in it was checked before, and the header's values are shared.
func (c *Client) newRequest(ctx context.Context, rq *request) *http.Request {
	header := http.Header{
		"Authorization":   c.authorization(),
		"Content-Type":    c.contentType, // one gateway wants it on GET, too
		"Accept-Encoding": c.encoding,    // else net/http asks for gzip and expands what comes
		"User-Agent":      c.userAgent,
	}
	if rq.signed != nil {
		header = http.Header{"Content-Type": {rq.signed.contentType}, "Accept-Encoding": c.encoding, "User-Agent": c.userAgent}
	}
	return (&http.Request{
		Method: rq.method, URL: c.target(rq), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
	}).WithContext(ctx)
}

// target is where a request goes.
func (c *Client) target(rq *request) *url.URL {
	if rq.signed != nil {
		return rq.signed.url
	}
	u := c.base
	if rq.outside {
		u = c.root
	}
	u.Path += rq.path
	if u.RawPath != "" {
		u.RawPath += rq.path
	}
	u.RawQuery = rq.query
	return &u
}

func (c *Client) clientFor(rq *request) *http.Client {
	switch {
	case rq.paid:
		return c.creates
	case rq.signed != nil:
		return c.uploads
	}
	return c.reads
}

var expectContinue = []string{"100-continue"}

// Bounds of what is read. A reply to create may echo the inline media, one to query a payload of a million characters.
const (
	maxCreateReply = 32 << 20
	maxReply       = 16 << 20
	maxErrorReply  = 64 << 10
	maxHeader      = 64 << 10
	maxDrain       = 64 << 10 // read past the end of interest to keep a connection
)
