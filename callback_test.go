package vidu_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

const (
	callbackSecret = "your_secret_token" // of the documented example
	callbackNonce  = "123e4567-e89b-12d3-a456-426614174000"
	callbackTarget = "http://127.0.0.1:8080/vidu/callback?name=james&age=36"
	callbackBody   = `{"id":"7","state":"success","creations":[{"id":"9","url":"https://evil.example.com/x.mp4"}]}`

	doneReply = `{"id":"7","state":"success","credits":4,"creations":[{"id":"9","url":"https://cdn.example.com/x.mp4"}]}`
)

// callback returns a delivery that was signed just now.
func callback(nonce, body string) *http.Request {
	r := received(callbackTarget, body)
	vidu.SignCallback(r, callbackSecret, time.Now(), nonce)
	return r
}

// received returns a request as a server gets it.
func received(target, body string) *http.Request {
	return httptest.NewRequestWithContext(context.Background(), http.MethodPost, target, strings.NewReader(body))
}

// signAsListed signs whatever the headers say, however odd, and is written independently of the package.
func signAsListed(r *http.Request, path string) string {
	mac := hmac.New(sha256.New, []byte(callbackSecret))
	io.WriteString(mac, r.Method+"\n"+path+"\n"+r.URL.RawQuery+"\nvidu\n"+r.Header.Get("Date")+"\n")
	for name := range strings.SplitSeq(r.Header.Get("X-Hmac-Signed-Headers"), ";") {
		io.WriteString(mac, name+":"+r.Header.Get(name)+"\n")
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func resign(r *http.Request) {
	r.Header.Set("X-Hmac-Signature", signAsListed(r, r.URL.Path))
}

// receiver is a handler of callbacks, the API that it queries, and what both have seen.
type receiver struct {
	http.Handler

	mu       sync.Mutex
	queried  []string                      // task ids, in the order of the queries
	reported []*vidu.Task                  // what the function was called with
	fail     func(n int) error             // what its n-th call returns
	answer   func(id string) (int, string) // the API's answer
	log      bytes.Buffer
}

// receive makes a receiver whose tasks have all succeeded.
func receive(tb testing.TB, secret string, opts ...vidu.CallbackOption) *receiver {
	tb.Helper()
	rc := &receiver{
		fail:   func(int) error { return nil },
		answer: func(string) (int, string) { return http.StatusOK, doneReply },
	}
	client, err := vidu.NewClient("https://gateway.example.com", testkit.Key, vidu.WithMaxAttempts(1), withTransport(rc.api),
		vidu.WithLogger(slog.New(slog.NewJSONHandler(&rc.log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	require.NoError(tb, err)
	rc.Handler, err = client.CallbackHandler(secret, rc.fn, opts...)
	require.NoError(tb, err)
	return rc
}

func (rc *receiver) api(r *http.Request) (*http.Response, error) {
	id := strings.Split(r.URL.Path, "/")[4]
	rc.mu.Lock()
	rc.queried = append(rc.queried, id)
	rc.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	status, body := rc.answer(id)
	return testkit.Reply(r, status, body)
}

func (rc *receiver) fn(_ context.Context, task *vidu.Task) error {
	rc.mu.Lock()
	rc.reported = append(rc.reported, task)
	n := len(rc.reported)
	rc.mu.Unlock()
	return rc.fail(n)
}

// deliver returns the status that answers r. No answer says more than its status.
func (rc *receiver) deliver(t *testing.T, r *http.Request) int {
	t.Helper()
	w := httptest.NewRecorder()
	rc.ServeHTTP(w, r)
	if w.Code == http.StatusOK {
		assert.Empty(t, w.Body.String())
	} else {
		assert.Equal(t, http.StatusText(w.Code)+"\n", w.Body.String())
	}
	return w.Code
}

// verify checks what holds for every error of VerifyCallback.
func verify(t *testing.T, r *http.Request, opts ...vidu.CallbackOption) error {
	t.Helper()
	err := vidu.VerifyCallback(r, callbackSecret, opts...)
	if err != nil {
		testkit.AssertHarmless(t, err)
		assert.NotContains(t, err.Error(), callbackSecret)
	}
	return err
}

// Every refusal matches one public error, and the handler answers 401 to all of them.
func TestVerifyCallback_Errors(t *testing.T) {
	t.Parallel()
	signBody := func(r *http.Request, body string) {
		mac := hmac.New(sha256.New, []byte(callbackSecret))
		io.WriteString(mac, body)
		r.Header.Set("X-Hmac-Digest", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		r.Header.Set("X-Hmac-Signed-Headers", "Date;x-request-nonce;X-Hmac-Digest")
		resign(r)
	}
	tests := map[string]struct {
		change func(r *http.Request)
		want   error
		detail string
	}{
		"unchanged": {func(*http.Request) {}, nil, ""},
		"forged": {func(r *http.Request) {
			r.Header.Set("X-Hmac-Signature", base64.StdEncoding.EncodeToString(make([]byte, 32)))
		}, vidu.ErrCallbackSignature, "another secret, path or query was signed"},
		"not base64": {func(r *http.Request) { r.Header.Set("X-Hmac-Signature", "?") }, vidu.ErrCallbackSignature, "not base64 of 32 bytes"},
		"another secret": {func(r *http.Request) {
			vidu.SignCallback(r, "another", time.Now(), "1")
		}, vidu.ErrCallbackSignature, "another secret, path or query was signed"},
		"another path": {func(r *http.Request) {
			r.URL.Path, r.RequestURI = "/", "/"
		}, vidu.ErrCallbackSignature, "another secret, path or query was signed"},
		"control character": {func(r *http.Request) { r.URL.Path = "/\n" }, vidu.ErrCallbackSignature, "the path or query has control characters"},
		"old": {func(r *http.Request) {
			vidu.SignCallback(r, callbackSecret, time.Now().Add(-6*time.Minute), "1")
		}, vidu.ErrCallbackStale, "Date is off by 6m0s"},
		"no date":  {func(r *http.Request) { r.Header.Del("Date") }, vidu.ErrCallbackHeader, "Date occurs 0 times"},
		"no nonce": {func(r *http.Request) { r.Header.Del("X-Request-Nonce") }, vidu.ErrCallbackHeader, "X-Request-Nonce occurs 0 times"},
		"two nonces": {func(r *http.Request) {
			r.Header.Add("X-Request-Nonce", "2")
		}, vidu.ErrCallbackHeader, "X-Request-Nonce occurs 2 times"},
		"access key": {func(r *http.Request) {
			r.Header.Set("X-Hmac-Access-Key", "admin")
		}, vidu.ErrCallbackHeader, "X-Hmac-Access-Key is not vidu"},
		"digest": {func(r *http.Request) { signBody(r, callbackBody) }, nil, ""},
		"digest of another body": {func(r *http.Request) {
			signBody(r, "{}")
		}, vidu.ErrCallbackSignature, "the body does not match X-Hmac-Digest"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // so that no second goes by
				r, rc := callback("1", callbackBody), receive(t, callbackSecret)
				tt.change(r)
				err := verify(t, r)
				for _, sentinel := range []error{vidu.ErrCallbackSignature, vidu.ErrCallbackStale, vidu.ErrCallbackHeader} {
					assert.Equal(t, errors.Is(tt.want, sentinel), errors.Is(err, sentinel), sentinel)
				}
				if tt.want == nil {
					require.NoError(t, err)
					assert.Equal(t, http.StatusOK, rc.deliver(t, r))
					return
				}
				require.EqualError(t, err, tt.want.Error()+": "+tt.detail)
				assert.Equal(t, http.StatusUnauthorized, rc.deliver(t, r))
				assert.Empty(t, rc.queried)
			})
		})
	}
}

// The body of a signed digest is read as far as a callback may be long.
func TestVerifyCallback_LongBody(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]error{2 << 20: nil, 2<<20 + 1: vidu.ErrCallbackSignature} {
		body := strings.Repeat(" ", size)
		mac := hmac.New(sha256.New, []byte(callbackSecret))
		io.WriteString(mac, body)
		r := callback("1", body)
		r.Header.Set("X-Hmac-Digest", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		r.Header.Set("X-Hmac-Signed-Headers", "Date;x-request-nonce;X-Hmac-Digest")
		resign(r)
		require.ErrorIs(t, verify(t, r), want)
		again, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		assert.Len(t, again, size, "it can be read again")
	}
}

func TestVerifyCallback_MoreSecrets(t *testing.T) {
	t.Parallel()
	more := vidu.WithMoreSecrets("old-token", "older-token")
	for secret, want := range map[string]error{callbackSecret: nil, "old-token": nil, "older-token": nil, "oldest-token": vidu.ErrCallbackSignature} {
		r := received(callbackTarget, "")
		vidu.SignCallback(r, secret, time.Now(), "1")
		require.ErrorIs(t, verify(t, r, more), want, secret)
		require.ErrorIs(t, verify(t, r, vidu.WithMoreSecrets("old-token"), vidu.WithMoreSecrets("older-token")), want, secret)
		if secret != callbackSecret {
			require.ErrorIs(t, verify(t, r), vidu.ErrCallbackSignature)
		}
	}
}

func TestVerifyCallback_PublicURL(t *testing.T) {
	t.Parallel()
	r := callback("1", callbackBody)
	r.URL.Path, r.RequestURI = "/callback", "/callback" // as behind a proxy that strips a prefix
	require.ErrorIs(t, verify(t, r), vidu.ErrCallbackSignature)
	public := vidu.WithPublicURL("https://example.com/vidu/callback")
	require.NoError(t, verify(t, r, public))
	rc := receive(t, callbackSecret, public)
	assert.Equal(t, http.StatusOK, rc.deliver(t, r))

	for _, link := range []string{"", "/callback", "example.com/callback", "ftp://example.com/", "https:///callback", "https://%zz"} {
		err := verify(t, r, vidu.WithPublicURL(link))
		assert.ErrorContains(t, err, "vidu: WithPublicURL: ", link)
	}
}

func TestCallback_BodyIsNotBelieved(t *testing.T) {
	t.Parallel()
	rc := receive(t, callbackSecret)
	r := callback("1", callbackBody)
	require.NoError(t, verify(t, r), "the signature cannot see it")
	require.Equal(t, http.StatusOK, rc.deliver(t, r))
	require.Len(t, rc.reported, 1)
	assert.JSONEq(t, doneReply, string(rc.reported[0].RawJSON()))
	video, ok := rc.reported[0].Video()
	assert.True(t, ok)
	assert.Equal(t, "https://cdn.example.com/x.mp4", video.URL)
}

func TestCallback_QueriesTheTaskOfTheBody(t *testing.T) {
	t.Parallel()
	rc := receive(t, callbackSecret)
	rc.answer = func(string) (int, string) { return http.StatusOK, `{"state":"failed","err_code":"AuditFailed"}` }
	require.Equal(t, http.StatusOK, rc.deliver(t, callback("1", `{"id":"8","state":"success"}`)))
	assert.Equal(t, []string{"8"}, rc.queried)
	require.Len(t, rc.reported, 1)
	assert.Equal(t, "8", rc.reported[0].ID)
	assert.Equal(t, vidu.StateFailed, rc.reported[0].State)
}

// post delivers over a connection and returns the status, 0 when there was none.
func post(t *testing.T, server *httptest.Server, nonce string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/callback?a=1;b", strings.NewReader(callbackBody))
	if err != nil {
		return 0
	}
	vidu.SignCallback(r, callbackSecret, time.Now(), nonce)
	resp, err := server.Client().Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0
	}
	return resp.StatusCode
}

func TestCallback_FunctionFailsAndTheSenderRetries(t *testing.T) {
	t.Parallel()
	rc := receive(t, callbackSecret)
	rc.fail = func(n int) error {
		return []error{errors.New("queue full"), errors.New("queue full"), nil, errors.New("once too often")}[n-1]
	}
	r := callback("1", callbackBody)
	for _, want := range []int{500, 500, 200, 200} {
		r.Body = io.NopCloser(strings.NewReader(callbackBody))
		assert.Equal(t, want, rc.deliver(t, r))
	}
	assert.Len(t, rc.reported, 3)
	assert.Contains(t, rc.log.String(), "the function: queue full")
}

func TestCallback_Stale(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		off  time.Duration
		opts []vidu.CallbackOption
		want error
	}{
		"now":                  {0, nil, nil},
		"just within":          {-5 * time.Minute, nil, nil},
		"just outside":         {-5*time.Minute - time.Second, nil, vidu.ErrCallbackStale},
		"just outside, ahead":  {5*time.Minute + time.Second, nil, vidu.ErrCallbackStale},
		"own tolerance":        {-59 * time.Minute, []vidu.CallbackOption{vidu.WithTolerance(time.Hour)}, nil},
		"own tolerance, stale": {-2 * time.Second, []vidu.CallbackOption{vidu.WithTolerance(time.Second)}, vidu.ErrCallbackStale},
		"any tolerance":        {-250 * 365 * 24 * time.Hour, []vidu.CallbackOption{vidu.WithTolerance(1<<63 - 1)}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := received(callbackTarget, callbackBody)
				vidu.SignCallback(r, callbackSecret, time.Now().Add(tt.off), "1")
				require.ErrorIs(t, verify(t, r, tt.opts...), tt.want)
				rc := receive(t, callbackSecret, tt.opts...)
				if tt.want != nil {
					assert.Equal(t, http.StatusUnauthorized, rc.deliver(t, r))
					assert.Empty(t, rc.queried)
					return
				}
				assert.Equal(t, http.StatusOK, rc.deliver(t, r))
				<-time.After(2 * time.Minute)
				assert.Equal(t, http.StatusOK, rc.deliver(t, callback("1", callbackBody)))
				assert.Len(t, rc.queried, 1, "its nonce is remembered")
			})
		})
	}
}

func TestCallback_MethodNotAllowed(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodHead, http.MethodOptions, "post", "POST\n"} {
		r := callback("1", callbackBody)
		r.Method = method
		resign(r)
		require.ErrorIs(t, verify(t, r), vidu.ErrCallbackSignature, method)
		for _, opts := range [][]vidu.CallbackOption{nil, {vidu.WithUnverifiedCallbacks()}} {
			rc := receive(t, callbackSecret, opts...)
			w := httptest.NewRecorder()
			rc.ServeHTTP(w, r)
			assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
			assert.Equal(t, "POST", w.Header().Get("Allow"))
			assert.Empty(t, rc.queried)
		}
	}
}

func TestCallback_BodyIsBounded(t *testing.T) {
	t.Parallel()
	var read atomic.Int64
	rc := receive(t, callbackSecret)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, counter{&read}), r.Body}
		rc.ServeHTTP(w, r)
	}))
	defer server.Close()
	padded := func(size int) io.Reader {
		return strings.NewReader(`{"id":"7"}` + strings.Repeat(" ", size-len(`{"id":"7"}`)))
	}
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	_, err := io.Copy(zip, io.LimitReader(endless{}, 4<<20))
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	for name, tt := range map[string]struct {
		body io.Reader
		want int
	}{
		"2 MiB":            {padded(2 << 20), http.StatusOK},
		"one byte more":    {padded(2<<20 + 1), http.StatusRequestEntityTooLarge},
		"chunked, endless": {endless{}, http.StatusRequestEntityTooLarge},
		"gzip bomb":        {&bomb, http.StatusBadRequest},
	} {
		read.Store(0)
		assert.Equal(t, tt.want, postRaw(t, server, name, tt.body), name)
		assert.LessOrEqual(t, read.Load(), int64(2<<20+1), name)
	}
	assert.Len(t, rc.queried, 1)
}

// postRaw delivers over a bare connection and reads the answer while it still writes, as the answer may come early.
func postRaw(t *testing.T, server *httptest.Server, nonce string, body io.Reader) int {
	t.Helper()
	conn := dialTCP(t, server)
	r := received(server.URL+"/callback", "")
	r.RequestURI, r.Body, r.ContentLength = "", io.NopCloser(body), -1
	if sized, ok := body.(interface{ Len() int }); ok {
		r.ContentLength = int64(sized.Len())
	}
	r.Header.Set("Content-Encoding", "gzip")
	vidu.SignCallback(r, callbackSecret, time.Now(), nonce)
	var writing sync.WaitGroup
	defer writing.Wait()
	defer conn.Close()
	writing.Go(func() { r.Write(conn) }) // it ends when the server has had enough
	return readStatus(t, conn)
}

func dialTCP(t *testing.T, server *httptest.Server) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	return conn
}

// endless is a body of spaces.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// readStatus returns the status of the answer on a connection, 0 when it was closed without one.
func readStatus(t *testing.T, conn net.Conn) int {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	line := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(conn, line); err != nil {
		timeout, ok := errors.AsType[net.Error](err)
		require.False(t, ok && timeout.Timeout(), "the connection was left open")
		return 0
	}
	status, err := strconv.Atoi(string(line[9:]))
	require.NoError(t, err)
	return status
}

func TestCallback_BodyNamesNoTask(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty": "", "not JSON": "id=7", "cut": `{"id":"7"`, "something behind it": `{"id":"7"} {}`, "null": "null", "array": `[{"id":"7"}]`,
		"text": `"7"`, "empty object": "{}", "no id": `{"state":"success"}`, "empty id": `{"id":"","state":"success"}`, "null id": `{"id":null,"state":"success"}`,
		"id is an object": `{"id":{"id":"7"},"state":"success"}`, "path": `{"id":"../x","state":"success"}`, "slash": `{"id":"a/b"}`,
		"query": `{"id":"a?b"}`, "escaped": `{"id":"a%2fb"}`, "line break": `{"id":"a\nb"}`, "NUL": `{"id":"\u0000"}`,
		"257 characters": `{"id":"` + strings.Repeat("7", 257) + `"}`, "letter case": `{"ID":"7","Id":"7","state":"success"}`,
		"two ids": `{"id":"7","id":"8"}`, "web page": "<html>",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, opts := range [][]vidu.CallbackOption{nil, {vidu.WithUnverifiedCallbacks()}} {
				rc := receive(t, callbackSecret, opts...)
				r := callback("1", body)
				assert.Equal(t, http.StatusBadRequest, rc.deliver(t, r))
				assert.Empty(t, rc.queried)
				r.Body = io.NopCloser(strings.NewReader(`{"id":7}`))
				assert.Equal(t, http.StatusOK, rc.deliver(t, r), "the nonce was not used up")
				assert.Equal(t, []string{"7"}, rc.queried)
			}
		})
	}
}

func TestCallback_EmptySecret(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://gateway.example.com")
	fn := func(context.Context, *vidu.Task) error { return nil }
	tests := map[string]struct {
		secret string
		opts   []vidu.CallbackOption
		want   string
	}{
		"empty":                 {"", nil, "vidu: callback secret: is empty"},
		"empty, others are not": {"", []vidu.CallbackOption{vidu.WithMoreSecrets("other")}, "vidu: callback secret: is empty"},
		"another is empty":      {callbackSecret, []vidu.CallbackOption{vidu.WithMoreSecrets("other", "")}, "vidu: callback secret: is empty"},
		"from a file":           {callbackSecret + "\n", nil, "vidu: callback secret: ends with a newline, as keys read from a file do; trim it"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.CallbackHandler(tt.secret, fn, tt.opts...)
			require.EqualError(t, err, tt.want)
			r := received(callbackTarget, "")
			vidu.SignCallback(r, tt.secret, time.Now(), "1")
			require.EqualError(t, vidu.VerifyCallback(r, tt.secret, tt.opts...), tt.want)
			unverified := append(slices.Clone(tt.opts), vidu.WithUnverifiedCallbacks())
			require.EqualError(t, vidu.VerifyCallback(r, tt.secret, unverified...), tt.want)
			_, err = client.CallbackHandler(tt.secret, fn, unverified...)
			assert.NoError(t, err)
		})
	}
}

func TestCallback_APIDown(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(string) (int, string){
		"503":               func(string) (int, string) { return http.StatusServiceUnavailable, "" },
		"401":               func(string) (int, string) { return http.StatusUnauthorized, "" },
		"404":               func(string) (int, string) { return http.StatusNotFound, "" },
		"no sense":          func(string) (int, string) { return http.StatusOK, "<html>" },
		"success, no video": func(string) (int, string) { return http.StatusOK, `{"state":"success","creations":[]}` },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rc := receive(t, callbackSecret)
			up := rc.answer
			r := callback("1", callbackBody)
			rc.answer = answer
			assert.Equal(t, http.StatusServiceUnavailable, rc.deliver(t, r))
			assert.Empty(t, rc.reported)
			rc.answer = up
			r.Body = io.NopCloser(strings.NewReader(callbackBody))
			assert.Equal(t, http.StatusOK, rc.deliver(t, r))
			assert.Len(t, rc.reported, 1)
		})
	}
}

func TestCallback_APIHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		handler, err := client.CallbackHandler(callbackSecret, func(context.Context, *vidu.Task) error { return nil })
		require.NoError(t, err)
		started, w := time.Now(), httptest.NewRecorder()
		handler.ServeHTTP(w, callback("1", callbackBody))
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.Equal(t, 15*time.Second, time.Since(started))
	})
}

func TestCallback_TaskHasNotEnded(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"created", "queueing", "processing", "cooking"} {
		rc := receive(t, callbackSecret)
		over := rc.answer
		rc.answer = func(string) (int, string) { return http.StatusOK, `{"state":"` + state + `"}` }
		assert.Equal(t, http.StatusOK, rc.deliver(t, callback("1", callbackBody)))
		assert.Empty(t, rc.reported)
		rc.answer = over
		assert.Equal(t, http.StatusOK, rc.deliver(t, callback("2", callbackBody)))
		assert.Len(t, rc.reported, 1)
	}
}

func TestCallback_FunctionPanics(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{
		"text": "the secret is " + callbackSecret, "error": errors.New(testkit.Key), "abort": http.ErrAbortHandler, "nil": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rc := receive(t, callbackSecret)
			rc.fail = func(n int) error {
				if n == 1 {
					panic(value) //nolint:forbidigo // that is the fault
				}
				return nil
			}
			r := callback("1", callbackBody)
			for _, want := range []int{http.StatusInternalServerError, http.StatusOK} {
				r.Body = io.NopCloser(strings.NewReader(callbackBody))
				assert.Equal(t, want, rc.deliver(t, r))
			}
			assert.Len(t, rc.reported, 2)
			assert.Contains(t, rc.log.String(), "the function panicked with a ")
			assert.Contains(t, rc.log.String(), "callback_test.go", "where it panicked")
			assert.NotContains(t, rc.log.String(), callbackSecret)
			assert.NotContains(t, rc.log.String(), testkit.Key)
		})
	}
}

// A function that ends its goroutine, as a failing test does, is like one that panics.
func TestCallback_FunctionNeverReturns(t *testing.T) {
	t.Parallel()
	rc := receive(t, callbackSecret)
	rc.fail = func(n int) error {
		if n == 1 {
			runtime.Goexit()
		}
		return nil
	}
	var first sync.WaitGroup
	first.Go(func() { rc.ServeHTTP(httptest.NewRecorder(), callback("1", callbackBody)) })
	first.Wait()
	assert.Equal(t, http.StatusOK, rc.deliver(t, callback("1", callbackBody)))
	assert.Len(t, rc.reported, 2)
}

func TestCallback_SlowSenders(t *testing.T) {
	t.Parallel()
	rc := receive(t, callbackSecret)
	server := httptest.NewUnstartedServer(rc)
	server.Config.ReadHeaderTimeout, server.Config.ReadTimeout = 500*time.Millisecond, time.Second
	server.Start()
	defer server.Close()

	r := received(server.URL+"/callback", callbackBody)
	r.RequestURI = ""
	vidu.SignCallback(r, callbackSecret, time.Now(), "1")
	var whole bytes.Buffer
	require.NoError(t, r.Write(&whole))
	for name, sent := range map[string]int{"half a header": 50, "half a body": whole.Len() - 20} {
		conn := dialTCP(t, server)
		_, err := conn.Write(whole.Bytes()[:sent])
		require.NoError(t, err)
		assert.NotEqual(t, http.StatusOK, readStatus(t, conn), name)
		conn.Close()
	}
	assert.Empty(t, rc.queried)
	assert.Equal(t, http.StatusOK, post(t, server, "1"), "the nonce was not used up")
}

func TestCallback_UnverifiedIsOnlyAHint(t *testing.T) {
	t.Parallel()
	rc := receive(t, "", vidu.WithUnverifiedCallbacks())
	rc.answer = func(id string) (int, string) {
		if id == "7" {
			return http.StatusOK, doneReply
		}
		return http.StatusNotFound, `{"code":404,"reason":"TaskNotFound"}`
	}
	for body, want := range map[string]int{callbackBody: http.StatusOK, `{"id":"upstream-8","state":"success"}`: http.StatusOK, "{}": http.StatusBadRequest} {
		r := received("/callback", body)
		assert.Equal(t, want, rc.deliver(t, r), body)
	}
	require.Len(t, rc.reported, 1)
	assert.JSONEq(t, doneReply, string(rc.reported[0].RawJSON()))

	rc.answer = func(string) (int, string) { return http.StatusBadGateway, "" }
	r := received("/callback", `{"id":"9"}`)
	assert.Equal(t, http.StatusServiceUnavailable, rc.deliver(t, r))
}

// Unverified callbacks cause one query each, eight at a time, and cost nobody else retries.
func TestCallback_UnverifiedFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var creates, queries atomic.Int64
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost && creates.Add(1) > 1 {
				return testkit.Reply(r, http.StatusOK, `{"task_id":"1","state":"created"}`)
			}
			if r.Method == http.MethodGet {
				queries.Add(1)
				testkit.Pass(10 * time.Second)
			}
			return testkit.Reply(r, http.StatusTooManyRequests, "")
		}))
		handler, err := client.CallbackHandler("", func(context.Context, *vidu.Task) error { return nil }, vidu.WithUnverifiedCallbacks())
		require.NoError(t, err)
		var statuses sync.Map
		for i := range 40 {
			go func() {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, received("/callback", `{"id":"`+strconv.Itoa(i)+`"}`))
				statuses.Store(i, w.Code)
			}()
		}
		synctest.Wait()
		assert.EqualValues(t, 8, queries.Load())
		testkit.Pass(15 * time.Second)
		assert.EqualValues(t, 8, queries.Load(), "no retries")
		statuses.Range(func(_, status any) bool { return assert.Equal(t, http.StatusServiceUnavailable, status) })
		_, err = client.Reference2Video(t.Context(), smallRequest())
		require.NoError(t, err, "it has its retries")
	})
}

// A callback wakes the waiters of its task in whatever state that is, signed or not.
func TestCallback_WakesInEveryState(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]vidu.CallbackOption{"verified": nil, "unverified": {vidu.WithUnverifiedCallbacks()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, replyScript(processingReply))
				handler, err := client.CallbackHandler(callbackSecret, func(context.Context, *vidu.Task) error { return nil }, opts...)
				require.NoError(t, err)
				time.AfterFunc(time.Minute, func() {
					handler.ServeHTTP(httptest.NewRecorder(), callback("1", `{"id":"1","state":"processing"}`))
				})
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				_, err = client.Wait(ctx, "1", vidu.WithPollInterval(time.Hour))
				require.Error(t, err)
				assert.Equal(t, []time.Duration{0, time.Minute, time.Minute}, p.at, "the wait, the handler, the wait")
			})
		})
	}
}

// A logger that panics does not fail a callback, nor does a request without a body crash the handler.
func TestCallback_LoggerPanics(t *testing.T) {
	t.Parallel()
	broken := testkit.LogHook{Hook: func() { panic("no space left") }} //nolint:forbidigo // that is the fault
	client := newClient(t, "https://gateway.example.com", vidu.WithLogger(slog.New(broken)), withTransport(func(r *http.Request) (*http.Response, error) {
		return testkit.Reply(r, http.StatusOK, doneReply)
	}))
	handler, err := client.CallbackHandler(callbackSecret, func(context.Context, *vidu.Task) error { return nil })
	require.NoError(t, err)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, callback("1", callbackBody))
	assert.Equal(t, http.StatusOK, w.Code)

	w = httptest.NewRecorder()
	r := callback("2", "")
	r.Body = nil
	handler.ServeHTTP(w, r)
	assert.Equal(t, http.StatusBadRequest, w.Code)
}

// The function's context ends after a minute, and not when the sender hangs up.
func TestCallback_ContextOfTheFunction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) { return testkit.Reply(r, http.StatusOK, doneReply) }))
		handler, err := client.CallbackHandler(callbackSecret, func(ctx context.Context, _ *vidu.Task) error {
			<-ctx.Done()
			return ctx.Err()
		})
		require.NoError(t, err)
		started, w := time.Now(), httptest.NewRecorder()
		handler.ServeHTTP(w, callback("1", callbackBody).WithContext(canceledContext(t)))
		assert.Equal(t, http.StatusInternalServerError, w.Code)
		assert.Equal(t, time.Minute, time.Since(started))
	})
}

func TestCallback_ArgumentsAreChecked(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://gateway.example.com")
	fn := func(context.Context, *vidu.Task) error { return nil }
	for want, make := range map[string]func() (http.Handler, error){
		"vidu: CallbackHandler: the function is nil": func() (http.Handler, error) { return client.CallbackHandler("s", nil) },
		"vidu: the client was not made by NewClient": func() (http.Handler, error) { return new(vidu.Client).CallbackHandler("s", fn) },
		"vidu: WithTolerance: 0s is not positive":    func() (http.Handler, error) { return client.CallbackHandler("s", fn, vidu.WithTolerance(0)) },
		"vidu: WithTolerance: -1s is not positive":   func() (http.Handler, error) { return client.CallbackHandler("s", fn, vidu.WithTolerance(-time.Second)) },
		"vidu: WithNonceStore: the store is nil":     func() (http.Handler, error) { return client.CallbackHandler("s", fn, vidu.WithNonceStore(nil)) },
	} {
		handler, err := make()
		require.EqualError(t, err, want)
		assert.Nil(t, handler)
	}
	_, err := client.CallbackHandler("s", fn, nil)
	require.NoError(t, err)
	require.EqualError(t, vidu.VerifyCallback(callback("1", ""), "s", vidu.WithTolerance(0)), "vidu: WithTolerance: 0s is not positive")
	require.ErrorIs(t, vidu.VerifyCallback(nil, "s"), vidu.ErrCallbackSignature)
	require.ErrorIs(t, vidu.VerifyCallback(&http.Request{Method: http.MethodPost}, "s"), vidu.ErrCallbackSignature)
	r := &http.Request{Method: http.MethodPost, URL: callback("1", "").URL}
	require.ErrorIs(t, vidu.VerifyCallback(r, "s"), vidu.ErrCallbackHeader)
	vidu.SignCallback(r, "s", time.Now(), "1")
	assert.NoError(t, vidu.VerifyCallback(r, "s"))
}

// Neither a log nor the printed handler contains a secret or the key.
func TestCallback_SecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	rc := receive(t, callbackSecret, vidu.WithMoreSecrets("old-token"))
	rc.fail = func(int) error { return errors.New("no: " + testkit.Key) }
	stale := received(callbackTarget, callbackBody)
	vidu.SignCallback(stale, callbackSecret, time.Unix(0, 0), "1")
	forged := callback("1", callbackBody)
	forged.Header.Set("X-Hmac-Signature", base64.StdEncoding.EncodeToString(make([]byte, 32)))
	for _, r := range []*http.Request{stale, forged, callback("1", "{}"), callback("1", callbackBody)} {
		rc.deliver(t, r)
	}
	require.Contains(t, rc.log.String(), "no: [redacted]")
	text := rc.log.String() + fmt.Sprintf("%v %+v %#v", rc.Handler, rc.Handler, rc.Handler) + fmt.Sprintf("%+v %#v", vidu.WithMoreSecrets("old-token"), vidu.WithMoreSecrets("old-token"))
	for _, secret := range []string{callbackSecret, "old-token", testkit.Key} {
		assert.NotContains(t, text, secret)
	}
	for _, signature := range []string{stale.Header.Get("X-Hmac-Signature"), callbackTarget} {
		assert.NotContains(t, text, signature)
	}
}

// A callback wakes whoever waits for its task, however long the pause before the next poll.
func TestCallback_WakesTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var over atomic.Bool
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
			return testkit.Reply(r, http.StatusOK, map[bool]string{false: processingReply, true: doneReply}[over.Load()])
		}))
		handler, err := client.CallbackHandler(callbackSecret, func(context.Context, *vidu.Task) error { return nil })
		require.NoError(t, err)
		started := time.Now()
		time.AfterFunc(7*time.Second, func() {
			over.Store(true)
			handler.ServeHTTP(httptest.NewRecorder(), callback("1", callbackBody))
		})
		task, err := client.Wait(t.Context(), "7", vidu.WithPollInterval(time.Hour))
		require.NoError(t, err)
		assert.Equal(t, vidu.StateSuccess, task.State)
		assert.Equal(t, 7*time.Second, time.Since(started))
	})
}
