package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/vidu-go/vidu/vidutest"
)

const (
	slowest = 600 * time.Millisecond // of a create: half of it before the task exists, half after
	poll    = 5 * time.Millisecond
)

// api is vidutest's fake with slow creates, so that a kill finds many of them in flight: some before their task exists,
// some after. Of those before, half go on although their client is gone, as a real server might.
type api struct {
	fake  *vidutest.Server
	front *httptest.Server

	mu     sync.Mutex
	paid   map[string]int // by payload
	flying int
}

func newAPI() *api {
	a := &api{fake: vidutest.NewServer(vidutest.InMemory(), vidutest.WithOfficialAPI()), paid: map[string]int{}}
	a.front = httptest.NewServer(a)
	a.fake.URL = a.front.URL
	return a
}

// URL is the base URL.
func (a *api) URL() string { return a.front.URL }

func (a *api) close() {
	a.front.Close()
	a.fake.Close()
}

// ServeHTTP implements http.Handler.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/reference2video") {
		a.fake.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		return // the client died before the end of its request: nothing is created
	}
	a.fly(1)
	defer a.fly(-1)
	pause(slowest / 2)
	if r.Context().Err() != nil && rand.N(2) == 0 { //nolint:gosec // no secret
		return
	}
	r = r.WithContext(context.WithoutCancel(r.Context()))
	r.Body = io.NopCloser(bytes.NewReader(body))
	reply := httptest.NewRecorder()
	a.fake.ServeHTTP(reply, r)
	a.note(body, reply.Code)
	pause(slowest / 2)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(reply.Code)
	_, _ = w.Write(reply.Body.Bytes())
}

func pause(most time.Duration) { <-time.After(rand.N(most)) } //nolint:gosec // no secret

func (a *api) fly(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.flying += n
}

// note counts how often each payload was paid for.
func (a *api) note(body []byte, status int) {
	var request struct{ Payload string }
	if status != http.StatusOK || json.Unmarshal(body, &request) != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.paid[request.Payload]++
}

func (a *api) inFlight() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.flying
}

func (a *api) creates() int { return a.fake.Charged() }

// paidTwice counts the creates beyond the first of each generation.
func (a *api) paidTwice() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, times := range a.paid {
		n += times - 1
	}
	return n
}

// awaitCreates returns when n tasks exist.
func (a *api) awaitCreates(ctx context.Context, n int) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for a.creates() < n {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// freeAddress returns a free address on the loopback interface, "" when there is none.
func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		return ""
	}
	defer l.Close() //nolint:errcheck // nothing was sent
	return l.Addr().String()
}
