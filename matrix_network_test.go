package vidu_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/testkit"
)

// The fault matrix: each row of it is a test whose name begins with the row's id, so that
//
//	go test -run 'Test[NHRUC][0-9]' -v .
//
// prints the whole of it. The letters of a verdict: P, refused for good; S, provably not created, so sent again; A,
// ambiguous, so a MaybeCreatedError and never sent again; C, created.

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
