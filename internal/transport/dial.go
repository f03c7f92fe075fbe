//go:build !js

package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// setDialer bounds the time that connecting takes.
func setDialer(t *http.Transport) {
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
}

// refuseHTTP2 makes t, which speaks HTTP/1.1, fail with [ErrHTTP2Only] when the server begins with HTTP/2 all the same.
// Otherwise it would wait for the end of a line that never comes.
func refuseHTTP2(t *http.Transport) {
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialTLS(ctx, t, network, address)
		if err != nil {
			return nil, err
		}
		if conn.ConnectionState().NegotiatedProtocol == "" {
			return &http1Conn{Conn: conn}, nil
		}
		return conn, nil
	}
}

// http1Conn is a connection to a server that has not agreed to HTTP/1.1. Its Read is called by one goroutine, and its
// Write by another.
type http1Conn struct {
	net.Conn

	begun bool
	http2 atomic.Bool
}

// Read looks at what comes first. HTTP/2 begins with a SETTINGS frame for stream 0; HTTP/1.1 does not begin with a
// zero.
func (c *http1Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	const header = 9
	if !c.begun && n >= header && p[0] == 0 && [6]byte(p[3:header]) == [6]byte{4} {
		c.http2.Store(true)
		return 0, ErrHTTP2Only
	}
	c.begun = c.begun || n > 0
	return n, err
}

// Write may fail because net/http has closed the connection after that Read, and its error may be the one that counts.
func (c *http1Conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil && c.http2.Load() {
		err = ErrHTTP2Only
	}
	return n, err
}

// dialTLS connects as t does, which has no dialer for TLS but the one that calls this.
func dialTLS(ctx context.Context, t *http.Transport, network, address string) (*tls.Conn, error) {
	dial := t.DialContext
	switch {
	case dial != nil:
	case t.Dial != nil: //nolint:staticcheck // callers may still set it
		dial = func(_ context.Context, network, address string) (net.Conn, error) {
			return t.Dial(network, address) //nolint:staticcheck // as above
		}
	default:
		dial = new(net.Dialer).DialContext
	}
	plain, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := t.TLSClientConfig.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address) // net/http's have a port
	}
	if t.TLSHandshakeTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t.TLSHandshakeTimeout, errHandshakeTimeout)
		defer cancel()
	}
	conn := tls.Client(plain, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		plain.Close() //nolint:errcheck // the handshake's error says more
		if errors.Is(context.Cause(ctx), errHandshakeTimeout) {
			err = errHandshakeTimeout
		}
		return nil, err
	}
	return conn, nil
}

var errHandshakeTimeout = errors.New("TLS handshake timeout")
