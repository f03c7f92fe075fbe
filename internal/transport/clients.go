// Package transport makes the http.Clients of an API client, each with what its requests need: a paid create is never
// sent twice by net/http, reads share connections, downloads and uploads carry no cookies to other hosts. A [Guard]
// ends an attempt whose transport retries by itself, be it net/http's or one that the caller brought. Whatever a server
// sends, [ReadBounded] and [Drain] read no more than a fixed number of bytes of it.
package transport

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Clients are what one API client sends its requests with. None of them follows redirects.
type Clients struct {
	Creates   *http.Client // one connection for each request, HTTP/1.1 only: net/http never sends a create twice
	Reads     *http.Client // many idle connections, for many polls at once
	Downloads *http.Client // without cookies or timeout; never waits for a free connection, which would look like a stall
	Uploads   *http.Client // as Downloads, with the timeout of Creates: the other side may stop reading
}

// New makes the clients. callers may be nil; it is not changed, and its Transport, Timeout and Jar are used where it
// has them.
func New(callers *http.Client) Clients {
	if callers == nil {
		callers = &http.Client{}
	}
	c := Clients{Creates: new(*callers), Reads: new(*callers), Downloads: new(*callers), Uploads: new(*callers)}
	for _, client := range []*http.Client{c.Creates, c.Reads, c.Downloads, c.Uploads} {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	if callers.Transport == nil {
		c.setTransports()
	}
	c.Downloads.Jar, c.Downloads.Timeout = nil, 0
	c.Uploads.Jar, c.Uploads.Timeout = nil, c.Creates.Timeout
	return c
}

// setTransports is for clients whose transport and timeouts are not the caller's.
func (c *Clients) setTransports() {
	if c.Creates.Timeout == 0 {
		c.Creates.Timeout, c.Reads.Timeout = 10*time.Minute, time.Minute
	}
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // the program has replaced it
		standard = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	}
	shared := readTransport(standard)
	unbounded := shared.Clone()
	unbounded.MaxConnsPerHost = 0
	c.Creates.Transport, c.Reads.Transport = createTransport(shared), shared
	c.Downloads.Transport, c.Uploads.Transport = unbounded, unbounded
}

const maxHeader = 64 << 10

// readTransport keeps enough idle connections for many polls at once; net/http's own two per host would cost most polls
// a TLS handshake.
func readTransport(standard *http.Transport) *http.Transport {
	t := standard.Clone()
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 10 * time.Second
	t.ResponseHeaderTimeout = 30 * time.Second
	t.IdleConnTimeout = 90 * time.Second
	t.MaxConnsPerHost = 64
	t.MaxIdleConnsPerHost = 64
	t.MaxResponseHeaderBytes = maxHeader
	t.DisableCompression = true
	return t
}

// createTransport opens a new connection for every create and speaks HTTP/1.1 only. At the price of one handshake per
// call that removes the failures whose outcome is always unknown: the keep-alive connection that the server closes as
// the request arrives, and HTTP/2's refused and abandoned streams.
func createTransport(shared *http.Transport) *http.Transport {
	t := shared.Clone()
	t.DisableKeepAlives = true
	t.ResponseHeaderTimeout = 2 * time.Minute // a timeout leaves the outcome unknown, so it is long
	t.MaxConnsPerHost = 0
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if t.TLSClientConfig == nil { // as when HTTP/2 is switched off with GODEBUG
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	return t
}
