package vidu

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/vidu-go/vidu/internal/lenientjson"
	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/scrub"
	"github.com/vidu-go/vidu/internal/transport"
)

// Bounds of what is read. A reply to a create may echo the inline media, one to a query a payload of a million
// characters.
const (
	maxCreateReply = 32 << 20
	maxReply       = 16 << 20
	maxErrorReply  = 64 << 10
)

// request is one call of the API.
type request struct {
	operation string // its name in traces
	method    string
	path      string // below the API path, its elements checked
	query     string // encoded
	fromRoot  bool   // path is below the base URL, not below the API path
	presigned *presignedLink
	body      *oneshot.Body // nil: none
	taskID    string        // the task that a call is about
	trace     *callTrace
	paid      bool   // costs money: sent again only when provably nothing was created
	payload   string // of a paid request
	limit     int64  // bytes of a 2xx reply
}

// presignedLink is where a request goes that leaves the API: to a storage host, which gets the link and no key.
type presignedLink struct {
	url         *url.URL
	contentType string
}

// attempt is one sending of a request, and what came of it.
type attempt struct {
	req     http.Request
	url     url.URL
	reqBody oneshot.Reader
	guard   transport.Guard

	status     int // 0: no response
	header     http.Header
	body       string // of the response, as far as it was read
	truncated  bool   // the response is an error and could not be read to its end
	cutShort   bool   // likewise, because it is too long
	unread     bool   // there is a response although no byte of the request's body was handed to the transport
	incomplete bool   // the last byte of the request was never handed to the transport, and never will be
	ended      bool   // the caller's context is over
	naming     *naming
	err        error // nil: a 2xx response, read to its end
}

// names returns what the response says of tasks, which it looks for once.
func (a *attempt) names() *naming {
	if a.naming == nil {
		a.naming = namedTasks(a.body, a.header.Get("Location"))
	}
	return a.naming
}

// reply returns the body without the byte order mark that some servers put before it.
func (a *attempt) reply() string { return strings.TrimPrefix(a.body, lenientjson.ByteOrderMark) }

// operation is what the errors of a call need to know of it.
type operation struct {
	name string              // method and path
	mask func(string) string // masks the API key and what a presigned link has in its query
	link bool                // the call leaves the API for a presigned link
}

func (c *Client) operation(rq *request) operation {
	u := c.target(rq)
	op := operation{name: operationName(rq.method, &u), mask: c.redact}
	if rq.presigned != nil {
		query := scrub.QuerySecrets(u.RawQuery)
		op.link, op.mask = true, func(text string) string { return query.Mask(c.redact(text)) }
	}
	return op
}

// target returns where a request goes.
func (c *Client) target(rq *request) url.URL {
	if rq.presigned != nil {
		return *rq.presigned.url
	}
	u := c.base
	if rq.fromRoot {
		u = c.root
	}
	u.Path += rq.path
	if u.RawPath != "" {
		u.RawPath += rq.path
	}
	u.RawQuery = rq.query
	return u
}

func (c *Client) routeFor(rq *request) *transport.Route {
	switch {
	case rq.paid:
		return &c.routes.Creates
	case rq.presigned != nil:
		return &c.routes.Uploads
	}
	return &c.routes.Reads
}

// newRequest builds the request of an attempt by hand: everything in it was checked before, and the header's values are
// shared.
func (c *Client) newRequest(ctx context.Context, rq *request, a *attempt) *http.Request {
	var header http.Header
	switch {
	case rq.presigned != nil:
		header = c.otherHeader()
		header["Content-Type"] = []string{rq.presigned.contentType}
	case rq.method == http.MethodGet: // a cache would keep a task from ending
		header = c.header()
		header["Cache-Control"] = noCache
	default:
		header = c.header()
	}
	a.url = c.target(rq)
	req := http.Request{
		Method: rq.method, URL: &a.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
		Close: rq.paid, // a connection that stays idle is of no use to a create, and of danger to the next
	}
	a.req = *req.WithContext(ctx)
	return &a.req
}

var noCache = []string{"no-cache"}

func operationName(method string, u *url.URL) string { return scrub.OneLine(method+" "+u.Path, 160) }
