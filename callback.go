package vidu

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
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
// and who knows the id of a task that is waited for can bring its queries forward, to one a second. That is all: what
// the function is given comes from the API, never from the callback, and polling does not rely on such callbacks. Still
// give the handler a path that cannot be guessed. [VerifyCallback] ignores this option.
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

// VerifyCallback checks that a request was signed with secret, as it arrived and not long ago. The secret is the API
// key that created the task. The error is [ErrCallbackSignature], [ErrCallbackStale] or [ErrCallbackHeader]; do not
// tell the sender which.
//
// The signature covers method, path, query, Date and nonce, and not the body: whoever has seen one callback can send
// it with another body for as long as its Date is fresh. Take nothing from the body but the id, and ask
// [Client.GetTask] about that. Nor does VerifyCallback remember nonces. [Client.CallbackHandler] does both.
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

// callbackMAC is what one verification works with.
type callbackMAC struct {
	secret string
	more   []string
	keyed  []hash.Hash // one for each secret

	date      string
	signature [sha256.Size]byte
	signed    []signedHeader
	text      []byte
	digest    []byte
}

type signedHeader struct {
	name  string // as the list spells it
	key   string // as http.Header does
	value string
}

// callbackMACs keeps them, because keying an HMAC costs more than computing it. Most programs have one secret.
var callbackMACs sync.Pool

func borrowCallbackMAC(secret string, more []string) *callbackMAC {
	if m, ok := callbackMACs.Get().(*callbackMAC); ok && m.secret == secret && slices.Equal(m.more, more) {
		return m
	}
	m := &callbackMAC{secret: secret, more: slices.Clone(more)}
	m.keyed = append(m.keyed, hmac.New(sha256.New, []byte(secret)))
	for _, other := range more {
		m.keyed = append(m.keyed, hmac.New(sha256.New, []byte(other)))
	}
	return m
}

// sum computes the signature. The result holds until the next call.
func (m *callbackMAC) sum(keyed hash.Hash, method, path, query string) []byte {
	m.text = m.text[:0]
	for _, line := range [...]string{method, path, query, callbackAccessKey, m.date} {
		m.text = append(append(m.text, line...), '\n')
	}
	for _, h := range m.signed {
		m.text = append(append(m.text, h.name...), ':')
		m.text = append(append(m.text, h.value...), '\n')
	}
	keyed.Reset()
	keyed.Write(m.text)
	m.digest = keyed.Sum(m.digest[:0])
	return m.digest
}

func (cfg *callbackConfig) verify(r *http.Request) error {
	if r == nil || r.URL == nil || r.Method != http.MethodPost {
		return fmt.Errorf("%w: it is not a POST request", ErrCallbackSignature)
	}
	m := borrowCallbackMAC(cfg.secret, cfg.more)
	defer callbackMACs.Put(m)
	if err := m.readHeader(r.Header); err != nil {
		return err
	}
	if err := cfg.checkSignature(r, m); err != nil {
		return err
	}
	return cfg.checkDate(m.date) // after the signature, or strangers could probe the clock
}

// readHeader keeps what the signature consists of and covers.
func (m *callbackMAC) readHeader(header http.Header) error {
	var values [6]string
	for i, name := range [...]string{"Date", nonceHeader, listHeader, algorithmHeader, accessKeyHeader, signatureHeader} {
		value := header[name]
		if len(value) != 1 {
			return badHeader("%s comes %d times", name, len(value))
		}
		values[i] = value[0]
	}
	switch {
	case len(values[1]) > maxNonceLen:
		return badHeader("%s has more than %d bytes", nonceHeader, maxNonceLen)
	case values[3] != callbackAlgorithm:
		return badHeader("%s is not %s", algorithmHeader, callbackAlgorithm)
	case values[4] != callbackAccessKey:
		return badHeader("%s is not %s", accessKeyHeader, callbackAccessKey)
	case !decodeSignature(&m.signature, values[5]):
		return fmt.Errorf("%w: it is not base64 of 32 bytes", ErrCallbackSignature)
	}
	m.date = values[0]
	return m.readList(header, values[2])
}

func badHeader(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCallbackHeader, fmt.Sprintf(format, args...))
}

var strictBase64 = base64.StdEncoding.Strict()

// decodeSignature takes the one spelling of 32 bytes. The lengths rule out line breaks, which the decoder skips.
func decodeSignature(to *[sha256.Size]byte, text string) bool {
	var decoded [sha256.Size + 1]byte // room for the padding
	if len(text) != base64.StdEncoding.EncodedLen(sha256.Size) {
		return false
	}
	n, err := strictBase64.Decode(decoded[:], []byte(text))
	copy(to[:], decoded[:])
	return err == nil && n == sha256.Size
}

// readList keeps the headers that the signature says it covers.
func (m *callbackMAC) readList(header http.Header, list string) error {
	m.signed = m.signed[:0]
	for more := true; more; {
		var name string
		name, list, more = strings.Cut(list, ";")
		key, ok := headerKey(name)
		values := header[key]
		switch {
		case len(m.signed) == maxSigned:
			return badHeader("%s has more than %d names", listHeader, maxSigned)
		case !ok:
			return badHeader("%s has something that is not a name", listHeader)
		case m.covers(key):
			return badHeader("%s has a name twice", listHeader)
		case len(values) != 1:
			return badHeader("a header in %s comes %d times", listHeader, len(values))
		case values[0] == "" || len(values[0]) > maxSignedLen || hasControl(values[0]):
			return badHeader("a header in %s is empty, too long or has control characters", listHeader)
		}
		m.signed = append(m.signed, signedHeader{name: name, key: key, value: values[0]})
	}
	if !m.covers("Date") || !m.covers(nonceHeader) {
		return badHeader("%s lacks Date or %s", listHeader, nonceHeader)
	}
	return nil
}

// headerKey is the name as http.Header spells it, without work for the names that every callback has. It is false for
// what is no name.
func headerKey(name string) (key string, ok bool) {
	switch {
	case name == "Date":
		return name, true
	case name == "x-request-nonce":
		return nonceHeader, true
	case name == "" || len(name) > maxSignedLen || !isToken(name):
		return "", false
	}
	return http.CanonicalHeaderKey(name), true
}

func (m *callbackMAC) covers(key string) bool {
	return slices.ContainsFunc(m.signed, func(h signedHeader) bool { return h.key == key })
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// checkSignature computes the signature with every secret, and with both forms of the path where they differ: the
// vendor's sample signs the decoded one. No result ends it early.
func (cfg *callbackConfig) checkSignature(r *http.Request, m *callbackMAC) error {
	u, query := r.URL, r.URL.RawQuery
	if cfg.publicURL != nil {
		u, query = cfg.publicURL, cmp.Or(cfg.publicURL.RawQuery, query)
	}
	path, escaped := cmp.Or(u.Path, "/"), cmp.Or(u.EscapedPath(), "/")
	if hasControl(path) || hasControl(query) { // a line break would shift what the lines mean
		return fmt.Errorf("%w: the path or query has control characters", ErrCallbackSignature)
	}
	ok := false
	for _, keyed := range m.keyed {
		ok = hmac.Equal(m.sum(keyed, r.Method, path, query), m.signature[:]) || ok
		if escaped != path {
			ok = hmac.Equal(m.sum(keyed, r.Method, escaped, query), m.signature[:]) || ok
		}
	}
	if !ok {
		return fmt.Errorf("%w: another secret, or another path or query than was signed", ErrCallbackSignature)
	}
	return nil
}

// checkDate takes the one form of dates that HTTP allows to send. time.Parse alone is more generous.
func (cfg *callbackConfig) checkDate(text string) error {
	date, err := time.Parse(http.TimeFormat, text)
	if err != nil || !looksLike(text, http.TimeFormat) {
		return badHeader("Date is not in the form of %q", http.TimeFormat)
	}
	if off := time.Since(date); off.Abs() > cfg.tolerance {
		return fmt.Errorf("%w: its Date is off by %v", ErrCallbackStale, off.Round(time.Second))
	}
	return nil
}

// looksLike compares kinds of characters: digits, capitals, small letters; all others must be the same.
func looksLike(text, model string) bool {
	if len(text) != len(model) {
		return false
	}
	for i := range len(text) {
		if charKind(text[i]) != charKind(model[i]) {
			return false
		}
	}
	return true
}

func charKind(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return '0'
	case 'A' <= c && c <= 'Z':
		return 'A'
	case 'a' <= c && c <= 'z':
		return 'a'
	}
	return c
}

// NonceStore remembers which callbacks were handled and which are being handled. It is shared by all processes that
// receive them. Keys are plain text of at most 160 bytes.
//
// A delivery claims its nonce, and later its task, before anything is done, and then commits the claim, or releases it
// when something failed, so that the next delivery gets its turn. With Redis 7:
//
//	func (s Store) Claim(ctx context.Context, key string, lease time.Duration) (bool, error) {
//		old, err := s.rdb.SetArgs(ctx, key, "claimed", redis.SetArgs{Mode: "NX", Get: true, TTL: lease}).Result()
//		switch {
//		case errors.Is(err, redis.Nil):
//			return false, nil // it was free, and is ours now
//		case err == nil && old == "claimed":
//			return false, errors.New("being handled elsewhere")
//		}
//		return old == "done", err
//	}
//
//	func (s Store) Commit(ctx context.Context, key string, ttl time.Duration) error {
//		return s.rdb.Set(ctx, key, "done", ttl).Err()
//	}
//
//	func (s Store) Release(ctx context.Context, key string) error { return s.rdb.Del(ctx, key).Err() }
type NonceStore interface {
	// Claim takes key for lease, a minute, in one atomic step. It returns true if key was committed before: then nothing is left to do. It
	// returns an error if another delivery holds key, or if the store cannot tell: then the sender is told to come
	// again. It may wait for that other delivery, for as long as ctx lasts. A claim that is neither committed nor
	// released, because its process died, should end after lease.
	Claim(ctx context.Context, key string, lease time.Duration) (done bool, err error)
	// Commit remembers for ttl that what key stands for is done.
	Commit(ctx context.Context, key string, ttl time.Duration) error
	// Release gives key back. Its error changes nothing but the log: the claim then ends after its lease.
	Release(ctx context.Context, key string) error
}

// nonceMemory is the NonceStore of one process. It forgets the oldest when it is full.
type nonceMemory struct {
	mu      sync.Mutex
	claimed map[string]chan struct{} // closed when the claim ends
	done    map[string]time.Time     // until when
	order   []string                 // of done; every key has the same ttl, so the first ends first
}

func newNonceMemory() *nonceMemory {
	return &nonceMemory{claimed: map[string]chan struct{}{}, done: map[string]time.Time{}}
}

// Claim waits while another delivery holds key. It needs no lease: claims die with the process.
func (m *nonceMemory) Claim(ctx context.Context, key string, _ time.Duration) (bool, error) {
	for {
		done, other := m.try(key)
		if other == nil {
			return done, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// try returns the claim of another delivery, if there is one.
func (m *nonceMemory) try(key string) (done bool, other chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.done[key]) {
		return true, nil
	}
	if other := m.claimed[key]; other != nil {
		return false, other
	}
	m.claimed[key] = make(chan struct{})
	return false, nil
}

// Commit also drops what has ended.
func (m *nonceMemory) Commit(_ context.Context, key string, ttl time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for len(m.order) > 0 && (len(m.order) == maxRemembered || !now.Before(m.done[m.order[0]])) {
		delete(m.done, m.order[0])
		m.order = m.order[1:]
	}
	m.done[key], m.order = now.Add(ttl), append(m.order, key)
	m.free(key)
	return nil
}

// Release lets one of those who wait have key.
func (m *nonceMemory) Release(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free(key)
	return nil
}

func (m *nonceMemory) free(key string) {
	close(m.claimed[key])
	delete(m.claimed, key)
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
		h.log(r.Context(), slog.LevelDebug, "vidu: callback", slog.String("task_id", id))
		w.WriteHeader(http.StatusOK)
		return
	}
	status := http.StatusInternalServerError
	if failure, ok := errors.AsType[*callbackError](err); ok {
		status = failure.status
	}
	h.log(r.Context(), slog.LevelWarn, "vidu: callback not taken", slog.String("task_id", id), slog.Int("status", status),
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
		return "", &callbackError{http.StatusBadRequest, fmt.Errorf("the body: %w", err)}
	}
	return task.ID, nil
}

// nonceKey is short and plain whatever the nonce is.
func nonceKey(nonce string) string {
	sum := sha256.Sum256([]byte(nonce))
	return "vidu:nonce:" + hex.EncodeToString(sum[:16])
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
			h.log(ctx, slog.LevelWarn, "vidu: callback store", slog.String("key", key), h.reason(err))
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
			h.log(ctx, slog.LevelError, "vidu: callback panic", slog.String("stack", string(debug.Stack())))
		}
	}()
	if err := h.fn(ctx, task); err != nil {
		return &callbackError{http.StatusInternalServerError, fmt.Errorf("the function: %w", err)}
	}
	return nil
}

func (h *callbackHandler) reason(err error) slog.Attr {
	return slog.String("error", oneLine(h.client.redact(err.Error()), 300))
}

// log writes one record. A logger that panics must not change the answer.
func (h *callbackHandler) log(ctx context.Context, level slog.Level, message string, attrs ...slog.Attr) {
	if h.client.logger != nil {
		defer func() { _ = recover() }() // there is nowhere to report it
		h.client.logger.LogAttrs(ctx, level, message, attrs...)
	}
}
