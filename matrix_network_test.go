package vidu_test

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
	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/vidutest"
)

// The fault matrix: each row of it is a test whose name begins with the row's id, so that
//
//	go test -run 'Test[NHRUC][0-9]' -v .
//
// prints the whole of it. The letters of a verdict: P, refused for good; S, provably not created, so sent again; A,
// ambiguous, so a MaybeCreatedError and never sent again; C, created.

// named is a rig that resolves names with resolver and reaches w by name.
func named(t *testing.T, w *testkit.Server, resolver *net.Resolver, opts ...vidu.Option) *rig {
	t.Helper()
	r := newRig(t, strings.Replace(w.URL, "127.0.0.1", "gateway.invalid", 1), append(opts, vidu.WithInsecureHTTP())...)
	r.dialTo((&net.Dialer{Resolver: resolver, Timeout: time.Second}).DialContext)
	return r
}

func TestN01_NoSuchName(t *testing.T) {
	t.Parallel()
	w := testkit.ServeReply(t, 200, createdReply)
	r := named(t, w, testkit.NameServer(t, func() int { return testkit.NoSuchName }))
	_, err := r.create(t)
	assertNotCreated(t, err)
	require.ErrorContains(t, err, "gateway.invalid")
	dns, ok := errors.AsType[*net.DNSError](err)
	require.True(t, ok)
	assert.True(t, dns.IsNotFound)
	assert.Zero(t, r.pauses.Load(), "the name will not exist in a second either")
	assert.Zero(t, w.Requests.Load())
}

func TestN02_NameServerFailsThenWorks(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int{"silent": testkit.NoAnswer, "SERVFAIL": testkit.ServerFailure} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := testkit.ServeReply(t, 200, createdReply)
			var works atomic.Bool
			resolver := testkit.NameServer(t, func() int {
				if works.Load() {
					return 0
				}
				return code
			})
			r := named(t, w, resolver, vidu.WithBackoff(func(int) time.Duration { works.Store(true); return 0 }))
			task, err := r.create(t)
			assertCreated(t, task, err)
			assert.True(t, works.Load(), "the first try failed")
			assert.Equal(t, int64(1), w.Requests.Load())
		})
	}
}

func TestN03_DialRefusedThenWorks(t *testing.T) {
	t.Parallel()
	w := testkit.ServeReply(t, 200, createdReply)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed.Close()
	r := newRig(t, w.URL)
	dials := 0
	r.dialTo(func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials++; dials <= 2 {
			address = closed.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	})
	task, err := r.create(t)
	assertCreated(t, task, err)
	assert.Equal(t, int64(2), r.pauses.Load())
	assert.Equal(t, int64(1), w.Requests.Load())

	dials = -10
	_, err = r.create(t)
	assertNotCreated(t, err)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestN04_DialHangs(t *testing.T) {
	t.Parallel()
	const dialTimeout = 10 * time.Second // of our own dialer
	for name, tt := range map[string]struct{ deadline, took time.Duration }{
		"each try ends":            {time.Hour, 3 * dialTimeout},
		"the context ends the try": {25 * time.Second, 25 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, someHost)
				r.dialTo(func(ctx context.Context, _, _ string) (net.Conn, error) {
					timed, cancel := context.WithTimeout(ctx, dialTimeout)
					defer cancel()
					<-timed.Done()
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: timed.Err()}
				})
				ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
				defer cancel()
				started := time.Now()
				_, err := r.Reference2Video(ctx, smallRequest())
				assertNotCreated(t, err)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, tt.took, time.Since(started))
			})
		})
	}
	t.Run("our own dialer heeds the context", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, "https://192.0.2.1") // reserved for documentation, so nobody answers
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		started := time.Now()
		_, err := r.Reference2Video(ctx, smallRequest())
		assertNotCreated(t, err)
		assert.Less(t, time.Since(started), 5*time.Second)
	})
}

// handshakes serves TLS with config and counts the handshakes that were tried as requests.
func handshakes(t *testing.T, config *tls.Config) *testkit.Server {
	t.Helper()
	w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
		w.Requests.Add(1)
		w.ReadRequest(tls.Server(conn, config))
	})
	w.URL = strings.Replace(w.URL, "http://", "https://", 1)
	return w
}

// refusesPeer checks that neither a create nor a read gets past the handshake, and that neither tries twice.
func refusesPeer(t *testing.T, r *rig, w *testkit.Server) error {
	t.Helper()
	_, err := r.create(t)
	assertNotCreated(t, err)
	_, readErr := r.GetTask(t.Context(), "1")
	assertNotCreated(t, readErr)
	assert.Equal(t, int64(2), w.Requests.Load(), "one handshake each")
	assert.Zero(t, w.Complete.Load())
	assert.Zero(t, r.pauses.Load())
	return err
}

func TestN05_UntrustedCertificate(t *testing.T) {
	t.Parallel()
	for name, expires := range map[string]time.Time{"unknown authority": testkit.FarFuture, "expired": time.Unix(1, 0)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, pool := testkit.Certificate(t, expires, "gateway.example.com")
			w := handshakes(t, config)
			r := newRig(t, someHost)
			r.leadTo(w.URL)
			if name == "expired" {
				r.trust(pool)
			}
			err := refusesPeer(t, r, w)
			_, ok := errors.AsType[*tls.CertificateVerificationError](err)
			assert.True(t, ok, "%v", err)
		})
	}
}

func TestN06_CertificateForAnotherName(t *testing.T) {
	t.Parallel()
	config, pool := testkit.Certificate(t, testkit.FarFuture, "other.example.com")
	w := handshakes(t, config)
	r := newRig(t, someHost)
	r.leadTo(w.URL)
	r.trust(pool)
	err := refusesPeer(t, r, w)
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	assert.True(t, ok, "%v", err)
	_, ok = errors.AsType[x509.HostnameError](err)
	assert.True(t, ok, "%v", err)
}

func TestN07_PlainPeer(t *testing.T) {
	t.Parallel()
	for name, greeting := range map[string]string{
		"HTTP": "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
		"SMTP": "220 mail.example.com ESMTP\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var heard bytes.Buffer
			var mu sync.Mutex
			w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
				w.Requests.Add(1)
				first := make([]byte, 4096)
				n, _ := conn.Read(first)
				mu.Lock()
				heard.Write(first[:n])
				mu.Unlock()
				io.WriteString(conn, greeting)
			})
			r := newRig(t, strings.Replace(w.URL, "http://", "https://", 1))
			err := refusesPeer(t, r, w)
			if name == "HTTP" {
				require.ErrorIs(t, err, http.ErrSchemeMismatch)
			}
			mu.Lock()
			defer mu.Unlock()
			assert.NotContains(t, heard.String(), "POST", "no downgrade")
			assert.NotContains(t, heard.String(), testkit.Key)
		})
	}
}

func TestN08_HandshakeCut(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(net.Conn){"FIN": func(conn net.Conn) { conn.Close() }, "RST": testkit.Reset} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, pool := testkit.Certificate(t, testkit.FarFuture, "gateway.example.com")
			var conns atomic.Int64
			w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
				if conns.Add(1) <= 2 {
					conn.Read(make([]byte, 64)) //nolint:errcheck // the beginning of its hello
					cut(conn)
					return
				}
				secure := tls.Server(conn, config)
				if w.ReadRequest(secure) {
					testkit.WriteReply(secure, "200 OK", createdReply)
				}
			})
			r := newRig(t, someHost)
			r.leadTo(w.URL)
			r.trust(pool)
			task, err := r.create(t)
			assertCreated(t, task, err)
			assert.Equal(t, int64(2), r.pauses.Load())
			assert.Equal(t, int64(1), w.Requests.Load())
		})
	}
}

// Whatever a server reads before it resets the connection: when it read the whole request, the outcome is in doubt.
func TestN09_AcceptThenReset(t *testing.T) {
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
	r := newRig(t, w.URL)
	doubts := 0
	for range 60 {
		before := w.Complete.Load()
		_, err := r.create(t)
		require.Error(t, err)
		testkit.AssertHarmless(t, err)
		complete := w.Complete.Load() - before
		assert.LessOrEqual(t, complete, int64(1), "sent again after the server had it")
		if complete > 0 {
			assertUnknownOutcome(t, err)
		}
		if errors.Is(err, vidu.ErrMaybeCreated) {
			doubts++
		}
	}
	assert.GreaterOrEqual(t, int64(doubts), w.Complete.Load())
	assert.Positive(t, w.Complete.Load())
}

func TestN10_ResetInsideABigBody(t *testing.T) {
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
	r := newRig(t, server.URL)
	task, err := r.Reference2Video(t.Context(), bigRequest(t))
	assertCreated(t, task, err)
	assert.Equal(t, int64(2), requests.Load())
	assert.Equal(t, int64(1), complete.Load())
}

func TestN11_BodyStalls(t *testing.T) {
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
	r, req := newRig(t, w.URL), bigRequest(t)
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	_, err := r.Reference2Video(ctx, req)
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

// replyLost checks A without recovery and C with it, each for one POST.
func replyLost(t *testing.T, cut func(net.Conn)) {
	t.Helper()
	t.Run("doubt", func(t *testing.T) {
		t.Parallel()
		backend, front := cutsReplies(t, cut)
		_, err := newRig(t, front.URL, vidu.WithOfficialAPI()).create(t)
		assertUnknownOutcome(t, err)
		assert.Zero(t, unknownOutcome(t, err).StatusCode)
		assert.Empty(t, unknownOutcome(t, err).Body)
		assert.Equal(t, 1, backend.Charged())
	})
	t.Run("recovery", func(t *testing.T) {
		t.Parallel()
		backend, front := cutsReplies(t, cut)
		task, err := newRig(t, front.URL, vidu.WithOfficialAPI(), vidu.WithRecovery(time.Minute)).create(t)
		require.NoError(t, err)
		assert.Equal(t, "job-42", task.Payload)
		assert.NotEmpty(t, task.ID)
		assert.Equal(t, 1, backend.Charged(), "found, not sent again")
	})
}

func TestN12_FINAfterTheRequest(t *testing.T) {
	t.Parallel()
	replyLost(t, func(conn net.Conn) { conn.Close() })
}

func TestN13_RSTAfterTheRequest(t *testing.T) {
	t.Parallel()
	replyLost(t, testkit.Reset)
}

func TestN14_HangsAfterTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &testkit.Server{}
		r := newRig(t, "http://127.0.0.1")
		r.pipes(testkit.AnswerEach(w, func(conn net.Conn) { conn.Read(make([]byte, 1)) })) //nolint:errcheck // until the client is gone
		started := time.Now()
		_, err := r.create(t)
		assertUnknownOutcome(t, err)
		assert.Equal(t, 2*time.Minute, time.Since(started))
		assert.Equal(t, int64(1), w.Requests.Load())

		started = time.Now()
		_, err = r.GetTask(t.Context(), "1")
		assertNotCreated(t, err)
		assert.Equal(t, 3*30*time.Second, time.Since(started))
	})
}

// A server that closes idle connections as the next request arrives cannot hit a create, which has a connection of its
// own, even when an idle one is at hand; it does hit reads, which are simply sent again.
func TestN15_KeepAliveRace(t *testing.T) {
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
			testkit.WriteReply(conn, "200 OK", createdReply)
		}
	})
	r := newRig(t, w.URL)
	for range 10 {
		_, err := r.GetTask(t.Context(), "1") // leaves an idle connection behind
		require.NoError(t, err)
		task, err := r.create(t)
		assertCreated(t, task, err)
	}
	assert.Equal(t, int64(10), posts.Load())
	assert.Zero(t, onUsed.Load(), "creates on used connections")
	assert.GreaterOrEqual(t, conns.Load(), int64(20))
}

func TestN16_AnswerDrips(t *testing.T) {
	t.Parallel()
	drip := func(head string) func(conn net.Conn) { // a byte a second
		return func(conn net.Conn) {
			text := "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + head
			for _, err := io.WriteString(conn, text); err == nil; _, err = io.WriteString(conn, " ") {
				time.Sleep(time.Second) //nolint:forbidigo // in virtual time
			}
		}
	}
	t.Run("create", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			defer testkit.Settle()
			w := &testkit.Server{}
			r := newRig(t, "http://127.0.0.1")
			r.pipes(testkit.AnswerEach(w, drip("")))
			started := time.Now()
			_, err := r.create(t)
			assertUnknownOutcome(t, err)
			assert.Equal(t, 10*time.Minute, time.Since(started))
			assert.Equal(t, int64(1), w.Requests.Load())
		})
	})
	t.Run("create, the id came first", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			defer testkit.Settle()
			r := newRig(t, "http://127.0.0.1")
			r.pipes(testkit.AnswerEach(&testkit.Server{}, drip(`{"task_id":"1","prompt":"`)))
			task, err := r.create(t)
			assertCreated(t, task, err)
			assert.NotEmpty(t, task.Warnings)
		})
	})
	t.Run("query", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			defer testkit.Settle()
			w := &testkit.Server{}
			r := newRig(t, "http://127.0.0.1")
			r.pipes(testkit.AnswerEach(w, drip("")))
			started := time.Now()
			_, err := r.GetTask(t.Context(), "1")
			assertNotCreated(t, err)
			assert.Equal(t, 3*time.Minute, time.Since(started), "three attempts")
			assert.Equal(t, int64(3), w.Requests.Load())
		})
	})
}

func TestN17_AnswerInSingleBytes(t *testing.T) {
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
	r := newRig(t, w.URL)
	task, err := r.create(t)
	assertCreated(t, task, err)
	_, err = r.GetTask(t.Context(), "1")
	require.NoError(t, err)
	assert.Equal(t, int64(2), w.Requests.Load())
}

func TestN18_EarlyHints(t *testing.T) {
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
	r := newRig(t, server.URL)
	task, err := r.create(t)
	assertCreated(t, task, err)
	_, err = r.GetTask(t.Context(), "1")
	require.NoError(t, err)
	assert.Equal(t, int64(2), requests.Load())
}

func TestN19_EndlessEarlyHints(t *testing.T) { //nolint:paralleltest // it measures what the process allocates
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		w := &testkit.Server{}
		r := newRig(t, "http://127.0.0.1")
		r.pipes(testkit.AnswerEach(w, func(conn net.Conn) {
			sent.Add(testkit.Flood(conn, "", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 25)))
		}))
		var err error
		allocated := testkit.Allocations(func() { _, err = r.create(t) })
		assertUnknownOutcome(t, err)
		synctest.Wait()
		assert.LessOrEqual(t, sent.Load(), int64(64<<10+8<<10), "64 KiB and a buffer")
		assert.Equal(t, int64(1), w.Requests.Load())
		t.Logf("sent %d bytes, allocated %d", sent.Load(), allocated)
		assert.Less(t, allocated, int64(2<<20))
	})
}

// Without the guard there are eight requests an attempt, or no end of them.
func TestN20_HTTP2ReadsAbandonedForEver(t *testing.T) {
	t.Parallel()
	for name, do := range testkit.H2Refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // net/http pauses for seconds between its repetitions
				config, pool := testkit.Certificate(t, testkit.FarFuture, "gateway.example.com")
				config.NextProtos = []string{"h2"}
				w := &testkit.Server{}
				r := newRig(t, someHost)
				r.trust(pool)
				r.pipes(func(conn net.Conn) {
					out := testkit.NewBufferedConn(conn)
					defer out.Close()
					testkit.ServeH2(w, tls.Server(out, config), do)
				})
				_, err := r.GetTask(t.Context(), "1")
				assertNotCreated(t, err)
				assert.LessOrEqual(t, w.Requests.Load(), int64(3*4), "three attempts of ours")
				assert.GreaterOrEqual(t, w.Requests.Load(), int64(3))
				synctest.Wait() // until the connection is idle, for only then it can be closed
			})
		})
	}
}

// callersHTTP2 is a rig with a transport that a caller brings, and which speaks HTTP/2 to w.
func callersHTTP2(t *testing.T, do testkit.H2Fault) (*rig, *testkit.Server) {
	t.Helper()
	config, pool := testkit.Certificate(t, testkit.FarFuture, "gateway.example.com")
	config.NextProtos = []string{"h2"}
	w := testkit.Serve(t, config, func(w *testkit.Server, conn net.Conn) { testkit.ServeH2(w, conn, do) })
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}
	r := newRig(t, someHost, vidu.WithHTTPClient(&http.Client{Transport: transport}))
	r.leadTo(w.URL)
	return r, w
}

func TestN21_HTTP2CreateAbandoned(t *testing.T) {
	t.Parallel()
	for _, faults := range []map[string]testkit.H2Fault{testkit.H2Refusals, testkit.H2Breaks} {
		for name, do := range faults {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r, w := callersHTTP2(t, do)
				_, err := r.create(t)
				assertUnknownOutcome(t, err)
				assert.Equal(t, int64(1), w.Requests.Load())
				assert.Equal(t, int64(1), w.Complete.Load())
			})
		}
	}
	t.Run("refused inside a big body, then works", func(t *testing.T) {
		t.Parallel()
		var refused atomic.Bool
		r, w := callersHTTP2(t, func(s testkit.H2Conn, stream uint32, whole bool) {
			switch {
			case refused.CompareAndSwap(false, true):
				s.Reset(stream, testkit.H2RefusedStream)
			case whole && stream > 1:
				s.Reply(stream, createdReply)
			}
		})
		task, err := r.Reference2Video(t.Context(), bigRequest(t))
		assertCreated(t, task, err)
		assert.Equal(t, int64(2), w.Requests.Load())
		assert.Equal(t, int64(1), w.Complete.Load())
	})
}

// proxied is a rig whose requests go through the proxy at proxyURL, which has a password.
func proxied(t *testing.T, proxyURL string) *rig {
	t.Helper()
	proxy, err := url.Parse(strings.Replace(proxyURL, "//", "//user:proxy-password@", 1))
	require.NoError(t, err)
	r := newRig(t, someHost)
	r.creates.Proxy, r.reads.Proxy = http.ProxyURL(proxy), http.ProxyURL(proxy)
	return r
}

func TestN22_ProxyRefusesToConnect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ status, attempts int }{{407, 1}, {502, 3}} {
		t.Run(http.StatusText(tt.status), func(t *testing.T) {
			t.Parallel()
			proxy := testkit.ServeReply(t, tt.status, "")
			r := proxied(t, proxy.URL)
			_, err := r.create(t)
			assertNotCreated(t, err)
			assert.NotContains(t, fmt.Sprintf("%+v %#v", err, err), "proxy-password")
			assert.Equal(t, int64(tt.attempts), proxy.Requests.Load())
			_, err = r.GetTask(t.Context(), "1")
			assertNotCreated(t, err)
			assert.Equal(t, int64(2*tt.attempts), proxy.Requests.Load())
		})
	}
	t.Run("502, then works", func(t *testing.T) {
		t.Parallel()
		config, pool := testkit.Certificate(t, testkit.FarFuture, "gateway.example.com")
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
			secure := tls.Server(conn, config) // the proxy plays the gateway, too
			if w.ReadRequest(secure) {
				testkit.WriteReply(secure, "200 OK", createdReply)
			}
		})
		r := proxied(t, w.URL)
		r.trust(pool)
		task, err := r.create(t)
		assertCreated(t, task, err)
		assert.Equal(t, int64(1), w.Requests.Load())
	})
}

func TestN23_PollAnswerBreaksOff(t *testing.T) {
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
	r := newRig(t, server.URL)
	var states []vidu.State
	task, err := r.Wait(t.Context(), "1", vidu.WithPollInterval(0), vidu.WithProgress(func(task *vidu.Task) { states = append(states, task.State) }))
	require.NoError(t, err)
	assert.Equal(t, vidu.StateSuccess, task.State)
	assert.Equal(t, []vidu.State{vidu.StateProcessing, vidu.StateSuccess}, states)
	assert.Equal(t, int64(4), polls.Load(), "each answer was asked for twice")
}

// A day of polling, ten minutes of it without a network.
func TestN24_LongWait(t *testing.T) {
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
				r := newRig(t, someHost, vidu.WithBackoff(vidu.FullJitter), withTransport(func(req *http.Request) (*http.Response, error) {
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
				task, err := r.Wait(ctx, "1")
				require.ErrorIs(t, err, tt.err)
				require.NotNil(t, task)
				assert.InDelta(t, min(tt.work, tt.limit).Seconds(), time.Since(started).Seconds(), 31)
				assert.Positive(t, failed)
				assert.LessOrEqual(t, failed, 3*10*60/5, "ten minutes of failures do not become a storm")
				assert.Less(t, requests, 10_000)
				if err != nil {
					testkit.AssertHarmless(t, err)
					require.ErrorContains(t, err, "task 1, which is still processing")
				}
			})
		})
	}
}
