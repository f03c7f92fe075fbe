package vidutest

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// memoryURL is the base URL of a server without a listener. The .invalid domain is reserved, so a client that misses
// the in-memory transport reaches no server.
const memoryURL = "https://vidutest.invalid"

// readHeaderTimeout closes a connection that sends no request.
const readHeaderTimeout = 10 * time.Second

// maxIdleConns lets many concurrent callers reuse their connections.
const maxIdleConns = 64

// Server is a fake of the API. Make it with [New] or [NewServer]. It is safe for concurrent use.
type Server struct {
	// URL is the base URL for a client, without the API's path prefix and without a trailing slash.
	URL string

	publicURL string // what links begin with, "" for URL
	dialect   dialect
	path      *string    // what every path begins with, nil for the dialect's own
	added     []endpoint // beside those of every server
	routes    []route
	key       string
	madeAt    time.Time

	unknownFields bool // are accepted

	callbacks *http.Client // sends them; nil for none
	refusing  rules
	downloads downloads

	scripts scripts
	ledger  ledger
	tasks   tasks
	uploads uploads
	signer  signer

	listening *http.Server
	pipes     *pipes
	inMemory  bool
	client    *http.Client
	transport *http.Transport // through pipes

	closing context.Context // over as soon as Close is called
	stop    context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // goroutines and connections that Close waits for
}

// New starts a server for one test or benchmark, which closes it when it ends, and which fails if a script was never
// used: what it was queued for did not happen. A test that fails anyway, or is skipped, says nothing of scripts.
// In a testing/synctest bubble tb is the bubble's own.
func New(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	s := NewServer(opts...)
	tb.Cleanup(func() {
		s.Close()
		if tb.Failed() || tb.Skipped() {
			return
		}
		for _, f := range s.scripts.pending() {
			tb.Errorf("vidutest: nothing used the script %s of %s", f.name, f.calledAt)
		}
	})
	return s
}

// NewServer starts a server. The caller closes it when done. Nil options are ignored. Like httptest.NewServer,
// NewServer panics if it cannot listen on a loopback address.
func NewServer(opts ...Option) *Server {
	s := &Server{
		dialect:   gateway,
		key:       APIKey,
		madeAt:    time.Now().UTC(),
		tasks:     newTasks(),
		uploads:   uploads{byID: make(map[string]*upload)},
		signer:    newSigner(),
		downloads: downloads{videoLife: videoLife, coverLife: coverLife, videos: newVideo(0, 0)},
	}
	for _, opt := range opts {
		if opt != nil {
			opt(s)
		}
	}
	if s.path != nil {
		s.dialect.prefix = *s.path
	}
	s.routes = s.dialect.routes(s.added)
	s.closing, s.stop = context.WithCancel(context.Background())
	s.listening = &http.Server{Handler: s, ReadHeaderTimeout: readHeaderTimeout, ConnState: s.trackConn}
	s.pipes = &pipes{server: s, accepted: make(chan net.Conn)}
	s.transport = s.pipes.transport()
	s.serve(s.pipes)
	if s.inMemory {
		s.URL = memoryURL
		s.client = &http.Client{Transport: s.transport}
	} else {
		s.URL = s.listen()
		s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: maxIdleConns}}
	}
	return s
}

// listen serves connections on a free port of the loopback address and returns its URL.
func (s *Server) listen() string {
	var config net.ListenConfig
	listener, err := config.Listen(s.closing, "tcp", "127.0.0.1:0")
	if err != nil {
		panic("vidutest: " + err.Error()) //nolint:forbidigo // as httptest: a test cannot go on, and NewServer has no error
	}
	s.serve(listener)
	return "http://" + listener.Addr().String()
}

func (s *Server) serve(l net.Listener) {
	s.start(func() { _ = s.listening.Serve(l) }) // it returns only after Close
}

// start runs f in a goroutine that Close waits for. Once the server is closed it runs nothing.
func (s *Server) start(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.running.Go(f)
	}
}

// trackConn lets Close wait for the goroutine of every connection. [http.Server.Close] misses one that is accepted
// while it runs, so that is closed here.
func (s *Server) trackConn(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.running.Add(1)
		if s.closing.Err() != nil {
			_ = conn.Close()
		}
	case http.StateClosed:
		s.running.Done()
	default:
	}
}

// Close stops the listener, cuts every connection, ends every request in flight and returns when their goroutines are
// gone. It may be called more than once. The ledger stays readable.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	_ = s.listening.Close() // the listener is discarded
	s.client.CloseIdleConnections()
	s.running.Wait()
}

// Client returns the HTTP client that reaches the server: over the loopback address, or in memory with [InMemory]. It
// is the same one at every call and cannot be used after [Server.Close].
func (s *Server) Client() *http.Client {
	return s.client
}

// Transport returns an [*http.Transport] that reaches the server without any socket, whether or not the server listens.
// For any host but those of [Server.URL] and [WithPublicURL] it fails as if the name did not resolve.
func (s *Server) Transport() http.RoundTripper {
	return s.transport
}

// ServeHTTP answers one request, be it to the API or to a result link. It lets the fake stand behind a listener or a
// middleware of the caller's own; result links still begin with [Server.URL], so change URL before the first request
// if they should lead elsewhere, or say where with [WithPublicURL].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, mediaPrefix) {
		s.serveMedia(w, r)
		return
	}
	s.serveAPI(w, r)
}
