package viduotel

import (
	"context"
	"errors"
	"net"
	"regexp"
	"strconv"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/vidu-go/vidu"
)

const scope = "github.com/vidu-go/vidu/otel"

// Keys of attributes.
const (
	operationKey     = attribute.Key("vidu.operation")
	outcomeKey       = attribute.Key("vidu.outcome")
	attemptsKey      = attribute.Key("vidu.attempts")
	taskIDKey        = attribute.Key("vidu.task.id")
	attemptNumberKey = attribute.Key("vidu.attempt.number")
	attemptTimeKey   = attribute.Key("vidu.attempt.duration")
	requestIDKey     = attribute.Key("vidu.request.id")
	statusKey        = attribute.Key("http.response.status_code")
	errorTypeKey     = attribute.Key("error.type")
)

// Option changes a default of [NewTracer].
type Option func(*config)

type config struct {
	tracers trace.TracerProvider
	meters  metric.MeterProvider
}

// WithTracerProvider sets where spans go. The default, and nil, is the global provider.
func WithTracerProvider(provider trace.TracerProvider) Option {
	return func(c *config) { c.tracers = provider }
}

// WithMeterProvider sets where metrics go. The default, and nil, is the global provider.
func WithMeterProvider(provider metric.MeterProvider) Option {
	return func(c *config) { c.meters = provider }
}

// NewTracer returns a tracer for [vidu.WithTracer]. Several clients may share it.
func NewTracer(opts ...Option) vidu.Tracer {
	var c config
	for _, opt := range opts {
		opt(&c)
	}
	if c.tracers == nil {
		c.tracers = otel.GetTracerProvider()
	}
	if c.meters == nil {
		c.meters = otel.GetMeterProvider()
	}
	meter := c.meters.Meter(scope)
	t := &tracer{spans: c.tracers.Tracer(scope)}
	var errs [3]error
	t.calls, errs[0] = meter.Int64Counter("vidu.client.calls",
		metric.WithUnit("{call}"), metric.WithDescription("Calls that ended."))
	t.durations, errs[1] = meter.Float64Histogram("vidu.client.call.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of calls, retries included."),
		metric.WithExplicitBucketBoundaries(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300))
	t.attempts, errs[2] = meter.Int64Counter("vidu.client.attempts",
		metric.WithUnit("{attempt}"), metric.WithDescription("Requests that were sent."))
	if err := errors.Join(errs[:]...); err != nil {
		otel.Handle(err) // the instruments are usable all the same
	}
	return t
}

// tracer implements [vidu.Tracer].
type tracer struct {
	spans     trace.Tracer
	calls     metric.Int64Counter
	durations metric.Float64Histogram
	attempts  metric.Int64Counter
}

// call is what is kept of a call until it ends. Its methods run in one goroutine.
type call struct {
	operation attribute.KeyValue
	span      trace.Span
	began     time.Time
	status    int // of the last attempt
}

// callKey is the key of a *call in a context.
type callKey struct{}

// TraceCallStart implements [vidu.Tracer].
func (t *tracer) TraceCallStart(ctx context.Context, start vidu.CallStart) context.Context {
	c := &call{operation: operationKey.String(start.Operation), began: time.Now()}
	ctx, c.span = t.spans.Start(ctx, start.Operation,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(c.operation))
	return context.WithValue(ctx, callKey{}, c)
}

// TraceAttempt implements [vidu.Tracer].
func (t *tracer) TraceAttempt(ctx context.Context, attempt vidu.Attempt) {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return
	}
	c.status = attempt.StatusCode
	counted := []attribute.KeyValue{c.operation}
	event := []attribute.KeyValue{
		attemptNumberKey.Int(attempt.Number), attemptTimeKey.Float64(attempt.Duration.Seconds()),
	}
	if attempt.StatusCode != 0 {
		status := statusKey.Int(attempt.StatusCode)
		counted, event = append(counted, status), append(event, status)
	}
	event = appendPlain(event, requestIDKey, attempt.RequestID)
	event = appendPlain(event, errorTypeKey, errorType(attempt.Err, attempt.StatusCode))
	t.attempts.Add(ctx, 1, metric.WithAttributes(counted...))
	c.span.AddEvent("vidu.attempt", trace.WithAttributes(event...))
}

// TraceCallEnd implements [vidu.Tracer].
func (t *tracer) TraceCallEnd(ctx context.Context, end vidu.CallEnd) {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return
	}
	outcome := outcomeKey.String(string(end.Outcome))
	measured := metric.WithAttributeSet(attribute.NewSet(c.operation, outcome))
	t.calls.Add(ctx, 1, measured)
	t.durations.Record(ctx, time.Since(c.began).Seconds(), measured)
	taskID := end.TaskID
	if maybe, ok := errors.AsType[*vidu.MaybeCreatedError](end.Err); ok && taskID == "" {
		taskID = maybe.TaskID
	}
	attributes := appendPlain([]attribute.KeyValue{outcome, attemptsKey.Int(end.Attempts)}, taskIDKey, taskID)
	attributes = appendPlain(attributes, errorTypeKey, errorType(end.Err, c.status))
	c.span.SetAttributes(attributes...)
	if end.Outcome != vidu.OutcomeCreated && end.Outcome != vidu.OutcomeOK {
		c.span.SetStatus(codes.Error, string(end.Outcome))
	}
	c.span.End()
}

// errorType returns the class of an error after a response with status, 0 for none; "" without an error. Its text may
// quote what a server wrote.
func errorType(err error, status int) string {
	answer, answered := errors.AsType[*vidu.APIError](err)
	network, isNetwork := errors.AsType[net.Error](err)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), isNetwork && network.Timeout():
		return "timeout"
	case answered && plain.MatchString(string(answer.Code)):
		return string(answer.Code)
	case answered:
		return strconv.Itoa(answer.StatusCode)
	case status != 0:
		return "reply"
	}
	return "transport"
}

// plain matches ids and codes. Those that a server fills with anything else, such as a sentence, a link or bytes that
// are not UTF-8, are not recorded.
var plain = regexp.MustCompile(`^[\w.:=+-]{1,128}$`)

func appendPlain(list []attribute.KeyValue, key attribute.Key, value string) []attribute.KeyValue {
	if !plain.MatchString(value) {
		return list
	}
	return append(list, key.String(value))
}
