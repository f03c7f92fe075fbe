package testkit

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// Storage is a server of raw replies, one for each request, the last one for ever. It closes the connection behind
// each.
type Storage struct {
	*Server

	mu       sync.Mutex
	requests []*http.Request
}

// ServeRaw starts a Storage. It calls one reply at a time.
func ServeRaw(tb testing.TB, replies ...RawReply) *Storage {
	tb.Helper()
	s := &Storage{}
	s.Server = Serve(tb, nil, func(_ *Server, conn net.Conn) {
		if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			io.WriteString(conn, s.reply(r, replies))
		}
	})
	return s
}

func (s *Storage) reply(r *http.Request, replies []RawReply) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	return replies[min(len(s.requests), len(replies))-1](r)
}

// Seen returns the requests so far.
func (s *Storage) Seen() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}
