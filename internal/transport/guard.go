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
// number of connections: one for a create, [Sendings] for a read. A transport may ask for any number while body is
// untouched, for nothing can have been sent; after that it has had its only one. A nil body is none.
//
// It is the best that can be done about a RoundTripper that retries, and it may come too late. Call Release when the
// attempt is over.
func Watch(ctx context.Context, sendings int32, body Body) (context.Context, *Guard) {
	g := &Guard{body: body, read: sendings > 1}
	g.left.Store(sendings)
	g.Context, g.cancel = context.WithCancelCause(ctx)
	g.trace.GetConn = g.getConn
	if !g.read { // a read has connections to spare, and this costs an allocation
		g.trace.GotConn = g.gotConn
	}
	return httptrace.WithClientTrace(g, &g.trace), g
}

// Guard counts the connections of one attempt. It is the parent of the attempt's context, so that it is found there.
type Guard struct {
	context.Context //nolint:containedctx // see above

	left   atomic.Int32
	read   bool
	body   Body
	cancel context.CancelCauseFunc
	trace  httptrace.ClientTrace
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
	if g.body != nil && g.body.Untouched() { // a transport may fetch a token first
		g.left.Store(0)
		return
	}
	if g.left.Add(-1) < 0 {
		g.cancel(ErrRetried)
	}
}

// gotConn gives back what a connection in memory has cost that leads nowhere: that of [httputil.DumpRequestOut], as
// transports call it that log or record.
func (g *Guard) gotConn(info httptrace.GotConnInfo) {
	if info.Conn != nil && info.Conn.RemoteAddr() == nil {
		g.left.Add(1)
	}
}

// Release ends the context.
func (g *Guard) Release() { g.cancel(nil) }

// Stopped reports whether ctx, or the one that it is derived from, was returned by Watch and ended because the
// transport retried.
func Stopped(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), ErrRetried)
}
