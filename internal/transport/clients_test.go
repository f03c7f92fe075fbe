package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// made returns what New makes.
func made(t *testing.T, callers *http.Client, wraps ...transport.Wrap) transport.Routes {
	t.Helper()
	c, err := transport.New(callers, wraps...)
	require.NoError(t, err)
	return c
}

// all returns the routes by name.
func all(c transport.Routes) map[string]transport.Route {
	return map[string]transport.Route{"creates": c.Creates, "reads": c.Reads, "downloads": c.Downloads, "uploads": c.Uploads}
}

// own returns the transport of a route, which must be one of net/http's.
func own(t *testing.T, route transport.Route) *http.Transport {
	t.Helper()
	own, ok := route.Transport.(*http.Transport)
	require.True(t, ok)
	return own
}

func TestNew_OwnTransports(t *testing.T) {
	t.Parallel()
	for name, callers := range map[string]*http.Client{"none given": nil, "a client without a transport": {Timeout: time.Second}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := made(t, callers)
			create, read, download := own(t, c.Creates), own(t, c.Reads), own(t, c.Downloads)
			assert.True(t, create.DisableKeepAlives, "an idle connection may die as the create is written to it")
			assert.True(t, create.Protocols.HTTP1() && !create.Protocols.HTTP2())
			assert.False(t, create.ForceAttemptHTTP2)
			assert.Equal(t, []string{"http/1.1"}, create.TLSClientConfig.NextProtos, "else the handshake agrees on HTTP/2")
			assert.NotNil(t, create.TLSNextProto)
			assert.Empty(t, create.TLSNextProto)
			assert.Equal(t, 2*time.Minute, create.ResponseHeaderTimeout)
			assert.Zero(t, create.MaxConnsPerHost)

			assert.False(t, read.DisableKeepAlives)
			assert.Equal(t, 64, read.MaxIdleConnsPerHost)
			assert.Equal(t, 64, read.MaxConnsPerHost)
			assert.Equal(t, 30*time.Second, read.ResponseHeaderTimeout)

			assert.Zero(t, download.MaxConnsPerHost, "waiting for a connection would look like a stall")
			assert.Equal(t, 64, download.MaxIdleConnsPerHost)
			assert.Same(t, download, c.Uploads.Transport)

			for _, transport := range []*http.Transport{create, read, download} {
				assert.NotSame(t, http.DefaultTransport, transport)
				assert.Equal(t, 10*time.Second, transport.TLSHandshakeTimeout)
				assert.Equal(t, 90*time.Second, transport.IdleConnTimeout)
				assert.Equal(t, int64(64<<10), transport.MaxResponseHeaderBytes)
				assert.True(t, transport.DisableCompression)
				assert.NotNil(t, transport.Proxy)
			}
			assert.NotSame(t, read, create)
			assert.NotSame(t, read, download)
		})
	}
}

func TestNew_Timeouts(t *testing.T) {
	t.Parallel()
	other := testkit.RoundTrip(func(*http.Request) (*http.Response, error) { return nil, io.EOF })
	for name, tt := range map[string]struct {
		callers        *http.Client
		creates, reads time.Duration
	}{
		"none given":                   {nil, 10 * time.Minute, time.Minute},
		"an empty client":              {&http.Client{}, 10 * time.Minute, time.Minute},
		"a timeout":                    {&http.Client{Timeout: time.Second}, time.Second, time.Second},
		"a transport":                  {&http.Client{Transport: other}, 0, 0},
		"a transport with its timeout": {&http.Client{Transport: other, Timeout: time.Second}, time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := made(t, tt.callers)
			assert.Equal(t, tt.creates, c.Creates.Timeout)
			assert.Equal(t, tt.reads, c.Reads.Timeout)
			assert.Zero(t, c.Downloads.Timeout, "a long download is no failure")
			assert.Equal(t, tt.creates, c.Uploads.Timeout, "a storage may stop reading")
		})
	}
}

// What the caller brings is used for everything and not changed. Cookies go to the API only.
func TestNew_CallersClient(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	theirs := &named{}
	callers := &http.Client{Timeout: time.Minute, Transport: theirs}
	for name, route := range all(made(t, callers)) {
		assert.Same(t, theirs, route.Transport, name)
	}
	callers.Jar = jar
	c := made(t, callers)
	assert.Same(t, theirs, c.Downloads.Transport)
	assert.Same(t, theirs, c.Uploads.Transport)
	assert.Nil(t, callers.CheckRedirect)
	assert.Equal(t, time.Minute, callers.Timeout)
	assert.Same(t, jar, callers.Jar)
	assert.Nil(t, c.Replaced)
}

// A caller's *http.Transport is used as it is for all but creates, which get a safe clone of it.
func TestNew_CallersTransport(t *testing.T) {
	t.Parallel()
	dialTLS := func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }
	only2, none := new(http.Protocols), new(http.Protocols)
	only2.SetHTTP2(true)
	for name, tt := range map[string]struct {
		callers *http.Transport
		keeps   bool // its protocol
	}{
		"zero":                 {&http.Transport{}, false},
		"with HTTP/2":          {&http.Transport{ForceAttemptHTTP2: true}, false},
		"protocols, but empty": {&http.Transport{Protocols: none}, false},
		"HTTP/2 only":          {&http.Transport{Protocols: only2}, true},
		"DialTLSContext":       {&http.Transport{DialTLSContext: dialTLS}, true},
		"DialTLS":              {&http.Transport{DialTLS: func(string, string) (net.Conn, error) { return nil, io.EOF }}, true}, //nolint:staticcheck // callers may still set it
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, proxy := x509.NewCertPool(), func(*http.Request) (*url.URL, error) { return nil, io.EOF }
			tt.callers.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool}
			tt.callers.Proxy, tt.callers.MaxConnsPerHost, tt.callers.ResponseHeaderTimeout = proxy, 7, time.Hour
			c := made(t, &http.Client{Transport: tt.callers})
			for _, client := range []transport.Route{c.Reads, c.Downloads, c.Uploads} {
				assert.Same(t, tt.callers, client.Transport)
			}
			create := own(t, c.Creates)
			assert.True(t, create.DisableKeepAlives)
			assert.Same(t, pool, create.TLSClientConfig.RootCAs)
			assert.Equal(t, uint16(tls.VersionTLS13), create.TLSClientConfig.MinVersion)
			assert.NotNil(t, create.Proxy)
			assert.Equal(t, 7, create.MaxConnsPerHost)
			assert.Equal(t, time.Hour, create.ResponseHeaderTimeout, "built-in limits do not apply")
			if tt.keeps {
				assert.NotEqual(t, []string{"http/1.1"}, create.TLSClientConfig.NextProtos)
				assert.Equal(t, tt.callers.Protocols, create.Protocols)
			} else {
				assert.Equal(t, []string{"http/1.1"}, create.TLSClientConfig.NextProtos)
				assert.True(t, create.Protocols.HTTP1() && !create.Protocols.HTTP2())
				assert.False(t, create.ForceAttemptHTTP2)
				assert.Nil(t, tt.callers.DialTLSContext)
			}
			assert.False(t, tt.callers.DisableKeepAlives, "it is not changed")
			assert.Nil(t, tt.callers.OnProxyConnectResponse)
			assert.NotEqual(t, []string{"http/1.1"}, tt.callers.TLSClientConfig.NextProtos)
			assert.Zero(t, c.Creates.Timeout)
		})
	}
}

func TestNew_NilTransport(t *testing.T) {
	t.Parallel()
	for name, nothing := range map[string]http.RoundTripper{
		"*http.Transport": (*http.Transport)(nil), "another pointer": (*named)(nil), "a function": testkit.RoundTrip(nil),
	} {
		_, err := transport.New(&http.Client{Transport: nothing})
		require.ErrorContains(t, err, "WithHTTPClient: the transport is a nil ", name)
	}
}

// named is a RoundTripper that lists who was called.
type named struct {
	name   string
	called *[]string
	next   http.RoundTripper
}

func (n *named) RoundTrip(r *http.Request) (*http.Response, error) {
	*n.called = append(*n.called, n.name)
	if n.next == nil {
		return testkit.Reply(r, http.StatusOK, "")
	}
	return n.next.RoundTrip(r)
}

func TestNew_Wraps(t *testing.T) {
	t.Parallel()
	var called []string
	wraps := 0
	wrap := func(name string) transport.Wrap {
		return func(next http.RoundTripper) http.RoundTripper {
			wraps++
			return &named{name, &called, next}
		}
	}
	loses := func(next http.RoundTripper) http.RoundTripper {
		return testkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
			return next.RoundTrip(r.WithContext(t.Context()))
		})
	}
	base := &named{"transport", &called, nil}
	c := made(t, &http.Client{Transport: base}, wrap("first"), wrap("second"))
	assert.Equal(t, 2, wraps, "once each")
	for name, want := range map[string][]string{
		"creates": {"first", "second", "transport"}, "reads": {"first", "second", "transport"}, "downloads": {"transport"}, "uploads": {"transport"},
	} {
		called = nil
		roundTrip(t, all(c)[name], t.Context())
		assert.Equal(t, want, called, name)
	}
	closeIdle(c.Creates)

	// The router beneath picks the transport by the attempt, and that of creates if it cannot know it.
	for name, tt := range map[string]struct {
		wrap    transport.Wrap
		attempt string // "create", "read", "": not an attempt
		want    string
	}{
		"create":                      {wrap("wrap"), "create", "HTTP/1.1"},
		"read":                        {wrap("wrap"), "read", "HTTP/2.0"},
		"create, the context is lost": {loses, "create", "HTTP/1.1"},
		"read, the context is lost":   {loses, "read", "HTTP/1.1"},
		"a request of the wrapper":    {wrap("wrap"), "", "HTTP/1.1"},
	} {
		server := serveTLS(t)
		callers := own(t, transport.Route{Transport: server.Client().Transport}).Clone()
		c := made(t, &http.Client{Transport: callers}, tt.wrap)
		for _, client := range []transport.Route{c.Creates, c.Reads} {
			ctx, guard := t.Context(), transport.Guard{}
			switch tt.attempt {
			case "create":
				ctx = guard.GuardCreate(ctx, time.Minute, &body{})
				defer guard.Release()
			case "read":
				ctx = guard.GuardRead(ctx, time.Minute)
				defer guard.Release()
			}
			protocol, _, _ := strings.Cut(roundTripTo(t, client, context.WithValue(ctx, &called, 1), server.URL), " ")
			assert.Equal(t, tt.want, protocol, name)
		}
		callers.CloseIdleConnections()
	}
}

// TestNew_WrapsCloseIdleConnections: a wrapper that passes the call on reaches both transports.
func TestNew_WrapsCloseIdleConnections(t *testing.T) {
	t.Parallel()
	server := serveTLS(t)
	c := made(t, server.Client(), func(next http.RoundTripper) http.RoundTripper { return next })
	var guard transport.Guard
	read := guard.GuardRead(t.Context(), 0)
	defer guard.Release()
	first := roundTripTo(t, c.Reads, read, server.URL)
	assert.Equal(t, first, roundTripTo(t, c.Reads, read, server.URL))
	closeIdle(c.Reads)
	assert.NotEqual(t, first, roundTripTo(t, c.Reads, read, server.URL))
}

// closeIdle does what an http.Client with this transport does.
func closeIdle(route transport.Route) {
	(&http.Client{Transport: route.Transport}).CloseIdleConnections()
}

func TestNew_WrapReturnsNil(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]transport.Wrap{
		"nil":         func(http.RoundTripper) http.RoundTripper { return nil },
		"a typed nil": func(http.RoundTripper) http.RoundTripper { return (*named)(nil) },
	} {
		_, err := transport.New(nil, wrap)
		require.EqualError(t, err, "WithTransportWrapper: the function returned nil", name)
	}
}

func roundTrip(t *testing.T, client transport.Route, ctx context.Context) { //nolint:revive // t first reads better
	t.Helper()
	roundTripTo(t, client, ctx, "http://127.0.0.1/")
}

// roundTripTo returns the text of the response.
func roundTripTo(t *testing.T, client transport.Route, ctx context.Context, to string) string { //nolint:revive // as above
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, http.NoBody)
	require.NoError(t, err)
	resp, err := client.Transport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
}

// serveTLS starts a server with HTTP/2 that answers with the protocol and the client's address.
func serveTLS(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.RemoteAddr)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestNew_RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	callers := &http.Client{Transport: testkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := testkit.Reply(r, http.StatusFound, "")
		resp.Header.Set("Location", "/elsewhere")
		return resp, err
	})}
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	for _, callers.Jar = range []http.CookieJar{nil, jar} {
		for name, route := range all(made(t, callers)) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/", http.NoBody)
			require.NoError(t, err)
			resp, err := route.Transport.RoundTrip(req)
			require.NoError(t, err, name)
			assert.Equal(t, http.StatusFound, resp.StatusCode, name)
			resp.Body.Close()
		}
	}
}

// Cookies of the API go back to it, and nowhere else.
func TestNew_Cookies(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	callers := &http.Client{Jar: jar, Transport: testkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := testkit.Reply(r, http.StatusOK, r.Header.Get("Cookie"))
		resp.Header.Set("Set-Cookie", "route=a7")
		return resp, err
	})}
	c := made(t, callers)
	assert.Empty(t, roundTripTo(t, c.Reads, t.Context(), "http://127.0.0.1/"))
	for name, want := range map[string]string{"creates": "route=a7", "reads": "route=a7", "downloads": "", "uploads": ""} {
		assert.Equal(t, want, roundTripTo(t, all(c)[name], t.Context(), "http://127.0.0.1/"), name)
	}
}

// Some programs replace the default transport, or switch HTTP/2 off for all of it. These tests must not be parallel,
// for they do the same.
func TestNew_AnotherDefaultTransport(t *testing.T) {
	standard := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = standard })
	for name, tt := range map[string]struct {
		standard http.RoundTripper
		godebug  string
	}{
		"nil":            {standard: nil},
		"a typed nil":    {standard: (*http.Transport)(nil)},
		"without HTTP/2": {standard: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}},
		"GODEBUG": {
			standard: &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}, godebug: "http2client=0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.godebug != "" {
				t.Setenv("GODEBUG", tt.godebug)
			}
			http.DefaultTransport = tt.standard
			c := made(t, nil)
			http.DefaultTransport = standard // which httptest uses, too
			create := own(t, c.Creates)
			assert.Equal(t, []string{"http/1.1"}, create.TLSClientConfig.NextProtos)
			assert.True(t, create.DisableKeepAlives)
			assert.Nil(t, c.Replaced)
			server := serveTLS(t)
			for name, client := range all(c) {
				assert.NotNil(t, own(t, client).Proxy, name)
				assert.Equal(t, 10*time.Second, own(t, client).TLSHandshakeTimeout, name)
				if own(t, client).TLSClientConfig == nil {
					own(t, client).TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
				}
				own(t, client).TLSClientConfig.RootCAs = own(t, transport.Route{Transport: server.Client().Transport}).TLSClientConfig.RootCAs
				assert.NotEmpty(t, roundTripTo(t, client, t.Context(), server.URL), name)
				closeIdle(client)
			}
		})
	}
}

// What is no *http.Transport may be a mock, which must not be passed by.
func TestNew_ReplacedDefaultTransport(t *testing.T) { //nolint:paralleltest // as above
	standard := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = standard })
	var called []string
	mock := &named{"mock", &called, nil}
	http.DefaultTransport = mock
	for name, callers := range map[string]*http.Client{"none given": nil, "the default client": http.DefaultClient} { //nolint:forbidigo // it is what is tested
		c := made(t, callers)
		assert.Same(t, mock, c.Replaced, name)
		assert.Equal(t, 10*time.Minute, c.Creates.Timeout)
		for name, client := range all(c) {
			called = nil
			roundTrip(t, client, t.Context())
			assert.Equal(t, []string{"mock"}, called, name)
		}
	}
	c := made(t, &http.Client{Transport: &http.Transport{}})
	assert.Nil(t, c.Replaced)
	own(t, c.Reads)
}

// A server that offers HTTP/2 gets it for reads and never for creates, and a create always has a new connection.
func TestClients_Protocols(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.RemoteAddr)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	roots := own(t, transport.Route{Transport: server.Client().Transport}).TLSClientConfig.RootCAs
	for name, client := range all(made(t, nil)) {
		transport := own(t, client)
		transport.TLSClientConfig.RootCAs = roots
		defer transport.CloseIdleConnections()
		var answers []string
		for range 2 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, http.NoBody)
			require.NoError(t, err)
			resp, err := client.Transport.RoundTrip(req)
			require.NoError(t, err)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			resp.Body.Close()
			answers = append(answers, string(text))
		}
		if name == "creates" {
			assert.True(t, strings.HasPrefix(answers[0], "HTTP/1.1 "))
			assert.NotEqual(t, answers[0], answers[1])
		} else {
			assert.True(t, strings.HasPrefix(answers[0], "HTTP/2.0 "), name)
			assert.Equal(t, answers[0], answers[1], name)
		}
	}
}
