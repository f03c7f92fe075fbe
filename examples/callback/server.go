package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/vidu-go/vidu"
)

// arrival is a callback that was verified, and whose task has ended.
type arrival struct {
	state vidu.State
	at    time.Time
}

// server receives callbacks.
type server struct {
	callbackURL string
	http        *http.Server
	stopped     chan error // the error of Serve

	mu       sync.Mutex
	arrivals map[string]chan arrival // by task; each holds one
}

// serve starts a server for callbacks.
func (j *job) serve(ctx context.Context) (*server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", j.listen)
	if err != nil {
		return nil, err
	}
	s := &server{callbackURL: j.callbackURL, stopped: make(chan error, 1), arrivals: map[string]chan arrival{}}
	if s.callbackURL == "" {
		s.callbackURL = "http://" + listener.Addr().String() + "/vidu/callback"
	}
	handler, err := j.handler(s) //nolint:contextcheck // callbacks have contexts of their own
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s.http = &http.Server{
		Handler: handler,
		// A callback URL is public. These end connections that send slowly or not at all.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second, // a callback has some kilobytes
		WriteTimeout:      75 * time.Second, // the handler itself ends after a minute
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	go func() { s.stopped <- s.http.Serve(listener) }()
	return s, nil
}

// handler serves the path of the callback URL and nothing else.
func (j *job) handler(s *server) (http.Handler, error) {
	public, err := url.Parse(s.callbackURL)
	if err != nil {
		return nil, err
	}
	path := cmp.Or(public.Path, "/")
	var opts []vidu.CallbackOption // a proxy that changes the path needs vidu.WithPublicURL
	if j.unverified {
		opts = append(opts, vidu.WithUnverifiedCallbacks())
	}
	callbacks, err := j.client.CallbackHandler(j.secret, s.receive, opts...)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			http.NotFound(w, r)
			return
		}
		callbacks.ServeHTTP(w, r)
	}), nil
}

// of returns the channel for the callback of a task, which may come before the create has returned.
func (s *server) of(id string) chan arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.arrivals[id] == nil {
		s.arrivals[id] = make(chan arrival, 1)
	}
	return s.arrivals[id]
}

// receive returns at once, as the sender waits for the answer. Callbacks of other runs are accepted, too, or they would
// be retried; each costs some bytes until the end of this run.
func (s *server) receive(_ context.Context, task *vidu.Task) error {
	select {
	case s.of(task.ID) <- arrival{state: task.State, at: time.Now()}:
	default: // a duplicate
	}
	return nil
}

// await returns the callback of a task, or false if it did not come in time.
func (s *server) await(ctx context.Context, id string, patience time.Duration) (arrival, bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case a := <-s.of(id):
		return a, true
	case <-timer.C:
	case <-ctx.Done():
	}
	return arrival{}, false
}

// patience returns how long an answer can take.
func (s *server) patience() time.Duration { return s.http.ReadHeaderTimeout + s.http.WriteTimeout }

// shutdown answers the callbacks in flight, even after Ctrl-C.
func (s *server) shutdown(ctx context.Context, stderr io.Writer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience())
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		fmt.Fprintln(stderr, "shutting down:", errors.Join(err, s.http.Close()))
	}
	if err := <-s.stopped; !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(stderr, "the server ended early:", err)
	}
}

// newSender returns the client through which the fake server sends callbacks.
func newSender() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
}
