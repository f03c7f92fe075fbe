package nethttpfacts_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"go/version"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/testkit"
)

// closeReused starts a server that answers the first request on each connection, reads the second one to its end and
// closes the connection, as a server does whose idle timeout expires when a request arrives.
func closeReused(t *testing.T) (w *testkit.Server, posts *atomic.Int64) {
	t.Helper()
	posts = new(atomic.Int64)
	return testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
		in := bufio.NewReader(conn)
		for n := 1; n <= 2; n++ {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body) //nolint:errcheck // a small one
			if req.Method == http.MethodPost {
				posts.Add(1)
			}
			if n == 1 {
				testkit.WriteReply(conn, "200 OK", "{}")
			}
		}
	}), posts
}

// postOnReused posts on a connection that has served a request before.
func postOnReused(t *testing.T, url, header string, body io.Reader) error {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	warm, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	require.NoError(t, drained(client.Do(warm)))
	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	require.NoError(t, err)
	if header != "" {
		post.Header[header] = []string{""} // an empty value is enough
	}
	return drained(client.Do(post))
}

func drained(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return err
}

// opaque hides the type of a reader, so that net/http finds no GetBody for it.
type opaque struct{ io.Reader }

// A POST with an idempotency key is sent again, silently, when its idle connection turns out to be dead. Over HTTP/2
// any POST with GetBody is, when its stream is refused or, until Go 1.27, ends with PROTOCOL_ERROR.
func TestPosts_AreSentAgain(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]int64{"": 1, "Idempotency-Key": 2, "X-Idempotency-Key": 2} {
		t.Run("header "+header, func(t *testing.T) {
			t.Parallel()
			w, posts := closeReused(t)
			err := postOnReused(t, w.URL, header, strings.NewReader("{}"))
			assert.Equal(t, want, posts.Load())
			assert.Equal(t, want == 1, err != nil, "%v", err)
		})
	}
	for name, again := range map[string]bool{
		"REFUSED_STREAM": true, "GOAWAY before the stream": true, "PROTOCOL_ERROR": version.Compare(runtime.Version(), "go1.27") < 0,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, again, sentOverHTTP2(t, testkit.H2Refusals[name], strings.NewReader("{}")) > 1)
		})
	}
}

// sentOverHTTP2 posts body to a server that lets do happen to every request. It returns how often the request was sent
// until the client gave up, 2 at most.
func sentOverHTTP2(t *testing.T, do testkit.H2Fault, body io.Reader) int64 {
	t.Helper()
	config, pool := testkit.Certificate(t, testkit.FarFuture, "gateway.example.com")
	config.NextProtos = []string{"h2"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := testkit.Serve(t, config, func(w *testkit.Server, conn net.Conn) {
		testkit.ServeH2(w, conn, func(s testkit.H2Conn, stream uint32, whole bool) {
			if w.Requests.Load() >= 2 {
				cancel() // or it would be sent without end
			}
			do(s, stream, whole)
		})
	})
	_, address, _ := strings.Cut(w.URL, "://")
	transport := &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	defer transport.CloseIdleConnections()
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://gateway.example.com", body)
	require.NoError(t, err)
	require.Error(t, drained((&http.Client{Transport: transport}).Do(post)))
	return w.Requests.Load()
}

// Without GetBody, and with a body of a type that net/http does not know, nothing is sent again: not on a dead
// connection, not over HTTP/2, not after a 307 or 308.
func TestPosts_WithoutGetBodyAreSentOnce(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"", "Idempotency-Key", "X-Idempotency-Key"} {
		t.Run("header "+header, func(t *testing.T) {
			t.Parallel()
			w, posts := closeReused(t)
			require.Error(t, postOnReused(t, w.URL, header, opaque{strings.NewReader("{}")}))
			assert.Equal(t, int64(1), posts.Load())
		})
	}
	for name, do := range testkit.H2Refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, int64(1), sentOverHTTP2(t, do, opaque{strings.NewReader("{}")}))
		})
	}
	for _, status := range []int{307, 308} {
		for name, want := range map[string]int64{"known": 2, "opaque": 1} {
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				t.Parallel()
				var posts atomic.Int64
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if posts.Add(1) == 1 {
						http.Redirect(w, r, "/again", status)
					}
				}))
				defer server.Close()
				var body io.Reader = strings.NewReader("{}")
				if name == "opaque" {
					body = opaque{body}
				}
				post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
				require.NoError(t, err)
				require.NoError(t, drained(server.Client().Do(post)))
				assert.Equal(t, want, posts.Load())
			})
		}
	}
}

// sealable is a body that can be sealed: then no more of it can be read.
type sealable struct {
	mu     sync.Mutex
	left   []byte
	sealed bool
}

func (b *sealable) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.sealed:
		return 0, errors.New("sealed")
	case len(b.left) == 0:
		return 0, io.EOF
	}
	n := copy(p, b.left[:min(len(b.left), 1000)])
	b.left = b.left[n:]
	return n, nil
}

// seal reports whether a part of the body had not been read yet.
func (b *sealable) seal() (incomplete bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sealed = true
	return len(b.left) > 0
}

// canceledPosts sends posts and cancels each after a moment. For those that failed, by number, it returns whether a
// part of the body had not been read by net/http; arrived are those that the server received to the last byte.
func canceledPosts(t *testing.T, posts int) (incomplete map[int]bool, arrived *sync.Map) {
	t.Helper()
	arrived, incomplete = new(sync.Map), map[int]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, _ := io.Copy(io.Discard, r.Body); n == r.ContentLength {
			arrived.Store(r.Header.Get("Number"), true)
		}
		testkit.Linger(r.Context(), time.Millisecond) // works
	}))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for n := range posts {
		body := &sealable{left: make([]byte, 50_000)}
		ctx, cancel := context.WithTimeout(t.Context(), rand.N(1500*time.Microsecond))
		post, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, opaque{body})
		require.NoError(t, err)
		post.ContentLength = int64(len(body.left))
		post.Header.Set("Number", strconv.Itoa(n))
		err = drained(client.Do(post))
		if sealed := body.seal(); err != nil {
			incomplete[n] = sealed
		}
		cancel()
	}
	server.Close() // when every request has been dealt with
	return incomplete, arrived
}

// A body whose last byte had not been read when it was sealed does not arrive complete. httptrace.WroteRequest is no
// such proof, in either direction.
func TestCanceledPosts_UnreadBodyDoesNotArrive(t *testing.T) {
	t.Parallel()
	incomplete, arrived := canceledPosts(t, 400)
	notArrived := 0
	for n, unread := range incomplete {
		if unread {
			notArrived++
			_, whole := arrived.Load(strconv.Itoa(n))
			assert.False(t, whole, "post %d", n)
		}
	}
	t.Logf("%d of %d failed posts cannot have arrived", notArrived, len(incomplete))
	assert.Positive(t, notArrived)

	t.Run("WroteRequest without error, not sent", func(t *testing.T) {
		t.Parallel()
		whole, wrote := tracedPost(t, func(net.Conn, []byte) error { return nil })
		require.NoError(t, wrote)
		assert.Zero(t, whole)
	})
	t.Run("WroteRequest with error, sent", func(t *testing.T) {
		t.Parallel()
		whole, wrote := tracedPost(t, func(conn net.Conn, p []byte) error {
			if _, err := conn.Write(p); err != nil || !bytes.HasSuffix(p, []byte("{}")) {
				return err
			}
			return syscall.EPIPE // all of it is out
		})
		require.Error(t, wrote)
		assert.Equal(t, int64(1), whole)
	})
}

// tracedPost posts through connections whose Write is write. It returns how many requests arrived complete, and the
// error that WroteRequest got.
func tracedPost(t *testing.T, write func(conn net.Conn, p []byte) error) (whole int64, wrote error) {
	t.Helper()
	read := make(chan bool, 1)
	w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
		conn.SetDeadline(time.Now().Add(200 * time.Millisecond)) //nolint:errcheck // then it takes longer
		read <- w.ReadRequest(conn)
	})
	wrote = errors.New("not called")
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteRequest: func(info httptrace.WroteRequestInfo) { wrote = info.Err },
	})
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &writeConn{Conn: conn, write: write}, err
	}}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, opaque{strings.NewReader("{}")})
	require.NoError(t, err)
	post.ContentLength = 2
	require.Error(t, drained((&http.Client{Transport: transport}).Do(post)))
	<-read
	return w.Complete.Load(), wrote
}

type writeConn struct {
	net.Conn
	write func(conn net.Conn, p []byte) error
}

func (c *writeConn) Write(p []byte) (int, error) {
	if err := c.write(c.Conn, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// The default client keeps the Authorization header when it follows a redirect from https to http, on the same host and
// to its subdomains.
func TestRedirects_KeepAuthorizationOnTheWayToHTTP(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]bool{
		"http://gateway.example.com/": true, "http://sub.gateway.example.com/": true, "http://other.example.com/": false,
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 1)
			plain := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Authorization") }))
			defer plain.Close()
			config, pool := testkit.Certificate(t, testkit.FarFuture, "gateway.example.com")
			secure := httptest.NewUnstartedServer(http.RedirectHandler(target, http.StatusTemporaryRedirect))
			secure.TLS = config
			secure.StartTLS()
			defer secure.Close()
			transport := &http.Transport{
				TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool},
				DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
					to := plain.Listener.Addr()
					if strings.HasSuffix(address, ":443") {
						to = secure.Listener.Addr()
					}
					return new(net.Dialer).DialContext(ctx, network, to.String())
				},
			}
			defer transport.CloseIdleConnections()
			get, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://gateway.example.com", http.NoBody)
			require.NoError(t, err)
			get.Header.Set("Authorization", "Bearer "+testkit.Key)
			require.NoError(t, drained((&http.Client{Transport: transport}).Do(get)))
			assert.Equal(t, want, strings.Contains(<-got, testkit.Key))
		})
	}
}

// To cancel a request is not to undo it: of the canceled posts whose last byte had been read, most arrive.
func TestCanceledPosts_ReadBodyMostlyArrives(t *testing.T) {
	t.Parallel()
	incomplete, arrived := canceledPosts(t, 400)
	read, whole := 0, 0
	for n, unread := range incomplete {
		if unread {
			continue
		}
		read++
		if _, ok := arrived.Load(strconv.Itoa(n)); ok {
			whole++
		}
	}
	t.Logf("%d of %d canceled posts arrived", whole, read)
	assert.Positive(t, whole)
	assert.GreaterOrEqual(t, whole, read/2)
}
