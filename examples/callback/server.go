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
	"time"

	"github.com/vidu-go/vidu"
)

// arrival is a callback that was verified, and whose task has ended.
type arrival struct {
	task *vidu.Task
	at   time.Time
}

// server is what receives callbacks.
type server struct {
	callbackURL string
	arrivals    chan arrival
	http        *http.Server
	stopped     chan error // the end of Serve
}

// serve listens for callbacks and returns.
func (j *job) serve(ctx context.Context) (*server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", j.listen)
	if err != nil {
		return nil, err
	}
	s := &server{callbackURL: j.callbackURL, arrivals: make(chan arrival, 16), stopped: make(chan error, 1)}
	if s.callbackURL == "" {
		s.callbackURL = "http://" + listener.Addr().String() + "/vidu/callback"
	}
	handler, err := j.handler(s) //nolint:contextcheck // callbacks have contexts of their own
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s.http = &http.Server{
		Handler: handler,
		// Anybody can reach a callback URL. These end the connections of those who send slowly or not at all.
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

// receive only queues: the sender waits for the answer, and an error has it deliver the callback again.
func (s *server) receive(_ context.Context, task *vidu.Task) error {
	select {
	case s.arrivals <- arrival{task: task, at: time.Now()}:
		return nil
	default:
		return errors.New("too many callbacks are waiting")
	}
}

// await returns the callback of a task, or false when it did not come in time.
func (s *server) await(ctx context.Context, id string, patience time.Duration) (arrival, bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case a := <-s.arrivals:
			if a.task.ID == id {
				return a, true
			}
		case <-timer.C:
			return arrival{}, false
		case <-ctx.Done():
			return arrival{}, false
		}
	}
}

// shutdown lets the callbacks under way be answered, even after Ctrl-C.
func (s *server) shutdown(ctx context.Context, stderr io.Writer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		fmt.Fprintln(stderr, "shutting down:", errors.Join(err, s.http.Close()))
	}
	if err := <-s.stopped; !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(stderr, "the server ended early:", err)
	}
}

// newSender is what the fake server sends callbacks through.
func newSender() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
}
