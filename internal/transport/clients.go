// Package transport makes what an API client sends its requests with, each with what its requests need: a paid create
// is never sent twice by net/http, reads share connections, downloads and uploads carry no cookies to other hosts. A
// [Guard] ends an attempt that takes too long or whose transport retries by itself, be it net/http's or one that the
// caller brought. Whatever a server sends, [ReadBounded] and [Drain] read no more than a fixed number of bytes of it.
package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"
)

// Route is what requests of one kind are sent with. Nothing on it follows redirects.
//
// It is no http.Client because that copies the header of every request, for redirects to come.
type Route struct {
	Transport http.RoundTripper
	Timeout   time.Duration // of one attempt, until its response is read; 0: none
}

// Routes are what one API client sends its requests with.
type Routes struct {
	// Creates opens a connection for each request and speaks HTTP/1.1 only, so that net/http never sends one twice. With a
	// RoundTripper of the caller's that is no *http.Transport, only the Guard is left.
	Creates   Route
	Reads     Route // many idle connections, for many polls at once
	Downloads Route // without cookies or timeout; never waits for a free connection, which would look like a stall
	Uploads   Route // as Downloads, with the timeout of Creates: the other side may stop reading

	// Replaced is what the program has put in place of http.DefaultTransport, if it is used for want of another and is
	// no *http.Transport, so that creates have no transport of their own.
	Replaced http.RoundTripper
}

// Wrap puts a RoundTripper around another.
type Wrap func(http.RoundTripper) http.RoundTripper

// New makes the routes. callers may be nil; it is not changed, and its Transport, Timeout and Jar are used where it has
// them. The wraps go around the transports of Creates and Reads, the first outermost.
func New(callers *http.Client, wraps ...Wrap) (Routes, error) {
	if callers == nil {
		callers = &http.Client{}
	}
	var r Routes
	for _, route := range r.all() {
		*route = Route{callers.Transport, callers.Timeout}
	}
	r.Downloads.Timeout = 0
	switch {
	case callers.Transport == nil:
		r.setTransports()
	case isNil(callers.Transport):
		return Routes{}, fmt.Errorf("WithHTTPClient: the transport is a nil %T", callers.Transport)
	default:
		if theirs, ok := callers.Transport.(*http.Transport); ok {
			r.Creates.Transport = createTransport(theirs)
		}
	}
	if err := r.wrap(wraps); err != nil {
		return Routes{}, err
	}
	if callers.Jar != nil {
		r.Creates.Transport = withCookies(r.Creates.Transport, callers.Jar)
		r.Reads.Transport = withCookies(r.Reads.Transport, callers.Jar)
	}
	return r, nil
}

func (r *Routes) all() []*Route { return []*Route{&r.Creates, &r.Reads, &r.Downloads, &r.Uploads} }

// cookies is an http.Client that is used for its cookies alone.
type cookies struct{ *http.Client }

func withCookies(t http.RoundTripper, jar http.CookieJar) cookies {
	return cookies{&http.Client{
		Transport: t, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// RoundTrip implements [http.RoundTripper].
func (c cookies) RoundTrip(req *http.Request) (*http.Response, error) { return c.Do(req) }

// isNil reports whether t is a nil pointer or function inside an interface, which panics when it is used.
func isNil(t http.RoundTripper) bool {
	v := reflect.ValueOf(t)
	return !v.IsValid() || (v.Kind() == reflect.Pointer || v.Kind() == reflect.Func) && v.IsNil()
}

// setTransports is for clients whose transport is not the caller's.
func (r *Routes) setTransports() {
	if r.Creates.Timeout == 0 {
		r.Creates.Timeout, r.Reads.Timeout, r.Uploads.Timeout = 10*time.Minute, time.Minute, 10*time.Minute
	}
	standard, ok := http.DefaultTransport.(*http.Transport)
	switch {
	case !ok && !isNil(http.DefaultTransport): // perhaps a mock, and a test that passed it by would reach a paid API
		r.Replaced = http.DefaultTransport
		for _, route := range r.all() {
			route.Transport = r.Replaced
		}
		return
	case standard == nil:
		standard = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	}
	shared := readTransport(standard)
	unbounded := shared.Clone()
	unbounded.MaxConnsPerHost = 0
	create := createTransport(shared)
	create.ResponseHeaderTimeout = 2 * time.Minute // a timeout leaves the outcome unknown, so it is long
	create.MaxConnsPerHost = 0
	r.Creates.Transport, r.Reads.Transport = create, shared
	r.Downloads.Transport, r.Uploads.Transport = unbounded, unbounded
	nameProxy(shared)
	nameProxy(unbounded)
}

const maxHeader = 64 << 10

// readTransport keeps enough idle connections for many polls at once; net/http's own two per host would cost most polls
// a TLS handshake.
func readTransport(standard *http.Transport) *http.Transport {
	t := standard.Clone()
	setDialer(t)
	t.TLSHandshakeTimeout = 10 * time.Second
	t.ResponseHeaderTimeout = 30 * time.Second
	t.IdleConnTimeout = 90 * time.Second
	t.MaxConnsPerHost = 64
	t.MaxIdleConnsPerHost = 64
	t.MaxResponseHeaderBytes = maxHeader
	t.DisableCompression = true
	return t
}

// createTransport returns a transport like t that opens a new connection for every create and speaks HTTP/1.1 only. At
// the price of one handshake per call that removes the failures whose outcome is always unknown: the keep-alive
// connection that the server closes as the request arrives, and HTTP/2's refused and abandoned streams.
func createTransport(t *http.Transport) *http.Transport {
	t = t.Clone()
	nameProxy(t)
	t.DisableKeepAlives = true
	if choosesProtocol(t) {
		return t
	}
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if t.TLSClientConfig == nil { // as when HTTP/2 is switched off with GODEBUG
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	refuseHTTP2(t)
	return t
}

// ErrHTTP2Only means that a server began to speak HTTP/2 on a connection for HTTP/1.1, so it cannot have understood
// what it was sent.
var ErrHTTP2Only = errors.New("the server speaks HTTP/2 only; creates need HTTP/1.1")

// choosesProtocol reports whether the caller has settled the protocol: with a function that does the TLS handshake, and
// so may agree on HTTP/2, or by excluding HTTP/1.
func choosesProtocol(t *http.Transport) bool {
	return t.DialTLS != nil || t.DialTLSContext != nil || //nolint:staticcheck // callers may still set it
		t.Protocols != nil && !t.Protocols.HTTP1() && *t.Protocols != http.Protocols{}
}

// wrap puts the wraps around one RoundTripper for Creates and Reads.
func (r *Routes) wrap(wraps []Wrap) error {
	if len(wraps) == 0 {
		return nil
	}
	var wrapped http.RoundTripper = &router{creates: r.Creates.Transport, reads: r.Reads.Transport}
	for _, wrap := range slices.Backward(wraps) {
		if wrapped = wrap(wrapped); isNil(wrapped) {
			return errors.New("WithTransportWrapper: the function returned nil")
		}
	}
	r.Creates.Transport, r.Reads.Transport = wrapped, wrapped
	return nil
}

// router sends reads to one transport and everything else to that of creates: a wrapper may lose the context, and a
// create must not land on an idle connection by that.
type router struct{ creates, reads http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (r *router) RoundTrip(req *http.Request) (*http.Response, error) {
	if isRead(req.Context()) {
		return r.reads.RoundTrip(req)
	}
	return r.creates.RoundTrip(req)
}

// CloseIdleConnections is called by [http.Client.CloseIdleConnections], through wrappers that pass it on.
func (r *router) CloseIdleConnections() {
	for _, t := range []http.RoundTripper{r.creates, r.reads} {
		if closer, ok := t.(interface{ CloseIdleConnections() }); ok {
			closer.CloseIdleConnections()
		}
	}
}
