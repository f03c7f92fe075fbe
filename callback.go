package vidu

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/vidu-go/vidu/internal/callbacksig"
	"github.com/vidu-go/vidu/internal/claims"
	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/scrub"
)

// What [VerifyCallback] finds wrong, for errors.Is.
var (
	// ErrCallbackSignature means that the request was not signed with the secret, or a proxy changed its path or query.
	ErrCallbackSignature = errors.New("vidu: invalid callback signature")
	// ErrCallbackStale means that the signature is valid and its Date too far from now: a replay, or a wrong clock.
	ErrCallbackStale = errors.New("vidu: callback timestamp outside the allowed window")
	// ErrCallbackHeader means that a header which the signature needs is missing, repeated or malformed.
	ErrCallbackHeader = errors.New("vidu: callback has a missing or invalid header")
)

// callbackErrors pairs what callbacksig finds wrong with the public errors, whose text is the same after "vidu: ".
var callbackErrors = [...]struct{ found, public error }{
	{callbacksig.ErrSignature, ErrCallbackSignature},
	{callbacksig.ErrStale, ErrCallbackStale},
	{callbacksig.ErrHeader, ErrCallbackHeader},
}

const (
	callbackAccessKey = "vidu"
	defaultTolerance  = 5 * time.Minute
	maxTolerance      = 10 * 365 * 24 * time.Hour // of what a nonce's lifetime is computed from
	maxCallback       = 2 << 20
	callbackBudget    = time.Minute      // for one delivery, the function included
	requeryBudget     = 15 * time.Second // of it, for the question to the API
	storeBudget       = 5 * time.Second  // beyond it, for ending a claim
	maxUnverified     = 8                // queries at once that unverified callbacks cause
	reportedFor       = 24 * time.Hour   // how long a task that was reported is remembered
)

// NonceStore remembers which callbacks were handled and which are being handled. It is shared by all processes that
// receive them. Keys are plain ASCII text of at most 300 bytes.
//
// A delivery claims its nonce, and later its task, before anything is done, and then commits the claim, or releases it
// when something failed, so that the next delivery gets its turn. A claim must have a token of its own that Release
// compares: a delivery may outlive its lease, and must not end the claim that another has made since. The folder
// examples/redisstore of this repository has a store in Redis, with its tests.
type NonceStore interface {
	// Claim takes key, in one atomic step. It returns true if key was committed before: then nothing is left to do. It
	// returns an error if another delivery holds key, or if the store fails: the callback is then answered with 503, so
	// that it is delivered again. It may wait for that other delivery, for as long as ctx lasts. A claim that is
	// neither committed nor released, because its process died, should end after lease, which is one minute.
	Claim(ctx context.Context, key string, lease time.Duration) (done bool, err error)
	// Commit records for ttl that key has been handled, also if the lease was over.
	Commit(ctx context.Context, key string, ttl time.Duration) error
	// Release ends the claim, so that key can be claimed again, unless its lease was over. Its error is only logged: the
	// claim then ends after its lease.
	Release(ctx context.Context, key string) error
}

// CallbackOption changes a default of [VerifyCallback] or [Client.CallbackHandler], which name the invalid ones.
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
// positive duration is valid.
func WithTolerance(d time.Duration) CallbackOption {
	return func(cfg *callbackConfig) error {
		if d <= 0 {
			return fmt.Errorf("WithTolerance: %v is not positive", d)
		}
		cfg.tolerance = d
		return nil
	}
}

// WithPublicURL names the callback_url as it was given to the API, for handlers behind something that changes the path
// before this process sees it: a rewriting ingress, the stage of an API gateway. Its path is then checked in place of
// the request's. If it has a query, so is its query; otherwise the request's query is. The default is the request's URL
// and, where a router such as http.StripPrefix has changed that, the URL that the server received.
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

// WithUnverifiedCallbacks makes the handler accept callbacks without checking their signature. It is for gateways that
// pass the upstream's callbacks on: those are signed with the gateway's key, which its customers do not have. Secrets
// are not needed then and not used.
//
// Anybody can then make the handler query a task, one query per callback and 8 at a time (the rest gets 503), and
// anybody with the id of a task that is being waited for can have it queried sooner, at most once per second. That is
// all: what the function is given comes from the API, never from the callback, and polling does not rely on such
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

// checkSecrets rejects an empty secret, with which anybody could sign.
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

// VerifyCallback checks that a request was signed with secret, that its method, path, query and signed headers are as
// they were signed, and that it is recent. The secret is the API key that created the task. The error matches
// [ErrCallbackSignature], [ErrCallbackStale] or [ErrCallbackHeader]; do not show the sender which.
//
// The signature covers method, path, query, Date and nonce, and not the body: whoever has seen one callback can send
// it with another body for as long as its Date is fresh. Take nothing from the body but the id, and ask
// [Client.GetTask] about that. Nor does VerifyCallback remember nonces. [Client.CallbackHandler] does both. (The vendor
// sends no X-HMAC-DIGEST. If there is one and it is signed, the body is checked against it and can be read again.)
//
// Proxies break the signature when they change the path (stripped prefixes, merged slashes), the query (re-encoded or
// reordered) or the Date. [WithPublicURL] helps with the first two; for the third there is [WithUnverifiedCallbacks].
// What a router in this process does to the URL, such as http.StripPrefix, does no harm.
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

func (cfg *callbackConfig) verify(r *http.Request) error {
	err := callbacksig.Verify(r, &callbacksig.Params{
		AccessKey: callbackAccessKey, Secret: cfg.secret, More: cfg.more,
		Tolerance: cfg.tolerance, PublicURL: cfg.publicURL, MaxBody: maxCallback,
	})
	for _, e := range callbackErrors {
		if errors.Is(err, e.found) {
			return &signatureError{e.public, err}
		}
	}
	return err
}

// signatureError is an error of callbacksig that matches its public counterpart as well.
type signatureError struct{ public, found error }

func (e *signatureError) Error() string   { return "vidu: " + e.found.Error() }
func (e *signatureError) Unwrap() []error { return []error{e.public, e.found} }

// SignCallback signs a request as the API does, for tests of handlers: it sets the six headers that [VerifyCallback]
// wants. Method, path and query must be final; the body is not signed. A nonce has 1 to 128 bytes and is new with every
// delivery.
func SignCallback(r *http.Request, secret string, date time.Time, nonce string) {
	callbacksig.Sign(r, callbackAccessKey, secret, date, nonce)
}

// CallbackHandler receives callbacks: it verifies them as [VerifyCallback] does, handles each nonce once, uses only the
// task id from the body, queries that task, wakes whoever waits for it in this process, and calls fn once for every
// task that has ended, successful or not.
//
// The answer is 200 when there is nothing left to do and an error otherwise, so that the API delivers the callback
// again, up to three times: 500 when fn failed or panicked; 503 when the [NonceStore] fails, or the query fails or
// takes more than 15 seconds, or the task does not exist; 401 for everything that is wrong with the signature; 400 (no
// task id), 405 (not a POST), 413 (more than 2 MiB). With [WithUnverifiedCallbacks] a task that does not exist is 200,
// for another delivery would not help. The reasons go to the client's logger and to nobody else.
//
// Whoever has seen a genuine callback can deliver its nonce first, with the id of another task; the genuine one is then
// taken for a duplicate. So a callback can be kept from fn, though never changed: poll for what fn must not miss.
//
// fn may be called again for a task after 24 hours, after a restart, or, without a shared [WithNonceStore], by another
// process: it should be idempotent, and quick, best by only queueing work. Its context ends one minute after the
// request came, and not when the sender hangs up.
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
		h.client, h.unverifiedSem = c.withoutRetries(), make(chan struct{}, maxUnverified)
	}
	if cfg.nonces == nil {
		h.nonces, h.tasks = claims.New(), claims.New()
	}
	return http.HandlerFunc(h.serve), nil // a function: whatever prints structs cannot reach the secrets
}

type callbackHandler struct {
	client *Client
	cfg    *callbackConfig
	fn     func(context.Context, *Task) error
	nonces NonceStore
	tasks  NonceStore

	unverifiedSem chan struct{} // one slot for each query that an unverified callback causes
}

// callbackError is why a callback was not accepted, and the status that answers it.
type callbackError struct {
	status int
	err    error
}

func (e *callbackError) Error() string { return e.err.Error() }
func (e *callbackError) Unwrap() error { return e.err }

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
	attrs := []slog.Attr{slog.String("task_id", id), slog.Int("status", status), h.reason(err)}
	if errors.Is(err, ErrCallbackSignature) { // as a rule something has changed the path on its way
		paths := h.client.redact(strings.Join(callbacksig.Paths(r, h.cfg.publicURL), ", "))
		attrs = append(attrs, slog.String("checked_path", scrub.OneLine(paths, 300)), slog.String("hint", "see WithPublicURL"))
	}
	h.client.record(r.Context(), slog.LevelWarn, "vidu: callback not taken", attrs...)
	http.Error(w, http.StatusText(status), status) // never why
}

// take does everything but write the answer.
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
	return id, h.once(ctx, h.nonces, nonceKey(r.Header.Get(callbacksig.NonceHeader)), ttl, func() error { return h.handle(ctx, id) })
}

// readCallback returns the task id in the body of a callback; nothing else in it is used.
func readCallback(w http.ResponseWriter, r *http.Request) (string, error) {
	if r.Body == nil { // of a request that was made by hand
		r.Body = http.NoBody
	}
	body, err := io.ReadAll(oneshot.LimitEmptyReads(http.MaxBytesReader(w, r.Body, maxCallback)))
	if err != nil {
		status := http.StatusBadRequest
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			status = http.StatusRequestEntityTooLarge
		}
		return "", &callbackError{status, fmt.Errorf("reading the body: %w", err)}
	}
	task, err := decodeTask(string(body))
	if err == nil && task.ID == "" {
		err = errNoTask
	}
	if err != nil {
		reason := strings.TrimPrefix(err.Error(), errBadReply.Error()+": ") // a callback is not a reply
		return "", &callbackError{http.StatusBadRequest, errors.New("the body: " + reason)}
	}
	return task.ID, nil
}

// once runs do, unless key is committed already. If do does not succeed, or panics, the next delivery can claim key.
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

// handle queries the task, wakes waiters and reports a finished task.
func (h *callbackHandler) handle(ctx context.Context, id string) error {
	task, err := h.requery(ctx, id)
	if h.cfg.unverified && isStatus(err, http.StatusNotFound) {
		return nil // not of this account, or the upstream's id: another delivery would not help
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

// requery returns the task as the API has it. A success without a link is not final, see [Client.Watch].
func (h *callbackHandler) requery(ctx context.Context, id string) (*Task, error) {
	if h.cfg.unverified {
		select {
		case h.unverifiedSem <- struct{}{}:
			defer func() { <-h.unverifiedSem }()
		default:
			return nil, errors.New("too many unverified callbacks at once")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, requeryBudget)
	defer cancel()
	task, err := h.client.query(ctx, id)
	if errors.Is(err, errUnsure) {
		if task, err = h.client.query(ctx, id); errors.Is(err, errUnsure) {
			err = nil
		}
	}
	return task, err
}

// report calls the user's function. A panic value may hold anything, so only its type and the stack are logged.
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

// nonceKey returns a short key of plain characters, whatever the nonce contains.
func nonceKey(nonce string) string {
	sum := sha256.Sum256([]byte(nonce))
	return "vidu:nonce:" + hex.EncodeToString(sum[:16])
}
