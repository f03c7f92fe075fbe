package viduotel_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	viduotel "github.com/vidu-go/vidu/otel"
	"github.com/vidu-go/vidu/vidutest"
)

func TestTransport_SendsTraceContext(t *testing.T) {
	t.Parallel()
	server, r := newServer(t), newRecorder(t)
	var sent []string
	below := func(base http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			sent = append(sent, req.Header.Get("Traceparent"))
			assert.NotEmpty(t, req.Header.Get("Authorization"))
			return base.RoundTrip(req)
		})
	}
	client := newClient(t, server, r.tracer, vidu.WithTransportWrapper(viduotel.Transport), vidu.WithTransportWrapper(below))
	server.FailNext(http.StatusTooManyRequests, "")

	_, err := client.Reference2Video(t.Context(), request())

	require.NoError(t, err)
	assert.Equal(t, 1, server.Charged())
	span := r.spans.GetSpans()[0].SpanContext
	want := "00-" + span.TraceID().String() + "-" + span.SpanID().String() + "-01"
	assert.Equal(t, []string{want, want}, sent)
}

func TestTransport_LeavesRequestUnchanged(t *testing.T) {
	t.Parallel()
	r := newRecorder(t)
	ctx := r.tracer.TraceCallStart(t.Context(), vidu.CallStart{Operation: "get task"})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://example.com", http.NoBody)
	require.NoError(t, err)
	var sent *http.Request
	resp, err := viduotel.Transport(roundTrip(func(req *http.Request) (*http.Response, error) {
		sent = req
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})).RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Empty(t, req.Header)
	assert.NotEmpty(t, sent.Header.Get("Traceparent"))
}

func TestTransport_Default(t *testing.T) {
	t.Parallel()
	server := vidutest.NewServer()
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	require.NoError(t, err)
	client := &http.Client{Transport: viduotel.Transport(nil)}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Len(t, server.Requests(), 1)
}

// closer counts calls of CloseIdleConnections.
type closer struct {
	http.RoundTripper
	closed int
}

func (c *closer) CloseIdleConnections() { c.closed++ }

func TestTransport_ClosesIdleConnections(t *testing.T) {
	t.Parallel()
	base := &closer{}
	(&http.Client{Transport: viduotel.Transport(base)}).CloseIdleConnections()
	assert.Equal(t, 1, base.closed)
	(&http.Client{Transport: viduotel.Transport(roundTrip(nil))}).CloseIdleConnections() // has none
}
