package vidu_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

// The vendor's own example.
func ExampleSignCallback() {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "http://127.0.0.1:8080/vidu/callback?name=james&age=36", nil)
	date := time.Date(2025, 5, 6, 12, 9, 42, 0, time.UTC)
	vidu.SignCallback(r, "your_secret_token", date, "123e4567-e89b-12d3-a456-426614174000")
	fmt.Println(r.Header.Get("X-HMAC-SIGNATURE"))
	// Output: PrO4+kG4W+b3HOSimdHMHn8pnQ6YXQTseBDC/8yvvNA=
}

func ExampleVerifyCallback() {
	const secret = "your_secret_token" // the API key that created the task
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/vidu/callback", nil)
	vidu.SignCallback(r, secret, time.Now(), "nonce-1")
	fmt.Println(vidu.VerifyCallback(r, secret))

	vidu.SignCallback(r, secret, time.Now().Add(-time.Hour), "nonce-1")
	fmt.Println(errors.Is(vidu.VerifyCallback(r, secret), vidu.ErrCallbackStale))

	vidu.SignCallback(r, "a guess", time.Now(), "nonce-1")
	fmt.Println(errors.Is(vidu.VerifyCallback(r, secret), vidu.ErrCallbackSignature))

	r.Header.Del("x-request-nonce")
	fmt.Println(errors.Is(vidu.VerifyCallback(r, secret), vidu.ErrCallbackHeader))
	// Output:
	// <nil>
	// true
	// true
	// true
}

// A server that takes callbacks. What the callback says about the task is not believed: the API is asked.
func ExampleClient_CallbackHandler() {
	fakeServer, client := fake()
	defer fakeServer.Close()
	task, err := client.Reference2Video(context.Background(), astronaut())
	if err != nil {
		log.Fatal(err)
	}

	const secret = "your_secret_token" // the API key that created the task
	queue := make(chan string, 100)
	handler, err := client.CallbackHandler(secret, func(_ context.Context, task *vidu.Task) error {
		select {
		case queue <- string(task.State): // quick, and harmless to repeat
			return nil
		default:
			return errors.New("the queue is full") // the API delivers it again
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)    // in a program: an http.Server
	server.Config.ReadHeaderTimeout = 5 * time.Second // or slow senders hold connections for ever
	server.Config.ReadTimeout = 10 * time.Second
	server.Start()
	defer server.Close()

	for range 2 { // what the API sends, and the same once more
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL+"/vidu/callback",
			strings.NewReader(`{"id":"`+task.ID+`","state":"failed"}`))
		if err != nil {
			log.Fatal(err)
		}
		vidu.SignCallback(r, secret, time.Now(), "nonce-1")
		resp, err := server.Client().Do(r)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		fmt.Println(resp.StatusCode, len(queue))
	}
	fmt.Println(<-queue)
	// Output:
	// 200 1
	// 200 1
	// success
}

// serveCallbacks returns a server for callbacks at https://api.example.com/hooks/vidu.
func serveCallbacks(client *vidu.Client, secret string, finished chan<- *vidu.Task) (*http.Server, error) {
	callbacks, err := client.CallbackHandler(secret, func(ctx context.Context, task *vidu.Task) error {
		select {
		case finished <- task: // whoever receives it downloads the video
			return nil
		case <-ctx.Done():
			return ctx.Err() // the API delivers the callback again
		}
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /hooks/vidu", callbacks)
	return &http.Server{
		Addr:              "127.0.0.1:8080",
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second, // a callback URL is public: slow senders must not hold connections
		ReadTimeout:       15 * time.Second,
	}, nil
}

// A handler is tested with callbacks that the fake server makes, genuine or not.
func ExampleClient_CallbackHandler_test() {
	fakeServer, client := fake()
	defer fakeServer.Close()
	ctx, finished := context.Background(), make(chan *vidu.Task, 1)
	server, err := serveCallbacks(client, vidutest.APIKey, finished)
	if err != nil {
		log.Fatal(err)
	}
	task, err := client.Reference2Video(ctx, astronaut())
	if err != nil {
		log.Fatal(err)
	}

	for _, key := range []string{"a guess", vidutest.APIKey} {
		callback := vidutest.Callback{TaskID: task.ID, URL: "https://api.example.com/hooks/vidu", Key: key}
		r, err := fakeServer.NewCallback(ctx, callback)
		if err != nil {
			log.Fatal(err)
		}
		w := httptest.NewRecorder()
		server.Handler.ServeHTTP(w, r)
		fmt.Println(w.Code, len(finished))
	}
	// Output:
	// 401 0
	// 200 1
}

func ExampleWithTolerance() {
	const secret = "your_secret_token"
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/vidu/callback", nil)
	vidu.SignCallback(r, secret, time.Now().Add(-30*time.Minute), "nonce-1")
	fmt.Println(vidu.VerifyCallback(r, secret, vidu.WithTolerance(time.Hour)))
	// Output: <nil>
}

// stripped mounts a callback handler below a prefix, whose path it then does not see.
func stripped(client *vidu.Client, secret string, fn func(context.Context, *vidu.Task) error) (http.Handler, error) {
	callbacks, err := client.CallbackHandler(secret, fn, vidu.WithPublicURL("https://api.example.com/hooks/vidu"))
	return http.StripPrefix("/hooks", callbacks), err
}

func Example_stripPrefix() {
	fakeServer, client := fake()
	defer fakeServer.Close()
	handler, err := stripped(client, "your_secret_token", func(_ context.Context, task *vidu.Task) error {
		fmt.Println(task.State)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	task, err := client.Reference2Video(context.Background(), astronaut())
	if err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/hooks/vidu", strings.NewReader(`{"id":"`+task.ID+`"}`))
	vidu.SignCallback(r, "your_secret_token", time.Now(), "nonce-1")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output:
	// success
	// 200
}

func ExampleWithPublicURL() {
	const secret, callbackURL = "your_secret_token", "https://example.com/hooks/vidu"
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, callbackURL, nil)
	vidu.SignCallback(r, secret, time.Now(), "nonce-1")

	r.URL.Path, r.RequestURI = "/vidu", "/vidu" // as an ingress sends it on
	fmt.Println(errors.Is(vidu.VerifyCallback(r, secret), vidu.ErrCallbackSignature))
	fmt.Println(vidu.VerifyCallback(r, secret, vidu.WithPublicURL(callbackURL)))
	// Output:
	// true
	// <nil>
}

func ExampleWithMoreSecrets() {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/vidu/callback", nil)
	vidu.SignCallback(r, "old-key", time.Now(), "nonce-1") // of a task that was created before the key was replaced
	fmt.Println(vidu.VerifyCallback(r, "new-key", vidu.WithMoreSecrets("old-key")))
	// Output: <nil>
}

// A gateway's customer does not have the key that signs.
func ExampleWithUnverifiedCallbacks() {
	fakeServer, client := fake()
	defer fakeServer.Close()
	handler, err := client.CallbackHandler("", func(_ context.Context, task *vidu.Task) error {
		fmt.Println(task.State)
		return nil
	}, vidu.WithUnverifiedCallbacks())
	if err != nil {
		log.Fatal(err)
	}

	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/callback-3f9c2a", strings.NewReader(`{"id":"123","state":"success"}`))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r) // the API knows no such task, so nothing happens
	fmt.Println(w.Code)
	// Output: 200
}

// table is a NonceStore in a database that all processes use; here it is a map.
type table struct {
	mu   sync.Mutex
	rows map[string]string // in truth with a time when each ends
}

// Claim is INSERT … ON CONFLICT DO NOTHING, and then a look at the row that was in the way.
func (t *table) Claim(_ context.Context, key string, _ time.Duration) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch t.rows[key] {
	case "":
		t.rows[key] = "claimed"
		return false, nil
	case "claimed":
		return false, errors.New("being handled elsewhere")
	}
	return true, nil
}

func (t *table) Commit(_ context.Context, key string, _ time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows[key] = "done"
	return nil
}

func (t *table) Release(_ context.Context, key string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rows, key)
	return nil
}

func ExampleWithNonceStore() {
	fakeServer, client := fake()
	defer fakeServer.Close()
	task, err := client.Reference2Video(context.Background(), astronaut())
	if err != nil {
		log.Fatal(err)
	}
	const secret = "your_secret_token"
	shared := &table{rows: map[string]string{}}
	for process := range 2 {
		handler, err := client.CallbackHandler(secret, func(_ context.Context, task *vidu.Task) error {
			fmt.Println("process", process, task.State)
			return nil
		}, vidu.WithNonceStore(shared))
		if err != nil {
			log.Fatal(err)
		}
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/vidu/callback", strings.NewReader(`{"id":"`+task.ID+`"}`))
		vidu.SignCallback(r, secret, time.Now(), "nonce-1")
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	// Output: process 0 success
}
