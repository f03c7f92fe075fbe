package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/internal/transport"
)

// overTLS returns clients with the *http.Transport of a caller who trusts servers with config.
func overTLS(t *testing.T, change func(*http.Transport)) (transport.Routes, *tls.Config) {
	t.Helper()
	config, pool := testkit.Certificate(t, testkit.FarFuture, "gateway.example.com")
	callers := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: "gateway.example.com"}}
	if change != nil {
		change(callers)
	}
	return made(t, &http.Client{Transport: callers}), config
}

func post(t *testing.T, route transport.Route, to string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, http.NoBody)
	require.NoError(t, err)
	resp, err := route.Transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// settings is the frame that a server begins HTTP/2 with.
const settings = "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x7f\xff\xff\xff"

// A server that begins with HTTP/2 whatever was agreed is found out, and one that merely has no ALPN is not.
func TestCreates_FirstBytes(t *testing.T) {
	t.Parallel()
	const reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
	for name, tt := range map[string]struct {
		protocols []string
		first     string
		only2     bool
	}{
		"HTTP/2 only":                    {[]string{"h2"}, settings, true},
		"HTTP/2 without ALPN":            {nil, settings, true},
		"empty settings":                 {nil, settings[:2] + "\x00\x04\x00\x00\x00\x00\x00", true},
		"HTTP/1.1 without ALPN":          {nil, reply, false},
		"HTTP/1.1, but ALPN for HTTP/2":  {[]string{"h2"}, reply, false},
		"HTTP/1.1":                       {[]string{"h2", "http/1.1"}, reply, false},
		"a frame inside of the response": {nil, "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, config := overTLS(t, nil)
			config.NextProtos = tt.protocols
			w := testkit.Serve(t, config, func(_ *testkit.Server, conn net.Conn) {
				conn.Read(make([]byte, 1024)) //nolint:errcheck // the response shows
				io.WriteString(conn, tt.first)
				if tt.first[0] != 0 && len(tt.first) != len(reply) {
					io.WriteString(conn, settings)
				}
				<-t.Context().Done() // without the end of a line
			})
			text, err := post(t, c.Creates, w.URL)
			switch {
			case tt.only2:
				require.ErrorIs(t, err, transport.ErrHTTP2Only)
			case len(tt.first) == len(reply):
				require.NoError(t, err)
				assert.Equal(t, "{}", text)
			default:
				require.NoError(t, err)
				assert.Equal(t, settings, text)
			}
		})
	}
}

// What ends within the header of a frame is not known to be HTTP/2.
func TestCreates_TooFewFirstBytes(t *testing.T) {
	t.Parallel()
	c, config := overTLS(t, nil)
	w := testkit.Serve(t, config, func(_ *testkit.Server, conn net.Conn) {
		conn.Read(make([]byte, 1024)) //nolint:errcheck // the response shows
		io.WriteString(conn, settings[:8])
	})
	_, err := post(t, c.Creates, w.URL)
	require.Error(t, err)
	require.NotErrorIs(t, err, transport.ErrHTTP2Only)
}

// net/http closes a connection that begins with HTTP/2, and may report what became of a write that was going on.
func TestCreates_WriteThatFails(t *testing.T) {
	t.Parallel()
	for name, only2 := range map[string]bool{"HTTP/2": true, "nothing came": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, config := overTLS(t, nil)
			w := testkit.Serve(t, config, func(_ *testkit.Server, conn net.Conn) {
				io.WriteString(conn, settings)
				<-t.Context().Done()
			})
			conn, err := own(t, c.Creates).DialTLSContext(t.Context(), "tcp", strings.TrimPrefix(w.URL, "https://"))
			require.NoError(t, err)
			if only2 {
				_, err = conn.Read(make([]byte, 1024))
				require.ErrorIs(t, err, transport.ErrHTTP2Only)
			}
			n, err := conn.Write([]byte("POST / HTTP/1.1"))
			require.NoError(t, err)
			assert.Equal(t, 15, n)
			require.NoError(t, conn.Close())
			_, err = conn.Write([]byte("\r\n\r\n"))
			require.Error(t, err)
			assert.Equal(t, only2, errors.Is(err, transport.ErrHTTP2Only))
		})
	}
}

// The dialer and the certificate checks of the caller hold for creates as well.
func TestCreates_DialAsTheCaller(t *testing.T) {
	t.Parallel()
	var server *httptest.Server
	dial := func() (net.Conn, error) { return net.Dial("tcp", server.Listener.Addr().String()) } //nolint:noctx // as a caller does
	for name, change := range map[string]func(*http.Transport){
		"DialContext": func(t *http.Transport) {
			t.DialContext = func(context.Context, string, string) (net.Conn, error) { return dial() }
		},
		"Dial": func(t *http.Transport) {
			t.Dial = func(string, string) (net.Conn, error) { return dial() } //nolint:staticcheck // callers may still set it
		},
		"ServerName from the address": func(t *http.Transport) {
			t.DialContext = func(context.Context, string, string) (net.Conn, error) { return dial() }
			t.TLSClientConfig.ServerName = ""
		},
	} {
		c, config := overTLS(t, change)
		server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.TLS.ServerName) }))
		server.TLS = config
		server.StartTLS()
		text, err := post(t, c.Creates, "https://gateway.example.com")
		require.NoError(t, err, name)
		assert.Equal(t, "gateway.example.com", text)
		server.Config.ErrorLog = testkit.QuietLog()
		_, err = post(t, c.Creates, "https://another.example.com")
		if name == "ServerName from the address" {
			refusal := new(tls.CertificateVerificationError)
			require.ErrorAs(t, err, &refusal)
		}
		server.Close()
	}
	c, _ := overTLS(t, func(t *http.Transport) {
		t.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, io.ErrClosedPipe }
	})
	_, err := post(t, c.Creates, "https://gateway.example.com")
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

// closing notes that it was closed.
type closing struct {
	net.Conn

	closed chan struct{}
	once   sync.Once
}

func (c *closing) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// A connection whose server is not trusted does not stay open.
func TestCreates_RefusedHandshakeIsClosed(t *testing.T) {
	t.Parallel()
	server := serveTLS(t)
	server.Config.ErrorLog = testkit.QuietLog()
	opened := &closing{closed: make(chan struct{})}
	c, _ := overTLS(t, func(t *http.Transport) {
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			var err error
			opened.Conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return opened, err
		}
	})
	_, err := post(t, c.Creates, server.URL)
	refusal := new(tls.CertificateVerificationError)
	require.ErrorAs(t, err, &refusal)
	select {
	case <-opened.closed:
	case <-time.After(5 * time.Second):
		require.Fail(t, "it is open")
	}
}

// The handshake ends by the caller's limit; without one, by the context.
func TestCreates_HandshakeHangs(t *testing.T) {
	t.Parallel()
	w := testkit.Serve(t, nil, func(*testkit.Server, net.Conn) { <-t.Context().Done() })
	c, _ := overTLS(t, func(t *http.Transport) { t.TLSHandshakeTimeout = 20 * time.Millisecond })
	_, err := post(t, c.Creates, "https"+w.URL[len("http"):])
	require.ErrorContains(t, err, "TLS handshake timeout")

	c, _ = overTLS(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https"+w.URL[len("http"):], http.NoBody)
	require.NoError(t, err)
	_, err = c.Creates.Transport.RoundTrip(req) //nolint:bodyclose // an error has none
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
