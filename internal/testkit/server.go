// Package testkit is what the tests of several packages share: servers that break HTTP byte by byte, pictures and
// videos of any size, checks of errors and files, virtual time and measurements of memory. A helper takes what it needs
// from the testing.TB it is given, cleans up when that test ends, and has no state of its own. Nothing but tests may
// import it, and it never imports package vidu, so that every package below internal can use it.
package testkit

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Server is a loopback server with raw connections, for faults that no http.Handler can produce.
type Server struct {
	URL      string
	Requests atomic.Int64 // requests whose header arrived
	Complete atomic.Int64 // requests whose body arrived as well
}

// Serve starts a server that calls serve for every connection. With a config it speaks TLS.
func Serve(tb testing.TB, config *tls.Config, serve func(w *Server, conn net.Conn)) *Server {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	w := &Server{URL: "http://" + listener.Addr().String()}
	if config != nil {
		listener, w.URL = tls.NewListener(listener, config), "https://"+listener.Addr().String()
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			running.Go(func() {
				defer conn.Close()
				serve(w, conn)
			})
		}
	})
	tb.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range conns {
			conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return w
}

// ReadRequest reads one whole request and counts it.
func (w *Server) ReadRequest(conn net.Conn) bool {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return false
	}
	w.Requests.Add(1)
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return false
	}
	w.Complete.Add(1)
	return true
}

// Reset closes conn with RST instead of FIN.
func Reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) //nolint:errcheck // then it is a FIN
	}
	conn.Close()
}

// ServeReply starts a server that reads each request to its end and gives the same answer.
func ServeReply(tb testing.TB, status int, body string) *Server {
	tb.Helper()
	w := &Server{}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.Requests.Add(1)
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			w.Complete.Add(1)
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(status)
		io.WriteString(rw, body)
	}))
	tb.Cleanup(server.Close)
	w.URL = server.URL
	return w
}

// ServeEarlyReply starts a server that answers when it has read the header, and leaves the body unread.
func ServeEarlyReply(tb testing.TB, status string) *Server {
	tb.Helper()
	return Serve(tb, nil, func(w *Server, conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		w.Requests.Add(1)
		io.WriteString(conn, "HTTP/1.1 "+status+"\r\nContent-Length: 2\r\n\r\n{}")
		<-tb.Context().Done() // a server that hung up now would reset the connection and lose its answer
	})
}

// WriteReply writes a response with its length.
func WriteReply(w io.Writer, status, body string) {
	fmt.Fprintf(w, "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

// AnswerEach returns a handler of connections, net.Pipes for example, that reads and counts each request and then calls
// act.
func AnswerEach(w *Server, act func(conn net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		for w.ReadRequest(conn) {
			act(conn)
		}
	}
}

// Flood writes head and then text without end until the client closes conn, and returns how much was written. With a
// net.Pipe, which has no buffer, that is what the client has read.
func Flood(conn net.Conn, head, text string) int64 {
	n, err := io.WriteString(conn, head)
	sent := int64(n)
	for err == nil {
		n, err = io.WriteString(conn, text)
		sent += int64(n)
	}
	return sent
}

// BufferedConn is a connection whose writes do not block. The two ends of a net.Pipe would wait for each other for ever
// if they wrote at the same time.
type BufferedConn struct {
	net.Conn

	queue chan []byte
	once  sync.Once
}

// NewBufferedConn buffers the writes to conn.
func NewBufferedConn(conn net.Conn) *BufferedConn {
	o := &BufferedConn{Conn: conn, queue: make(chan []byte, 64)}
	go func() {
		defer conn.Close()
		for p := range o.queue {
			conn.Write(p)
		}
	}()
	return o
}

// Write queues p.
func (o *BufferedConn) Write(p []byte) (int, error) {
	o.queue <- bytes.Clone(p)
	return len(p), nil
}

// Close closes the connection after everything queued has been written.
func (o *BufferedConn) Close() error {
	o.once.Do(func() { close(o.queue) })
	return nil
}
