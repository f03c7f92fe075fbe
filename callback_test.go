package vidu_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
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

// callback is a delivery that was signed just now.
func callback(nonce, body string) *http.Request {
	r := received(callbackTarget, body)
	vidu.SignCallback(r, callbackSecret, time.Now(), nonce)
	return r
}

// received is a request as a server gets it.
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

// receiver is a handler of callbacks, the API that it asks, and what both have seen.
type receiver struct {
	http.Handler

	mu      sync.Mutex
	queried []string                      // task ids, in the order of the questions
	told    []*vidu.Task                  // what the function was called with
	fail    func(n int) error             // what its n-th call returns
	answer  func(id string) (int, string) // what the API says
	log     bytes.Buffer
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
	rc.told = append(rc.told, task)
	n := len(rc.told)
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

func TestK01_DocumentedExample(t *testing.T) {
	t.Parallel()
	const signingString = "POST\n/vidu/callback\nname=james&age=36\nvidu\nTue, 06 May 2025 12:09:42 GMT\n" +
		"Date:Tue, 06 May 2025 12:09:42 GMT\nx-request-nonce:123e4567-e89b-12d3-a456-426614174000\n"
	mac := hmac.New(sha256.New, []byte(callbackSecret))
	mac.Write([]byte(signingString))
	want := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	require.Equal(t, "PrO4+kG4W+b3HOSimdHMHn8pnQ6YXQTseBDC/8yvvNA=", want)

	r := received(callbackTarget, "")
	vidu.SignCallback(r, callbackSecret, time.Date(2025, 5, 6, 14, 9, 42, 999, time.FixedZone("", 7200)), callbackNonce)
	assert.Equal(t, http.Header{
		"Date":                  {"Tue, 06 May 2025 12:09:42 GMT"},
		"X-Request-Nonce":       {callbackNonce},
		"X-Hmac-Signed-Headers": {"Date;x-request-nonce"},
		"X-Hmac-Algorithm":      {"hmac-sha256"},
		"X-Hmac-Access-Key":     {"vidu"},
		"X-Hmac-Signature":      {want},
	}, r.Header)
	century := vidu.WithTolerance(100 * 365 * 24 * time.Hour)
	require.NoError(t, verify(t, r, century))
	require.ErrorIs(t, verify(t, r), vidu.ErrCallbackStale)
	assert.ErrorIs(t, vidu.VerifyCallback(r, "another", century), vidu.ErrCallbackSignature)
}

func TestK02_BodyReplaced(t *testing.T) {
	t.Parallel()
	rc := receive(t, callbackSecret)
	r := callback("1", callbackBody)
	require.NoError(t, verify(t, r), "the signature cannot see it")
	require.Equal(t, http.StatusOK, rc.deliver(t, r))
	require.Len(t, rc.told, 1)
	assert.JSONEq(t, doneReply, string(rc.told[0].RawJSON()))
	video, ok := rc.told[0].Video()
	assert.True(t, ok)
	assert.Equal(t, "https://cdn.example.com/x.mp4", video.URL)
}

func TestK03_IDOfAnotherTask(t *testing.T) {
	t.Parallel()
	rc := receive(t, callbackSecret)
	rc.answer = func(string) (int, string) { return http.StatusOK, `{"state":"failed","err_code":"AuditFailed"}` }
	require.Equal(t, http.StatusOK, rc.deliver(t, callback("1", `{"id":"8","state":"success"}`)))
	assert.Equal(t, []string{"8"}, rc.queried)
	require.Len(t, rc.told, 1)
	assert.Equal(t, "8", rc.told[0].ID)
	assert.Equal(t, vidu.StateFailed, rc.told[0].State)
}

func TestK04_SameDeliveryTwice(t *testing.T) {
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
	assert.Len(t, rc.told, 1)
}

func TestK05_ConcurrentDeliveries(t *testing.T) {
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
			assert.Len(t, rc.told, 1)
		})
	}
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

func TestK06_HandlerFailsAndTheSenderRetries(t *testing.T) {
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
	assert.Len(t, rc.told, 3)
	assert.Contains(t, rc.log.String(), "the function: queue full")
}

func TestK07_Stale(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		off  time.Duration
		opts []vidu.CallbackOption
		want error
	}{
		"now":                      {0, nil, nil},
		"just within":              {-5 * time.Minute, nil, nil},
		"just within, ahead":       {5 * time.Minute, nil, nil},
		"just outside":             {-5*time.Minute - time.Second, nil, vidu.ErrCallbackStale},
		"just outside, ahead":      {5*time.Minute + time.Second, nil, vidu.ErrCallbackStale},
		"10 minutes old":           {-10 * time.Minute, nil, vidu.ErrCallbackStale},
		"10 minutes in the future": {10 * time.Minute, nil, vidu.ErrCallbackStale},
		"290 years old":            {-290 * 365 * 24 * time.Hour, nil, vidu.ErrCallbackStale},
		"own tolerance":            {-59 * time.Minute, []vidu.CallbackOption{vidu.WithTolerance(time.Hour)}, nil},
		"own tolerance, stale":     {-2 * time.Second, []vidu.CallbackOption{vidu.WithTolerance(time.Second)}, vidu.ErrCallbackStale},
		"any tolerance":            {-250 * 365 * 24 * time.Hour, []vidu.CallbackOption{vidu.WithTolerance(1<<63 - 1)}, nil},
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

func TestK08_FormOfTheDate(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"RFC 850":             time.RFC850,
		"asctime":             time.ANSIC,
		"RFC 3339":            time.RFC3339,
		"unix":                "1746533382",
		"zone":                "Mon, 02 Jan 2006 15:04:05 UTC",
		"offset":              time.RFC1123Z,
		"fraction":            "Mon, 02 Jan 2006 15:04:05.000 GMT",
		"another day":         "Xyz, 02 Jan 2006 15:04:05 GMT",
		"one digit":           "Mon, 02 Jan 2006 9:04:05 GMT", // 9 is no element of a layout
		"lower case":          "mon, 02 jan 2006 15:04:05 GMT",
		"two spaces":          "Mon,  02 Jan 2006 15:04:05 GMT",
		"something behind it": "Mon, 02 Jan 2006 15:04:05 GMT ",
		"words":               "yesterday",
	}
	for name, layout := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := callback("1", callbackBody)
			date := time.Now().UTC().Format(layout)
			if name == "lower case" {
				date = strings.ToLower(date[:12]) + date[12:]
			}
			r.Header["Date"] = []string{date}
			require.ErrorIs(t, verify(t, r), vidu.ErrCallbackSignature, "the signature comes first")
			resign(r)
			assert.ErrorIs(t, verify(t, r), vidu.ErrCallbackHeader)
		})
	}
}

// assertHeader takes a genuine delivery whose headers were then spoiled by spoil.
func assertHeader(t *testing.T, spoil func(http.Header)) {
	t.Helper()
	r := callback("1", callbackBody)
	spoil(r.Header)
	require.ErrorIs(t, verify(t, r), vidu.ErrCallbackHeader)
	rc := receive(t, callbackSecret)
	assert.Equal(t, http.StatusUnauthorized, rc.deliver(t, r))
	assert.Empty(t, rc.queried)
}

// without drops a header, or leaves it empty.
func without(t *testing.T, name string) {
	t.Helper()
	assertHeader(t, func(h http.Header) { h.Del(name) })
	r := callback("1", callbackBody)
	r.Header.Set(name, "")
	assert.Error(t, verify(t, r))
}

// repeated says a header twice, with the same value, with another, and in one line.
func repeated(t *testing.T, name string) {
	t.Helper()
	assertHeader(t, func(h http.Header) { h.Add(name, h.Get(name)) })
	assertHeader(t, func(h http.Header) { h.Add(name, "another") })
	r := callback("1", callbackBody)
	r.Header.Set(name, r.Header.Get(name)+", "+r.Header.Get(name))
	assert.Error(t, verify(t, r))
}

func TestK09_WithoutDate(t *testing.T)      { t.Parallel(); without(t, "Date") }
func TestK10_WithoutNonce(t *testing.T)     { t.Parallel(); without(t, "x-request-nonce") }
func TestK11_WithoutSignature(t *testing.T) { t.Parallel(); without(t, "X-HMAC-SIGNATURE") }
func TestK12_WithoutList(t *testing.T)      { t.Parallel(); without(t, "X-HMAC-SIGNED-HEADERS") }
func TestK13_WithoutAlgorithm(t *testing.T) { t.Parallel(); without(t, "X-HMAC-ALGORITHM") }
func TestK13_WithoutAccessKey(t *testing.T) { t.Parallel(); without(t, "X-HMAC-ACCESS-KEY") }
func TestK14_TwoDates(t *testing.T)         { t.Parallel(); repeated(t, "Date") }
func TestK15_TwoNonces(t *testing.T)        { t.Parallel(); repeated(t, "x-request-nonce") }
func TestK15_TwoSignatures(t *testing.T)    { t.Parallel(); repeated(t, "X-HMAC-SIGNATURE") }
func TestK15_TwoLists(t *testing.T)         { t.Parallel(); repeated(t, "X-HMAC-SIGNED-HEADERS") }
func TestK15_TwoAlgorithms(t *testing.T)    { t.Parallel(); repeated(t, "X-HMAC-ALGORITHM") }
func TestK15_TwoAccessKeys(t *testing.T)    { t.Parallel(); repeated(t, "X-HMAC-ACCESS-KEY") }

func TestK15_NonceIsBounded(t *testing.T) {
	t.Parallel()
	require.NoError(t, verify(t, callback(strings.Repeat("n", 128), "")))
	require.ErrorIs(t, verify(t, callback(strings.Repeat("n", 129), "")), vidu.ErrCallbackHeader)
	assert.ErrorIs(t, verify(t, callback("", "")), vidu.ErrCallbackHeader)
}

func TestK16_ListOfSignedHeaders(t *testing.T) {
	t.Parallel()
	more := func(n int) string {
		names := []string{"Date", "x-request-nonce"}
		for i := range n {
			names = append(names, "X-More-"+strconv.Itoa(i))
		}
		return strings.Join(names, ";")
	}
	tests := map[string]struct {
		list string
		want error
	}{
		"as documented":            {"Date;x-request-nonce", nil},
		"other order and spelling": {"X-REQUEST-NONCE;date", nil},
		"another header":           {"Date;X-More-1;x-request-nonce", nil},
		"16 names":                 {more(14), nil},
		"17 names":                 {more(15), vidu.ErrCallbackHeader},
		"without Date":             {"x-request-nonce", vidu.ErrCallbackHeader},
		"without nonce":            {"Date", vidu.ErrCallbackHeader},
		"separators only":          {";", vidu.ErrCallbackHeader},
		"empty name":               {"Date;;x-request-nonce", vidu.ErrCallbackHeader},
		"separator at the end":     {"Date;x-request-nonce;", vidu.ErrCallbackHeader},
		"repeated":                 {"Date;x-request-nonce;Date", vidu.ErrCallbackHeader},
		"repeated, other spelling": {"Date;x-request-nonce;date", vidu.ErrCallbackHeader},
		"space":                    {"Date;x-request-nonce; X-Odd", vidu.ErrCallbackHeader},
		"colon":                    {"Date;x-request-nonce;X-Odd:", vidu.ErrCallbackHeader},
		"comma":                    {"Date,x-request-nonce", vidu.ErrCallbackHeader},
		"line break":               {"Date;x-request-nonce;X-\nMore-1", vidu.ErrCallbackHeader},
		"absent header":            {"Date;x-request-nonce;X-Absent", vidu.ErrCallbackHeader},
		"repeated header":          {"Date;x-request-nonce;X-Twice", vidu.ErrCallbackHeader},
		"long value":               {"Date;x-request-nonce;X-Fits", nil},
		"too long a value":         {"Date;x-request-nonce;X-Long", vidu.ErrCallbackHeader},
		"too long a name":          {"Date;x-request-nonce;X-" + strings.Repeat("n", 511), vidu.ErrCallbackHeader},
		"line break in a value":    {"Date;x-request-nonce;X-Break", vidu.ErrCallbackHeader},
		"endless":                  {strings.Repeat("Date;", 1000), vidu.ErrCallbackHeader},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := callback("1", callbackBody)
			for i := range 15 {
				r.Header.Set("X-More-"+strconv.Itoa(i), "more")
			}
			r.Header["X-Twice"] = []string{"1", "1"}
			r.Header.Set("X-Fits", strings.Repeat("v", 512))
			r.Header.Set("X-Long", strings.Repeat("v", 513))
			r.Header.Set("X-"+strings.Repeat("n", 511), "more")
			r.Header.Set("X-Break", "a\nb")
			r.Header[" X-Odd"], r.Header["X-Odd:"] = []string{"odd"}, []string{"odd"} // net/http lets neither in
			r.Header.Set("X-Hmac-Signed-Headers", tt.list)
			resign(r)
			assert.ErrorIs(t, verify(t, r), tt.want)
		})
	}
	t.Run("what is listed is signed", func(t *testing.T) {
		t.Parallel()
		r := callback("1", callbackBody)
		r.Header.Set("X-More", "more")
		r.Header.Set("X-Hmac-Signed-Headers", "Date;x-request-nonce;X-More")
		resign(r)
		require.NoError(t, verify(t, r))
		r.Header.Set("X-More", "most")
		assert.ErrorIs(t, verify(t, r), vidu.ErrCallbackSignature)
	})
}

// The vendor sends no digest of the body. One that is signed is checked all the same, one that is not proves nothing.
func TestK16_Digest(t *testing.T) {
	t.Parallel()
	digest := func(secret, body string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		io.WriteString(mac, body)
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	long := strings.Repeat(" ", 2<<20+1-len(callbackBody)) + callbackBody
	for name, tt := range map[string]struct {
		body, digest string
		unsigned     bool
		want         error
	}{
		"right":                    {callbackBody, digest(callbackSecret, callbackBody), false, nil},
		"of another body":          {callbackBody, digest(callbackSecret, callbackBody+" "), false, vidu.ErrCallbackSignature},
		"with another secret":      {callbackBody, digest("another-secret", callbackBody), false, vidu.ErrCallbackSignature},
		"with the old secret":      {callbackBody, digest("old-secret", callbackBody), false, nil},
		"no base64":                {callbackBody, "?", false, vidu.ErrCallbackSignature},
		"wrong, but not signed":    {callbackBody, "?", true, nil},
		"of nothing":               {"", digest(callbackSecret, ""), false, nil},
		"of more than can be read": {long, digest(callbackSecret, long), false, vidu.ErrCallbackSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := callback("1", tt.body)
			r.Header.Set("X-HMAC-DIGEST", tt.digest)
			if !tt.unsigned {
				r.Header.Set("X-HMAC-SIGNED-HEADERS", "Date;x-request-nonce;X-HMAC-DIGEST")
				resign(r)
			}
			require.ErrorIs(t, verify(t, r, vidu.WithMoreSecrets("old-secret")), tt.want)
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			assert.Equal(t, tt.body, string(body), "it can be read again")
		})
	}
	t.Run("a body that breaks off", func(t *testing.T) {
		t.Parallel()
		r := callback("1", "")
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), testkit.FailingReader{Err: io.ErrUnexpectedEOF}))
		r.Header.Set("X-HMAC-DIGEST", digest(callbackSecret, "{"))
		r.Header.Set("X-HMAC-SIGNED-HEADERS", "Date;x-request-nonce;X-HMAC-DIGEST")
		resign(r)
		require.ErrorIs(t, verify(t, r), vidu.ErrCallbackSignature)
	})
	t.Run("by the handler", func(t *testing.T) {
		t.Parallel()
		client := clientWithReply(t, 200, `{"id":"1","state":"processing"}`)
		handler, err := client.CallbackHandler(callbackSecret, func(context.Context, *vidu.Task) error { return nil })
		require.NoError(t, err)
		for body, status := range map[string]int{`{"id":"1"}`: 200, `{"id":"2"}`: 401} {
			r := callback("n"+body, body)
			r.Header.Set("X-HMAC-DIGEST", digest(callbackSecret, `{"id":"1"}`))
			r.Header.Set("X-HMAC-SIGNED-HEADERS", "Date;x-request-nonce;X-HMAC-DIGEST")
			resign(r)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			assert.Equal(t, status, w.Code, body)
		}
	})
}

func TestK17_AlgorithmAndAccessKey(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"X-Hmac-Algorithm":  {"none", "hmac-sha1", "HMAC-SHA256", "hmac-sha512", "hmac-sha256 "},
		"X-Hmac-Access-Key": {"VIDU", "admin", "vidu\n", callbackSecret},
	} {
		for _, value := range values {
			assertHeader(t, func(h http.Header) { h.Set(name, value) })
		}
	}
}

func TestK18_FormOfTheSignature(t *testing.T) {
	t.Parallel()
	r := callback("1", callbackBody)
	good := r.Header.Get("X-Hmac-Signature")
	raw, err := base64.StdEncoding.DecodeString(good)
	require.NoError(t, err)
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", good[42])
	tests := map[string]string{
		"truncated bytes":         base64.StdEncoding.EncodeToString(raw[:31]),
		"33 bytes":                base64.StdEncoding.EncodeToString(append(slices.Clone(raw), 0)),
		"truncated text":          good[:40],
		"without padding":         good[:43],
		"hex":                     hex.EncodeToString(raw),
		"base64url":               strings.NewReplacer("+", "-", "/", "_").Replace(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb, 0xff}, 16))),
		"line break inside":       good[:20] + "\n" + good[20:],
		"line break, same length": good[:20] + "\n" + good[20:43],
		"space before":            " " + good,
		"twice":                   good + good,
		"zeros":                   base64.StdEncoding.EncodeToString(make([]byte, 32)),
		"endless":                 strings.Repeat(good, 1000),
	}
	for i := 1; i < 4; i++ { // 44 characters have two bits to spare
		tests["other spelling "+strconv.Itoa(i)] = good[:42] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[last^i]) + "="
	}
	for bit := range 256 {
		flipped := slices.Clone(raw)
		flipped[bit/8] ^= 1 << (bit % 8)
		tests["bit "+strconv.Itoa(bit)] = base64.StdEncoding.EncodeToString(flipped)
	}
	for name, signature := range tests {
		r.Header.Set("X-Hmac-Signature", signature)
		require.ErrorIs(t, verify(t, r), vidu.ErrCallbackSignature, name)
	}
	r.Header.Set("X-Hmac-Signature", good)
	assert.NoError(t, verify(t, r))
}

func TestK19_Method(t *testing.T) {
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

func TestK20_PathAndQuery(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ signed, received string }{
		"other path":           {"/vidu/callback?a=1", "/vidu/other?a=1"},
		"prefix stripped":      {"/vidu/callback?a=1", "/callback?a=1"},
		"slash at the end":     {"/vidu/callback", "/vidu/callback/"},
		"letter case":          {"/vidu/callback", "/vidu/Callback"},
		"query reordered":      {"/c?name=james&age=36", "/c?age=36&name=james"},
		"query re-encoded":     {"/c?a=x%20y", "/c?a=x+y"},
		"query lost":           {"/c?a=1", "/c"},
		"query cut at ;":       {"/c?a=1;b=2&c=3", "/c?c=3"},
		"slashes merged":       {"/a//b", "/a/b"},
		"slash decoded":        {"/a%2Fb", "/a/b"},
		"letter case of %2f":   {"/a%2Fb?q", "/a%2fb?q=1"},
		"path moved to query":  {"/a/b?c", "/a?b?c"},
		"dot segments removed": {"/a/../b", "/b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := received(tt.signed, "")
			vidu.SignCallback(r, callbackSecret, time.Now(), "1")
			require.NoError(t, verify(t, r))
			// A server may sign the path as it is spelled, too.
			r.Header.Set("X-Hmac-Signature", signAsListed(r, r.URL.EscapedPath()))
			require.NoError(t, verify(t, r))

			changed := received(tt.received, "")
			changed.Header = r.Header
			require.ErrorIs(t, verify(t, changed), vidu.ErrCallbackSignature)
			require.NoError(t, verify(t, changed, vidu.WithPublicURL("https://example.com"+tt.signed)))
			assert.ErrorIs(t, verify(t, r, vidu.WithPublicURL("https://example.com/elsewhere")), vidu.ErrCallbackSignature)
		})
	}
}

func TestK20_PublicURL(t *testing.T) {
	t.Parallel()
	t.Run("without a query it leaves the request's", func(t *testing.T) {
		t.Parallel()
		r := received("/public/callback?job=1", "")
		vidu.SignCallback(r, callbackSecret, time.Now(), "1")
		r.URL.Path = "/callback"
		public := vidu.WithPublicURL("https://example.com/public/callback")
		require.NoError(t, verify(t, r, public))
		r.URL.RawQuery = "job=2"
		assert.ErrorIs(t, verify(t, r, public), vidu.ErrCallbackSignature)
	})
	t.Run("no path is a slash", func(t *testing.T) {
		t.Parallel()
		r := received("/", "")
		vidu.SignCallback(r, callbackSecret, time.Now(), "1")
		require.NoError(t, verify(t, r))
		require.NoError(t, verify(t, r, vidu.WithPublicURL("https://example.com")))
		r.URL.Path = ""
		require.NoError(t, verify(t, r))
	})
	for _, link := range []string{"", "/callback", "example.com/callback", "ftp://example.com/", "https:///callback", "https://%zz"} {
		err := verify(t, callback("1", ""), vidu.WithPublicURL(link))
		assert.ErrorContains(t, err, "vidu: WithPublicURL: ", link)
	}
}

func TestK21_ControlCharacters(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/a%0Ab", "/a%0D%0Ab", "/a%00", "/%0a", "/a%09", "/a%7F"} {
		r := received(target, "")
		vidu.SignCallback(r, callbackSecret, time.Now(), "1")
		require.ErrorIs(t, verify(t, r), vidu.ErrCallbackSignature, target)
		require.ErrorIs(t, verify(t, callback("1", ""), vidu.WithPublicURL("https://example.com"+target)), vidu.ErrCallbackSignature)
	}
	r := callback("1", "")
	r.URL.RawQuery = "a\nb" // net/http lets none in
	resign(r)
	require.ErrorIs(t, verify(t, r), vidu.ErrCallbackSignature)

	// A signature for path /a and query b must not pass for path "/a\nb" and no query, or the other way round.
	r = received("/a?b", "")
	vidu.SignCallback(r, callbackSecret, time.Now(), "1")
	r.URL.Path, r.URL.RawQuery = "/a\nb", ""
	assert.ErrorIs(t, verify(t, r), vidu.ErrCallbackSignature)
}

func TestK22_BodyIsBounded(t *testing.T) {
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

func TestK23_BodyNamesNoTask(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty": "", "not JSON": "id=7", "cut": `{"id":"7"`, "something behind it": `{"id":"7"} {}`, "null": "null", "array": `[{"id":"7"}]`,
		"text": `"7"`, "empty object": "{}", "no id": `{"state":"success"}`, "empty id": `{"id":"","state":"success"}`, "null id": `{"id":null,"state":"success"}`,
		"id is an object": `{"id":{"id":"7"},"state":"success"}`, "path": `{"id":"../x","state":"success"}`, "slash": `{"id":"a/b"}`,
		"query": `{"id":"a?b"}`, "escaped": `{"id":"a%2fb"}`, "line break": `{"id":"a\nb"}`, "NUL": `{"id":"\u0000"}`,
		"129 characters": `{"id":"` + strings.Repeat("7", 129) + `"}`, "letter case": `{"ID":"7","Id":"7","state":"success"}`,
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

func TestK24_TwoSecrets(t *testing.T) {
	t.Parallel()
	more := vidu.WithMoreSecrets("old-token", "older-token")
	for secret, want := range map[string]error{callbackSecret: nil, "old-token": nil, "older-token": nil, "oldest-token": vidu.ErrCallbackSignature} {
		for range 3 { // states are reused, also between different sets of secrets
			r := received(callbackTarget, "")
			vidu.SignCallback(r, secret, time.Now(), "1")
			require.ErrorIs(t, verify(t, r, more), want, secret)
			require.ErrorIs(t, verify(t, r, vidu.WithMoreSecrets("old-token"), vidu.WithMoreSecrets("older-token")), want, secret)
			if secret != callbackSecret {
				require.ErrorIs(t, verify(t, r), vidu.ErrCallbackSignature)
			}
		}
	}
}

func TestK25_EmptySecret(t *testing.T) {
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

func TestK26_APIDown(t *testing.T) {
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
			assert.Empty(t, rc.told)
			rc.answer = up
			r.Body = io.NopCloser(strings.NewReader(callbackBody))
			assert.Equal(t, http.StatusOK, rc.deliver(t, r))
			assert.Len(t, rc.told, 1)
		})
	}
}

func TestK26_APIHangs(t *testing.T) {
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

func TestK27_NotOverYet(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"created", "queueing", "processing", "cooking"} {
		rc := receive(t, callbackSecret)
		over := rc.answer
		rc.answer = func(string) (int, string) { return http.StatusOK, `{"state":"` + state + `"}` }
		assert.Equal(t, http.StatusOK, rc.deliver(t, callback("1", callbackBody)))
		assert.Empty(t, rc.told)
		rc.answer = over
		assert.Equal(t, http.StatusOK, rc.deliver(t, callback("2", callbackBody)))
		assert.Len(t, rc.told, 1)
	}
}

func TestK27_ReportedOnce(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]vidu.CallbackOption{"verified": nil, "unverified": {vidu.WithUnverifiedCallbacks()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rc := receive(t, callbackSecret, opts...)
				for i := range 5 {
					assert.Equal(t, http.StatusOK, rc.deliver(t, callback(strconv.Itoa(i), callbackBody)))
				}
				assert.Len(t, rc.told, 1)
				assert.Equal(t, http.StatusOK, rc.deliver(t, callback("of another task", `{"id":"8"}`)))
				assert.Len(t, rc.told, 2)
				<-time.After(24*time.Hour - time.Nanosecond)
				rc.deliver(t, callback("5", callbackBody))
				assert.Len(t, rc.told, 2)
				<-time.After(time.Nanosecond)
				rc.deliver(t, callback("6", callbackBody))
				assert.Len(t, rc.told, 3, "for ever would not be bounded")
			})
		})
	}
}

func TestK28_FunctionPanics(t *testing.T) {
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
			assert.Len(t, rc.told, 2)
			assert.Contains(t, rc.log.String(), "the function panicked with a ")
			assert.Contains(t, rc.log.String(), "callback_test.go", "where it panicked")
			assert.NotContains(t, rc.log.String(), callbackSecret)
			assert.NotContains(t, rc.log.String(), testkit.Key)
		})
	}
}

// K28: a function that ends its goroutine, as a failing test does, is like one that panics.
func TestK28_FunctionNeverReturns(t *testing.T) {
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
	assert.Len(t, rc.told, 2)
}

func TestK29_SlowSenders(t *testing.T) {
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

// TestCallback_MillionMutations changes one byte of what is signed, a million times.
func TestCallback_MillionMutations(t *testing.T) {
	t.Parallel()
	mutations := 1_000_000
	if testing.Short() || testkit.UnderRace() {
		mutations = 20_000
	}
	random := rand.New(rand.NewPCG(1, 2))
	var r *http.Request
	var parts []*string
	for i := range mutations {
		if i%10_000 == 0 {
			r = callback("nonce "+strconv.Itoa(i), "")
			require.NoError(t, vidu.VerifyCallback(r, callbackSecret))
			parts = []*string{&r.Method, &r.URL.Path, &r.URL.RawQuery}
			for name := range r.Header {
				parts = append(parts, &r.Header[name][0])
			}
		}
		part := parts[random.IntN(len(parts))]
		before := *part
		changed := []byte(before)
		changed[random.IntN(len(changed))] ^= byte(1 + random.IntN(255))
		*part = string(changed)
		if vidu.VerifyCallback(r, callbackSecret) == nil {
			require.Fail(t, "accepted", "%q in place of %q", *part, before)
		}
		*part = before
	}
	require.NoError(t, vidu.VerifyCallback(r, callbackSecret))
}

func TestCallback_UnverifiedIsAHint(t *testing.T) {
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
	require.Len(t, rc.told, 1)
	assert.JSONEq(t, doneReply, string(rc.told[0].RawJSON()))

	rc.answer = func(string) (int, string) { return http.StatusBadGateway, "" }
	r := received("/callback", `{"id":"9"}`)
	assert.Equal(t, http.StatusServiceUnavailable, rc.deliver(t, r))
}

// Strangers can have the API asked, each callback once and eight at a time, and cost nobody else retries.
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

// Any callback that the API confirms wakes the waits of its task: one that says "processing" and one that nobody signed.
func TestCallback_WakesWhateverItSays(t *testing.T) {
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

// A function that uses up its time and then succeeds has succeeded, also for a store that looks at its context.
func TestCallback_CommitsAfterTheTime(t *testing.T) {
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
		assert.Len(t, rc.told, 1)
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

// Neither a logger that panics nor a request without a body, as made by hand, does harm.
func TestCallback_OddSurroundings(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://gateway.example.com", vidu.WithLogger(slog.New(panicking{})), withTransport(func(r *http.Request) (*http.Response, error) {
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
		assert.Len(t, rc.told, 2)
	})
}

// Who waits for another delivery gives up after a minute, and not when the sender hangs up.
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
		assert.Len(t, rc.told, 1)
	})
}

// What the function gets ends after a minute, and not when the sender hangs up.
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
	assert.Empty(t, other.told)
	assert.Len(t, other.queried, 3, "twice in vain, and once more for nonce 3")

	nonce := sha256.Sum256([]byte("1"))
	assert.Equal(t, 11*time.Minute, shared.ttls["vidu:nonce:"+hex.EncodeToString(nonce[:16])])
	assert.Equal(t, 24*time.Hour, shared.ttls["vidu:task:7"])
	assert.Len(t, shared.keys, 3)
}

func TestCallback_NonceStoreFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status, told int
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
			assert.Len(t, rc.told, tt.told)
			assert.Contains(t, rc.log.String(), "redis is down")
			assert.NotContains(t, rc.log.String(), testkit.Key)
		})
	}
}

// The memory of a handler holds 100,000 nonces and forgets the oldest.
func TestCallback_MemoryIsBounded(t *testing.T) {
	t.Parallel()
	if testing.Short() || testkit.UnderRace() {
		t.Skip("100,000 deliveries")
	}
	var queries atomic.Int64
	client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
		queries.Add(1)
		return testkit.Reply(r, http.StatusOK, processingReply)
	}))
	handler, err := client.CallbackHandler(callbackSecret, func(context.Context, *vidu.Task) error { return nil }, vidu.WithTolerance(time.Hour))
	require.NoError(t, err)
	deliver := func(n int) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, callback(strconv.Itoa(n), callbackBody))
		require.Equal(t, http.StatusOK, w.Code)
	}
	for n := range 100_001 {
		deliver(n)
	}
	deliver(1)
	deliver(100_000)
	require.EqualValues(t, 100_001, queries.Load(), "the newest are known")
	deliver(0)
	assert.EqualValues(t, 100_002, queries.Load(), "the oldest is not")
}

// A nonce is forgotten when its Date would be stale anyway.
func TestCallback_NoncesEnd(t *testing.T) {
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

// The secret and the key show nowhere: not in the handler's own text either.
func TestCallback_SecretsStayInside(t *testing.T) {
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

// A callback wakes whoever waits for its task, however long the poller would have slept.
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

// verifications are ours and the two floors: the whole check by hand, and the HMAC alone.
func verifications(tb testing.TB) (ours, byHand, bare func() bool) {
	tb.Helper()
	r := callback(callbackNonce, "")
	text := []byte("POST\n/vidu/callback\nname=james&age=36\nvidu\n" + r.Header.Get("Date") + "\nDate:" + r.Header.Get("Date") + "\nx-request-nonce:" + callbackNonce + "\n")
	sum := func(text []byte) []byte {
		mac := hmac.New(sha256.New, []byte(callbackSecret))
		mac.Write(text)
		return mac.Sum(nil)
	}
	signature := sum(text)
	ours = func() bool { return vidu.VerifyCallback(r, callbackSecret) == nil }
	byHand = func() bool { return signAsListed(r, r.URL.Path) == r.Header.Get("X-Hmac-Signature") }
	bare = func() bool { return hmac.Equal(sum(text), signature) }
	return ours, byHand, bare
}

func BenchmarkVerifyCallback(b *testing.B) {
	ours, byHand, bare := verifications(b)
	for name, verify := range map[string]func() bool{"ours": ours, "floor": byHand, "hmac.New alone": bare} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !verify() {
					b.Fatal("refused")
				}
			}
		})
	}
}

func TestVerifyCallbackAllocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts the whole process
	ours, byHand, bare := verifications(t)
	require.True(t, ours() && byHand() && bare())
	n := testing.AllocsPerRun(1000, func() { ours() })
	t.Logf("%.0f allocations, by hand %.0f, hmac.New alone %.0f", n,
		testing.AllocsPerRun(1000, func() { byHand() }), testing.AllocsPerRun(1000, func() { bare() }))
	if !testkit.UnderRace() { // sync.Pool then drops things on purpose
		require.LessOrEqual(t, n, 1.0)
	}
}
