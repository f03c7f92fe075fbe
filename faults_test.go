package vidu_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"image"
	"image/png"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
)

// testKey is searched for in every error and log of the fault tests.
const testKey = "sentinel-key-0123456789"

// wire is a loopback server that is given raw connections, for the faults that no http.Handler can make.
type wire struct {
	URL      string
	requests atomic.Int64 // whose header arrived
	complete atomic.Int64 // whose body arrived, too
}

// newWire starts a wire on which serve handles every connection. With a nil config it speaks plain TCP.
func newWire(t *testing.T, config *tls.Config, serve func(w *wire, conn net.Conn)) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{URL: "http://" + listener.Addr().String()}
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
	t.Cleanup(func() {
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

// readRequest reads one whole request and counts it.
func (w *wire) readRequest(conn net.Conn) bool {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return false
	}
	w.requests.Add(1)
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return false
	}
	w.complete.Add(1)
	return true
}

// reset closes a connection with RST instead of FIN.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) //nolint:errcheck // then it is a FIN
	}
	conn.Close()
}

// answering is a server that reads each request whole and gives the same answer.
func answering(t *testing.T, status int, body string) *wire {
	t.Helper()
	w := &wire{}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.requests.Add(1)
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			w.complete.Add(1)
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(status)
		io.WriteString(rw, body)
	}))
	t.Cleanup(server.Close)
	w.URL = server.URL
	return w
}

// answeringEarly answers when it has read the header and leaves the body unread.
func answeringEarly(t *testing.T, status string) *wire {
	t.Helper()
	return newWire(t, nil, func(w *wire, conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		w.requests.Add(1)
		io.WriteString(conn, "HTTP/1.1 "+status+"\r\nContent-Length: 2\r\n\r\n{}")
		<-t.Context().Done() // a server that hung up now would reset the connection and lose its answer
	})
}

// dial makes a client for a fault test: three attempts and no pause between them.
func dial(t *testing.T, baseURL string, opts ...vidu.Option) *vidu.Client {
	t.Helper()
	client, err := vidu.NewClient(baseURL, testKey, append([]vidu.Option{
		vidu.WithMaxAttempts(3), vidu.WithBackoff(func(int) time.Duration { return 0 }),
	}, opts...)...)
	require.NoError(t, err)
	return client
}

// smallRequest is the seed's example.
func smallRequest() *vidu.Reference2VideoRequest {
	return &vidu.Reference2VideoRequest{
		Model:   vidu.ModelQ2Pro,
		Images:  []vidu.Media{vidu.URL("https://example.com/hero.png")},
		Prompt:  "The astronaut waved and the camera moved up.",
		Payload: "job-42",
	}
}

// bigRequest is more than the buffers between two sockets hold, so that a server which does not read stalls it.
func bigRequest(t *testing.T) *vidu.Reference2VideoRequest {
	t.Helper()
	req := smallRequest()
	req.Images = []vidu.Media{vidu.Bytes(bigPNG(t, 14<<20))}
	return req
}

// bigPNG is an image of the given size in bytes: a real header and padding behind it.
func bigPNG(t *testing.T, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 256, 256))))
	return append(b.Bytes(), make([]byte, size-b.Len())...)
}
