package callbacksig_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/callbacksig"
	"github.com/vidu-go/vidu/internal/testkit"
)

const (
	secret  = "your_secret_token" // of the vendor's example
	nonce   = "123e4567-e89b-12d3-a456-426614174000"
	target  = "http://127.0.0.1:8080/vidu/callback?name=james&age=36"
	maxBody = 1 << 10
)

// params returns what the tests verify against.
func params() *callbacksig.Params {
	return &callbacksig.Params{AccessKey: "vidu", Secret: secret, Tolerance: 5 * time.Minute, MaxBody: maxBody}
}

// received returns a request as a server gets it.
func received(target string) *http.Request {
	return httptest.NewRequestWithContext(context.Background(), http.MethodPost, target, strings.NewReader(""))
}

// signed returns a request that was signed just now.
func signed(target string) *http.Request {
	r := received(target)
	callbacksig.Sign(r, "vidu", secret, time.Now(), nonce)
	return r
}

// handSigned computes the signature of whatever the headers say, however odd, and is written independently of the
// package.
func handSigned(r *http.Request, path string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	io.WriteString(mac, r.Method+"\n"+path+"\n"+r.URL.RawQuery+"\n"+r.Header.Get("X-Hmac-Access-Key")+"\n"+r.Header.Get("Date")+"\n")
	for name := range strings.SplitSeq(r.Header.Get("X-Hmac-Signed-Headers"), ";") {
		io.WriteString(mac, name+":"+r.Header.Get(name)+"\n")
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// resign signs r again after its headers were changed.
func resign(r *http.Request) {
	r.Header.Set("X-Hmac-Signature", handSigned(r, r.URL.Path))
}

// verify checks what holds for every error of Verify.
func verify(t *testing.T, r *http.Request, p *callbacksig.Params) error {
	t.Helper()
	err := callbacksig.Verify(r, p)
	if err != nil {
		testkit.AssertMasked(t, err)
		assert.NotContains(t, err.Error(), secret)
	}
	return err
}

func publicURL(t *testing.T, link string) *callbacksig.Params {
	t.Helper()
	p := params()
	var err error
	p.PublicURL, err = url.Parse(link)
	require.NoError(t, err)
	return p
}

func TestSign_VendorExample(t *testing.T) {
	t.Parallel()
	const signingString = "POST\n/vidu/callback\nname=james&age=36\nvidu\nTue, 06 May 2025 12:09:42 GMT\n" +
		"Date:Tue, 06 May 2025 12:09:42 GMT\nx-request-nonce:123e4567-e89b-12d3-a456-426614174000\n"
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signingString))
	want := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	require.Equal(t, "PrO4+kG4W+b3HOSimdHMHn8pnQ6YXQTseBDC/8yvvNA=", want)

	for _, header := range []http.Header{nil, {}} {
		r := received(target)
		r.Header = header
		callbacksig.Sign(r, "vidu", secret, time.Date(2025, 5, 6, 14, 9, 42, 999, time.FixedZone("", 7200)), nonce)
		assert.Equal(t, http.Header{
			"Date":                  {"Tue, 06 May 2025 12:09:42 GMT"},
			"X-Request-Nonce":       {nonce},
			"X-Hmac-Signed-Headers": {"Date;x-request-nonce"},
			"X-Hmac-Algorithm":      {"hmac-sha256"},
			"X-Hmac-Access-Key":     {"vidu"},
			"X-Hmac-Signature":      {want},
		}, r.Header)
	}
}

func TestVerify_VendorExample(t *testing.T) {
	t.Parallel()
	r := received(target)
	callbacksig.Sign(r, "vidu", secret, time.Date(2025, 5, 6, 12, 9, 42, 0, time.UTC), nonce)
	require.ErrorIs(t, verify(t, r, params()), callbacksig.ErrStale)
	p := params()
	p.Tolerance = 100 * 365 * 24 * time.Hour
	require.NoError(t, verify(t, r, p))
	p.Secret = "another"
	assert.ErrorIs(t, verify(t, r, p), callbacksig.ErrSignature)
}

func TestVerify_NotAPostRequest(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodHead, http.MethodOptions, "post", "POST\n", ""} {
		r := signed(target)
		r.Method = method
		resign(r)
		require.ErrorIs(t, verify(t, r, params()), callbacksig.ErrSignature, method)
	}
	require.ErrorIs(t, verify(t, nil, params()), callbacksig.ErrSignature)
	require.ErrorIs(t, verify(t, &http.Request{Method: http.MethodPost}, params()), callbacksig.ErrSignature, "no URL")
	r := &http.Request{Method: http.MethodPost, URL: signed(target).URL}
	assert.ErrorIs(t, verify(t, r, params()), callbacksig.ErrHeader, "no header")
}

func TestVerify_Secrets(t *testing.T) {
	t.Parallel()
	more := params()
	more.More = []string{"old-token", "older-token"}
	for key, want := range map[string]error{secret: nil, "old-token": nil, "older-token": nil, "oldest-token": callbacksig.ErrSignature} {
		for range 3 { // states are reused, also between different sets of secrets
			r := received(target)
			callbacksig.Sign(r, "vidu", key, time.Now(), nonce)
			require.ErrorIs(t, verify(t, r, more), want, key)
			if key != secret {
				require.ErrorIs(t, verify(t, r, params()), callbacksig.ErrSignature, key)
			}
		}
	}
}

// A state that was used for another access key is used for this one as well.
func TestVerify_AccessKeys(t *testing.T) {
	t.Parallel()
	other := params()
	other.AccessKey = "another"
	for range 3 {
		require.NoError(t, verify(t, signed(target), params()))
		require.ErrorIs(t, verify(t, signed(target), other), callbacksig.ErrHeader)
		r := received(target)
		callbacksig.Sign(r, "another", secret, time.Now(), nonce)
		require.NoError(t, verify(t, r, other))
		r.Header.Set("X-Hmac-Access-Key", "vidu") // it is signed, too
		require.ErrorIs(t, verify(t, r, params()), callbacksig.ErrSignature)
	}
}

func TestVerify_PathAndQuery(t *testing.T) {
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
			r := signed(tt.signed)
			require.NoError(t, verify(t, r, params()))
			// A server may sign the path as it is spelled, too.
			r.Header.Set("X-Hmac-Signature", handSigned(r, r.URL.EscapedPath()))
			require.NoError(t, verify(t, r, params()))

			changed := received(tt.received)
			changed.Header = r.Header
			require.ErrorIs(t, verify(t, changed, params()), callbacksig.ErrSignature)
			require.NoError(t, verify(t, changed, publicURL(t, "https://example.com"+tt.signed)))
			assert.ErrorIs(t, verify(t, r, publicURL(t, "https://example.com/elsewhere")), callbacksig.ErrSignature)
		})
	}
}

func TestVerify_EmptyPathIsASlash(t *testing.T) {
	t.Parallel()
	r := signed("/")
	require.NoError(t, verify(t, r, params()))
	require.NoError(t, verify(t, r, publicURL(t, "https://example.com")))
	r.URL.Path = ""
	require.NoError(t, verify(t, r, params()))
	callbacksig.Sign(r, "vidu", secret, time.Now(), nonce)
	assert.Equal(t, handSigned(r, "/"), r.Header.Get("X-Hmac-Signature"))
}

// A public URL without a query leaves the request's query in place.
func TestVerify_PublicURLWithoutQuery(t *testing.T) {
	t.Parallel()
	r := signed("/public/callback?job=1")
	r.URL.Path = "/callback"
	public := publicURL(t, "https://example.com/public/callback")
	require.NoError(t, verify(t, r, public))
	r.URL.RawQuery = "job=2"
	assert.ErrorIs(t, verify(t, r, public), callbacksig.ErrSignature)
}

func TestVerify_ControlCharacters(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/a%0Ab", "/a%0D%0Ab", "/a%00", "/%0a", "/a%09", "/a%1F", "/a%7F"} {
		require.ErrorIs(t, verify(t, signed(target), params()), callbacksig.ErrSignature, target)
		public := publicURL(t, "https://example.com"+target)
		require.ErrorIs(t, verify(t, signed(target), public), callbacksig.ErrSignature, target)
	}
	require.NoError(t, verify(t, signed("/a%20b"), params()), "a space is none")
	r := signed("/a")
	r.URL.RawQuery = "a\nb" // net/http lets none in
	resign(r)
	require.ErrorIs(t, verify(t, r, params()), callbacksig.ErrSignature)

	// A signature for path /a and query b must not pass for path "/a\nb" and no query, or the other way round.
	r = signed("/a?b")
	r.URL.Path, r.URL.RawQuery = "/a\nb", ""
	assert.ErrorIs(t, verify(t, r, params()), callbacksig.ErrSignature)
}

func TestVerify_Stale(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		off, tolerance time.Duration
		want           error
	}{
		"now":                      {0, 5 * time.Minute, nil},
		"just within":              {-5 * time.Minute, 5 * time.Minute, nil},
		"just within, ahead":       {5 * time.Minute, 5 * time.Minute, nil},
		"just outside":             {-5*time.Minute - time.Second, 5 * time.Minute, callbacksig.ErrStale},
		"just outside, ahead":      {5*time.Minute + time.Second, 5 * time.Minute, callbacksig.ErrStale},
		"10 minutes old":           {-10 * time.Minute, 5 * time.Minute, callbacksig.ErrStale},
		"10 minutes in the future": {10 * time.Minute, 5 * time.Minute, callbacksig.ErrStale},
		"290 years old":            {-290 * 365 * 24 * time.Hour, 5 * time.Minute, callbacksig.ErrStale},
		"own tolerance":            {-59 * time.Minute, time.Hour, nil},
		"own tolerance, stale":     {-2 * time.Second, time.Second, callbacksig.ErrStale},
		"any tolerance":            {-250 * 365 * 24 * time.Hour, 1<<63 - 1, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, p := received(target), params()
				callbacksig.Sign(r, "vidu", secret, time.Now().Add(tt.off), nonce)
				p.Tolerance = tt.tolerance
				require.ErrorIs(t, verify(t, r, p), tt.want)
				r.Header.Set("X-Hmac-Signature", base64.StdEncoding.EncodeToString(make([]byte, 32)))
				assert.ErrorIs(t, verify(t, r, p), callbacksig.ErrSignature, "the signature comes first")
			})
		})
	}
	t.Run("how far", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r := received(target)
			callbacksig.Sign(r, "vidu", secret, time.Now(), nonce)
			testkit.Pass(6*time.Minute + 400*time.Millisecond)
			assert.ErrorContains(t, verify(t, r, params()), "off by 6m0s")
		})
	})
}

// Whatever byte of a signed request is changed, and into whatever, the request is refused.
func TestVerify_EveryByteCounts(t *testing.T) {
	t.Parallel()
	for _, target := range []string{target, "/a%2Fb"} {
		r := signed(target)
		r.RequestURI = "" // which would be as good as the path
		parts := map[string]*string{"method": &r.Method, "path": &r.URL.Path, "query": &r.URL.RawQuery}
		for name := range r.Header {
			parts[name] = &r.Header[name][0]
		}
		step := 1
		if testing.Short() || testkit.UnderRace() {
			step = 7
		}
		for name, part := range parts {
			before := *part
			for i := range before {
				for change := 1; change < 256; change += step {
					changed := []byte(before)
					changed[i] ^= byte(change)
					*part = string(changed)
					if callbacksig.Verify(r, params()) == nil {
						require.Fail(t, "accepted", "%s: %q in place of %q", name, *part, before)
					}
				}
			}
			*part = before
		}
		require.NoError(t, verify(t, r, params()))
	}
}

func TestVerify_Allocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts the whole process
	if testkit.UnderRace() {
		t.Skip("sync.Pool then drops things on purpose")
	}
	r, p := signed(target), params()
	ok := true
	require.Zero(t, testing.AllocsPerRun(1000, func() { ok = callbacksig.Verify(r, p) == nil && ok }))
	require.True(t, ok)
}

// Where a router has changed the path, what the server received counts, too.
func TestVerify_RequestLine(t *testing.T) {
	t.Parallel()
	public, err := url.Parse("https://example.com/public")
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		signed, path, line string
		public             *url.URL
		ok                 bool
		paths              []string
	}{
		"unchanged":                {"/a/b?c=d", "/a/b", "/a/b?c=d", nil, true, []string{"/a/b"}},
		"changed":                  {"/a/b?c=d", "/b", "/a/b?c=d", nil, true, []string{"/b", "/a/b"}},
		"to nothing":               {"/a?c=d", "", "/a?c=d", nil, true, []string{"/", "/a"}},
		"from nothing":             {"http://h?c=d", "/x", "http://h?c=d", nil, true, []string{"/x", "/"}},
		"absolute":                 {"/a/b?c=d", "/b", "http://h/a/b?c=d", nil, true, []string{"/b", "/a/b"}},
		"escaped":                  {"/a%2Fb?c=d", "/b", "/a%2Fb?c=d", nil, true, []string{"/b", "/a%2Fb"}},
		"the other path signed":    {"/b?c=d", "/b", "/a/b?c=d", nil, true, []string{"/b", "/a/b"}},
		"another path signed":      {"/x?c=d", "/b", "/a/b?c=d", nil, false, []string{"/b", "/a/b"}},
		"another query":            {"/a/b?c=d", "/b", "/a/b?c=e", nil, false, []string{"/b", "/a/b"}},
		"only the query changed":   {"/a/b?c=d", "/a/b", "/a/b?c=e", nil, true, []string{"/a/b"}},
		"none":                     {"/a/b?c=d", "/b", "", nil, false, []string{"/b"}},
		"unreadable":               {"/a/b?c=d", "/b", "/a/b%zz?c=d", nil, false, []string{"/b"}},
		"control characters on it": {"/a%0Ab?c=d", "/b", "/a%0Ab?c=d", nil, false, []string{"/b", "/a%0Ab"}},
		"a public URL":             {"/a/b?c=d", "/b", "/a/b?c=d", public, false, []string{"/public"}},
		"signed for a public URL":  {"/public?c=d", "/b", "/a/b?c=d", public, true, []string{"/public"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signed(tt.signed)
			r.URL.Path, r.URL.RawPath, r.RequestURI = tt.path, "", tt.line
			p := params()
			p.PublicURL = tt.public
			err := callbacksig.Verify(r, p)
			if tt.ok {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, callbacksig.ErrSignature)
			}
			assert.Equal(t, tt.paths, callbacksig.Paths(r, tt.public))
		})
	}
}
