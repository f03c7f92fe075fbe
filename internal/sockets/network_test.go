package sockets_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/backoff"
	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/vidutest"
)

func TestCreate_NameDoesNotExist(t *testing.T) {
	t.Parallel()
	const host = "unknown.example.com"
	lookups.Store(host, func() int { return testkit.NoSuchName })
	w := testkit.ServeReply(t, 200, createdReply)
	client := newClient(t, serverAt(w, "http", host), vidu.WithInsecureHTTP())
	_, err := client.create(t)
	assertNotCreated(t, err)
	require.ErrorContains(t, err, host)
	dns, ok := errors.AsType[*net.DNSError](err)
	require.True(t, ok)
	assert.True(t, dns.IsNotFound)
	assert.Zero(t, client.retries.Load(), "the name will not exist in a second either")
	assert.Zero(t, w.Requests.Load())
}

func TestCreate_NameServerFailsThenWorks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		host  string
		fault int
	}{
		"silent":   {"silent.example.com", testkit.NoAnswer},
		"SERVFAIL": {"servfail.example.com", testkit.ServerFailure},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var works atomic.Bool
			lookups.Store(tt.host, func() int {
				if works.Load() {
					return testkit.Loopback
				}
				return tt.fault
			})
			w := testkit.ServeReply(t, 200, createdReply)
			client := newClient(t, serverAt(w, "http", tt.host), vidu.WithInsecureHTTP(),
				vidu.WithBackoff(func(int) time.Duration { works.Store(true); return 0 }))
			task, err := client.create(t)
			assertCreated(t, task, err)
			assert.True(t, works.Load(), "the first attempt failed")
			assert.Equal(t, int64(1), w.Requests.Load())
		})
	}
}

func TestCreate_ConnectionRefusedThenAccepted(t *testing.T) {
	t.Parallel()
	const host = "moved.example.com"
	var retries atomic.Int64
	lookups.Store(host, func() int {
		if retries.Load() < 2 {
			return testkit.NobodyListens
		}
		return testkit.Loopback
	})
	w := testkit.ServeReply(t, 200, createdReply)
	client := newClient(t, serverAt(w, "http", host), vidu.WithInsecureHTTP(), vidu.WithBackoff(func(int) time.Duration { retries.Add(1); return 0 }))
	task, err := client.create(t)
	assertCreated(t, task, err)
	assert.Equal(t, int64(2), retries.Load())
	assert.Equal(t, int64(1), w.Requests.Load())
}

func TestCreate_ConnectionRefused(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed.Close()
	client := newClient(t, "http://"+closed.Addr().String())
	_, err = client.create(t)
	assertNotCreated(t, err)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.Equal(t, int64(2), client.retries.Load())
}

func TestCreate_ContextEndsWhileConnecting(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://192.0.2.1") // reserved for documentation, so nobody answers
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	started := time.Now()
	_, err := client.Reference2Video(ctx, smallRequest())
	assertNotCreated(t, err)
	assert.Less(t, time.Since(started), 5*time.Second)
}

// handshakes serves TLS with config and counts the attempted handshakes as requests.
func handshakes(t *testing.T, config *tls.Config) *testkit.Server {
	t.Helper()
	w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
		w.Requests.Add(1)
		w.ReadRequest(tls.Server(conn, config))
	})
	w.URL = strings.Replace(w.URL, "http://", "https://", 1)
	return w
}

// assertPeerRefused checks that neither a create nor a read gets past the handshake, and that both are sent only once.
func assertPeerRefused(t *testing.T, client *countingClient, w *testkit.Server) error {
	t.Helper()
	_, err := client.create(t)
	assertNotCreated(t, err)
	_, readErr := client.GetTask(t.Context(), "1")
	assertNotCreated(t, readErr)
	assert.Equal(t, int64(2), w.Requests.Load(), "one handshake each")
	assert.Zero(t, w.Complete.Load())
	assert.Zero(t, client.retries.Load())
	return err
}

func TestTLS_UntrustedCertificate(t *testing.T) {
	t.Parallel()
	unknown, _ := testkit.Certificate(t, testkit.FarFuture, "*.example.com")
	for name, config := range map[string]*tls.Config{"unknown authority": unknown, "expired": expired} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := handshakes(t, config)
			err := assertPeerRefused(t, newClient(t, serverAt(w, "https", "gateway.example.com")), w)
			failure, ok := errors.AsType[*tls.CertificateVerificationError](err)
			require.True(t, ok, "%v", err)
			invalid, ok := errors.AsType[x509.CertificateInvalidError](failure.Err)
			assert.Equal(t, name == "expired", ok && invalid.Reason == x509.Expired, "%v", err)
		})
	}
}

func TestTLS_CertificateForAnotherName(t *testing.T) {
	t.Parallel()
	w := handshakes(t, trusted)
	err := assertPeerRefused(t, newClient(t, serverAt(w, "https", "gateway.example.org")), w)
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	assert.True(t, ok, "%v", err)
	_, ok = errors.AsType[x509.HostnameError](err)
	assert.True(t, ok, "%v", err)
}

func TestTLS_PeerSpeaksPlainText(t *testing.T) {
	t.Parallel()
	for name, greeting := range map[string]string{
		"HTTP": "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
		"SMTP": "220 mail.example.com ESMTP\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var received bytes.Buffer
			var mu sync.Mutex
			w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
				w.Requests.Add(1)
				first := make([]byte, 4096)
				n, _ := conn.Read(first)
				mu.Lock()
				received.Write(first[:n])
				mu.Unlock()
				io.WriteString(conn, greeting)
			})
			err := assertPeerRefused(t, newClient(t, serverAt(w, "https", "127.0.0.1")), w)
			if name == "HTTP" {
				require.ErrorIs(t, err, http.ErrSchemeMismatch)
			}
			mu.Lock()
			defer mu.Unlock()
			assert.NotContains(t, received.String(), "POST", "no downgrade")
			assert.NotContains(t, received.String(), testkit.Key)
		})
	}
}

func TestTLS_HandshakeCutThenWorks(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(net.Conn){"FIN": func(conn net.Conn) { conn.Close() }, "RST": testkit.Reset} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var conns atomic.Int64
			w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
				if conns.Add(1) <= 2 {
					conn.Read(make([]byte, 64)) //nolint:errcheck // the beginning of its hello
					cut(conn)
					return
				}
				secure := tls.Server(conn, trusted)
				if w.ReadRequest(secure) {
					testkit.WriteReply(secure, "200 OK", createdReply)
				}
			})
			client := newClient(t, serverAt(w, "https", "gateway.example.com"))
			task, err := client.create(t)
			assertCreated(t, task, err)
			assert.Equal(t, int64(2), client.retries.Load())
			assert.Equal(t, int64(1), w.Requests.Load())
		})
	}
}

// However much a server reads before it resets the connection: if it was the whole request, the outcome is unknown.
func TestCreate_ConnectionResetWhileSending(t *testing.T) {
	t.Parallel()
	var conns atomic.Int64
	w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
		switch conns.Add(1) % 4 {
		case 0:
		case 1:
			conn.Read(make([]byte, 1)) //nolint:errcheck // of the header
		case 2:
			http.ReadRequest(bufio.NewReader(conn)) //nolint:errcheck // only the header
		case 3:
			w.ReadRequest(conn)
		}
		testkit.Reset(conn)
	})
	client := newClient(t, w.URL)
	unknown := 0
	for range 60 {
		before := w.Complete.Load()
		_, err := client.create(t)
		require.Error(t, err)
		testkit.AssertHarmless(t, err)
		complete := w.Complete.Load() - before
		assert.LessOrEqual(t, complete, int64(1), "sent again after the server had it")
		if complete > 0 {
			assertUnknownOutcome(t, err)
		}
		if errors.Is(err, vidu.ErrMaybeCreated) {
			unknown++
		}
	}
	assert.GreaterOrEqual(t, int64(unknown), w.Complete.Load())
	assert.Positive(t, w.Complete.Load())
}

func TestCreate_ResetInsideABigBody(t *testing.T) {
	t.Parallel()
	var requests, complete atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			io.CopyN(io.Discard, r.Body, 9<<20) //nolint:errcheck // half of it
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				testkit.Reset(conn)
			}
			return
		}
		if n, err := io.Copy(io.Discard, r.Body); err == nil && n == r.ContentLength {
			complete.Add(1)
		}
		io.WriteString(w, createdReply)
	}))
	defer server.Close()
	client := newClient(t, server.URL)
	task, err := client.Reference2Video(t.Context(), bigRequest(t))
	assertCreated(t, task, err)
	assert.Equal(t, int64(2), requests.Load())
	assert.Equal(t, int64(1), complete.Load())
}

func TestCreate_ServerStopsReading(t *testing.T) {
	t.Parallel()
	w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
		in := bufio.NewReader(conn)
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		w.Requests.Add(1)
		io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		in.Discard(1 << 20) //nolint:errcheck // and no more
		<-t.Context().Done()
	})
	client, req := newClient(t, w.URL), bigRequest(t)
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	_, err := client.Reference2Video(ctx, req)
	over := time.Now()
	assertNotCreated(t, err)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	deadline, _ := ctx.Deadline()
	assert.WithinDuration(t, deadline, over, 2*time.Second) // much less when nothing else runs
	assert.Equal(t, int64(1), w.Requests.Load())
}

// cutsReplies is a server that makes the task and then cuts the connection of its create.
func cutsReplies(t *testing.T, cut func(net.Conn)) (*vidutest.Server, *httptest.Server) {
	t.Helper()
	backend := vidutest.NewServer(vidutest.InMemory(), vidutest.WithOfficialAPI(), vidutest.WithAPIKey(testkit.Key), vidutest.WithTiming(0, 0))
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			backend.ServeHTTP(w, r)
			return
		}
		backend.ServeHTTP(httptest.NewRecorder(), r)
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			cut(conn)
		}
	}))
	t.Cleanup(func() {
		front.Close()
		backend.Close()
	})
	return backend, front
}

func TestCreate_AnswerLost(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(net.Conn){"FIN": func(conn net.Conn) { conn.Close() }, "RST": testkit.Reset} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend, front := cutsReplies(t, cut)
			_, err := newClient(t, front.URL, vidu.WithOfficialAPI()).create(t)
			assertUnknownOutcome(t, err)
			assert.Zero(t, unknownOutcome(t, err).StatusCode)
			assert.Empty(t, unknownOutcome(t, err).Body)
			assert.Equal(t, 1, backend.Charged())
		})
		t.Run(name+", with recovery", func(t *testing.T) {
			t.Parallel()
			backend, front := cutsReplies(t, cut)
			task, err := newClient(t, front.URL, vidu.WithOfficialAPI(), vidu.WithRecovery(time.Minute)).create(t)
			require.NoError(t, err)
			assert.Equal(t, "job-42", task.Payload)
			assert.NotEmpty(t, task.ID)
			assert.Equal(t, 1, backend.Charged(), "found, not sent again")
		})
	}
}

// A server that closes idle connections as the next request arrives cannot hit a create, which has a connection of its
// own, even when an idle one is at hand; it does hit reads, which are simply sent again.
func TestCreate_IdleConnectionIsClosing(t *testing.T) {
	t.Parallel()
	var conns, posts, onUsed atomic.Int64
	w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
		conns.Add(1)
		in := bufio.NewReader(conn)
		for n := 1; ; n++ {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body) //nolint:errcheck // the answer shows
			switch {
			case req.Method == http.MethodPost && n > 1:
				onUsed.Add(1)
			case req.Method == http.MethodPost:
				posts.Add(1)
			case n > 1:
				return // closed in the face of the second request
			}
			testkit.WriteReply(conn, "200 OK", fmt.Sprintf(`{"task_id":"%d","state":"created"}`, posts.Load()))
		}
	})
	client := newClient(t, w.URL)
	for range 10 {
		_, err := client.GetTask(t.Context(), "another") // leaves an idle connection behind
		require.NoError(t, err)
		_, err = client.create(t)
		require.NoError(t, err)
	}
	assert.Equal(t, int64(10), posts.Load())
	assert.Zero(t, onUsed.Load(), "creates on used connections")
	assert.GreaterOrEqual(t, conns.Load(), int64(20))
}

func TestReply_ByteByByte(t *testing.T) {
	t.Parallel()
	w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
		var text bytes.Buffer
		testkit.WriteReply(&text, "200 OK", createdReply)
		if w.ReadRequest(conn) {
			for _, b := range text.Bytes() {
				conn.Write([]byte{b})
			}
		}
	})
	client := newClient(t, w.URL)
	task, err := client.create(t)
	assertCreated(t, task, err)
	_, err = client.GetTask(t.Context(), "1")
	require.NoError(t, err)
	assert.Equal(t, int64(2), w.Requests.Load())
}

func TestReply_EarlyHints(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusEarlyHints)
		io.Copy(io.Discard, r.Body) //nolint:errcheck // the answer shows
		io.WriteString(w, createdReply)
	}))
	defer server.Close()
	client := newClient(t, server.URL)
	task, err := client.create(t)
	assertCreated(t, task, err)
	_, err = client.GetTask(t.Context(), "1")
	require.NoError(t, err)
	assert.Equal(t, int64(2), requests.Load())
}

// behindProxy returns a client whose requests go through the proxy at proxyURL, which has a password.
func behindProxy(t *testing.T, host, proxyURL string) *countingClient {
	t.Helper()
	proxy, err := url.Parse(strings.Replace(proxyURL, "//", "//user:proxy-password@", 1))
	require.NoError(t, err)
	proxies.Store(host, proxy)
	return newClient(t, "https://"+host)
}

func TestProxy_RefusesConnect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ status, attempts int }{{407, 1}, {502, 3}} {
		t.Run(http.StatusText(tt.status), func(t *testing.T) {
			t.Parallel()
			proxy := testkit.ServeReply(t, tt.status, "")
			client := behindProxy(t, fmt.Sprintf("proxied-%d.example.com", tt.status), proxy.URL)
			_, err := client.create(t)
			assertNotCreated(t, err)
			assert.NotContains(t, fmt.Sprintf("%+v %#v", err, err), "proxy-password")
			assert.Equal(t, int64(tt.attempts), proxy.Requests.Load())
			_, err = client.GetTask(t.Context(), "1")
			assertNotCreated(t, err)
			assert.Equal(t, int64(2*tt.attempts), proxy.Requests.Load())
		})
	}
}

func TestProxy_RefusesConnectThenWorks(t *testing.T) {
	t.Parallel()
	var connects atomic.Int64
	w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		if connects.Add(1) == 1 {
			testkit.WriteReply(conn, "502 Bad Gateway", "")
			return
		}
		testkit.WriteReply(conn, "200 Connection established", "")
		secure := tls.Server(conn, trusted) // the proxy plays the gateway, too
		if w.ReadRequest(secure) {
			testkit.WriteReply(secure, "200 OK", createdReply)
		}
	})
	task, err := behindProxy(t, "proxied.example.com", w.URL).create(t)
	assertCreated(t, task, err)
	assert.Equal(t, int64(1), w.Requests.Load())
}

func TestWait_AnswersBreakOff(t *testing.T) {
	t.Parallel()
	var polls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer := []string{processingReply, succeededReply}[min(polls.Load()/2, 1)]
		if polls.Add(1)%2 == 1 {
			w.Header().Set("Content-Length", "100")
			answer = answer[:20]
		}
		io.WriteString(w, answer)
	}))
	defer server.Close()
	client := newClient(t, server.URL)
	var states []vidu.State
	task, err := client.Wait(t.Context(), "1", vidu.WithPollInterval(0), vidu.WithProgress(func(task *vidu.Task) { states = append(states, task.State) }))
	require.NoError(t, err)
	assert.Equal(t, vidu.StateSuccess, task.State)
	assert.Equal(t, []vidu.State{vidu.StateProcessing, vidu.StateSuccess}, states)
	assert.Equal(t, int64(4), polls.Load(), "each answer was asked for twice")
}

// A day of polling, ten minutes of it without a network.
func TestWait_DayWithOutage(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		work, limit time.Duration
		err         error
	}{
		"the task ends first": {day, 2 * day, nil},
		"the wait ends first": {2 * day, day, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				started := time.Now()
				requests, failed := 0, 0
				client := newClient(t, "https://gateway.example.com", vidu.WithBackoff(backoff.FullJitter), withTransport(func(req *http.Request) (*http.Response, error) {
					requests++
					switch at := time.Since(started); {
					case 3*time.Hour <= at && at < 3*time.Hour+10*time.Minute:
						failed++
						return nil, &net.OpError{Op: "dial", Err: syscall.ENETUNREACH}
					case at < tt.work:
						return testkit.Reply(req, 200, processingReply)
					}
					return testkit.Reply(req, 200, succeededReply)
				}))
				ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
				defer cancel()
				task, err := client.Wait(ctx, "1")
				require.ErrorIs(t, err, tt.err)
				require.NotNil(t, task)
				assert.InDelta(t, min(tt.work, tt.limit).Seconds(), time.Since(started).Seconds(), 31)
				assert.Positive(t, failed)
				assert.LessOrEqual(t, failed, 3*10*60/5, "ten minutes of failures do not become a storm")
				assert.Less(t, requests, 10_000)
				if err != nil {
					testkit.AssertHarmless(t, err)
					require.ErrorContains(t, err, "task 1, last seen processing")
				}
			})
		})
	}
}
