package sockets_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

const (
	createdReply    = `{"task_id":"1","state":"created"}`
	processingReply = `{"id":"1","state":"processing"}`
	succeededReply  = `{"id":"1","state":"success","creations":[{"id":"9","url":"https://h/x.mp4"}]}`
)

// countingClient is a client that counts its retries.
type countingClient struct {
	*vidu.Client

	retries atomic.Int64
}

// newClient makes a client with three attempts and no pause between them.
func newClient(t *testing.T, baseURL string, opts ...vidu.Option) *countingClient {
	t.Helper()
	c := &countingClient{}
	var err error
	c.Client, err = vidu.NewClient(baseURL, testkit.Key, append([]vidu.Option{
		vidu.WithMaxAttempts(3), vidu.WithBackoff(func(int) time.Duration { c.retries.Add(1); return 0 }),
	}, opts...)...)
	require.NoError(t, err)
	return c
}

// withTransport replaces the client's transports by a function.
func withTransport(f testkit.RoundTrip) vidu.Option {
	return vidu.WithHTTPClient(&http.Client{Transport: f})
}

// create sends the small request.
func (c *countingClient) create(t *testing.T) (*vidu.Task, error) {
	t.Helper()
	return c.Reference2Video(t.Context(), smallRequest())
}

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
	req.Images = []vidu.Media{vidu.Bytes(testkit.BigPNG(t, 14<<20))}
	return req
}

// serverAt returns the base URL of a server under another name.
func serverAt(w *testkit.Server, scheme, host string) string {
	_, port, _ := strings.Cut(strings.TrimPrefix(w.URL, "http"), "127.0.0.1")
	return scheme + "://" + host + port
}

func assertCreated(t *testing.T, task *vidu.Task, err error) {
	t.Helper()
	require.NoError(t, err)
	assert.Equal(t, "1", task.ID)
}

// assertNotCreated checks a create that provably made no task, or a failed read.
func assertNotCreated(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.NotErrorIs(t, err, vidu.ErrMaybeCreated)
	testkit.AssertHarmless(t, err)
}

// assertUnknownOutcome checks a create whose outcome is unknown.
func assertUnknownOutcome(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, vidu.ErrMaybeCreated)
	testkit.AssertHarmless(t, err)
	unknown := unknownOutcome(t, err)
	assert.Equal(t, "job-42", unknown.Payload, "the payload to look for")
	assert.False(t, unknown.From.IsZero() || unknown.To.Before(unknown.From), "the window to look in")
	assert.NotContains(t, strings.ToLower(err.Error()), "again")
}

func unknownOutcome(t *testing.T, err error) *vidu.MaybeCreatedError {
	t.Helper()
	unknown, ok := errors.AsType[*vidu.MaybeCreatedError](err)
	require.True(t, ok, "%v", err)
	return unknown
}
