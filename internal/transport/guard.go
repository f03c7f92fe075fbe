package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// maxSendings is how often a transport may put one read on the wire: HTTP/2 repeats requests that the server abandons,
// without limit.
const maxSendings = 4

// ErrRetried is what an attempt ends with whose transport retried it by itself more often than it may.
var ErrRetried = errors.New("the HTTP transport retried the request by itself and was stopped")

// TimeoutError is what an attempt ends with that took too long. It is a [net.Error].
type TimeoutError struct{ Limit time.Duration }

// Error gives the limit.
func (e *TimeoutError) Error() string { return "no complete response within " + e.Limit.String() }

// Timeout is true.
func (e *TimeoutError) Timeout() bool { return true }

// Temporary is true.
func (e *TimeoutError) Temporary() bool { return true }

// Is matches [context.DeadlineExceeded], as the timeout of an [http.Client] does.
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Body is a request body that must not be sent twice.
type Body interface {
	Untouched() bool // reports whether no byte of it was handed out yet
}

// Guard ends one attempt when it takes too long, or when its transport asks for more connections than it may. That is
// the best that can be done about a RoundTripper that retries, and it may come too late. Call Release when the attempt
// is over.
//
// The zero Guard is ready for GuardRead or GuardCreate. It is the parent of the context that they return, so that it is
// found there.
type Guard struct {
	context.Context //nolint:containedctx // see above

	left   atomic.Int32 // connections that may still be asked for
	read   bool
	timer  *time.Timer
	cancel context.CancelCauseFunc
	trace  httptrace.ClientTrace
}

// GuardRead returns the context of an attempt that costs nothing to repeat, and may be sent a few times.
func (g *Guard) GuardRead(ctx context.Context, limit time.Duration) context.Context {
	g.read = true
	g.left.Store(maxSendings)
	g.trace.GetConn = g.getConn
	return g.start(ctx, limit)
}

// GuardCreate returns the context of an attempt that may be sent once. While body is untouched the transport may ask
// for any number of connections, for nothing can have been sent; after that it has had its only one.
func (g *Guard) GuardCreate(ctx context.Context, limit time.Duration, body Body) context.Context {
	g.left.Store(1)
	g.trace.GetConn = func(string) { g.getConnFor(body) }
	g.trace.GotConn = g.gotConn // a read has connections to spare
	return g.start(ctx, limit)
}

func (g *Guard) start(ctx context.Context, limit time.Duration) context.Context {
	g.Context, g.cancel = context.WithCancelCause(ctx)
	if limit > 0 {
		g.timer = time.AfterFunc(limit, func() { g.cancel(&TimeoutError{limit}) })
	}
	return httptrace.WithClientTrace(g, &g.trace)
}

type guardKey struct{}

// Value returns the guard itself for its key.
func (g *Guard) Value(key any) any {
	if key == (guardKey{}) {
		return g
	}
	return g.Context.Value(key)
}

// isRead reports whether ctx belongs to an attempt that may be sent more than once.
func isRead(ctx context.Context) bool {
	g, ok := ctx.Value(guardKey{}).(*Guard)
	return ok && g.read
}

func (g *Guard) getConn(string) {
	if g.left.Add(-1) < 0 {
		g.cancel(ErrRetried)
	}
}

func (g *Guard) getConnFor(body Body) {
	if body != nil && body.Untouched() { // a transport may fetch a token first
		g.left.Store(0)
		return
	}
	g.getConn("")
}

// gotConn gives back what a connection in memory has cost that leads nowhere: that of [httputil.DumpRequestOut], as
// transports call it that log or record.
func (g *Guard) gotConn(info httptrace.GotConnInfo) {
	if info.Conn != nil && info.Conn.RemoteAddr() == nil {
		g.left.Add(1)
	}
}

// Release ends the context.
func (g *Guard) Release() {
	if g.timer != nil {
		g.timer.Stop()
	}
	g.cancel(nil)
}

// Retried reports whether the attempt was ended because the transport retried.
func (g *Guard) Retried() bool { return context.Cause(g.Context) == ErrRetried } //nolint:errorlint // the caller's cause may wrap another attempt's

// Cause returns why the guard has ended the attempt, where it has, and err where it has not: transports report a mere
// [context.Canceled].
func (g *Guard) Cause(err error) error {
	cause := context.Cause(g.Context)
	if _, late := cause.(*TimeoutError); late || cause == ErrRetried { //nolint:errorlint // as in Retried
		return cause
	}
	return err
}

// Check returns the error of what a RoundTripper returned, as an [http.Client] would: mocks forget what
// [http.RoundTripper] demands, and some errors of net/http need other words: those of a server that answers a TLS
// handshake in plain HTTP, and of a proxy that refuses CONNECT.
func Check(resp *http.Response, err error) error {
	record, ok := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case ok && string(record.RecordHeader[:]) == "HTTP/":
		return http.ErrSchemeMismatch
	case err != nil:
		return explainConnect(err)
	case resp == nil:
		return errors.New("the transport returned neither a response nor an error")
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	return nil
}
