package vidu_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
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
	"github.com/vidu-go/vidu/vidutest"
)

// The fault matrix: each row of it is a test whose name begins with the row's id, so that
//
//	go test -run 'Test[NHRUC][0-9]' -v .
//
// prints the whole of it. The letters of a verdict: P, refused for good; S, provably not created, so sent again; A,
// ambiguous, so a MaybeCreatedError and never sent again; C, created.

const (
	createdReply = `{"task_id":"1","state":"created"}`
	someHost     = "https://gateway.example.com"
)

// rig is a client, its own transports, and what a row looks at besides errors.
type rig struct {
	*vidu.Client
	creates, reads *http.Transport // to be changed before the first call; nil where they are of another type
	pauses         atomic.Int64    // before another attempt
	open           atomic.Int64    // bodies of answers that nobody has closed yet
	read           atomic.Int64    // bytes of them
}

// newRig makes a client with three attempts and no pause between them. When the test ends no body may be open.
func newRig(t *testing.T, baseURL string, opts ...vidu.Option) *rig {
	t.Helper()
	r := &rig{}
	count := vidu.WithBackoff(func(int) time.Duration { r.pauses.Add(1); return 0 })
	r.Client = dial(t, baseURL, append([]vidu.Option{count}, opts...)...)
	creates, reads, _ := r.Transports()
	r.creates, r.reads = r.tap(creates), r.tap(reads)
	t.Cleanup(func() {
		assert.Zero(t, r.open.Load(), "bodies left open")
		for _, transport := range []*http.Transport{r.creates, r.reads} {
			if transport != nil {
				transport.CloseIdleConnections()
			}
		}
	})
	return r
}

// tap puts itself between a client and its transport, which it returns.
func (r *rig) tap(client *http.Client) *http.Transport {
	inner := client.Transport
	client.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
		resp, err := inner.RoundTrip(req)
		if err == nil {
			r.open.Add(1)
			resp.Body = &tappedBody{ReadCloser: resp.Body, rig: r}
		}
		return resp, err
	})
	own, _ := inner.(*http.Transport)
	return own
}

type tappedBody struct {
	io.ReadCloser
	rig  *rig
	once sync.Once
}

func (b *tappedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.rig.read.Add(int64(n))
	return n, err
}

func (b *tappedBody) Close() error {
	b.once.Do(func() { b.rig.open.Add(-1) })
	return b.ReadCloser.Close()
}

// create sends the small request.
func (r *rig) create(t *testing.T) (*vidu.Task, error) {
	t.Helper()
	return r.Reference2Video(t.Context(), smallRequest())
}

// dialTo makes every connection with dialer, whatever the host.
func (r *rig) dialTo(dialer func(ctx context.Context, network, address string) (net.Conn, error)) {
	r.creates.DialContext, r.reads.DialContext = dialer, dialer
}

// leadTo lets every host name lead to the server at serverURL.
func (r *rig) leadTo(serverURL string) {
	_, address, _ := strings.Cut(serverURL, "://")
	r.dialTo(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	})
}

// settle lets virtual time pass until whatever is still under way has come to its end.
func settle() { time.Sleep(time.Hour) } //nolint:forbidigo // in virtual time

// pipes lets connections end in memory, where a synctest bubble can see that they wait.
func (r *rig) pipes(serve func(conn net.Conn)) {
	r.dialTo(func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			serve(theirs)
		}()
		return ours, nil
	})
}

// trust accepts the certificates that pool knows.
func (r *rig) trust(pool *x509.CertPool) {
	for _, transport := range []*http.Transport{r.creates, r.reads} {
		if transport.TLSClientConfig == nil {
			transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		transport.TLSClientConfig.RootCAs = pool
	}
}

// assertNotCreated checks the promise of P, of S that ran out of attempts, and of every failed read.
func assertNotCreated(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.NotErrorIs(t, err, vidu.ErrMaybeCreated)
	assertHarmless(t, err)
}

// doubtOf is the error of A.
func doubtOf(t *testing.T, err error) *vidu.MaybeCreatedError {
	t.Helper()
	require.ErrorIs(t, err, vidu.ErrMaybeCreated)
	doubt, ok := errors.AsType[*vidu.MaybeCreatedError](err)
	require.True(t, ok)
	return doubt
}

// assertDoubt checks the promise of A.
func assertDoubt(t *testing.T, err error) {
	t.Helper()
	doubt := doubtOf(t, err)
	assertHarmless(t, err)
	assert.Equal(t, "job-42", doubt.Payload, "the marker to look for")
	assert.False(t, doubt.From.IsZero() || doubt.To.Before(doubt.From), "the window to look in")
	assert.NotContains(t, strings.ToLower(err.Error()), "again")
}

// assertCreated checks the promise of C.
func assertCreated(t *testing.T, task *vidu.Task, err error) {
	t.Helper()
	require.NoError(t, err)
	assert.Equal(t, "1", task.ID)
}

// say writes an answer by hand.
func say(w io.Writer, status, body string) {
	fmt.Fprintf(w, "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

// identity is a certificate for names, made now, that only pool trusts.
func identity(t *testing.T, expires time.Time, names ...string) (config *tls.Config, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: time.Unix(0, 0), NotAfter: expires,
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool = x509.NewCertPool()
	pool.AddCert(certificate)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

var inThisCentury = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	noSuchName = 3 // the codes of DNS answers
	serverFail = 2
	noAnswer   = -1
)

// nameServer resolves every name to 127.0.0.1, or fails with the code that it is told.
func nameServer(t *testing.T, code func() int) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		packet := make([]byte, 512)
		for {
			n, peer, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			if code := code(); code != noAnswer {
				conn.WriteTo(dnsReply(packet[:n], byte(code)), peer) //nolint:errcheck // then it stays without an answer
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		running.Wait()
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if t.Context().Err() != nil {
			return nil, t.Context().Err()
		}
		question, err := new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
		if err == nil { // the resolver would wait 5 s for an answer, though nobody waits for the resolver any more
			context.AfterFunc(t.Context(), func() { question.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck,contextcheck // then it waits; a test's context is the only one
		}
		return question, err
	}}
}

// dnsReply turns a question into its answer.
func dnsReply(question []byte, code byte) []byte {
	const header, address = 12, 1
	end := header
	for question[end] != 0 {
		end += 1 + int(question[end])
	}
	end += 5                                  // the last label's length, type and class
	reply := bytes.Clone(question[:end])      // without the additional records
	reply[2], reply[3] = 0x81, 0x80|code      // an answer, recursion available
	copy(reply[6:], []byte{0, 0, 0, 0, 0, 0}) // no records but the question
	if code == 0 && question[end-3] == address {
		reply[7] = 1
		reply = append(reply, 0xc0, header, 0, address, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return reply
}

// named is a rig that resolves names with resolver and reaches w by name.
func named(t *testing.T, w *wire, resolver *net.Resolver, opts ...vidu.Option) *rig {
	t.Helper()
	r := newRig(t, strings.Replace(w.URL, "127.0.0.1", "gateway.invalid", 1), append(opts, vidu.WithInsecureHTTP())...)
	r.dialTo((&net.Dialer{Resolver: resolver, Timeout: time.Second}).DialContext)
	return r
}

func TestN01_NoSuchName(t *testing.T) {
	t.Parallel()
	w := answering(t, 200, createdReply)
	r := named(t, w, nameServer(t, func() int { return noSuchName }))
	_, err := r.create(t)
	assertNotCreated(t, err)
	require.ErrorContains(t, err, "gateway.invalid")
	dns, ok := errors.AsType[*net.DNSError](err)
	require.True(t, ok)
	assert.True(t, dns.IsNotFound)
	assert.Zero(t, r.pauses.Load(), "the name will not exist in a second either")
	assert.Zero(t, w.requests.Load())
}

func TestN02_NameServerFailsThenWorks(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int{"silent": noAnswer, "SERVFAIL": serverFail} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := answering(t, 200, createdReply)
			var works atomic.Bool
			resolver := nameServer(t, func() int {
				if works.Load() {
					return 0
				}
				return code
			})
			r := named(t, w, resolver, vidu.WithBackoff(func(int) time.Duration { works.Store(true); return 0 }))
			task, err := r.create(t)
			assertCreated(t, task, err)
			assert.True(t, works.Load(), "the first try failed")
			assert.Equal(t, int64(1), w.requests.Load())
		})
	}
}

func TestN03_DialRefusedThenWorks(t *testing.T) {
	t.Parallel()
	w := answering(t, 200, createdReply)
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
	assert.Equal(t, int64(1), w.requests.Load())

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
func handshakes(t *testing.T, config *tls.Config) *wire {
	t.Helper()
	w := newWire(t, nil, func(w *wire, conn net.Conn) {
		w.requests.Add(1)
		w.readRequest(tls.Server(conn, config))
	})
	w.URL = strings.Replace(w.URL, "http://", "https://", 1)
	return w
}

// refusesPeer checks that neither a create nor a read gets past the handshake, and that neither tries twice.
func refusesPeer(t *testing.T, r *rig, w *wire) error {
	t.Helper()
	_, err := r.create(t)
	assertNotCreated(t, err)
	_, readErr := r.GetTask(t.Context(), "1")
	assertNotCreated(t, readErr)
	assert.Equal(t, int64(2), w.requests.Load(), "one handshake each")
	assert.Zero(t, w.complete.Load())
	assert.Zero(t, r.pauses.Load())
	return err
}

func TestN05_UntrustedCertificate(t *testing.T) {
	t.Parallel()
	for name, expires := range map[string]time.Time{"unknown authority": inThisCentury, "expired": time.Unix(1, 0)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, pool := identity(t, expires, "gateway.example.com")
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
	config, pool := identity(t, inThisCentury, "other.example.com")
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
			w := newWire(t, nil, func(w *wire, conn net.Conn) {
				w.requests.Add(1)
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
			assert.NotContains(t, heard.String(), testKey)
		})
	}
}

func TestN08_HandshakeCut(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(net.Conn){"FIN": func(conn net.Conn) { conn.Close() }, "RST": reset} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, pool := identity(t, inThisCentury, "gateway.example.com")
			var conns atomic.Int64
			w := newWire(t, nil, func(w *wire, conn net.Conn) {
				if conns.Add(1) <= 2 {
					conn.Read(make([]byte, 64)) //nolint:errcheck // the beginning of its hello
					cut(conn)
					return
				}
				secure := tls.Server(conn, config)
				if w.readRequest(secure) {
					say(secure, "200 OK", createdReply)
				}
			})
			r := newRig(t, someHost)
			r.leadTo(w.URL)
			r.trust(pool)
			task, err := r.create(t)
			assertCreated(t, task, err)
			assert.Equal(t, int64(2), r.pauses.Load())
			assert.Equal(t, int64(1), w.requests.Load())
		})
	}
}

// Whatever a server reads before it resets the connection: when it read the whole request, the outcome is in doubt.
func TestN09_AcceptThenReset(t *testing.T) {
	t.Parallel()
	var conns atomic.Int64
	w := newWire(t, nil, func(w *wire, conn net.Conn) {
		switch conns.Add(1) % 4 {
		case 0:
		case 1:
			conn.Read(make([]byte, 1)) //nolint:errcheck // of the header
		case 2:
			http.ReadRequest(bufio.NewReader(conn)) //nolint:errcheck // only the header
		case 3:
			w.readRequest(conn)
		}
		reset(conn)
	})
	r := newRig(t, w.URL)
	doubts := 0
	for range 60 {
		before := w.complete.Load()
		_, err := r.create(t)
		require.Error(t, err)
		assertHarmless(t, err)
		complete := w.complete.Load() - before
		assert.LessOrEqual(t, complete, int64(1), "sent again after the server had it")
		if complete > 0 {
			assertDoubt(t, err)
		}
		if errors.Is(err, vidu.ErrMaybeCreated) {
			doubts++
		}
	}
	assert.GreaterOrEqual(t, int64(doubts), w.complete.Load())
	assert.Positive(t, w.complete.Load())
}

func TestN10_ResetInsideABigBody(t *testing.T) {
	t.Parallel()
	var requests, complete atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			io.CopyN(io.Discard, r.Body, 9<<20) //nolint:errcheck // half of it
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				reset(conn)
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
	w := newWire(t, nil, func(w *wire, conn net.Conn) {
		in := bufio.NewReader(conn)
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		w.requests.Add(1)
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
	assert.Equal(t, int64(1), w.requests.Load())
}

// cutsReplies is a server that makes the task and then cuts the connection of its create.
func cutsReplies(t *testing.T, cut func(net.Conn)) (*vidutest.Server, *httptest.Server) {
	t.Helper()
	backend := vidutest.NewServer(vidutest.InMemory(), vidutest.WithOfficialAPI(), vidutest.WithAPIKey(testKey), vidutest.WithTiming(0, 0))
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
		assertDoubt(t, err)
		assert.Zero(t, doubtOf(t, err).StatusCode)
		assert.Empty(t, doubtOf(t, err).Body)
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
	replyLost(t, reset)
}

// serve1 answers every request on a connection with act. It is for pipes, whose connections are no wire's.
func serve1(w *wire, act func(conn net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		for w.readRequest(conn) {
			act(conn)
		}
	}
}

func TestN14_HangsAfterTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		r := newRig(t, "http://127.0.0.1")
		r.pipes(serve1(w, func(conn net.Conn) { conn.Read(make([]byte, 1)) })) //nolint:errcheck // until the client is gone
		started := time.Now()
		_, err := r.create(t)
		assertDoubt(t, err)
		assert.Equal(t, 2*time.Minute, time.Since(started))
		assert.Equal(t, int64(1), w.requests.Load())

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
	w := newWire(t, nil, func(w *wire, conn net.Conn) {
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
			say(conn, "200 OK", createdReply)
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
			defer settle()
			w := &wire{}
			r := newRig(t, "http://127.0.0.1")
			r.pipes(serve1(w, drip("")))
			started := time.Now()
			_, err := r.create(t)
			assertDoubt(t, err)
			assert.Equal(t, 10*time.Minute, time.Since(started))
			assert.Equal(t, int64(1), w.requests.Load())
		})
	})
	t.Run("create, the id came first", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			defer settle()
			r := newRig(t, "http://127.0.0.1")
			r.pipes(serve1(&wire{}, drip(`{"task_id":"1","prompt":"`)))
			task, err := r.create(t)
			assertCreated(t, task, err)
			assert.NotEmpty(t, task.Warnings)
		})
	})
	t.Run("query", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			defer settle()
			w := &wire{}
			r := newRig(t, "http://127.0.0.1")
			r.pipes(serve1(w, drip("")))
			started := time.Now()
			_, err := r.GetTask(t.Context(), "1")
			assertNotCreated(t, err)
			assert.Equal(t, 3*time.Minute, time.Since(started), "three attempts")
			assert.Equal(t, int64(3), w.requests.Load())
		})
	})
}

func TestN17_AnswerInSingleBytes(t *testing.T) {
	t.Parallel()
	w := newWire(t, nil, func(w *wire, conn net.Conn) {
		var text bytes.Buffer
		say(&text, "200 OK", createdReply)
		if w.readRequest(conn) {
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
	assert.Equal(t, int64(2), w.requests.Load())
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

// poured is what a server could write of an endless text before the client had enough of it. Pipes have no buffer.
func poured(conn net.Conn, head, text string) int64 {
	n, err := io.WriteString(conn, head)
	sent := int64(n)
	for err == nil {
		n, err = io.WriteString(conn, text)
		sent += int64(n)
	}
	return sent
}

func TestN19_EndlessEarlyHints(t *testing.T) { //nolint:paralleltest // it measures what the process allocates
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		w := &wire{}
		r := newRig(t, "http://127.0.0.1")
		r.pipes(serve1(w, func(conn net.Conn) {
			sent.Add(poured(conn, "", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 25)))
		}))
		var err error
		allocated := allocations(func() { _, err = r.create(t) })
		assertDoubt(t, err)
		synctest.Wait()
		assert.LessOrEqual(t, sent.Load(), int64(64<<10+8<<10), "64 KiB and a buffer")
		assert.Equal(t, int64(1), w.requests.Load())
		t.Logf("sent %d bytes, allocated %d", sent.Load(), allocated)
		assert.Less(t, allocated, int64(2<<20))
	})
}

// allocations is how many bytes the process allocates while f runs. Tests that use it are not parallel.
func allocations(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// The frames of HTTP/2 that are needed to misbehave in it.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8

	flagEndStream  = 0x1 // on SETTINGS: an acknowledgement
	flagEndHeaders = 0x4

	codeNo       = 0x0
	codeProtocol = 0x1
	codeInternal = 0x2
	codeRefused  = 0x7
	codeCancel   = 0x8
	codeCalm     = 0xb
)

// session is a connection that speaks HTTP/2.
type session struct{ net.Conn }

func (s session) frame(kind, flags byte, stream uint32, payload ...byte) {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = binary.BigEndian.AppendUint32(append(head, flags), stream)
	s.Write(append(head, payload...))
}

func (s session) reset(stream, code uint32) {
	s.frame(frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code)...)
}

// goAway says that the streams above last were not processed, and hangs up.
func (s session) goAway(last uint32) {
	s.frame(frameGoAway, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), codeNo)...)
	s.Close()
}

func (s session) answer(stream uint32, body string) {
	const status200 = 0x88 // in HPACK's static table
	s.frame(frameHeaders, flagEndHeaders, stream, status200)
	s.frame(frameData, flagEndStream, stream, []byte(body)...)
}

// harm is what happens to a request: it is called with its header and with each part of its body.
type harm func(s session, stream uint32, whole bool)

// afterAll does harm when the whole request is there.
func afterAll(do func(s session, stream uint32)) harm {
	return func(s session, stream uint32, whole bool) {
		if whole {
			do(s, stream)
		}
	}
}

// serve2 speaks HTTP/2 and does harm to every request.
func serve2(w *wire, conn net.Conn, do harm) {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	s, in := session{conn}, bufio.NewReader(conn)
	if _, err := in.Discard(len(preface)); err != nil {
		return
	}
	s.frame(frameSettings, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff) // no limit to the bodies
	s.frame(frameWindowUpdate, 0, 0, 0x7f, 0xff, 0, 0)
	for head := make([]byte, 9); ; {
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		length := int(binary.BigEndian.Uint32(head) >> 8)
		if _, err := in.Discard(length); err != nil {
			return
		}
		kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])
		switch {
		case kind == frameSettings && flags == 0:
			s.frame(frameSettings, flagEndStream, 0)
		case kind == frameHeaders, kind == frameData:
			if kind == frameHeaders {
				w.requests.Add(1)
			}
			whole := flags&flagEndStream != 0
			if whole {
				w.complete.Add(1)
			}
			do(s, stream, whole)
		}
	}
}

// refusals2 are the failures after which net/http sends a request again by itself, if it can.
var refusals2 = map[string]harm{
	"REFUSED_STREAM":           afterAll(func(s session, stream uint32) { s.reset(stream, codeRefused) }),
	"PROTOCOL_ERROR":           afterAll(func(s session, stream uint32) { s.reset(stream, codeProtocol) }),
	"GOAWAY before the stream": afterAll(func(s session, stream uint32) { s.goAway(stream - 1) }),
	"GOAWAY before, connection lives on": afterAll(func(s session, stream uint32) {
		s.frame(frameGoAway, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, stream-1), codeNo)...)
	}),
}

// breakages2 are the failures after which it does not.
var breakages2 = map[string]harm{
	"INTERNAL_ERROR":          afterAll(func(s session, stream uint32) { s.reset(stream, codeInternal) }),
	"CANCEL":                  afterAll(func(s session, stream uint32) { s.reset(stream, codeCancel) }),
	"ENHANCE_YOUR_CALM":       afterAll(func(s session, stream uint32) { s.reset(stream, codeCalm) }),
	"GOAWAY after the stream": afterAll(func(s session, stream uint32) { s.goAway(stream) }),
	"connection closed":       afterAll(func(s session, _ uint32) { s.Close() }),
}

// outbox is a connection whose writes do not wait. Both ends of a pipe that write at once would wait for ever.
type outbox struct {
	net.Conn

	queue chan []byte
	once  sync.Once
}

func newOutbox(conn net.Conn) *outbox {
	o := &outbox{Conn: conn, queue: make(chan []byte, 64)}
	go func() {
		defer conn.Close()
		for p := range o.queue {
			conn.Write(p)
		}
	}()
	return o
}

func (o *outbox) Write(p []byte) (int, error) {
	o.queue <- bytes.Clone(p)
	return len(p), nil
}

// Close lets what was written go out first.
func (o *outbox) Close() error {
	o.once.Do(func() { close(o.queue) })
	return nil
}

// Without the guard there are eight requests an attempt, or no end of them.
func TestN20_HTTP2ReadsAbandonedForEver(t *testing.T) {
	t.Parallel()
	for name, do := range refusals2 {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // net/http pauses for seconds between its repetitions
				config, pool := identity(t, inThisCentury, "gateway.example.com")
				config.NextProtos = []string{"h2"}
				w := &wire{}
				r := newRig(t, someHost)
				r.trust(pool)
				r.pipes(func(conn net.Conn) {
					out := newOutbox(conn)
					defer out.Close()
					serve2(w, tls.Server(out, config), do)
				})
				_, err := r.GetTask(t.Context(), "1")
				assertNotCreated(t, err)
				assert.LessOrEqual(t, w.requests.Load(), int64(3*4), "three attempts of ours")
				assert.GreaterOrEqual(t, w.requests.Load(), int64(3))
				synctest.Wait() // until the connection is idle, for only then it can be closed
			})
		})
	}
}

// callersHTTP2 is a rig with a transport that a caller brings, and which speaks HTTP/2 to w.
func callersHTTP2(t *testing.T, do harm) (*rig, *wire) {
	t.Helper()
	config, pool := identity(t, inThisCentury, "gateway.example.com")
	config.NextProtos = []string{"h2"}
	w := newWire(t, config, func(w *wire, conn net.Conn) { serve2(w, conn, do) })
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}
	r := newRig(t, someHost, vidu.WithHTTPClient(&http.Client{Transport: transport}))
	r.leadTo(w.URL)
	return r, w
}

func TestN21_HTTP2CreateAbandoned(t *testing.T) {
	t.Parallel()
	for _, faults := range []map[string]harm{refusals2, breakages2} {
		for name, do := range faults {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r, w := callersHTTP2(t, do)
				_, err := r.create(t)
				assertDoubt(t, err)
				assert.Equal(t, int64(1), w.requests.Load())
				assert.Equal(t, int64(1), w.complete.Load())
			})
		}
	}
	t.Run("refused inside a big body, then works", func(t *testing.T) {
		t.Parallel()
		var refused atomic.Bool
		r, w := callersHTTP2(t, func(s session, stream uint32, whole bool) {
			switch {
			case refused.CompareAndSwap(false, true):
				s.reset(stream, codeRefused)
			case whole && stream > 1:
				s.answer(stream, createdReply)
			}
		})
		task, err := r.Reference2Video(t.Context(), bigRequest(t))
		assertCreated(t, task, err)
		assert.Equal(t, int64(2), w.requests.Load())
		assert.Equal(t, int64(1), w.complete.Load())
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
			proxy := answering(t, tt.status, "")
			r := proxied(t, proxy.URL)
			_, err := r.create(t)
			assertNotCreated(t, err)
			assert.NotContains(t, fmt.Sprintf("%+v %#v", err, err), "proxy-password")
			assert.Equal(t, int64(tt.attempts), proxy.requests.Load())
			_, err = r.GetTask(t.Context(), "1")
			assertNotCreated(t, err)
			assert.Equal(t, int64(2*tt.attempts), proxy.requests.Load())
		})
	}
	t.Run("502, then works", func(t *testing.T) {
		t.Parallel()
		config, pool := identity(t, inThisCentury, "gateway.example.com")
		var connects atomic.Int64
		w := newWire(t, nil, func(w *wire, conn net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
				return
			}
			if connects.Add(1) == 1 {
				say(conn, "502 Bad Gateway", "")
				return
			}
			say(conn, "200 Connection established", "")
			secure := tls.Server(conn, config) // the proxy plays the gateway, too
			if w.readRequest(secure) {
				say(secure, "200 OK", createdReply)
			}
		})
		r := proxied(t, w.URL)
		r.trust(pool)
		task, err := r.create(t)
		assertCreated(t, task, err)
		assert.Equal(t, int64(1), w.requests.Load())
	})
}

func TestN23_PollAnswerBreaksOff(t *testing.T) {
	t.Parallel()
	var polls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer := []string{processing, succeeded}[min(polls.Load()/2, 1)]
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
				r := newRig(t, someHost, vidu.WithBackoff(backoff.FullJitter), through(func(req *http.Request) (*http.Response, error) {
					requests++
					switch at := time.Since(started); {
					case 3*time.Hour <= at && at < 3*time.Hour+10*time.Minute:
						failed++
						return nil, &net.OpError{Op: "dial", Err: syscall.ENETUNREACH}
					case at < tt.work:
						return reply(req, 200, processing)
					}
					return reply(req, 200, succeeded)
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
					assertHarmless(t, err)
					require.ErrorContains(t, err, "task 1, which is still processing")
				}
			})
		})
	}
}
