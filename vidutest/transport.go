package vidutest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
)

var errServerClosed = errors.New("vidutest: the server was closed")

// pipes is a listener whose connections are pairs of pipes. Both ends are net/http's, so in memory everything is as on
// a network; but a pipe waits on channels alone, so the clock of a testing/synctest bubble can move on.
type pipes struct {
	server   *Server
	accepted chan net.Conn
}

// Accept implements [net.Listener].
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.server.closing.Done():
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. It is the server's Close that ends Accept.
func (p *pipes) Close() error { return nil }

// Addr implements [net.Listener].
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// transport returns a round tripper that connects through pipes. With https, too, what goes through them is plain text.
func (p *pipes) transport() *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost: maxIdleConns,
		DialContext:         p.dialer("http"),
		DialTLSContext:      p.dialer("https"),
	}
}

// dialer returns a function that connects to the server, if that is at addr. Its errors have the types of a real
// dialer's.
func (p *pipes) dialer(scheme string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		fail := func(err error) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Net: network, Err: err} }
		if !isAt(p.server.URL, scheme, addr) && !isAt(p.server.publicURL, scheme, addr) {
			host, _, _ := net.SplitHostPort(addr) // the transport has put them together
			return fail(&net.DNSError{Err: "no such host", Name: host, IsNotFound: true})
		}
		client, server := net.Pipe()
		select {
		case p.accepted <- server:
			return client, nil
		case <-p.server.closing.Done():
			return fail(errServerClosed)
		case <-ctx.Done():
			return fail(context.Cause(ctx))
		}
	}
}

// isAt reports whether a URL of the given scheme leads to addr.
func isAt(base, scheme, addr string) bool {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != scheme {
		return false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return strings.EqualFold(net.JoinHostPort(u.Hostname(), port), addr)
}
