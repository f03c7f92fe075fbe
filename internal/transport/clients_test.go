package transport_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
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
func made(t *testing.T, callers *http.Client, wraps ...transport.Wrap) transport.Clients {
	t.Helper()
	c, err := transport.New(callers, wraps...)
	require.NoError(t, err)
	return c
}

// all returns the clients by name.
func all(c transport.Clients) map[string]*http.Client {
	return map[string]*http.Client{"creates": c.Creates, "reads": c.Reads, "downloads": c.Downloads, "uploads": c.Uploads}
}

// own returns the transport of a client, which must be one of net/http's.
func own(t *testing.T, client *http.Client) *http.Transport {
	t.Helper()
	own, ok := client.Transport.(*http.Transport)
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
	callers := &http.Client{Timeout: time.Minute, Jar: jar, Transport: &http.Transport{}}
	before := *callers
	c := made(t, callers)
	for name, client := range all(c) {
		assert.Same(t, callers.Transport, client.Transport, name)
		assert.NotSame(t, callers, client, name)
	}
	assert.Same(t, jar, c.Creates.Jar)
	assert.Same(t, jar, c.Reads.Jar)
	assert.Nil(t, c.Downloads.Jar)
	assert.Nil(t, c.Uploads.Jar)
	assert.Nil(t, callers.CheckRedirect)
	assert.Equal(t, before.Timeout, callers.Timeout)
	assert.Same(t, jar, callers.Jar)
}

func TestNew_RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	callers := &http.Client{Transport: testkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := testkit.Reply(r, http.StatusFound, "")
		resp.Header.Set("Location", "/elsewhere")
		return resp, err
	})}
	for name, client := range all(made(t, callers)) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/", http.NoBody)
		require.NoError(t, err)
		resp, err := client.Do(req)
		require.NoError(t, err, name)
		assert.Equal(t, http.StatusFound, resp.StatusCode, name)
		resp.Body.Close()
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
		"of another type": {standard: testkit.RoundTrip(func(*http.Request) (*http.Response, error) { return nil, io.EOF })},
		"without HTTP/2":  {standard: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}},
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
			create := own(t, c.Creates)
			assert.Equal(t, []string{"http/1.1"}, create.TLSClientConfig.NextProtos)
			assert.True(t, create.DisableKeepAlives)
			for name, client := range all(c) {
				assert.NotNil(t, own(t, client).Proxy, name)
				assert.Equal(t, 10*time.Second, own(t, client).TLSHandshakeTimeout, name)
			}
		})
	}
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
	roots := own(t, server.Client()).TLSClientConfig.RootCAs
	for name, client := range all(made(t, nil)) {
		transport := own(t, client)
		transport.TLSClientConfig.RootCAs = roots
		defer transport.CloseIdleConnections()
		var answers []string
		for range 2 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, http.NoBody)
			require.NoError(t, err)
			resp, err := client.Do(req)
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
