package vidu

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/vidu-go/vidu/internal/scrub"
	"github.com/vidu-go/vidu/internal/transport"
)

// Base URLs of the official API, for [NewClient] together with [WithOfficialAPI].
const (
	OfficialBaseURL      = "https://api.vidu.com" // international
	OfficialBaseURLChina = "https://api.vidu.cn"  // mainland China
)

// Option changes a default of [NewClient]. NewClient rejects invalid options and names them.
type Option func(*config) error

// config is what options set. The key is not in it.
type config struct {
	httpClient   *http.Client // nil: our own
	wraps        []transport.Wrap
	apiPath      string
	authScheme   string
	userAgent    string
	insecureHTTP bool
	maxAttempts  int
	backoff      func(retry int) time.Duration
	logger       *slog.Logger
	tracer       Tracer
	recovery     time.Duration
	official     bool
	pathSet      bool // by hand
	schemeSet    bool // by hand
}

// WithHTTPClient sends everything through client: its transport, its timeout, its cookie jar. client is copied, never
// modified, and the copy follows no redirects. The default is a client of our own, made for paid calls: connections
// that were idle are never used for a create, HTTP/2 only for reads, and there are timeouts on every step.
//
// A client without a Transport still gets ours; one with a Transport and no Timeout has no limit of time but the
// context. What else happens depends on the Transport:
//
//   - For an [*net/http.Transport], with a private CA, a client certificate or a proxy for example, creates use a clone
//     of it that speaks HTTP/1.1 and opens a connection for each. The clone is made by [NewClient], and it lacks what
//     RegisterProtocol has added. One that does the TLS handshake itself (DialTLS, DialTLSContext) or whose Protocols
//     leave out HTTP/1 keeps its protocol. A nil one is refused.
//   - Any other RoundTripper is used as it is, with [net/http.Request.Close] set on creates. If it is there to trace,
//     measure or log, use [WithTransportWrapper] instead: beneath this option it sees the presigned links, and a create
//     may meet an idle connection that the server is closing, which leaves its outcome unknown. One that retries by
//     itself can make a create cost twice: it is stopped at its second connection if that comes in time.
//
// A transport that adds credentials sends them to the hosts of results and uploads, too.
func WithHTTPClient(client *http.Client) Option {
	return func(c *config) error {
		if client == nil {
			return errors.New("WithHTTPClient: the client is nil")
		}
		c.httpClient = client
		return nil
	}
}

// WithTransportWrapper puts wrap around the transport of all calls of the API, to trace, measure or log them, or to add
// a header. Creates keep their safe transport beneath it. Links of results and uploads, which are presigned, do not
// pass through it. Given several times, the first is outermost. The default is none.
//
// [NewClient] calls wrap once. The RoundTripper that it is given picks the transport of each request by its context,
// and the one that it returns must pass that on; a request that has lost it goes the way of creates, with a connection
// of its own. Nil functions and nil results are refused. The wrapper must not send a request again by itself.
func WithTransportWrapper(wrap func(http.RoundTripper) http.RoundTripper) Option {
	return func(c *config) error {
		if wrap == nil {
			return errors.New("WithTransportWrapper: the function is nil")
		}
		c.wraps = append(c.wraps, wrap)
		return nil
	}
}

// WithAPIPath sets the path between the base URL and the endpoint. The default is /vidu/v2; gateways use /ent/v2,
// /vidu/ent/v2 and others. "" is none.
func WithAPIPath(path string) Option {
	return func(c *config) error {
		if strings.ContainsAny(path, "?#%\\") || strings.Contains(path, "..") || !isPrintableASCII(path) {
			return fmt.Errorf("WithAPIPath: %q is not a plain path", scrub.OneLine(path, 80))
		}
		c.apiPath, c.pathSet = path, true
		return nil
	}
}

// WithAuthScheme sets the word before the key in the Authorization header. The default is Bearer; the official API
// wants Token. "" sends the bare key.
func WithAuthScheme(scheme string) Option {
	return func(c *config) error {
		if !isToken(scheme) {
			return errors.New("WithAuthScheme: the scheme is not one word") // and perhaps the key, which must not be quoted
		}
		c.authScheme, c.schemeSet = scheme, true
		return nil
	}
}

// WithOfficialAPI speaks to the official API: path /ent/v2 and scheme Token. The base URL is then [OfficialBaseURL] or
// [OfficialBaseURLChina].
func WithOfficialAPI() Option {
	return func(c *config) error {
		c.apiPath, c.authScheme, c.official = "/ent/v2", "Token", true
		return nil
	}
}

// WithUserAgent appends the name of your program to the User-Agent header, vidu-go/<version> go/<version>. The default,
// "", appends nothing.
func WithUserAgent(name string) Option {
	return func(c *config) error {
		if !isPrintableASCII(name) {
			return fmt.Errorf("WithUserAgent: %q has characters that a header cannot have", scrub.OneLine(name, 40))
		}
		c.userAgent = name
		return nil
	}
}

// WithInsecureHTTP allows a base URL with plain http to a host other than loopback, and plain-http links of results and
// uploads. The key and the media then travel readable by anyone on the way.
func WithInsecureHTTP() Option {
	return func(c *config) error {
		c.insecureHTTP = true
		return nil
	}
}

// WithMaxAttempts sets how often one call is sent at the most, the first time included. The default is 4; 1 turns
// retries off. A create is sent again only after a failure that provably created nothing. For downloads only 1 matters:
// it means one try. Otherwise they are resumed for as long as they make progress.
func WithMaxAttempts(n int) Option {
	return func(c *config) error {
		if n < 1 {
			return fmt.Errorf("WithMaxAttempts: %d; at least 1 is needed", n)
		}
		c.maxAttempts = n
		return nil
	}
}

// WithBackoff sets the pause before retry 1, 2, … The default is random between 0 and a limit that doubles from 0.5 s
// to 8 s. A Retry-After header that asks for more, up to 60 s, is honoured whatever the backoff says, and so are 5 s
// after [ErrQuotaExceeded]. A client whose calls keep failing makes fewer and fewer retries, whatever is set here.
func WithBackoff(pause func(retry int) time.Duration) Option {
	return func(c *config) error {
		if pause == nil {
			return errors.New("WithBackoff: the function is nil")
		}
		c.backoff = pause
		return nil
	}
}

// WithLogger writes one Debug record per attempt: method, path, status, duration, attempt and request id, never a body,
// a key or a query string; one per download attempt, with the link but without its query; and one per callback: Debug
// when it was accepted, Warn with the reason when not, Error when the function panicked. Further Warn records say that
// a [NonceStore] could not end a claim, and from [NewClient] that http.DefaultTransport was replaced. nil, the default,
// writes nothing.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) error {
		c.logger = logger
		return nil
	}
}

// WithTracer has tracer see every call and every attempt. nil, the default, is none. Module
// github.com/vidu-go/vidu/otel has one for OpenTelemetry.
func WithTracer(tracer Tracer) Option {
	return func(c *config) error {
		c.tracer = tracer
		return nil
	}
}

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isToken reports whether s is what RFC 9110 calls a token, or "".
func isToken(s string) bool {
	return isPrintableASCII(s) && !strings.ContainsAny(s, " \"(),/:;<=>?@[\\]{}")
}

// WithRecovery makes a create look for its task, for at most budget, before it returns a [*MaybeCreatedError]: as
// [Client.FindTask] does, so only on servers that list tasks. Nothing is sent a second time. The default, 0, is not to
// look.
//
// The task is found by its Payload. That must be a new one for every create: when a job is tried again, the task of its
// first try could otherwise be taken for the second's. A request whose Payload is "" is sent with one from [NewMarker],
// which a MaybeCreatedError has; the request itself is left as it is. [Client.CreateTask] adds no field, so without a
// payload of yours there is nothing to look for.
func WithRecovery(budget time.Duration) Option {
	return func(c *config) error {
		if budget < 0 {
			return fmt.Errorf("WithRecovery: the budget %v is negative", budget)
		}
		c.recovery = budget
		return nil
	}
}
