package vidu_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

func TestCallback_SameDeliveryTwice(t *testing.T) {
	t.Parallel()
	rc := receive(t, callbackSecret)
	r := callback("1", callbackBody)
	for range 2 {
		r.Body = io.NopCloser(strings.NewReader(callbackBody))
		assert.Equal(t, http.StatusOK, rc.deliver(t, r))
	}
	r.Body = io.NopCloser(strings.NewReader(`{"id":"8"}`))
	assert.Equal(t, http.StatusOK, rc.deliver(t, r))
	assert.Equal(t, []string{"7"}, rc.queried, "the nonce was used up")
	assert.Len(t, rc.reported, 1)
}

func TestCallback_ConcurrentDeliveries(t *testing.T) {
	t.Parallel()
	for name, nonce := range map[string]func(i int) string{
		"one nonce":             func(int) string { return "1" },
		"one task, many nonces": strconv.Itoa,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rc := receive(t, callbackSecret)
			server := httptest.NewServer(rc)
			defer server.Close()
			var running sync.WaitGroup
			for i := range 200 {
				running.Go(func() { assert.Equal(t, http.StatusOK, post(t, server, nonce(i))) })
			}
			running.Wait()
			assert.Len(t, rc.reported, 1)
		})
	}
}

// A function that succeeds after its deadline has succeeded, also for a store that checks its context.
func TestCallback_CommitsAfterItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &strictStore{sharedStore: newSharedStore()}
		rc := receive(t, callbackSecret, vidu.WithNonceStore(store))
		rc.fail = func(int) error {
			testkit.Pass(61 * time.Second)
			return nil
		}
		for _, nonce := range []string{"1", "1", "2"} {
			assert.Equal(t, http.StatusOK, rc.deliver(t, callback(nonce, callbackBody)))
		}
		assert.Len(t, rc.reported, 1)
	})
}

// strictStore does nothing once the context is over, as clients of databases do.
type strictStore struct{ *sharedStore }

func (s *strictStore) Commit(ctx context.Context, key string, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.sharedStore.Commit(ctx, key, ttl)
}

// A store that hangs when the claim ends delays the answer by 5 seconds, and does not change it.
func TestCallback_StoreHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rc := receive(t, callbackSecret, vidu.WithNonceStore(hangingStore{newSharedStore()}))
		rc.fail = func(int) error { return errors.New("queue full") }
		started := time.Now()
		assert.Equal(t, http.StatusInternalServerError, rc.deliver(t, callback("1", callbackBody)))
		assert.Equal(t, 10*time.Second, time.Since(started), "the task's claim, then the nonce's")
		assert.Contains(t, rc.log.String(), context.DeadlineExceeded.Error())
	})
}

// hangingStore does not answer when a claim is released.
type hangingStore struct{ *sharedStore }

func (hangingStore) Release(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// A sender that gives up and comes again waits for its first delivery, and has its turn when that one fails.
func TestCallback_DuplicateWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rc := receive(t, callbackSecret)
		rc.fail = func(n int) error {
			<-time.After(10 * time.Second)
			return map[bool]error{true: errors.New("queue full")}[n == 1]
		}
		statuses := make([]int, 3)
		var running sync.WaitGroup
		for i := range statuses {
			running.Go(func() { statuses[i] = rc.deliver(t, callback("1", callbackBody)) })
		}
		started := time.Now()
		running.Wait()
		slices.Sort(statuses)
		assert.Equal(t, []int{200, 200, 500}, statuses)
		assert.Equal(t, 20*time.Second, time.Since(started))
		assert.Len(t, rc.reported, 2)
	})
}

// A delivery that waits for another gives up after a minute, and not when the sender hangs up.
func TestCallback_DuplicateGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rc := receive(t, callbackSecret)
		rc.fail = func(int) error {
			<-time.After(time.Hour)
			return nil
		}
		started := time.Now()
		var first sync.WaitGroup
		first.Go(func() { assert.Equal(t, http.StatusOK, rc.deliver(t, callback("1", callbackBody))) })
		synctest.Wait()
		assert.Equal(t, http.StatusServiceUnavailable, rc.deliver(t, callback("1", callbackBody).WithContext(canceledContext(t))))
		assert.Equal(t, time.Minute, time.Since(started))
		first.Wait()
		assert.Len(t, rc.reported, 1)
	})
}

// sharedStore is a NonceStore that several processes share.
type sharedStore struct {
	mu    sync.Mutex
	keys  map[string]string
	ttls  map[string]time.Duration
	fails map[string]error // by method
}

func newSharedStore() *sharedStore {
	return &sharedStore{keys: map[string]string{}, ttls: map[string]time.Duration{}, fails: map[string]error{}}
}

func (s *sharedStore) Claim(_ context.Context, key string, lease time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.fails["claim"] != nil:
		return false, s.fails["claim"]
	case s.keys[key] == "claimed":
		return false, errors.New("being handled elsewhere")
	case s.keys[key] == "done":
		return true, nil
	}
	s.keys[key], s.ttls[key] = "claimed", lease
	return false, nil
}

func (s *sharedStore) Commit(_ context.Context, key string, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[key], s.ttls[key] = "done", ttl
	return s.fails["commit"]
}

func (s *sharedStore) Release(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, key)
	delete(s.ttls, key)
	return s.fails["release"]
}

func TestCallback_NonceStoreIsShared(t *testing.T) {
	t.Parallel()
	shared := newSharedStore()
	one, other := receive(t, callbackSecret, vidu.WithNonceStore(shared)), receive(t, callbackSecret, vidu.WithNonceStore(shared))
	one.fail = func(n int) error {
		for key, ttl := range shared.ttls {
			assert.Equal(t, "claimed", shared.keys[key])
			assert.Equal(t, time.Minute, ttl)
		}
		assert.Equal(t, http.StatusServiceUnavailable, other.deliver(t, callback("1", callbackBody)), "the same nonce")
		assert.Equal(t, http.StatusServiceUnavailable, other.deliver(t, callback("2", callbackBody)), "the same task")
		return map[bool]error{true: errors.New("queue full")}[n == 1]
	}
	assert.Equal(t, http.StatusInternalServerError, one.deliver(t, callback("1", callbackBody)))
	assert.Empty(t, shared.keys, "released")
	assert.Equal(t, http.StatusOK, one.deliver(t, callback("1", callbackBody)))
	assert.Equal(t, http.StatusOK, other.deliver(t, callback("1", callbackBody)))
	assert.Equal(t, http.StatusOK, other.deliver(t, callback("3", callbackBody)))
	assert.Empty(t, other.reported)
	assert.Len(t, other.queried, 3, "twice in vain, and once more for nonce 3")

	nonce := sha256.Sum256([]byte("1"))
	assert.Equal(t, 11*time.Minute, shared.ttls["vidu:nonce:"+hex.EncodeToString(nonce[:16])])
	assert.Equal(t, 24*time.Hour, shared.ttls["vidu:task:7"])
	assert.Len(t, shared.keys, 3)
}

func TestCallback_NonceStoreFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status, reported int
	}{
		"claim":   {http.StatusServiceUnavailable, 0},
		"commit":  {http.StatusOK, 1}, // it was done, so it is not to be done again
		"release": {http.StatusInternalServerError, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := newSharedStore()
			broken.fails[name] = errors.New("redis is down, and our key is " + testkit.Key)
			rc := receive(t, callbackSecret, vidu.WithNonceStore(broken))
			if name == "release" {
				rc.fail = func(int) error { return errors.New("queue full") }
			}
			assert.Equal(t, tt.status, rc.deliver(t, callback("1", callbackBody)))
			assert.Len(t, rc.reported, tt.reported)
			assert.Contains(t, rc.log.String(), "redis is down")
			assert.NotContains(t, rc.log.String(), testkit.Key)
		})
	}
}

// A nonce is remembered for as long as its Date can be fresh, which is twice the tolerance, and no longer than 20
// years.
func TestCallback_NonceLifetime(t *testing.T) {
	t.Parallel()
	for tolerance, want := range map[time.Duration]time.Duration{
		time.Second: time.Minute + 2*time.Second,
		time.Hour:   time.Minute + 2*time.Hour,
		1<<63 - 1:   time.Minute + 20*365*24*time.Hour,
	} {
		store := newSharedStore()
		rc := receive(t, callbackSecret, vidu.WithNonceStore(store), vidu.WithTolerance(tolerance))
		require.Equal(t, http.StatusOK, rc.deliver(t, callback("1", callbackBody)))
		nonce := sha256.Sum256([]byte("1"))
		assert.Equal(t, want, store.ttls["vidu:nonce:"+hex.EncodeToString(nonce[:16])])
	}
}

// A nonce is forgotten when its Date would be stale anyway.
func TestCallback_NonceExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rc := receive(t, callbackSecret)
		rc.answer = func(string) (int, string) { return http.StatusOK, processingReply }
		for _, pause := range []time.Duration{0, 11*time.Minute - 1, 1} {
			<-time.After(pause)
			rc.deliver(t, callback("1", callbackBody))
		}
		assert.Len(t, rc.queried, 2)
	})
}

func TestCallback_TaskIsReportedOnce(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]vidu.CallbackOption{"verified": nil, "unverified": {vidu.WithUnverifiedCallbacks()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rc := receive(t, callbackSecret, opts...)
				for i := range 5 {
					assert.Equal(t, http.StatusOK, rc.deliver(t, callback(strconv.Itoa(i), callbackBody)))
				}
				assert.Len(t, rc.reported, 1)
				assert.Equal(t, http.StatusOK, rc.deliver(t, callback("of another task", `{"id":"8"}`)))
				assert.Len(t, rc.reported, 2)
				<-time.After(24*time.Hour - time.Nanosecond)
				rc.deliver(t, callback("5", callbackBody))
				assert.Len(t, rc.reported, 2)
				<-time.After(time.Nanosecond)
				rc.deliver(t, callback("6", callbackBody))
				assert.Len(t, rc.reported, 3, "for ever would not be bounded")
			})
		})
	}
}

// A router in this process may change the path: what the server received is what counts then.
func TestCallback_BehindRouters(t *testing.T) {
	t.Parallel()
	mount := func(pattern, prefix string, h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle(pattern, http.StripPrefix(prefix, h))
		return mux
	}
	rewrite := func(path string, h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = path, ""
			h.ServeHTTP(w, r)
		})
	}
	for name, tt := range map[string]struct {
		target, signed string // "": target
		router         func(h http.Handler) http.Handler
		want           int
	}{
		"none":                              {"/vidu/callback", "", func(h http.Handler) http.Handler { return h }, 200},
		"StripPrefix":                       {"/vidu/callback?a=1&b=%2F", "", func(h http.Handler) http.Handler { return http.StripPrefix("/vidu", h) }, 200},
		"down to /":                         {"/vidu", "", func(h http.Handler) http.Handler { return http.StripPrefix("/vidu", h) }, 200},
		"two of them":                       {"/a/b/c", "", func(h http.Handler) http.Handler { return mount("/a/", "/a", mount("/b/", "/b", h)) }, 200},
		"an escaped one":                    {"/v%2Fidu/call%20back", "", func(h http.Handler) http.Handler { return http.StripPrefix("/v%2Fidu", h) }, 404},
		"escapes":                           {"/vidu/call%2Fback", "", func(h http.Handler) http.Handler { return http.StripPrefix("/vidu", h) }, 200},
		"rewritten":                         {"/vidu/callback", "", func(h http.Handler) http.Handler { return rewrite("/", h) }, 200},
		"to a slash":                        {"/vidu/callback/", "", func(h http.Handler) http.Handler { return rewrite("/vidu/callback", h) }, 200},
		"the stripped path was signed":      {"/vidu/callback", "/callback", func(h http.Handler) http.Handler { return http.StripPrefix("/vidu", h) }, 200},
		"another path was signed":           {"/vidu/callback", "/callback", func(h http.Handler) http.Handler { return rewrite("/", h) }, 401},
		"another query was signed":          {"/vidu/callback?a=1", "/vidu/callback?a=2", func(h http.Handler) http.Handler { return http.StripPrefix("/vidu", h) }, 401},
		"a query was signed, there is none": {"/vidu/callback", "/vidu/callback?a=2", func(h http.Handler) http.Handler { return rewrite("/x", h) }, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rc := receive(t, callbackSecret)
			server := httptest.NewServer(tt.router(rc))
			defer server.Close()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+cmp.Or(tt.signed, tt.target), strings.NewReader(callbackBody))
			require.NoError(t, err)
			vidu.SignCallback(r, callbackSecret, time.Now(), "1")
			if tt.signed != "" {
				r.URL, err = url.Parse(server.URL + tt.target)
				require.NoError(t, err)
			}
			resp, err := server.Client().Do(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			assert.Equal(t, tt.want, resp.StatusCode)
		})
	}
}

// What was given by hand is not second-guessed, and a request that no server has read has no request line.
func TestVerifyCallback_RequestLine(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		path, line string
		opts       []vidu.CallbackOption
		want       error
	}{
		"changed path":                {"/x", "/vidu/callback?name=james&age=36", nil, nil},
		"absolute, to a proxy":        {"/x", "http://example.com/vidu/callback?name=james&age=36", nil, nil},
		"no path left":                {"", "/vidu/callback?name=james&age=36", nil, nil},
		"another query":               {"/x", "/vidu/callback?name=james", nil, vidu.ErrCallbackSignature},
		"no request line":             {"/x", "", nil, vidu.ErrCallbackSignature},
		"no path on it":               {"/x", "*", nil, vidu.ErrCallbackSignature},
		"unreadable":                  {"/x", "/%zz", nil, vidu.ErrCallbackSignature},
		"control characters":          {"/x", "/vidu/callback%0A?name=james&age=36", nil, vidu.ErrCallbackSignature},
		"control characters, changed": {"/x\n", "/vidu/callback?name=james&age=36", nil, vidu.ErrCallbackSignature},
		"another public URL": {
			"/x", "/vidu/callback?name=james&age=36", []vidu.CallbackOption{vidu.WithPublicURL("https://example.com/other")}, vidu.ErrCallbackSignature,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := callback("1", callbackBody)
			r.URL.Path, r.RequestURI = tt.path, tt.line
			require.ErrorIs(t, verify(t, r, tt.opts...), tt.want)
		})
	}
}

// Whoever reads the log must see what to do.
func TestCallback_LogNamesThePath(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts  []vidu.CallbackOption
		paths string
	}{
		"as received": {nil, "/inner, /outer/call%20back"},
		"public":      {[]vidu.CallbackOption{vidu.WithPublicURL("https://example.com/public?sig=secret")}, "/public"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rc := receive(t, callbackSecret, tt.opts...)
			r := received("/outer/call%20back?sig=secret", callbackBody)
			vidu.SignCallback(r, "another-secret", time.Now(), "1")
			r.URL.Path, r.URL.RawPath = "/inner", ""
			require.Equal(t, http.StatusUnauthorized, rc.deliver(t, r))
			assert.Contains(t, rc.log.String(), tt.paths)
			assert.Contains(t, rc.log.String(), "WithPublicURL")
			assert.NotContains(t, rc.log.String(), "sig=secret")
		})
	}
	rc := receive(t, callbackSecret)
	r := callback("1", callbackBody)
	r.Header.Del("Date")
	require.Equal(t, http.StatusUnauthorized, rc.deliver(t, r))
	assert.NotContains(t, rc.log.String(), "WithPublicURL", "which would not help")
}

// A body that gives nothing and does not end costs no goroutine.
func TestCallback_StuckBody(t *testing.T) {
	t.Parallel()
	rc := receive(t, callbackSecret)
	r := callback("1", callbackBody)
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"id":`), testkit.StuckReader{}))
	assert.Equal(t, http.StatusBadRequest, rc.deliver(t, r))
	assert.Empty(t, rc.queried)
}

// FuzzCallback sends hostile headers and bodies, signed and not. The handler accepts what VerifyCallback accepts, and
// whatever it passes on came from the API.
func FuzzCallback(f *testing.F) {
	list, good := "Date;x-request-nonce", "PrO4+kG4W+b3HOSimdHMHn8pnQ6YXQTseBDC/8yvvNA="
	for _, body := range append(hostileReplies, callbackBody) {
		f.Add(true, "/vidu/callback", "name=james&age=36", "", callbackNonce, list, "", body)
	}
	f.Add(false, "/vidu/callback", "name=james&age=36", "Tue, 06 May 2025 12:09:42 GMT", callbackNonce, list, good, callbackBody)
	f.Add(true, "/a\nb", "c;d", "Tue, 06 May 2025 12:09:42 GMT", "1", "date;X-REQUEST-NONCE;Host", "", callbackBody)
	f.Add(true, "", "", "Tue, 06 May 2025 2:09:42 GMT", "\n", "Date;x-request-nonce;;", "====", "{}")
	f.Add(true, "/a%2Fb/ä", "%zz", "", "\xff", "Date:;Date", good+"\n", `{"id":"../x"}`)
	f.Fuzz(func(t *testing.T, sign bool, path, query, date, nonce, list, signature, body string) {
		r := &http.Request{
			Method: http.MethodPost, URL: &url.URL{Path: path, RawQuery: query}, Body: io.NopCloser(strings.NewReader(body)),
			Header: http.Header{
				"Date": {date}, "X-Request-Nonce": {nonce}, "X-Hmac-Signed-Headers": {list}, "X-Hmac-Signature": {signature},
				"X-Hmac-Algorithm": {"hmac-sha256"}, "X-Hmac-Access-Key": {"vidu"},
			},
		}
		if date == "" {
			r.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		}
		if sign {
			resign(r)
		}
		assertCallback(t, r, verify(t, r) == nil, receive(t, callbackSecret))
		r.Body = io.NopCloser(strings.NewReader(body))
		assertCallback(t, r, true, receive(t, "", vidu.WithUnverifiedCallbacks()))
	})
}

func assertCallback(t *testing.T, r *http.Request, verified bool, rc *receiver) {
	t.Helper()
	w := httptest.NewRecorder()
	rc.ServeHTTP(w, r)
	switch w.Code {
	case http.StatusOK:
		require.True(t, verified)
		require.Len(t, rc.reported, 1)
		require.Len(t, rc.queried, 1)
		require.Regexp(t, taskID, rc.queried[0])
		require.Equal(t, rc.queried[0], rc.reported[0].ID)
		require.JSONEq(t, doneReply, string(rc.reported[0].RawJSON()))
	case http.StatusUnauthorized:
		require.False(t, verified)
		require.Empty(t, rc.queried)
	default:
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Empty(t, rc.queried)
	}
	for line := range strings.Lines(rc.log.String()) {
		require.True(t, json.Valid([]byte(line)))
	}
	assert.NotContains(t, w.Body.String()+rc.log.String(), callbackSecret)
}
