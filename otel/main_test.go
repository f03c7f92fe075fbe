package viduotel_test

import (
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.uber.org/goleak"
)

// handled is the last error that was given to the global handler.
var handled atomic.Pointer[error]

func TestMain(m *testing.M) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { handled.Store(&err) }))
	otel.SetTextMapPropagator(propagation.TraceContext{}) // global, so both are set before the tests
	goleak.VerifyTestMain(m)
}
