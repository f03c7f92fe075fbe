package vidutest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
)

var errServerClosed = errors.New("vidutest: the server was closed")

// memoryTransport is an [http.RoundTripper] that hands requests to a server without any socket. Everything in it waits
// on channels, mutexes and condition variables alone, so that the clock of a testing/synctest bubble can move on.
type memoryTransport struct {
	server *Server
}

// RoundTrip implements [http.RoundTripper].
func (t *memoryTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	x, err := t.dial(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	select {
	case resp := <-x.response:
		return resp, nil
	case <-x.ctx.Done():
		return nil, context.Cause(x.ctx)
	}
}

// dial starts an exchange. Its errors have the types of a real connection's.
func (t *memoryTransport) dial(req *http.Request) (*exchange, error) {
	if err := context.Cause(req.Context()); err != nil {
		return nil, err
	}
	if base, err := url.Parse(t.server.URL); err != nil || req.URL.Host != base.Host || req.URL.Scheme != base.Scheme {
		unknown := &net.DNSError{Err: "no such host", Name: req.URL.Hostname(), IsNotFound: true}
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: unknown}
	}
	x, err := newExchange(req, t.server)
	if err != nil {
		return nil, err
	}
	if !t.server.start(x.serve) {
		x.cancel(errServerClosed)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errServerClosed}
	}
	return x, nil
}

// exchange is one request and its response. Its context is the connection: it is over when the client's context is,
// when the client is done with the response, or when either side gives up. Its cause is the client's error.
type exchange struct {
	server   *Server
	ctx      context.Context
	cancel   context.CancelCauseFunc
	request  *http.Request // as the handler sees it
	body     *requestBody
	stream   *stream // the response's body
	writer   *responseWriter
	response chan *http.Response // gets at most one
}

func newExchange(req *http.Request, server *Server) (*exchange, error) {
	target, err := url.ParseRequestURI(req.URL.RequestURI())
	if err != nil {
		return nil, err
	}
	x := &exchange{server: server, stream: newStream(), response: make(chan *http.Response, 1)}
	ctx, cancel := context.WithCancelCause(req.Context())
	x.ctx, x.cancel = ctx, cancel
	x.body = newRequestBody(req, cancel)
	x.writer = &responseWriter{exchange: x, header: make(http.Header), sent: req}
	x.request = (&http.Request{
		Method:        req.Method,
		URL:           target,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        req.Header.Clone(),
		Body:          x.body,
		ContentLength: x.body.length,
		Host:          req.URL.Host,
		RemoteAddr:    "192.0.2.1:1234", // a documentation address, as in httptest
		RequestURI:    req.URL.RequestURI(),
	}).WithContext(ctx)
	if req.Method == "" {
		x.request.Method = http.MethodGet
	}
	if req.Host != "" {
		x.request.Host = req.Host
	}
	return x, nil
}

// serve runs the handler and ends the response, however the handler ends.
func (x *exchange) serve() {
	context.AfterFunc(x.ctx, x.hangUp)
	defer context.AfterFunc(x.server.closing, func() { x.cancel(errServerClosed) })()

	aborted := true // also by runtime.Goexit, which is how a test fails that fails within a handler
	defer func() { x.end(aborted) }()
	aborted = x.handle()
}

// end ends the response.
func (x *exchange) end(aborted bool) {
	_ = x.body.Close()
	switch {
	case !aborted:
		x.writer.finish()
	case !x.writer.out:
		x.cancel(io.EOF) // what a real client reads from a connection that is cut before the answer
	default:
		x.stream.end(io.ErrUnexpectedEOF)
	}
}

// handle runs the handler and reports whether it cut the connection.
func (x *exchange) handle() (aborted bool) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			aborted = true
		default:
			panic(p) //nolint:forbidigo // a bug must not look like a cut
		}
	}()
	x.server.ServeHTTP(x.writer, x.request)
	return false
}

// hangUp fails both sides when the exchange is over.
func (x *exchange) hangUp() {
	x.stream.abort(context.Cause(x.ctx))
	_ = x.body.Close()
}

// requestBody is the handler's side of the client's body. As on a real connection, a body that fails or is not as long
// as promised fails the client's round trip, and the handler sees a truncated request.
type requestBody struct {
	src    io.ReadCloser
	length int64 // -1 when unknown
	read   int64
	fail   context.CancelCauseFunc
	close  func() error
}

func newRequestBody(req *http.Request, fail context.CancelCauseFunc) *requestBody {
	b := &requestBody{src: req.Body, length: req.ContentLength, fail: fail}
	switch {
	case b.src == nil || b.src == http.NoBody:
		b.src, b.length = http.NoBody, 0
	case b.length == 0:
		b.length = -1 // a client's 0 with a body means unknown
	}
	b.close = sync.OnceValue(b.src.Close)
	return b
}

// Read implements [io.Reader].
func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.src.Read(p)
	b.read += int64(n)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		b.fail(err)
	case b.length >= 0 && (b.read > b.length || err != nil && b.read < b.length):
		b.fail(fmt.Errorf("vidutest: ContentLength is %d, the body has %d bytes or more", b.length, b.read))
	default:
		return n, err
	}
	return 0, io.ErrUnexpectedEOF
}

// Close implements [io.Closer]. It closes the client's body, once.
func (b *requestBody) Close() error {
	return b.close()
}
