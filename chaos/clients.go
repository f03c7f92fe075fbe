package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/net/http2"

	"github.com/vidu-go/vidu"
)

// outcome is what a client returned for a create.
type outcome struct {
	id    string
	err   error
	maybe bool // the error is ErrMaybeCreated
}

// testClient is a client under test.
type testClient interface {
	warm(ctx context.Context) // leaves an idle connection where there is a pool
	create(ctx context.Context, req *vidu.Reference2VideoRequest) outcome
	close()
}

// contestant is a kind of client: every lane has its own.
type contestant struct {
	name   string
	secure func(lane int) bool
	dial   func(baseURL string) (testClient, error)
}

func everySecond(lane int) bool { return lane%2 == 1 }
func always(int) bool           { return true }
func never(int) bool            { return false }

// viduClient is the client of this project.
type viduClient struct {
	client *vidu.Client
	done   func()
}

// ownTransport leaves the transport to the client: HTTP/1.1 and a new connection for every create.
func ownTransport(baseURL string) (testClient, error) {
	return newViduClient(baseURL, func() {})
}

// pooledTransport gives the client a transport of net/http: reused connections, and HTTP/2 over TLS.
func pooledTransport(baseURL string) (testClient, error) {
	trust, err := identity()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: trust.client.Clone(), ForceAttemptHTTP2: true, ExpectContinueTimeout: time.Second}
	return newViduClient(baseURL, transport.CloseIdleConnections, vidu.WithHTTPClient(&http.Client{Transport: transport}))
}

// http2Transport gives the client one of golang.org/x/net/http2, over TLS or, where the URL says http, over bare TCP.
//
//nolint:staticcheck // deprecated, but callers have it
func http2Transport(baseURL string) (testClient, error) {
	trust, err := identity()
	if err != nil {
		return nil, err
	}
	transport := &http2.Transport{TLSClientConfig: trust.client.Clone()}
	if strings.HasPrefix(baseURL, "http:") {
		transport.AllowHTTP = true
		transport.DialTLSContext = func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	}
	return newViduClient(baseURL, transport.CloseIdleConnections, vidu.WithHTTPClient(&http.Client{Transport: transport}))
}

// impatientTransport gives the client a RoundTripper as circuit breakers have: it returns when the context ends, while
// its request goes on.
func impatientTransport(baseURL string) (testClient, error) {
	trust, err := identity()
	if err != nil {
		return nil, err
	}
	transport := &impatient{inner: &http.Transport{TLSClientConfig: trust.client.Clone()}}
	return newViduClient(baseURL, transport.close, vidu.WithHTTPClient(&http.Client{Transport: transport}))
}

type impatient struct {
	inner   *http.Transport
	running sync.WaitGroup
}

type result struct {
	resp *http.Response
	err  error
}

func (t *impatient) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, done := req.Context(), make(chan result)
	t.running.Go(func() { t.goOn(ctx, req, done) })
	select {
	case got := <-done:
		return got.resp, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// goOn does the request, whether or not RoundTrip still waits for it.
func (t *impatient) goOn(ctx context.Context, req *http.Request, done chan<- result) {
	resp, err := t.inner.RoundTrip(req.WithContext(context.WithoutCancel(ctx)))
	select {
	case done <- result{resp, err}:
	case <-ctx.Done():
		if err == nil {
			resp.Body.Close()
		}
	}
}

func (t *impatient) close() {
	t.running.Wait()
	t.inner.CloseIdleConnections()
}

// newViduClient changes only the pauses between attempts.
func newViduClient(baseURL string, done func(), opts ...vidu.Option) (testClient, error) {
	opts = append(opts, vidu.WithBackoff(func(int) time.Duration { return time.Millisecond }))
	client, err := vidu.NewClient(baseURL, "chaos-key-0123456789", opts...)
	return &viduClient{client: client, done: done}, err
}

func (p *viduClient) warm(ctx context.Context) {
	p.client.GetTask(ctx, "warm") //nolint:errcheck // for the connection, not for the task
}

func (p *viduClient) create(ctx context.Context, req *vidu.Reference2VideoRequest) outcome {
	task, err := p.client.Reference2Video(ctx, req)
	if err != nil {
		return outcome{err: err, maybe: errors.Is(err, vidu.ErrMaybeCreated)}
	}
	return outcome{id: task.ID}
}

func (p *viduClient) close() { p.done() }

// retryingClient is go-retryablehttp, used as in its README.
type retryingClient struct {
	client  *retryablehttp.Client
	baseURL string
}

// retrying changes the pauses, the log, which is off, and the trusted certificate.
func retrying(baseURL string) (testClient, error) {
	trust, err := identity()
	if err != nil {
		return nil, err
	}
	client := retryablehttp.NewClient()
	client.RetryWaitMin, client.RetryWaitMax, client.Logger = time.Millisecond, 5*time.Millisecond, nil
	if transport, ok := client.HTTPClient.Transport.(*http.Transport); ok {
		transport.TLSClientConfig = trust.client.Clone()
	}
	return &retryingClient{client: client, baseURL: baseURL}, nil
}

func (p *retryingClient) warm(ctx context.Context) {
	p.send(ctx, http.MethodGet, "/vidu/v2/tasks/warm/creations", nil) //nolint:errcheck // for the connection, not for the task
}

func (p *retryingClient) create(ctx context.Context, req *vidu.Reference2VideoRequest) outcome {
	body, err := json.Marshal(req)
	if err != nil {
		return outcome{err: err}
	}
	reply, err := p.send(ctx, http.MethodPost, "/vidu/v2/reference2video", body)
	if err != nil {
		return outcome{err: err}
	}
	var task vidu.Task // it parses every dialect
	if err := json.Unmarshal(reply, &task); err != nil {
		return outcome{err: err}
	}
	if task.ID == "" {
		return outcome{err: errors.New("the reply has no task id")}
	}
	return outcome{id: task.ID}
}

func (p *retryingClient) send(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := retryablehttp.NewRequestWithContext(ctx, method, p.baseURL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	return io.ReadAll(resp.Body)
}

func (p *retryingClient) close() { p.client.HTTPClient.CloseIdleConnections() }
