package vidu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/vidu-go/vidu/internal/backoff"
	"github.com/vidu-go/vidu/internal/lenientjson"
	"github.com/vidu-go/vidu/internal/schedule"
	"github.com/vidu-go/vidu/internal/scrub"
)

// version is the version of this module, for the User-Agent header.
const version = "0.1.0"

// Client calls the API. Make one with [NewClient], use it for everything and from any number of goroutines; it does
// not change. Its key shows under no % verb.
type Client struct {
	root          url.URL         // base URL
	base          url.URL         // base URL and API path
	authorization func() []string // in a closure, because struct fields leak through %+v
	redact        func(string) string
	contentType   []string
	encoding      []string
	userAgent     []string
	creates       *http.Client
	reads         *http.Client
	downloads     *http.Client
	uploads       *http.Client
	insecureHTTP  bool
	maxAttempts   int
	backoff       func(retry int) time.Duration
	logger        *slog.Logger
	budget        *backoff.Budget
	pacer         *schedule.Pacer
	waiters       *waiters
	official      bool
	recovery      time.Duration // how long to look for a task whose create has an unknown outcome; 0: not at all
}

// NewClient returns a client for the API at baseURL, an absolute https URL that may have a path but no query, fragment
// or user name. apiKey is sent to that host and nowhere else; in what servers echo it is masked, unless it has fewer than
// 8 characters. Plain http is for loopback hosts, unless [WithInsecureHTTP] is set. Nothing is sent yet: a wrong key
// shows with the first call.
func NewClient(baseURL, apiKey string, opts ...Option) (*Client, error) {
	cfg := config{apiPath: "/vidu/v2", authScheme: "Bearer", maxAttempts: 4, backoff: backoff.FullJitter}
	for _, opt := range opts {
		if opt == nil {
			continue
		}
		if err := opt(&cfg); err != nil {
			return nil, fmt.Errorf("vidu: %w", err)
		}
	}
	base, err := parseBaseURL(baseURL, cfg.insecureHTTP)
	if err != nil {
		return nil, fmt.Errorf("vidu: base URL: %w", err)
	}
	if err := checkKey(apiKey); err != nil {
		return nil, fmt.Errorf("vidu: API key: %w", err)
	}
	authorization := []string{strings.TrimPrefix(cfg.authScheme+" "+apiKey, " ")}
	c := &Client{
		root:          joinBase(base, ""),
		base:          joinBase(base, cfg.apiPath),
		authorization: func() []string { return authorization },
		redact:        scrub.Key(apiKey),
		contentType:   []string{"application/json"},
		encoding:      []string{"identity"},
		userAgent:     []string{strings.TrimSpace("vidu-go/" + version + " go/" + strings.TrimPrefix(runtime.Version(), "go") + " " + cfg.userAgent)},
		insecureHTTP:  cfg.insecureHTTP,
		maxAttempts:   cfg.maxAttempts,
		backoff:       cfg.backoff,
		logger:        cfg.logger,
		budget:        new(backoff.Budget),
		pacer:         schedule.NewPacer(rand.Float64),
		waiters:       newWaiters(),
		official:      cfg.official,
		recovery:      cfg.recovery,
	}
	c.creates, c.reads, c.downloads = httpClients(cfg.httpClient)
	c.uploads = new(*c.downloads)
	c.uploads.Timeout = c.creates.Timeout // a storage may stop reading; downloads notice by themselves when theirs stops
	return c, nil
}

// NewClientFromEnv is [NewClient] with the base URL from VIDU_BASE_URL and the key from VIDU_API_KEY.
func NewClientFromEnv(opts ...Option) (*Client, error) {
	for _, name := range []string{"VIDU_BASE_URL", "VIDU_API_KEY"} {
		if os.Getenv(name) == "" {
			return nil, fmt.Errorf("vidu: the environment variable %s is not set", name)
		}
	}
	return NewClient(os.Getenv("VIDU_BASE_URL"), os.Getenv("VIDU_API_KEY"), opts...)
}

func parseBaseURL(text string, insecureHTTP bool) (*url.URL, error) {
	if !isPrintableASCII(text) || strings.Contains(text, " ") {
		return nil, errors.New("contains spaces or characters that a URL cannot have")
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("is not a URL") // the cause would quote it, user name and password included
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Opaque != "", u.Hostname() == "":
		return nil, errors.New("must be an absolute URL such as https://gateway.example.com")
	case u.User != nil:
		return nil, errors.New("must not contain a user name or password")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return nil, errors.New("must not have a query or fragment")
	case u.Port() != "" && !isPort(u.Port()):
		return nil, errors.New("has an impossible port")
	case u.Scheme == "http" && !insecureHTTP && !isLoopback(u.Hostname()):
		return nil, errors.New("plain http would send the key readable; use https or WithInsecureHTTP")
	}
	return u, nil
}

// joinBase keeps the path that the base URL may have. The result has no slash at its end.
func joinBase(base *url.URL, apiPath string) url.URL {
	joined := base.JoinPath(apiPath)
	if !strings.HasPrefix(joined.Path, "/") { // JoinPath leaves a path relative where the base had none
		joined.Path = "/" + joined.Path
	}
	joined.Path = strings.TrimRight(joined.Path, "/")
	joined.RawPath = strings.TrimRight(joined.RawPath, "/")
	return *joined
}

// allowsHTTP tells where plain http may go: anywhere with WithInsecureHTTP, else from loopback to loopback, as in tests.
func (c *Client) allowsHTTP(u *url.URL) bool {
	return u.Scheme == "http" && (c.insecureHTTP || (c.base.Scheme == "http" && isLoopback(u.Hostname())))
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || (ip != nil && ip.IsLoopback())
}

// checkKey finds the usual accidents. Its errors do not quote the key.
func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("is empty")
	case strings.TrimRight(key, "\r\n") != key:
		return errors.New("ends with a newline, as keys read from a file do; trim it")
	case strings.HasPrefix(key, "Bearer ") || strings.HasPrefix(key, "Token "):
		return errors.New("begins with the scheme; give the bare key and see WithAuthScheme")
	case !isPrintableASCII(key) || strings.Contains(key, " "):
		return errors.New("contains spaces or characters that a header cannot have")
	}
	return nil
}

// request is one call of the API.
type request struct {
	method  string
	path    string // below the API path, its elements checked
	query   string // encoded
	outside bool   // path is below the base URL, not the API path
	signed  *signedLink
	body    *body  // nil: none
	paid    bool   // costs money: sent again only when provably nothing was created
	payload string // of a paid request
	limit   int64  // bytes of a good reply
}

// signedLink is where a request goes that leaves the API: to another host, which gets the link and no key.
type signedLink struct {
	url         *url.URL
	contentType string
}

// attempt is one request on the wire and what came of it.
type attempt struct {
	status     int // 0: no answer
	header     http.Header
	body       []byte // of the answer, as far as it was read
	cut        bool   // not all of an answer that says no could be read
	incomplete bool   // the request never left whole, and never will
	ended      bool   // the caller's context is over
	err        error  // nil: a 2xx answer, whole
}

// call does rq and hands the reply to read. It is where every failure gets its promise.
func (c *Client) call(ctx context.Context, rq *request, read func(reply []byte) error) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	from := time.Now()
	a := c.sendWithRetry(ctx, rq)
	c.decode(rq, a, read)
	if a.err == nil || !rq.paid || judgeCreate(a) != ambiguous {
		return a.err
	}
	e := &MaybeCreatedError{
		Payload: rq.payload, From: from, To: time.Now(), StatusCode: a.status, TraceID: c.traceIDOf(a.header), Err: a.err,
		Body: c.excerpt(a),
	}
	if failure, ok := errors.AsType[*APIError](a.err); ok {
		e.TraceID = failure.TraceID
	}
	return e
}

// ready turns what would be a panic later into an error now.
func (c *Client) ready(ctx context.Context) error {
	if c == nil || c.authorization == nil {
		return errors.New("vidu: the client was not made by NewClient")
	}
	if ctx == nil {
		return errors.New("vidu: the context is nil")
	}
	return nil
}

// decode reads a 2xx answer. One that broke off is tried, too, when it was paid for: it may still hold the task's id.
func (c *Client) decode(rq *request, a *attempt, read func(reply []byte) error) {
	if a.err != nil && (!rq.paid || a.status/100 != 2) {
		return
	}
	err := read(a.body)
	failure, isEnvelope := errors.AsType[*APIError](err)
	switch {
	case err == nil:
		a.err = nil
	case a.err != nil: // that it broke off says more
	case isEnvelope:
		failure.StatusCode = a.status
		a.err = c.finish(rq, a, failure)
	default:
		a.err = c.wrap(rq, fmt.Errorf("HTTP %d: %w", a.status, err))
	}
}

// sendWithRetry sends rq until it succeeds, fails for good, must not be sent again, or has used up its attempts.
func (c *Client) sendWithRetry(ctx context.Context, rq *request) *attempt {
	judge := judgeRead
	if rq.paid {
		judge = judgeCreate
	}
	expect := true
	for n := 1; ; n++ {
		started := time.Now()
		a := c.send(ctx, rq, expect)
		c.log(ctx, rq, a, n, time.Since(started))
		expect = a.status != http.StatusExpectationFailed
		if a.err == nil {
			c.budget.Refund()
			return a
		}
		if n == c.maxAttempts || judge(a) != again || !c.budget.Take() {
			return a
		}
		if !backoff.Sleep(ctx, retryDelay(c.backoff, n, a.err)) {
			if ended := ctx.Err(); ended != nil {
				a.err = fmt.Errorf("%w; %w while waiting to try again", a.err, ended)
			}
			return a
		}
	}
}

// log writes the record of one attempt.
func (c *Client) log(ctx context.Context, rq *request, a *attempt, n int, took time.Duration) {
	if c.logger == nil {
		return
	}
	c.record(ctx, slog.LevelDebug, "vidu: request",
		slog.String("method", rq.method), slog.String("path", c.target(rq).Path), slog.Int("status", a.status),
		slog.Duration("duration", took), slog.Int("attempt", n), slog.String("request_id", c.traceIDOf(a.header)))
}

// record writes to the logger, if there is one. One that panics must not cost an answer, which may hold the id of a paid
// task, nor a download.
func (c *Client) record(ctx context.Context, level slog.Level, text string, attrs ...slog.Attr) {
	if c.logger != nil {
		defer func() { _ = recover() }() // there is nowhere to report it
		c.logger.LogAttrs(ctx, level, text, attrs...)
	}
}

// send puts one request on the wire and reads the answer. expect announces a large body before it is sent.
func (c *Client) send(ctx context.Context, rq *request, expect bool) *attempt {
	a := &attempt{}
	var sent *oneShot
	if rq.body != nil {
		sent = rq.body.open()
		defer sent.Close() //nolint:errcheck // its failures show in Read
	}
	guarded, g := guard(ctx, rq.paid, sent)
	defer g.release()
	req := c.newRequest(guarded, rq)
	if sent != nil {
		req.Body, req.ContentLength = sent, rq.body.size
		if expect && rq.body.size >= expectFrom {
			req.Header["Expect"] = expectContinue
		}
	}
	resp, err := c.clientFor(rq).Do(req)
	if sent != nil && (err != nil || resp.StatusCode > 299) { // after a 2xx the rest may go out while the reply is read
		a.incomplete = sent.seal()
	}
	a.ended = ctx.Err() != nil
	if resent := context.Cause(guarded) == errResent; resent && (err != nil || resp.StatusCode > 299) { //nolint:errorlint // the very one
		if err == nil { // whatever it says, it may not speak of the first sending
			resp.Body.Close()
		}
		err = errResent
	}
	if err != nil {
		a.err = c.wrap(rq, transportError(ctx, err))
		return a
	}
	defer resp.Body.Close()
	if a.incomplete { // the server may wait for the rest of the request as we wait for the rest of its early answer
		defer time.AfterFunc(earlyAnswerTime, g.release).Stop()
	}
	c.readAnswer(ctx, rq, resp, a)
	return a
}

const earlyAnswerTime = 30 * time.Second

func (c *Client) clientFor(rq *request) *http.Client {
	switch {
	case rq.paid:
		return c.creates
	case rq.signed != nil:
		return c.uploads
	}
	return c.reads
}

// newRequest builds the request by hand: everything in it was checked before, and the header's values are shared.
func (c *Client) newRequest(ctx context.Context, rq *request) *http.Request {
	header := http.Header{
		"Authorization":   c.authorization(),
		"Content-Type":    c.contentType, // one gateway wants it on GET, too
		"Accept-Encoding": c.encoding,    // else net/http asks for gzip and expands what comes
		"User-Agent":      c.userAgent,
	}
	if rq.signed != nil {
		header = http.Header{"Content-Type": {rq.signed.contentType}, "Accept-Encoding": c.encoding, "User-Agent": c.userAgent}
	}
	return (&http.Request{
		Method: rq.method, URL: c.target(rq), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
	}).WithContext(ctx)
}

// target is where a request goes.
func (c *Client) target(rq *request) *url.URL {
	if rq.signed != nil {
		return rq.signed.url
	}
	u := c.base
	if rq.outside {
		u = c.root
	}
	u.Path += rq.path
	if u.RawPath != "" {
		u.RawPath += rq.path
	}
	u.RawQuery = rq.query
	return &u
}

// expectFrom is the size of a body from which on the server is asked before it is sent. A refusal then comes before
// the upload, saves it, and proves that nothing was created. A server that does not answer costs a second.
const expectFrom = 1 << 20

var expectContinue = []string{"100-continue"}

// readAnswer fills a from resp. Only a 2xx that was read whole leaves a.err nil.
func (c *Client) readAnswer(ctx context.Context, rq *request, resp *http.Response, a *attempt) {
	a.status, a.header = resp.StatusCode, resp.Header
	if a.status < 200 { // 101: the body would be a raw connection
		a.err = c.wrap(rq, fmt.Errorf("unexpected HTTP %d", a.status))
		return
	}
	limit := rq.limit
	if a.status > 299 {
		limit = maxErrorReply
	}
	var err error
	a.body, err = readBounded(resp.Body, resp.ContentLength, limit)
	encoding := resp.Header.Get("Content-Encoding")
	encoded := encoding != "" && encoding != "identity"
	switch {
	case a.status > 299:
		tooBig := errors.Is(err, errReplyTooBig) // as web pages may be
		a.cut = encoded || (err != nil && !tooBig) || isTornJSON(a.body)
		a.err = c.refusal(rq, resp, a)
	case encoded:
		a.err = c.wrap(rq, fmt.Errorf("%w: it is encoded as %s, which was not asked for", errBadReply, scrub.OneLine(encoding, 20)))
	case err != nil:
		a.err = c.wrap(rq, fmt.Errorf("HTTP %d, but the reply broke off: %w", a.status, transportError(ctx, err)))
	}
	if a.status > 299 && errors.Is(err, errReplyTooBig) {
		io.CopyN(io.Discard, resp.Body, maxDrain) //nolint:errcheck // a web page read to its end leaves the connection usable
	}
}

// isTornJSON finds a body whose end is missing: nothing said how long it would be, or it is longer than what is read.
func isTornJSON(body []byte) bool {
	var whole json.RawMessage
	err := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte(lenientjson.ByteOrderMark)))).Decode(&whole)
	return errors.Is(err, io.ErrUnexpectedEOF)
}

// validID is the form of a task id, checked before one goes into a path: 1–128 letters, digits, "-" and "_".
func validID(id string) bool {
	for i := range len(id) {
		switch c := id[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return 0 < len(id) && len(id) <= 128
}
