package vidu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
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
	"github.com/vidu-go/vidu/internal/fetch"
	"github.com/vidu-go/vidu/internal/schedule"
	"github.com/vidu-go/vidu/internal/scrub"
	"github.com/vidu-go/vidu/internal/transport"
)

// version is the version of this module, for the User-Agent header.
const version = "0.1.0"

// Client calls the API. Make one with [NewClient] and use it for everything, from any number of goroutines: it is
// immutable. The API key is never printed by any fmt verb.
type Client struct {
	root         url.URL            // base URL
	base         url.URL            // base URL and API path
	header       func() http.Header // a new one for a request to the API; in a closure, because struct fields leak through %+v
	otherHeader  func() http.Header // the same for another host, without the key
	redact       func(string) string
	redactBody   func(body string, cut bool) string
	routes       transport.Routes
	insecureHTTP bool
	maxAttempts  int
	backoff      func(retry int) time.Duration
	logger       *slog.Logger
	tracer       Tracer
	budget       *backoff.Budget
	pacer        *schedule.Pacer
	waiters      *waiters
	official     bool
	recovery     time.Duration // how long to look for a task whose create has an unknown outcome; 0: not at all
}

// NewClient returns a client for the API at baseURL, an absolute https URL that may have a path but no query, fragment
// or user name, and does not end in the API path, which is added to it. apiKey is sent to that host and nowhere else;
// in what servers echo it is masked, unless it has fewer than 8 characters. Plain http is for loopback hosts, unless
// [WithInsecureHTTP] is set. Nothing is sent yet: a wrong key shows with the first call.
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
	if err := cfg.checkBase(base); err != nil {
		return nil, fmt.Errorf("vidu: base URL: %w", err)
	}
	if err := checkKey(apiKey); err != nil {
		return nil, fmt.Errorf("vidu: API key: %w", err)
	}
	routes, err := transport.New(cfg.httpClient, cfg.wraps...)
	if err != nil {
		return nil, fmt.Errorf("vidu: %w", err)
	}
	userAgent := strings.TrimSpace("vidu-go/" + version + " go/" + strings.TrimPrefix(runtime.Version(), "go") + " " + cfg.userAgent)
	otherHeader := http.Header{
		"Accept-Encoding": {"identity"}, // otherwise net/http asks for gzip and expands the response
		"User-Agent":      {userAgent},
	}
	header := maps.Clone(otherHeader)
	header["Authorization"] = []string{strings.TrimPrefix(cfg.authScheme+" "+apiKey, " ")}
	header["Content-Type"] = []string{"application/json"} // one gateway requires it on GET as well
	secrets := scrub.NewSecrets(apiKey)
	c := &Client{
		root:         joinBase(base, ""),
		base:         joinBase(base, cfg.apiPath),
		header:       func() http.Header { return maps.Clone(header) },
		otherHeader:  func() http.Header { return maps.Clone(otherHeader) },
		redact:       secrets.Mask,
		redactBody:   secrets.MaskBody,
		insecureHTTP: cfg.insecureHTTP,
		maxAttempts:  cfg.maxAttempts,
		backoff:      cfg.backoff,
		logger:       cfg.logger,
		tracer:       cfg.tracer,
		budget:       new(backoff.Budget),
		pacer:        schedule.NewPacer(rand.Float64),
		waiters:      newWaiters(),
		routes:       routes,
		official:     cfg.official,
		recovery:     cfg.recovery,
	}
	if replaced := routes.Replaced; replaced != nil && c.logger != nil {
		ignorePanic(func() {
			c.logger.Warn("vidu: http.DefaultTransport was replaced; everything is sent through it, and creates have no safe "+
				"transport of their own; if it traces or logs, use WithTransportWrapper instead",
				slog.String("transport", fmt.Sprintf("%T", replaced)))
		})
	}
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
		return nil, errors.New("has an invalid port")
	case u.Scheme == "http" && !insecureHTTP && !isLoopback(u.Hostname()):
		return nil, errors.New("refusing to send the API key over plain http; use https, or WithInsecureHTTP to allow it")
	}
	return u, nil
}

// checkBase catches the usual mistakes about what belongs in the base URL, which would otherwise show as a 404 or 401.
func (cfg *config) checkBase(base *url.URL) error {
	host := strings.ToLower(base.Hostname())
	if isOfficialHost(host) && !cfg.official && (!cfg.pathSet || !cfg.schemeSet) {
		return fmt.Errorf("%s is the official API; add WithOfficialAPI", host)
	}
	path, apiPath := strings.Trim(base.Path, "/"), strings.Trim(cfg.apiPath, "/")
	if apiPath == "" {
		return nil
	}
	for _, endpoint := range []string{"", "/reference2video", "/text2video", "/img2video", "/start-end2video", "/tasks"} {
		if path == apiPath+endpoint || strings.HasSuffix(path, "/"+apiPath+endpoint) {
			return fmt.Errorf("ends in %q, which is added to it; leave that out, or set WithAPIPath(\"\")", apiPath+endpoint)
		}
	}
	return nil
}

func isOfficialHost(host string) bool {
	return host == strings.TrimPrefix(OfficialBaseURL, "https://") || host == strings.TrimPrefix(OfficialBaseURLChina, "https://")
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

// allowsHTTP reports whether plain http may go to u: anywhere with WithInsecureHTTP, otherwise from loopback to
// loopback, as in tests.
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

// checkKey catches the usual accidents. Its errors do not quote the key.
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

// ready reports a nil context or an uninitialized Client.
func (c *Client) ready(ctx context.Context) error {
	if c == nil || c.header == nil {
		return errors.New("vidu: the client was not made by NewClient")
	}
	if ctx == nil {
		return errors.New("vidu: the context is nil")
	}
	return nil
}

// withoutRetries returns a client whose calls are sent once, for callers that repeat them at their own rate.
func (c *Client) withoutRetries() *Client {
	single := *c
	single.maxAttempts = 1
	return &single
}

// record writes to the logger, if there is one. One that panics must not cost an answer, which may hold the id of a
// paid task, nor a download.
func (c *Client) record(ctx context.Context, level slog.Level, text string, attrs ...slog.Attr) {
	if c.logger != nil {
		defer func() { _ = recover() }() // there is nowhere to report it
		c.logger.LogAttrs(ctx, level, text, attrs...)
	}
}

// parseLink parses a link to a result or an upload and refuses what no such link has. Its errors do not quote the
// query.
func (c *Client) parseLink(link string) (*url.URL, error) {
	u, err := url.Parse(fetch.Repair(link)) // net/http would send a space as it is, and so break the request line
	if err != nil {
		return nil, errors.New("the link is not a URL")
	}
	return u, c.checkResultLink(u)
}

// checkResultLink accepts https links, and plain http for clients that use it themselves.
func (c *Client) checkResultLink(u *url.URL) error {
	switch {
	case u.User != nil:
		return fmt.Errorf("%s is not an https link without a user name, as it must be", c.shown(u))
	case u.Host != "" && u.Scheme == "http" && !c.allowsHTTP(u):
		return fmt.Errorf("%s is not an https link; WithInsecureHTTP allows plain http", c.shown(u))
	case u.Host == "", u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%s is not an https link", c.shown(u))
	}
	return nil
}

// shown returns u as it may stand in errors and logs.
func (c *Client) shown(u *url.URL) string { return c.redact(scrub.URL(u.String())) }
