package callbacksig_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/callbacksig"
)

// assertHeader verifies a signed request whose headers were then changed by change.
func assertHeader(t *testing.T, change func(http.Header)) {
	t.Helper()
	r := signed(target)
	change(r.Header)
	require.ErrorIs(t, verify(t, r, params()), callbacksig.ErrHeader)
	if len(r.Header["X-Hmac-Signature"]) == 1 {
		resign(r)
		assert.Error(t, verify(t, r, params()), "signed like that")
	}
}

func TestVerify_SixHeaders(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Date", "X-Request-Nonce", "X-Hmac-Signature", "X-Hmac-Signed-Headers", "X-Hmac-Algorithm", "X-Hmac-Access-Key"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("missing", func(t *testing.T) {
				t.Parallel()
				assertHeader(t, func(h http.Header) { h.Del(name) })
			})
			t.Run("twice", func(t *testing.T) {
				t.Parallel()
				assertHeader(t, func(h http.Header) { h.Add(name, h.Get(name)) })
			})
			t.Run("twice, another value", func(t *testing.T) {
				t.Parallel()
				assertHeader(t, func(h http.Header) { h.Add(name, "another") })
			})
			t.Run("twice in one line", func(t *testing.T) {
				t.Parallel()
				r := signed(target)
				r.Header.Set(name, r.Header.Get(name)+", "+r.Header.Get(name))
				assert.Error(t, verify(t, r, params()))
			})
			t.Run("empty", func(t *testing.T) {
				t.Parallel()
				r := signed(target)
				r.Header.Set(name, "")
				assert.Error(t, verify(t, r, params()))
			})
		})
	}
}

func TestVerify_AlgorithmAndAccessKey(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"X-Hmac-Algorithm":  {"none", "hmac-sha1", "HMAC-SHA256", "hmac-sha512", "hmac-sha256 "},
		"X-Hmac-Access-Key": {"VIDU", "admin", "vidu\n", secret},
	} {
		for _, value := range values {
			assertHeader(t, func(h http.Header) { h.Set(name, value) })
		}
	}
}

func TestVerify_NonceIsBounded(t *testing.T) {
	t.Parallel()
	for nonce, want := range map[string]error{
		strings.Repeat("n", 128): nil,
		strings.Repeat("n", 129): callbacksig.ErrHeader,
		"":                       callbacksig.ErrHeader,
	} {
		r := received(target)
		callbacksig.Sign(r, "vidu", secret, time.Now(), nonce)
		assert.ErrorIs(t, verify(t, r, params()), want, len(nonce))
	}
}

func TestVerify_ListOfSignedHeaders(t *testing.T) {
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
		"17 names":                 {more(15), callbacksig.ErrHeader},
		"without Date":             {"x-request-nonce", callbacksig.ErrHeader},
		"without nonce":            {"Date", callbacksig.ErrHeader},
		"separators only":          {";", callbacksig.ErrHeader},
		"empty name":               {"Date;;x-request-nonce", callbacksig.ErrHeader},
		"separator at the end":     {"Date;x-request-nonce;", callbacksig.ErrHeader},
		"repeated":                 {"Date;x-request-nonce;Date", callbacksig.ErrHeader},
		"repeated, other spelling": {"Date;x-request-nonce;date", callbacksig.ErrHeader},
		"space":                    {"Date;x-request-nonce; X-Odd", callbacksig.ErrHeader},
		"colon":                    {"Date;x-request-nonce;X-Odd:", callbacksig.ErrHeader},
		"quotation mark":           {`Date;x-request-nonce;"X-Odd"`, callbacksig.ErrHeader},
		"not ASCII":                {"Date;x-request-nonce;X-Ödd", callbacksig.ErrHeader},
		"DEL":                      {"Date;x-request-nonce;X-Odd\x7f", callbacksig.ErrHeader},
		"comma":                    {"Date,x-request-nonce", callbacksig.ErrHeader},
		"line break":               {"Date;x-request-nonce;X-\nMore-1", callbacksig.ErrHeader},
		"absent header":            {"Date;x-request-nonce;X-Absent", callbacksig.ErrHeader},
		"empty header":             {"Date;x-request-nonce;X-Empty", callbacksig.ErrHeader},
		"repeated header":          {"Date;x-request-nonce;X-Twice", callbacksig.ErrHeader},
		"long value":               {"Date;x-request-nonce;X-Fits", nil},
		"too long a value":         {"Date;x-request-nonce;X-Long", callbacksig.ErrHeader},
		"long name":                {"Date;x-request-nonce;X-" + strings.Repeat("n", 510), nil},
		"too long a name":          {"Date;x-request-nonce;X-" + strings.Repeat("n", 511), callbacksig.ErrHeader},
		"unusual name":             {"Date;x-request-nonce;!#$%&'*+-.^_`|~09azAZ", nil},
		"line break in a value":    {"Date;x-request-nonce;X-Break", callbacksig.ErrHeader},
		"DEL in a value":           {"Date;x-request-nonce;X-Del", callbacksig.ErrHeader},
		"spaces in a value":        {"Date;x-request-nonce;X-Spaces", nil},
		"endless":                  {strings.Repeat("Date;", 1000), callbacksig.ErrHeader},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signed(target)
			for i := range 15 {
				r.Header.Set("X-More-"+strconv.Itoa(i), "more")
			}
			r.Header["X-Twice"] = []string{"1", "1"}
			r.Header.Set("X-Fits", strings.Repeat("v", 512))
			r.Header.Set("X-Long", strings.Repeat("v", 513))
			r.Header.Set("X-"+strings.Repeat("n", 510), "more")
			r.Header.Set("X-"+strings.Repeat("n", 511), "more")
			r.Header.Set("!#$%&'*+-.^_`|~09azAZ", "odd")
			r.Header.Set("X-Break", "a\nb")
			r.Header.Set("X-Del", "a\x7f")
			r.Header.Set("X-Empty", "")
			r.Header.Set("X-Spaces", " a b ~")
			for _, odd := range []string{" X-Odd", "X-Odd:", `"X-Odd"`, "X-Ödd", "X-Odd\x7f"} { // net/http lets none in
				r.Header[odd] = []string{"odd"}
			}
			r.Header.Set("X-Hmac-Signed-Headers", tt.list)
			resign(r)
			assert.ErrorIs(t, verify(t, r, params()), tt.want)
		})
	}
}

func TestVerify_ListedHeaderIsSigned(t *testing.T) {
	t.Parallel()
	r := signed(target)
	r.Header.Set("X-More", "more")
	r.Header.Set("X-Hmac-Signed-Headers", "Date;x-request-nonce;X-More")
	resign(r)
	require.NoError(t, verify(t, r, params()))
	r.Header.Set("X-More", "most")
	assert.ErrorIs(t, verify(t, r, params()), callbacksig.ErrSignature)
}

func TestVerify_FormOfTheSignature(t *testing.T) {
	t.Parallel()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	r := signed(target)
	good := r.Header.Get("X-Hmac-Signature")
	raw, err := base64.StdEncoding.DecodeString(good)
	require.NoError(t, err)
	last := strings.IndexByte(alphabet, good[42])
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
		tests["other spelling "+strconv.Itoa(i)] = good[:42] + string(alphabet[last^i]) + "="
	}
	for bit := range 256 {
		flipped := slices.Clone(raw)
		flipped[bit/8] ^= 1 << (bit % 8)
		tests["bit "+strconv.Itoa(bit)] = base64.StdEncoding.EncodeToString(flipped)
	}
	for name, signature := range tests {
		r.Header.Set("X-Hmac-Signature", signature)
		require.ErrorIs(t, verify(t, r, params()), callbacksig.ErrSignature, name)
	}
	r.Header.Set("X-Hmac-Signature", good)
	assert.NoError(t, verify(t, r, params()))
}

func TestVerify_FormOfTheDate(t *testing.T) {
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
		"one digit, a space":  "Mon, 02 Jan 2006  9:04:05 GMT",
		"lower case":          "mon, 02 jan 2006 15:04:05 GMT",
		"two spaces":          "Mon,  02 Jan 2006 15:04:05 GMT",
		"something behind it": "Mon, 02 Jan 2006 15:04:05 GMT ",
		"words":               "yesterday",
	}
	for name, layout := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signed(target)
			date := time.Now().UTC().Format(layout)
			if name == "lower case" {
				date = strings.ToLower(date[:12]) + date[12:]
			}
			r.Header["Date"] = []string{date}
			require.ErrorIs(t, verify(t, r, params()), callbacksig.ErrSignature, "the signature comes first")
			resign(r)
			assert.ErrorIs(t, verify(t, r, params()), callbacksig.ErrHeader)
		})
	}
}

func TestVerify_DatesOfAWholeYear(t *testing.T) {
	t.Parallel()
	p, begin := params(), time.Date(2028, time.January, 1, 0, 0, 0, 0, time.UTC)
	p.Tolerance = 100 * 365 * 24 * time.Hour
	for date := begin; date.Year() == begin.Year(); date = date.Add(25*time.Hour + 7*time.Minute + 11*time.Second) {
		r := received(target)
		callbacksig.Sign(r, "vidu", secret, date, nonce)
		require.NoError(t, verify(t, r, p), date)
	}
}
