package viduotel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/vidu-go/vidu"
	viduotel "github.com/vidu-go/vidu/otel"
	"github.com/vidu-go/vidu/vidutest"
)

const (
	prompt  = "The astronaut waved from a moon of cheese."
	payload = "order-4711-of-a-customer"
	link    = "https://example.com/hero.png?X-Signature=0123456789abcdef"
)

// recorder keeps what a tracer records.
type recorder struct {
	spans   *tracetest.InMemoryExporter
	metrics *sdkmetric.ManualReader
	tracer  vidu.Tracer
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{spans: tracetest.NewInMemoryExporter(), metrics: sdkmetric.NewManualReader()}
	spans := sdktrace.NewTracerProvider(sdktrace.WithSyncer(r.spans))
	metrics := sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.metrics))
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		assert.NoError(t, errors.Join(spans.Shutdown(ctx), metrics.Shutdown(ctx)))
	})
	r.tracer = viduotel.NewTracer(viduotel.WithTracerProvider(spans), viduotel.WithMeterProvider(metrics))
	return r
}

// measured returns the metrics by name.
func (r *recorder) measured(t *testing.T) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, r.metrics.Collect(t.Context(), &all))
	byName := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			byName[m.Name] = m
		}
	}
	return byName
}

// assertSum checks the points of a counter.
func (r *recorder) assertSum(t *testing.T, name string, points ...metricdata.DataPoint[int64]) {
	t.Helper()
	want := metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true, DataPoints: points}
	metricdatatest.AssertAggregationsEqual(t, want, r.measured(t)[name].Data,
		metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}

func point(value int64, attributes ...attribute.KeyValue) metricdata.DataPoint[int64] {
	return metricdata.DataPoint[int64]{Value: value, Attributes: attribute.NewSet(attributes...)}
}

func newClient(t *testing.T, server *vidutest.Server, tracer vidu.Tracer, opts ...vidu.Option) *vidu.Client {
	t.Helper()
	opts = append([]vidu.Option{
		vidu.WithHTTPClient(server.Client()), vidu.WithTracer(tracer), vidu.WithMaxAttempts(2),
		vidu.WithBackoff(func(int) time.Duration { return 0 }),
	}, opts...)
	client, err := vidu.NewClient(server.URL, vidutest.APIKey, opts...)
	require.NoError(t, err)
	return client
}

func newServer(t *testing.T, opts ...vidutest.Option) *vidutest.Server {
	t.Helper()
	server := vidutest.NewServer(append([]vidutest.Option{vidutest.InMemory(), vidutest.WithTiming(0, 0)}, opts...)...)
	t.Cleanup(server.Close)
	return server
}

func request() *vidu.Reference2VideoRequest {
	return &vidu.Reference2VideoRequest{
		Model: vidu.ModelQ2Pro, Images: []vidu.Media{vidu.URL(link)}, Prompt: prompt, Payload: payload,
	}
}

// values returns attributes as a map.
func values(list []attribute.KeyValue) map[string]any {
	all := map[string]any{}
	for _, kv := range list {
		all[string(kv.Key)] = kv.Value.AsInterface()
	}
	return all
}

// pop returns the value of a key and removes it.
func pop(all map[string]any, key string) any {
	value := all[key]
	delete(all, key)
	return value
}

// roundTrip is a transport of one function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// failing is the option of a client whose every request fails with err, after its body was read if read.
func failing(err error, read bool) vidu.Option {
	return vidu.WithHTTPClient(&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if read && r.Body != nil {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		return nil, err
	})})
}

func TestTracer_Creates(t *testing.T) {
	t.Parallel()
	const credit = `{"code":429,"reason":"CreditInsufficient","message":"pay"}`
	tests := map[string]struct {
		script    func(*vidutest.Server)
		options   []vidu.Option
		outcome   vidu.Outcome
		status    codes.Code
		errorType string
		attempts  []map[string]any
		taskID    string // "" is that of the call's result
	}{
		"created": {
			func(*vidutest.Server) {}, nil, vidu.OutcomeCreated, codes.Unset, "",
			[]map[string]any{{"http.response.status_code": int64(200)}},
			"",
		},
		"created by the second attempt": {
			func(s *vidutest.Server) { s.FailNext(http.StatusTooManyRequests, "") }, nil,
			vidu.OutcomeCreated, codes.Unset, "",
			[]map[string]any{
				{"http.response.status_code": int64(429), "error.type": "TooManyRequests"},
				{"http.response.status_code": int64(200)},
			},
			"",
		},
		"refused": {
			func(s *vidutest.Server) { s.FailNext(http.StatusTooManyRequests, credit) }, nil,
			vidu.OutcomeRefused, codes.Error, "CreditInsufficient",
			[]map[string]any{{"http.response.status_code": int64(429), "error.type": "CreditInsufficient"}},
			"",
		},
		"refused with a sentence for a code": {
			func(s *vidutest.Server) { s.FailNext(http.StatusBadRequest, `{"code":400,"reason":"no `+prompt+`"}`) }, nil,
			vidu.OutcomeRefused, codes.Error, "400",
			[]map[string]any{{"http.response.status_code": int64(400), "error.type": "400"}},
			"",
		},
		"unknown": {
			func(s *vidutest.Server) { s.DropReplyAfterCommit() }, nil,
			vidu.OutcomeUnknown, codes.Error, "transport",
			[]map[string]any{{"error.type": "transport"}},
			"",
		},
		"unknown, of a reply that names no task": {
			func(s *vidutest.Server) {
				s.AnswerNext("POST /reference2video", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) })
			},
			nil, vidu.OutcomeUnknown, codes.Error, "reply",
			[]map[string]any{{"http.response.status_code": int64(200)}},
			"",
		},
		"unknown, of an error that names a task": {
			func(s *vidutest.Server) { s.FailNext(http.StatusBadGateway, `{"task_id":"4711"}`) }, nil,
			vidu.OutcomeUnknown, codes.Error, "502",
			[]map[string]any{{"http.response.status_code": int64(502), "error.type": "502"}},
			"4711",
		},
		"not sent": {
			func(*vidutest.Server) {},
			[]vidu.Option{failing(errors.New("connection refused"), false)},
			vidu.OutcomeNotSent, codes.Error, "transport",
			[]map[string]any{{"error.type": "transport"}, {"error.type": "transport"}},
			"",
		},
		"timeout": {
			func(*vidutest.Server) {},
			[]vidu.Option{failing(context.DeadlineExceeded, true)},
			vidu.OutcomeUnknown, codes.Error, "timeout",
			[]map[string]any{{"error.type": "timeout"}},
			"",
		},
		"canceled": {
			func(*vidutest.Server) {},
			[]vidu.Option{failing(context.Canceled, true)},
			vidu.OutcomeUnknown, codes.Error, "canceled",
			[]map[string]any{{"error.type": "canceled"}},
			"",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, r := newServer(t), newRecorder(t)
			test.script(server)
			client := newClient(t, server, r.tracer, test.options...)

			task, err := client.Reference2Video(t.Context(), request())

			assert.Equal(t, test.outcome == vidu.OutcomeCreated, err == nil, "%v", err)
			want := map[string]any{
				"vidu.operation": "reference2video", "vidu.outcome": string(test.outcome),
				"vidu.attempts": int64(len(test.attempts)),
			}
			for key, value := range map[string]string{"error.type": test.errorType, "vidu.task.id": test.taskID} {
				if value != "" {
					want[key] = value
				}
			}
			if err == nil {
				want["vidu.task.id"] = task.ID
			}
			spans := r.spans.GetSpans()
			require.Len(t, spans, 1)
			assert.Equal(t, "reference2video", spans[0].Name)
			assert.Equal(t, trace.SpanKindClient, spans[0].SpanKind)
			assert.Equal(t, test.status, spans[0].Status.Code)
			assert.Equal(t, want, values(spans[0].Attributes))

			require.Len(t, spans[0].Events, len(test.attempts))
			for i, event := range spans[0].Events {
				assert.Equal(t, "vidu.attempt", event.Name)
				got := values(event.Attributes)
				assert.Equal(t, int64(i+1), pop(got, "vidu.attempt.number"))
				assert.GreaterOrEqual(t, pop(got, "vidu.attempt.duration"), 0.0)
				pop(got, "vidu.request.id")
				assert.Equal(t, test.attempts[i], got)
			}

			of := []attribute.KeyValue{
				attribute.String("vidu.operation", "reference2video"), attribute.String("vidu.outcome", string(test.outcome)),
			}
			r.assertSum(t, "vidu.client.calls", point(1, of...))
			durations, ok := r.measured(t)["vidu.client.call.duration"].Data.(metricdata.Histogram[float64])
			require.True(t, ok)
			require.Len(t, durations.DataPoints, 1)
			assert.Equal(t, attribute.NewSet(of...), durations.DataPoints[0].Attributes)
			assert.Equal(t, uint64(1), durations.DataPoints[0].Count)
		})
	}
}

func TestTracer_OtherCalls(t *testing.T) {
	t.Parallel()
	server, r := newServer(t), newRecorder(t)
	client := newClient(t, server, r.tracer)
	task, err := client.Reference2Video(t.Context(), request())
	require.NoError(t, err)
	server.FailNext(http.StatusServiceUnavailable, "")
	_, err = client.GetTask(t.Context(), task.ID)
	require.NoError(t, err)
	_, err = client.GetTask(t.Context(), "404404")
	require.Error(t, err)

	spans := r.spans.GetSpans()
	require.Len(t, spans, 3)
	for i, want := range []struct {
		outcome vidu.Outcome
		status  codes.Code
	}{{vidu.OutcomeOK, codes.Unset}, {vidu.OutcomeFailed, codes.Error}} {
		got := values(spans[i+1].Attributes)
		assert.Equal(t, "get task", spans[i+1].Name)
		assert.Equal(t, string(want.outcome), got["vidu.outcome"])
		assert.Equal(t, want.status, spans[i+1].Status.Code)
	}
	assert.Equal(t, task.ID, values(spans[1].Attributes)["vidu.task.id"])

	create, get := attribute.String("vidu.operation", "reference2video"), attribute.String("vidu.operation", "get task")
	status := func(n int) attribute.KeyValue { return attribute.Int("http.response.status_code", n) }
	r.assertSum(t, "vidu.client.attempts",
		point(1, create, status(200)), point(1, get, status(200)), point(1, get, status(503)), point(1, get, status(404)))
	r.assertSum(t, "vidu.client.calls",
		point(1, create, attribute.String("vidu.outcome", "created")),
		point(1, get, attribute.String("vidu.outcome", "ok")), point(1, get, attribute.String("vidu.outcome", "failed")))
}

func TestTracer_AttemptsWithoutResponse(t *testing.T) {
	t.Parallel()
	r := newRecorder(t)
	client := newClient(t, newServer(t), r.tracer, failing(errors.New("connection refused"), false))

	_, err := client.GetTask(t.Context(), "1")

	require.Error(t, err)
	r.assertSum(t, "vidu.client.attempts", point(2, attribute.String("vidu.operation", "get task")))
}

// The span belongs to the caller's trace, and the calls of a look-up to their create.
func TestTracer_Parents(t *testing.T) {
	t.Parallel()
	server, r := newServer(t, vidutest.WithOfficialAPI()), newRecorder(t)
	client := newClient(t, server, r.tracer, vidu.WithOfficialAPI(), vidu.WithRecovery(10*time.Second))
	server.DropReplyAfterCommit()
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})

	task, err := client.Reference2Video(trace.ContextWithSpanContext(t.Context(), parent), request())

	require.NoError(t, err)
	spans := r.spans.GetSpans()
	require.Greater(t, len(spans), 1)
	create := spans[len(spans)-1] // ends last
	assert.Equal(t, "reference2video", create.Name)
	assert.Equal(t, parent.SpanID(), create.Parent.SpanID())
	assert.Equal(t, "created", values(create.Attributes)["vidu.outcome"])
	assert.Equal(t, task.ID, values(create.Attributes)["vidu.task.id"])
	for _, span := range spans[:len(spans)-1] {
		assert.Equal(t, create.SpanContext.SpanID(), span.Parent.SpanID(), span.Name)
		assert.Equal(t, parent.TraceID(), span.SpanContext.TraceID())
	}
}

// Nothing that is recorded holds a secret, however much of it a server or a transport puts into its answers.
func TestTracer_RecordsNoSecrets(t *testing.T) {
	t.Parallel()
	echo, err := json.Marshal(map[string]any{"code": 400, "reason": prompt, "message": "of " + vidutest.APIKey + " " + link})
	require.NoError(t, err)
	server, r := newServer(t, vidutest.WithOfficialAPI()), newRecorder(t)
	client := newClient(t, server, r.tracer, vidu.WithOfficialAPI())
	echoing := func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"X-Request-Id", "X-Trace-Id", "Trace-Id"} {
			w.Header().Set(name, vidutest.APIKey+" "+link+" "+prompt)
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write(echo)
	}

	_, err = client.Reference2Video(t.Context(), request())
	require.NoError(t, err)
	server.AnswerNext("POST /reference2video", echoing)
	_, err = client.Reference2Video(t.Context(), request())
	require.Error(t, err)
	server.AnswerNext("POST /reference2video", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"task_id":%q,"state":%q}`, link, vidutest.APIKey)
	})
	_, _ = client.Reference2Video(t.Context(), request())
	for task, err := range client.AllTasks(t.Context(), nil) {
		require.NoError(t, err)
		_, err = client.GetTask(t.Context(), task.ID) // the links of its video
		require.NoError(t, err)
	}
	server.FailNext(http.StatusBadRequest, string(echo))
	_, err = client.GetCredits(t.Context())
	require.Error(t, err)
	broken := newClient(t, server, r.tracer, failing(errors.New(vidutest.APIKey+" "+link+" "+prompt), true))
	_, err = broken.Reference2Video(t.Context(), request())
	require.ErrorIs(t, err, vidu.ErrMaybeCreated)

	var picture bytes.Buffer
	require.NoError(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 200, 200))))
	var signed string // the query of an upload's link
	uploads := newClient(t, server, r.tracer, vidu.WithOfficialAPI(), vidu.WithHTTPClient(&http.Client{
		Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPut && req.URL.RawQuery != "" {
				signed = req.URL.RawQuery
				return nil, errors.New("cannot reach " + req.URL.String())
			}
			return server.Transport().RoundTrip(req)
		}),
	}))
	_, err = uploads.UploadImage(t.Context(), vidu.Bytes(picture.Bytes()))
	require.Error(t, err)
	require.NotEmpty(t, signed)

	text := r.dump(t)
	for _, wanted := range []string{"reference2video", "get task", "list tasks", "get credits", "start upload", "upload image"} {
		assert.Contains(t, text, wanted)
	}
	for _, secret := range []string{
		vidutest.APIKey, prompt, "astronaut", payload, "hero.png", "X-Signature", "0123456789abcdef", signed, "https://",
	} {
		assert.NotContains(t, text, secret)
	}
}

// dump returns all that was recorded.
func (r *recorder) dump(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, span := range r.spans.GetSpans() {
		fmt.Fprintln(&b, span.Name, span.Status, span.Attributes, span.Events, span.Links)
		for _, kv := range span.Attributes {
			fmt.Fprintln(&b, kv.Key, kv.Value.AsInterface())
		}
		for _, event := range span.Events {
			for _, kv := range event.Attributes {
				fmt.Fprintln(&b, event.Name, kv.Key, kv.Value.AsInterface())
			}
		}
	}
	text, err := json.Marshal(r.measured(t))
	require.NoError(t, err)
	return b.String() + string(text)
}

// A context without a call of this tracer, as after its start panicked, is ignored.
func TestTracer_UnknownContext(t *testing.T) {
	t.Parallel()
	r := newRecorder(t)
	r.tracer.TraceAttempt(t.Context(), vidu.Attempt{Number: 1})
	r.tracer.TraceCallEnd(t.Context(), vidu.CallEnd{Outcome: vidu.OutcomeOK})
	assert.Empty(t, r.spans.GetSpans())
	assert.Empty(t, r.measured(t))
}

// brokenMeters is a provider whose counters come with an error.
type brokenMeters struct{ noop.MeterProvider }

func (brokenMeters) Meter(string, ...metric.MeterOption) metric.Meter { return brokenMeter{} }

type brokenMeter struct{ noop.Meter }

var errNoCounter = errors.New("no counter")

func (brokenMeter) Int64Counter(string, ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return noop.Int64Counter{}, errNoCounter
}

// Metrics that cannot be had are reported to the global handler of errors, and cost no call.
func TestNewTracer_BrokenMeters(t *testing.T) {
	t.Parallel()
	client := newClient(t, newServer(t), viduotel.NewTracer(viduotel.WithMeterProvider(brokenMeters{})))
	_, err := client.Reference2Video(t.Context(), request())
	require.NoError(t, err)
	reported := handled.Load()
	require.NotNil(t, reported)
	assert.ErrorIs(t, *reported, errNoCounter)
}

// Without options a tracer uses the global providers, which record nothing until they are set.
func TestNewTracer_Defaults(t *testing.T) {
	t.Parallel()
	client := newClient(t, newServer(t), viduotel.NewTracer(viduotel.WithTracerProvider(nil), viduotel.WithMeterProvider(nil)))
	_, err := client.Reference2Video(t.Context(), request())
	require.NoError(t, err)
}
