package sockets_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// passOn is a wrapper as a program has it to trace or to log.
func passOn(next http.RoundTripper) http.RoundTripper {
	return testkit.RoundTrip(func(r *http.Request) (*http.Response, error) { return next.RoundTrip(r) })
}

// keepAliveRace is a server that keeps each connection open after its response and cuts it when the next request
// arrives.
func keepAliveRace(t *testing.T, config *tls.Config) *testkit.Server {
	t.Helper()
	return testkit.Serve(t, config, func(w *testkit.Server, conn net.Conn) {
		in := bufio.NewReader(conn)
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		io.Copy(io.Discard, req.Body) //nolint:errcheck // the counts show it
		if w.Requests.Add(1); req.Method == http.MethodPost {
			w.Complete.Add(1)
			testkit.WriteReply(conn, "200 OK", fmt.Sprintf(`{"task_id":"%d","state":"created"}`, w.Complete.Load()))
		} else {
			testkit.WriteReply(conn, "200 OK", processingReply)
		}
		in.Peek(1) //nolint:errcheck // the next request, or the end
		testkit.Reset(conn)
	})
}

func TestCreate_KeepAliveRace(t *testing.T) {
	t.Parallel()
	private, pool := testkit.Certificate(t, testkit.FarFuture, "gateway.example.com")
	ownCA := func() *http.Transport {
		return &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}
	}
	for name, tt := range map[string]struct {
		config *tls.Config
		opts   []vidu.Option
		unsafe bool // the transport is none of ours
	}{
		"default":               {config: trusted},
		"wrapped":               {config: trusted, opts: []vidu.Option{vidu.WithTransportWrapper(passOn)}},
		"private CA":            {config: private, opts: []vidu.Option{vidu.WithHTTPClient(&http.Client{Transport: ownCA()})}},
		"private CA, wrapped":   {config: private, opts: []vidu.Option{vidu.WithHTTPClient(&http.Client{Transport: ownCA()}), vidu.WithTransportWrapper(passOn)}},
		"a wrapper of a caller": {config: private, opts: []vidu.Option{vidu.WithHTTPClient(&http.Client{Transport: passOn(ownCA())})}, unsafe: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := keepAliveRace(t, tt.config)
			client := newClient(t, serverAt(w, "https", "gateway.example.com"), tt.opts...)
			const creates = 200
			unknown := 0
			for range creates {
				_, err := client.GetTask(t.Context(), "1") // leaves an idle connection
				_ = err                                    // it is a race
				if _, err := client.create(t); err != nil {
					require.ErrorIs(t, err, vidu.ErrMaybeCreated)
					unknown++
				}
			}
			if tt.unsafe {
				assert.Positive(t, unknown, "the server does not race")
				return
			}
			assert.Zero(t, unknown)
			assert.Equal(t, int64(creates), w.Complete.Load())
		})
	}
}

// A server without HTTP/1.1 is named at once, whatever the size of the body.
func TestHTTP2_OnlyServer(t *testing.T) {
	t.Parallel()
	config := trusted.Clone()
	config.NextProtos = []string{"h2"}
	w := testkit.Serve(t, config, func(w *testkit.Server, conn net.Conn) {
		testkit.ServeH2(w, conn, testkit.AfterRequest(func(s testkit.H2Conn, stream uint32) { s.Reply(stream, succeededReply) }))
	})
	client := newClient(t, serverAt(w, "https", "gateway.example.com"))
	for _, req := range []*vidu.Reference2VideoRequest{smallRequest(), bigRequest(t)} {
		began := time.Now()
		_, err := client.Reference2Video(t.Context(), req)
		assertNotCreated(t, err)
		require.ErrorContains(t, err, "the server speaks HTTP/2 only; creates need HTTP/1.1")
		assert.Less(t, time.Since(began), 20*time.Second)
	}
	assert.Zero(t, client.retries.Load())
	_, err := client.GetTask(t.Context(), "1")
	require.NoError(t, err, "reads have HTTP/2")
}

// The end of a caller's HTTP/2 connection is named where net/http's words would be advice to retry.
func TestHTTP2_EndIsNamed(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"GOAWAY before the stream": "GOAWAY", "GOAWAY before, connection lives on": "GOAWAY",
		"REFUSED_STREAM": "REFUSED_STREAM", "PROTOCOL_ERROR": "PROTOCOL_ERROR",
	} {
		client, _ := overHTTP2(t, testkit.H2Refusals[name])
		_, err := client.create(t)
		assertUnknownOutcome(t, err)
		require.ErrorContains(t, err, text)
		assert.NotContains(t, err.Error(), "GetBody")
	}
	client, _ := overHTTP2(t, testkit.H2Breaks["GOAWAY after the stream"])
	_, err := client.create(t)
	assertUnknownOutcome(t, err)
	require.ErrorContains(t, err, "GOAWAY")
}

// A transport that dumps each request, as those do that log or record, is no transport that sends it twice.
func TestTransport_DumpsRequests(t *testing.T) {
	t.Parallel()
	var dumped atomic.Int64
	dump := func(next http.RoundTripper) http.RoundTripper {
		return testkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
			text, err := httputil.DumpRequestOut(r, true)
			if err != nil {
				return nil, err
			}
			dumped.Add(int64(len(text)))
			return next.RoundTrip(r)
		})
	}
	config := trusted.Clone()
	for name, opts := range map[string]func(http.RoundTripper) []vidu.Option{
		"a wrapper": func(http.RoundTripper) []vidu.Option { return []vidu.Option{vidu.WithTransportWrapper(dump)} },
		"two": func(http.RoundTripper) []vidu.Option {
			return []vidu.Option{vidu.WithTransportWrapper(dump), vidu.WithTransportWrapper(dump)}
		},
		"a transport": func(own http.RoundTripper) []vidu.Option {
			return []vidu.Option{vidu.WithHTTPClient(&http.Client{Transport: dump(own)})}
		},
	} {
		own := http.DefaultTransport.(*http.Transport).Clone()
		w := keepAliveRace(t, config)
		client := newClient(t, serverAt(w, "https", "gateway.example.com"), append(opts(own), vidu.WithMaxAttempts(1))...)
		for _, req := range []*vidu.Reference2VideoRequest{smallRequest(), bigRequest(t)} {
			dumped.Store(0)
			_, err := client.Reference2Video(t.Context(), req)
			require.NoError(t, err, name)
			assert.Positive(t, dumped.Load())
		}
		_, err := client.GetTask(t.Context(), "1")
		require.NoError(t, err, name)
		assert.Equal(t, int64(2), w.Complete.Load(), name)
		own.CloseIdleConnections()
	}
}

// TestProxy_RefusalNamesTheProxy: nothing is created, and only what may pass is asked for again.
func TestProxy_RefusalNamesTheProxy(t *testing.T) {
	t.Parallel()
	for status, attempts := range map[int]int64{401: 1, 403: 1, 407: 1, 429: 1, 502: 3} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			proxy := testkit.ServeReply(t, status, "<html>no</html>")
			host := strings.TrimPrefix(proxy.URL, "http://")
			want := fmt.Sprintf("the proxy %s refused CONNECT: %d %s", host, status, http.StatusText(status))
			client := behindProxy(t, fmt.Sprintf("refused-%d.example.com", status), proxy.URL)
			_, err := client.create(t)
			assertNotCreated(t, err)
			require.ErrorContains(t, err, want)
			assert.Equal(t, attempts, proxy.Requests.Load())
			_, err = client.GetTask(t.Context(), "1")
			require.ErrorContains(t, err, want)
			assert.Equal(t, 2*attempts, proxy.Requests.Load())

			callers := http.DefaultTransport.(*http.Transport).Clone()
			client = newClient(t, fmt.Sprintf("https://refused-%d.example.com", status), vidu.WithHTTPClient(&http.Client{Transport: callers}))
			_, err = client.create(t)
			assertNotCreated(t, err)
			require.ErrorContains(t, err, want)
			assert.Equal(t, 3*attempts, proxy.Requests.Load())
			_, err = client.GetTask(t.Context(), "1")
			require.ErrorContains(t, err, http.StatusText(status)+" (net/http's words for a proxy that refused CONNECT)")
		})
	}
}
