package vidu

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// httpClients makes the three clients: creates must never be sent twice by net/http, reads may share connections,
// downloads go to other hosts, carry nothing of ours and never wait for a connection, for that would look like a stall.
func httpClients(callers *http.Client) (creates, reads, downloads *http.Client) {
	if callers == nil {
		callers = &http.Client{}
	}
	creates, reads, downloads = new(*callers), new(*callers), new(*callers)
	for _, c := range []*http.Client{creates, reads, downloads} {
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	downloads.Jar, downloads.Timeout = nil, 0
	if callers.Transport != nil {
		return creates, reads, downloads
	}
	if callers.Timeout == 0 {
		creates.Timeout, reads.Timeout = 10*time.Minute, time.Minute
	}
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // the program has replaced it
		standard = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	}
	shared := readTransport(standard)
	unbounded := shared.Clone()
	unbounded.MaxConnsPerHost = 0
	creates.Transport, reads.Transport, downloads.Transport = createTransport(shared), shared, unbounded
	return creates, reads, downloads
}

// readTransport keeps enough idle connections for many polls at once; net/http's own two a host would cost most polls
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

// createTransport opens a connection of its own for every create and speaks HTTP/1.1 only. That removes, for one
// handshake a call, the failures whose outcome nobody can know: the keep-alive connection that the server closes as
// the request arrives, and HTTP/2's refused and abandoned streams.
func createTransport(shared *http.Transport) *http.Transport {
	t := shared.Clone()
	t.DisableKeepAlives = true
	t.ResponseHeaderTimeout = 2 * time.Minute // every timeout of ours is a doubt bought
	t.MaxConnsPerHost = 0
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	return t
}

// maxSendings is how often the transport may put one read on the wire: HTTP/2 repeats requests that the server
// abandons, without limit.
const maxSendings = 4

var errResent = errors.New("the HTTP transport tried to send the request again by itself and was stopped")

// guard ends an attempt that its transport repeats behind our back, at the moment when it asks for one more connection
// than it may. A create may ask for any number as long as nobody has touched its body; after that, only for its first.
// It is the best that can be done about a RoundTripper that retries, and it may come too late: see WithHTTPClient. Call
// release when the attempt is over.
func guard(ctx context.Context, paid bool, sent *oneShot) (context.Context, *wireGuard) {
	g := &wireGuard{}
	g.left.Store(maxSendings)
	if paid {
		g.left.Store(1)
		g.sent = sent
	}
	ctx, g.cancel = context.WithCancelCause(ctx)
	g.trace.GetConn = g.getConn
	return httptrace.WithClientTrace(ctx, &g.trace), g
}

// wireGuard counts the connections of one attempt.
type wireGuard struct {
	left   atomic.Int32
	sent   *oneShot // of a create
	cancel context.CancelCauseFunc
	trace  httptrace.ClientTrace
}

func (g *wireGuard) getConn(string) {
	if g.sent != nil && g.sent.untouched() { // nothing of it can have been sent; a transport may fetch a token first
		g.left.Store(0)
		return
	}
	if g.left.Add(-1) < 0 {
		g.cancel(errResent)
	}
}

func (g *wireGuard) release() { g.cancel(nil) }

// readBounded reads r to its end or to limit; what was read until then comes back with every error. hint is the length
// that the header promised, -1 for nothing; only a small promise is believed in advance.
func readBounded(r io.Reader, hint, limit int64) ([]byte, error) {
	if hint < 0 {
		hint = 512
	}
	buf := make([]byte, 0, min(hint, maxErrorReply)+1) // one more, to see the end without growing
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return buf[:limit], errReplyTooBig
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return buf, err
		case len(buf) == cap(buf): // doubled, because append would allocate five times the limit on the way there
			buf = append(make([]byte, 0, min(2*int64(cap(buf)), limit+512)), buf...)
		}
	}
}
