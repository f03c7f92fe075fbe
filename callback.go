package vidu

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/vidu-go/vidu/internal/scrub"
)

// What [VerifyCallback] finds wrong, for errors.Is.
var (
	// ErrCallbackSignature says that the request was not signed with the secret, or not as it arrived: a proxy may have
	// changed its path or query.
	ErrCallbackSignature = errors.New("vidu: the signature of the callback is wrong")
	// ErrCallbackStale says that the signature is right and its Date too far from now: an old request sent again, or a
	// clock that is wrong.
	ErrCallbackStale = errors.New("vidu: the callback is too old, or from the future")
	// ErrCallbackHeader says that a header which the signature needs is missing, repeated or malformed.
	ErrCallbackHeader = errors.New("vidu: a header of the callback cannot be used")
)

const (
	nonceHeader     = "X-Request-Nonce"
	listHeader      = "X-Hmac-Signed-Headers"
	algorithmHeader = "X-Hmac-Algorithm"
	accessKeyHeader = "X-Hmac-Access-Key"
	signatureHeader = "X-Hmac-Signature"
	digestHeader    = "X-Hmac-Digest"

	callbackAlgorithm = "hmac-sha256"
	callbackAccessKey = "vidu"
	callbackList      = "Date;x-request-nonce"
)

const (
	defaultTolerance = 5 * time.Minute
	maxTolerance     = 10 * 365 * 24 * time.Hour // of what a nonce's lifetime is computed from
	maxCallback      = 2 << 20
	maxSigned        = 16  // headers in the list
	maxSignedLen     = 512 // of a signed header's name, and of its value
	maxNonceLen      = 128
	callbackBudget   = time.Minute      // for one delivery, the function included
	requeryBudget    = 15 * time.Second // of it, for the question to the API
	storeBudget      = 5 * time.Second  // beyond it, for ending a claim
	maxStrangers     = 8                // queries at once that unverified callbacks cause
	reportedFor      = 24 * time.Hour   // how long a task that was reported is remembered
	maxRemembered    = 100_000
)

// CallbackOption changes a default of [VerifyCallback] or [Client.CallbackHandler]. An option that makes no sense is an
// error of either, which names it.
type CallbackOption func(*callbackConfig) error

type callbackConfig struct {
	secret     string
	more       []string
	tolerance  time.Duration
	publicURL  *url.URL // nil: the request's
	nonces     NonceStore
	unverified bool
}

// WithTolerance sets how far the Date of a callback may be from now, in either direction. The default is 5 minutes; any
// positive duration will do.
func WithTolerance(d time.Duration) CallbackOption {
	return func(cfg *callbackConfig) error {
		if d <= 0 {
			return fmt.Errorf("WithTolerance: %v is not positive", d)
		}
		cfg.tolerance = d
		return nil
	}
}

// WithPublicURL names the callback_url as it was given to the API, for handlers behind something that changes the path:
// http.StripPrefix, a rewriting ingress, the stage of an API gateway. Its path is then checked in place of the
// request's. If it has a query, so is its query; otherwise the request's query is. The default is the request's own URL.
func WithPublicURL(callbackURL string) CallbackOption {
	return func(cfg *callbackConfig) error {
		u, err := url.Parse(callbackURL)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
			return errors.New("WithPublicURL: the URL must be absolute, such as https://example.com/callback")
		}
		cfg.publicURL = u
		return nil
	}
}

// WithMoreSecrets accepts signatures made with other secrets as well, while a key is being replaced. The default is
// none. Empty ones are an error.
func WithMoreSecrets(secrets ...string) CallbackOption {
	return func(cfg *callbackConfig) error {
		cfg.more = append(cfg.more, secrets...)
		return nil
	}
}

// WithNonceStore makes the handlers of several processes count as one. The default is a memory of the handler's own, of
// 100,000 nonces and as many tasks. [VerifyCallback] looks at no nonces and ignores it.
func WithNonceStore(store NonceStore) CallbackOption {
	return func(cfg *callbackConfig) error {
		if store == nil {
			return errors.New("WithNonceStore: the store is nil")
		}
		cfg.nonces = store
		return nil
	}
}

// WithUnverifiedCallbacks makes the handler take callbacks without looking at their signature. It is for gateways that
// pass the upstream's callbacks on: those are signed with the gateway's key, which its customers do not have. Secrets
// are not needed then and not used.
//
// Anybody can then make the handler ask the API about a task, one question each and 8 at a time (the rest gets 503),
// and anyone who knows the id of a task that is being waited for can have it queried sooner, at most once a second. That
// is all: what the function is given comes from the API, never from the callback, and polling does not rely on such
// callbacks. Still give the handler a path that cannot be guessed. [VerifyCallback] ignores this option.
func WithUnverifiedCallbacks() CallbackOption {
	return func(cfg *callbackConfig) error {
		cfg.unverified = true
		return nil
	}
}

func newCallbackConfig(secret string, opts []CallbackOption) (*callbackConfig, error) {
	cfg := &callbackConfig{secret: secret, tolerance: defaultTolerance}
	for _, opt := range opts {
		if opt == nil {
			continue
		}
		if err := opt(cfg); err != nil {
			return nil, fmt.Errorf("vidu: %w", err)
		}
	}
	return cfg, nil
}

// checkSecrets never lets an empty secret pass, with which anybody could sign.
func (cfg *callbackConfig) checkSecrets() error {
	err := checkKey(cfg.secret)
	for _, secret := range cfg.more {
		err = cmp.Or(err, checkKey(secret))
	}
	if err != nil {
		return fmt.Errorf("vidu: callback secret: %w", err)
	}
	return nil
}

// VerifyCallback checks that a request was signed with secret, that its method, path, query and signed headers are as they
// were signed, and that it is recent. The secret is the API key that created the task. The error is [ErrCallbackSignature], [ErrCallbackStale] or [ErrCallbackHeader]; do
// not tell the sender which.
//
// The signature covers method, path, query, Date and nonce, and not the body: whoever has seen one callback can send
// it with another body for as long as its Date is fresh. Take nothing from the body but the id, and ask
// [Client.GetTask] about that. Nor does VerifyCallback remember nonces. [Client.CallbackHandler] does both. (The vendor
// sends no X-HMAC-DIGEST. If one comes and is signed, the body is checked against it and can be read again.)
//
// Proxies break the signature when they change the path (stripped prefixes, merged slashes), the query (re-encoded or
// reordered) or the Date. [WithPublicURL] helps with the first two; for the third there is [WithUnverifiedCallbacks].
// Source: the callback page of platform.vidu.com.
func VerifyCallback(r *http.Request, secret string, opts ...CallbackOption) error {
	cfg, err := newCallbackConfig(secret, opts)
	if err != nil {
		return err
	}
	if err := cfg.checkSecrets(); err != nil {
		return err
	}
	return cfg.verify(r)
}

// SignCallback signs a request as the API does, for tests of handlers: it sets the six headers that [VerifyCallback]
// wants. Method, path and query must be final; the body is not signed. A nonce has 1 to 128 bytes and is new with every
// delivery.
func SignCallback(r *http.Request, secret string, date time.Time, nonce string) {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	stamp := date.UTC().Format(http.TimeFormat)
	m := borrowCallbackMAC(secret, nil)
	defer callbackMACs.Put(m)
	m.date = stamp
	m.signed = append(m.signed[:0], signedHeader{name: "Date", value: stamp}, signedHeader{name: "x-request-nonce", value: nonce})
	sum := m.sum(m.keyed[0], r.Method, cmp.Or(r.URL.Path, "/"), r.URL.RawQuery)

	r.Header.Set("Date", stamp)
	r.Header.Set(nonceHeader, nonce)
	r.Header.Set(listHeader, callbackList)
	r.Header.Set(algorithmHeader, callbackAlgorithm)
	r.Header.Set(accessKeyHeader, callbackAccessKey)
	r.Header.Set(signatureHeader, base64.StdEncoding.EncodeToString(sum))
}

// CallbackHandler receives callbacks: it verifies them as [VerifyCallback] does, handles each nonce once, takes the
// task's id from the body and nothing else, asks the API about that task, wakes whoever waits for it in this process,
// and calls fn once for every task that has ended, well or not.
//
// The answer is 200 when there is nothing left to do and an error otherwise, so that the API delivers the callback
// again, up to three times: 500 when fn failed or panicked; 503 when the [NonceStore] cannot be asked, or the API cannot
// be asked within 15 seconds, or does not know the task; 401 for everything that is wrong with the signature; 400 (no task
// id), 405 (not a POST), 413 (more than 2 MiB). The reasons go to the client's logger and to nobody else.
//
// Whoever has seen a genuine callback can deliver its nonce first, with the id of another task; the genuine one is then
// taken for a copy. So a callback can be kept from fn, though never changed: what fn must not miss has to be polled for.
//
// fn may be called again for a task after 24 hours, after a restart, or, when another process reported it, without a
// common [WithNonceStore]: let it be harmless to repeat, and quick, best by only queueing work. Its context ends one
// minute after the request came, and not when the sender hangs up.
//
// Callbacks get lost, so they only speed things up: keep polling, for example with [Client.Wait], as the safety net.
// The http.Server in front should set ReadHeaderTimeout and ReadTimeout. secret is the API key that creates the tasks;
// an empty one is an error, unless [WithUnverifiedCallbacks] is given.
func (c *Client) CallbackHandler(secret string, fn func(context.Context, *Task) error, opts ...CallbackOption) (http.Handler, error) {
	if err := c.ready(context.Background()); err != nil {
		return nil, err
	}
	if fn == nil {
		return nil, errors.New("vidu: CallbackHandler: the function is nil")
	}
	cfg, err := newCallbackConfig(secret, opts)
	if err != nil {
		return nil, err
	}
	if err := cfg.checkSecrets(); err != nil && !cfg.unverified {
		return nil, err
	}
	h := &callbackHandler{client: c, cfg: cfg, fn: fn, nonces: cfg.nonces, tasks: cfg.nonces}
	if cfg.unverified {
		single := *c
		single.maxAttempts = 1 // retries of ours would multiply what strangers ask
		h.client, h.strangers = &single, make(chan struct{}, maxStrangers)
	}
	if cfg.nonces == nil {
		h.nonces, h.tasks = newNonceMemory(), newNonceMemory()
	}
	return http.HandlerFunc(h.serve), nil // a function: whatever prints structs cannot reach the secrets
}

type callbackHandler struct {
	client *Client
	cfg    *callbackConfig
	fn     func(context.Context, *Task) error
	nonces NonceStore
	tasks  NonceStore

	strangers chan struct{} // holds one for each query that an unverified callback causes
}

// callbackError is why a callback was not taken, and the status that answers it.
type callbackError struct {
	status int
	err    error
}

func (e *callbackError) Error() string { return e.err.Error() }

func (h *callbackHandler) serve(w http.ResponseWriter, r *http.Request) {
	id, err := h.take(w, r)
	if err == nil {
		h.client.record(r.Context(), slog.LevelDebug, "vidu: callback", slog.String("task_id", id))
		w.WriteHeader(http.StatusOK)
		return
	}
	status := http.StatusInternalServerError
	if failure, ok := errors.AsType[*callbackError](err); ok {
		status = failure.status
	}
	h.client.record(r.Context(), slog.LevelWarn, "vidu: callback not taken", slog.String("task_id", id), slog.Int("status", status),
		h.reason(err))
	http.Error(w, http.StatusText(status), status) // never why
}

// take does everything but answer.
func (h *callbackHandler) take(w http.ResponseWriter, r *http.Request) (id string, err error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return "", &callbackError{http.StatusMethodNotAllowed, errors.New("the method is not POST")}
	}
	if !h.cfg.unverified {
		if err := h.cfg.verify(r); err != nil {
			return "", &callbackError{http.StatusUnauthorized, err}
		}
	}
	id, err = readCallback(w, r) // before the claim, which a slow sender could hold otherwise
	if err != nil {
		return "", err
	}
	// Not the request's own end: a sender that gives up early would else undo work that is nearly done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), callbackBudget)
	defer cancel()
	if h.cfg.unverified {
		return id, h.handle(ctx, id)
	}
	ttl := 2*min(h.cfg.tolerance, maxTolerance) + time.Minute
	return id, h.once(ctx, h.nonces, nonceKey(r.Header.Get(nonceHeader)), ttl, func() error { return h.handle(ctx, id) })
}

// readCallback returns the task id in the body of a callback, the one thing that is read of it.
func readCallback(w http.ResponseWriter, r *http.Request) (string, error) {
	if r.Body == nil { // of a request that was made by hand
		r.Body = http.NoBody
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCallback))
	if err != nil {
		status := http.StatusBadRequest
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			status = http.StatusRequestEntityTooLarge
		}
		return "", &callbackError{status, fmt.Errorf("reading the body: %w", err)}
	}
	task, err := decodeTask(body)
	if err == nil && task.ID == "" {
		err = errNoTask
	}
	if err != nil {
		reason := strings.TrimPrefix(err.Error(), errBadReply.Error()+": ") // a callback is no reply
		return "", &callbackError{http.StatusBadRequest, errors.New("the body: " + reason)}
	}
	return task.ID, nil
}

// once runs do, unless key stands for something that is done already. Whatever ends do without success, a panic
// included, leaves key to the next delivery.
func (h *callbackHandler) once(ctx context.Context, store NonceStore, key string, ttl time.Duration, do func() error) error {
	done, err := store.Claim(ctx, key, callbackBudget)
	if err != nil {
		return &callbackError{http.StatusServiceUnavailable, fmt.Errorf("claiming %s: %w", key, err)}
	}
	if done {
		return nil
	}
	succeeded := false
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeBudget) // though do has used up its time
		defer cancel()
		var err error
		if succeeded {
			err = store.Commit(ctx, key, ttl)
		} else {
			err = store.Release(ctx, key)
		}
		if err != nil { // too late to change the answer: what was done is done
			h.client.record(ctx, slog.LevelWarn, "vidu: callback store", slog.String("key", key), h.reason(err))
		}
	}()
	err = do()
	succeeded = err == nil
	return err
}

// handle asks about the task and tells those who want to know.
func (h *callbackHandler) handle(ctx context.Context, id string) error {
	task, err := h.requery(ctx, id)
	if h.cfg.unverified && isStatus(err, http.StatusNotFound) {
		return nil // a stranger's, or under the upstream's id: coming again would not help
	}
	if err != nil {
		return &callbackError{http.StatusServiceUnavailable, err}
	}
	h.client.waiters.wake(id, !h.cfg.unverified)
	if !task.Done() {
		return nil
	}
	return h.once(ctx, h.tasks, "vidu:task:"+id, reportedFor, func() error { return h.report(ctx, task) })
}

// requery returns what the API says about the task. A success without a link is not the end of it, see [Client.Watch].
func (h *callbackHandler) requery(ctx context.Context, id string) (*Task, error) {
	if h.cfg.unverified {
		select {
		case h.strangers <- struct{}{}:
			defer func() { <-h.strangers }()
		default:
			return nil, errors.New("too many unverified callbacks at once")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, requeryBudget)
	defer cancel()
	task, err := h.client.GetTask(ctx, id)
	if err == nil && task.State == StateSuccess && !hasVideo(task) {
		err = fmt.Errorf("task %s succeeded, but has no link to a video yet", id)
	}
	return task, err
}

// report calls the user's function. The value of a panic may hold anything, so only its type is logged, and where.
func (h *callbackHandler) report(ctx context.Context, task *Task) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &callbackError{http.StatusInternalServerError, fmt.Errorf("the function panicked with a %T", p)}
			h.client.record(ctx, slog.LevelError, "vidu: callback panic", slog.String("stack", string(debug.Stack())))
		}
	}()
	if err := h.fn(ctx, task); err != nil {
		return &callbackError{http.StatusInternalServerError, fmt.Errorf("the function: %w", err)}
	}
	return nil
}

func (h *callbackHandler) reason(err error) slog.Attr {
	return slog.String("error", scrub.OneLine(h.client.redact(err.Error()), 300))
}
