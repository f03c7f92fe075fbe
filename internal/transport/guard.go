package transport

import (
	"context"
	"errors"
	"net/http/httptrace"
	"sync/atomic"
)

// Sendings is how often a transport may put one read on the wire: HTTP/2 repeats requests that the server abandons,
// without limit.
const Sendings = 4

// ErrRetried is what an attempt ends with whose transport retried it by itself more often than it may.
var ErrRetried = errors.New("the HTTP transport retried the request by itself and was stopped")

// Body is a request body that must not be sent twice.
type Body interface {
	Untouched() bool // reports whether no byte of it was handed out yet
}

// Watch returns a context for one attempt, which ends with [ErrRetried] when the transport asks for more than the given
// number of connections. A transport may ask for any number while body is untouched, for nothing can have been sent;
// after that it has had its only one. A nil body is none.
//
// It is the best that can be done about a RoundTripper that retries, and it may come too late. Call Release when the
// attempt is over.
func Watch(ctx context.Context, sendings int32, body Body) (context.Context, *Guard) {
	g := &Guard{body: body}
	g.left.Store(sendings)
	ctx, g.cancel = context.WithCancelCause(ctx)
	g.trace.GetConn = g.getConn
	return httptrace.WithClientTrace(ctx, &g.trace), g
}

// Guard counts the connections of one attempt.
type Guard struct {
	left   atomic.Int32
	body   Body
	cancel context.CancelCauseFunc
	trace  httptrace.ClientTrace
}

func (g *Guard) getConn(string) {
	if g.body != nil && g.body.Untouched() { // a transport may fetch a token first
		g.left.Store(0)
		return
	}
	if g.left.Add(-1) < 0 {
		g.cancel(ErrRetried)
	}
}

// Release ends the context.
func (g *Guard) Release() { g.cancel(nil) }

// Stopped reports whether ctx, or the one that it is derived from, was returned by Watch and ended because the
// transport retried.
func Stopped(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), ErrRetried)
}
