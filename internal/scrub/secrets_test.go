package scrub_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/scrub"
	"github.com/vidu-go/vidu/internal/testkit"
)

func TestSecrets_Mask(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ key, text, want string }{
		"plain":                        {"vda_12345678", "bad key vda_12345678", "bad key [redacted]"},
		"alone":                        {"vda_12345678", "vda_12345678", "[redacted]"},
		"everywhere":                   {"vda_12345678", "vda_12345678vda_12345678, Token vda_12345678", "[redacted][redacted], Token [redacted]"},
		"in a word":                    {"vda_12345678", "xvda_12345678x", "x[redacted]x"},
		"after a beginning":            {"vda_12345678", "vda_vda_12345678 vda_1", "vda_[redacted] vda_1"},
		"a part of it":                 {"vda_12345678", "vda_1234567", "vda_1234567"},
		"nothing to mask":              {"vda_12345678", "no", "no"},
		"nothing at all":               {"vda_12345678", "", ""},
		"8 bytes":                      {"12345678", "a 12345678 b", "a [redacted] b"},
		"7 bytes":                      {"1234567", "a 1234567 b", "a 1234567 b"},
		"no key":                       {"", "a b", "a b"},
		"another letter case":          {"vda_abcdefgh", "vda_ABCDEFGH", "vda_ABCDEFGH"},
		"slash, PHP":                   {"abc/def/ghi", `abc\/def\/ghi`, "[redacted]"},
		"quote and backslash":          {`abc"def\ghi`, `abc\"def\\ghi`, "[redacted]"},
		"every layer of a quote":       {`abc"def\ghi`, `abc\\\"def\\\\ghi abc"def\ghi`, "[redacted] [redacted]"},
		"Go":                           {"abc<d+f>&ghi", `abc\u003cd+f\u003e\u0026ghi`, "[redacted]"},
		".NET":                         {"abc<def>&+ghi", `abc\u003Cdef\u003E\u0026\u002Bghi`, "[redacted]"},
		"equals sign":                  {"dGVzdCBrZXk=", `dGVzdCBrZXk\u003d dGVzdCBrZXk\u003D`, "[redacted] [redacted]"},
		"slash":                        {"sk/012345678", `sk\u002f012345678 sk\u002F012345678`, "[redacted] [redacted]"},
		"a link's":                     {"sk+012345678", "sk%2B012345678 sk%2b012345678", "[redacted] [redacted]"},
		"a link's in a link":           {"sk+012345678", "sk%252B012345678 sk%25252b012345678", "[redacted] [redacted]"},
		"IIS":                          {"sk+012345678", "sk%u002B012345678 sk%U002B012345678", "[redacted] [redacted]"},
		"nginx's log":                  {"sk+012345678", `sk\x2B012345678 sk\X2b012345678`, "[redacted] [redacted]"},
		"HTML, a number":               {"sk+ab2345678", "sk&#43;ab2345678 sk&#043;ab2345678 sk&#43ab2345678", "[redacted] [redacted] [redacted]"},
		"HTML, a hexadecimal":          {"sk+zz2345678", "sk&#x2b;zz2345678 sk&#X2Bzz2345678 sk&#x002B;zz2345678", "[redacted] [redacted] [redacted]"},
		"HTML, a name":                 {"sk+/=_&<>'-1", "sk&plus;&sol;&equals;&lowbar;&amp;&lt;&gt;&apos;-1", "[redacted]"},
		"HTML, no semicolon":           {"sk&-12345678", "sk&amp-12345678", "[redacted]"},
		"HTML, the longest name":       {"sk|012345678", "sk&VerticalLine;012345678 sk&VerticalLine012345678", "[redacted] [redacted]"},
		"HTML, no such name":           {"sk+012345678", "sk&afterwords012345678", "sk&afterwords012345678"},
		"HTML, at the end":             {"sk01234567+", "sk01234567&plus", "[redacted]"},
		"HTML in JSON":                 {"sk+012345678", `sk\u0026#43;012345678`, "[redacted]"},
		"HTML in HTML":                 {"sk+012345678", "sk&amp;#43;012345678", "[redacted]"},
		"JSON in JSON":                 {"sk/012345678", `sk\\u002f012345678 sk\\\/012345678 sk\\\\u002f012345678`, "[redacted] [redacted] [redacted]"},
		"JSON in a link":               {"sk/012345678", `sk%5Cu002f012345678 sk%5C%2F012345678`, "[redacted] [redacted]"},
		"every character":              {"abcdefgh", `\u0061%62&#99;d\x65%2566&amp;#103;\\u0068`, "[redacted]"},
		"mixed":                        {"a+b/c=d&e<f>g", `a%2Bb\u002fc&#61;d&amp;e\u003Cf%3Eg`, "[redacted]"},
		"behind a backslash":           {"u002f5678", `\\\u002f5678`, `\\\[redacted]`},
		"a key like an escape":         {"ab%2Bcd%2Fe", "ab%2Bcd%2Fe ab%252Bcd%252Fe", "[redacted] [redacted]"},
		"a key like an entity":         {"ab&amp;cd&lt;", "ab&amp;cd&lt; ab&amp;amp;cd&amp;lt;", "[redacted] [redacted]"},
		"a key of backslashes":         {`\\\\\\\\`, `\\\\\\\\ x \\\\\\\\\\\\\\\\`, "[redacted] x [redacted]"},
		"an escape of something else":  {"sk+012345678", `sk\u012b012345678 sk&#555;012345678 sk%2X012345678 sk%`, `sk\u012b012345678 sk&#555;012345678 sk%2X012345678 sk%`},
		"an escape of a control":       {"sk0123456789", `s\u0000k0123456789 s%00k0123456789 s&#0;k0123456789`, `s\u0000k0123456789 s%00k0123456789 s&#0;k0123456789`},
		"an escape that is cut":        {"sk0123456789", `sk01234567\u003`, `sk01234567\u003`},
		"a name that is none":          {"sk0123456789", `sk012345678&nine;`, `sk012345678&nine;`},
		"a number that does not end":   {"sk+012345678", `sk&#000000000043;012345678`, `sk&#000000000043;012345678`},
		"letters in a decimal number":  {"sk+012345678", `sk&#4b;012345678`, `sk&#4b;012345678`},
		"as long as numbers are":       {"sk+012345678", `sk&#00000043;012345678 sk&#000000043;012345678`, `[redacted] sk&#000000043;012345678`},
		"a backslash first":            {"vda_12345678", `\u0076da_12345678`, "[redacted]"},
		"a percent sign first":         {"vda_12345678", "%76da_12345678", "[redacted]"},
		"an ampersand first":           {"vda_12345678", "&#118;da_12345678", "[redacted]"},
		"the first letters":            {"sk:*12345678", `sk\u003a\u002a12345678 sk%3A\x2A12345678`, "[redacted] [redacted]"},
		"the last letters":             {"sko+12345678", `sk\u006f\u002b12345678 sk\u006F\x2B12345678`, "[redacted] [redacted]"},
		"two that overlap":             {"abcdefga", "abcdefgabcdefga abcdefgaabcdefga", "[redacted]bcdefga [redacted][redacted]"},
		"letters beyond f":             {"skp012345678", `sk\x6g012345678 sk\x6G012345678 sk\x70012345678`, `sk\x6g012345678 sk\x6G012345678 [redacted]`},
		"a number sign within a name":  {"sk+012345678", `sk&pl#us;012345678`, `sk&pl#us;012345678`},
		"a letter behind a backslash":  {"sk0123456789", `s\k0123456789`, `s\k0123456789`},
		"backslashes without end":      {"/k0123456789", `x` + strings.Repeat(`\`, 99) + `/k0123456789`, "x[redacted]"},
		"a backslash too many in JSON": {"/k0123456789", `"\\\/k0123456789"`, `"[redacted]"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secrets := scrub.NewSecrets(tt.key)
			assert.Equal(t, tt.want, secrets.Mask(tt.text))
			assert.Equal(t, tt.want, secrets.MaskBody(tt.text, false))
		})
	}
}

// Of a body that is cut, the end may be the beginning of the key.
func TestSecrets_MaskBody(t *testing.T) {
	t.Parallel()
	secrets := scrub.NewSecrets("vda/0123456789")
	for text, want := range map[string]string{
		"x vda/0123456789": "x [redacted]", "x vda/012345678": "x [redacted]", `x vda\u002f0123`: "x [redacted]", "vda/0123": "[redacted]",
		"x vda/012": "x vda/012", "vda/0123 x": "vda/0123 x", "": "", `x vda/0123\u00`: "x [redacted]", "x vda/0123&": "x [redacted]",
		`vda/0123\ and much more`: `vda/0123\ and much more`, `vda/012\u00`: `vda/012\u00`,
	} {
		assert.Equal(t, want, secrets.MaskBody(text, true), text)
	}
	assert.Equal(t, "x vda/012345678", secrets.MaskBody("x vda/012345678", false))
	short := scrub.NewSecrets("12345678")
	assert.Equal(t, strings.Repeat("[redacted]", 100), short.MaskBody(strings.Repeat("12345678", 100), false))
}

// In a text of a megabyte one layer of escapes is looked for, since a server could make more of them cost seconds.
func TestSecrets_BigText(t *testing.T) {
	t.Parallel()
	secrets := scrub.NewSecrets("vda/0123456789")
	for size, nested := range map[int]string{1<<20 - 1: "[redacted]", 1 << 20: `vda\\u002f0123456789`} {
		const text = `vda/0123456789 vda\u002f0123456789 vda\\u002f0123456789`
		got := secrets.Mask(strings.Repeat(" ", size-len(text)) + text)
		assert.Equal(t, "[redacted] [redacted] "+nested, strings.TrimLeft(got, " "))
	}
}

func TestSecrets_Several(t *testing.T) {
	t.Parallel()
	secrets := scrub.NewSecrets("first-secret", "short", "second-secret")
	assert.Equal(t, "[redacted] short [redacted]", secrets.Mask("second-secret short first-secret"))
	assert.Equal(t, "[redacted] [redacted]", secrets.MaskBody("first-secret second-secret", false))
	assert.Equal(t, "text", scrub.NewSecrets().Mask("text"))
}

// Whoever quotes a signed query, or a value of it, quotes it in the form at hand.
func TestQuerySecrets(t *testing.T) {
	t.Parallel()
	secrets := scrub.QuerySecrets("X-Sig=ab%2Bcd%2Fef%3D&Expires=1790000000;token=0123456789abcdef&short=1234567&bare-value-here&bad=%zz%2Bvalue&e=")
	for text, want := range map[string]string{
		"signature ab+cd/ef= is wrong":         "signature [redacted] is wrong",
		"signature ab%2Bcd%2Fef%3D is wrong":   "signature [redacted] is wrong",
		`{"sig":"ab+cd\/ef\u003d"}`:            `{"sig":"[redacted]"}`,
		"expired 1790000000":                   "expired [redacted]",
		"0123456789abcdef, bare-value-here":    "[redacted], [redacted]",
		"%zz%2Bvalue":                          "[redacted]",
		"short=1234567, e=, X-Sig, Expires":    "short=1234567, e=, X-Sig, Expires",
		"0123456789abcde":                      "0123456789abcde",
		"X-Sig=ab%2Bcd%2Fef%3D&Expires=1":      "X-Sig=[redacted]&Expires=1",
		"bad token=0123456789abcdef&short=123": "bad token=[redacted]&short=123",
	} {
		assert.Equal(t, want, secrets.Mask(text))
	}
	assert.Equal(t, "bad query [redacted]", scrub.QuerySecrets("sig=abcdefgh&e=1").Mask("bad query sig=abcdefgh&e=1"))
	assert.Equal(t, "[redacted] [redacted]", scrub.QuerySecrets("a=12345678&b=12345678-long").Mask("12345678-long 12345678"), "the longer one first")
	assert.Equal(t, "text", scrub.QuerySecrets("").Mask("text"))
}

// spellings are some that servers use, whole or of one character.
func spellings(tb testing.TB, key string) []string {
	tb.Helper()
	var plain strings.Builder
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	require.NoError(tb, encoder.Encode(key))
	quoted := strings.Trim(plain.String(), "\n")
	quoted = quoted[1 : len(quoted)-1]
	escaped := testkit.JSON(tb, key)
	all := []string{
		key, quoted, strings.ReplaceAll(quoted, "/", `\/`), escaped[1 : len(escaped)-1], url.QueryEscape(key), url.PathEscape(key),
		url.QueryEscape(quoted), url.QueryEscape(url.QueryEscape(key)), html.EscapeString(key), html.EscapeString(html.EscapeString(key)),
	}
	for _, format := range []string{`\u%04x`, `\u%04X`, `\\u%04x`, "%%%02x", "%%%02X", "%%25%02X", "&#%d;", "&#x%x;", "&#X%04X;", "&amp;#%d;", `\x%02x`} {
		var every, mixed strings.Builder
		for i := range len(key) {
			fmt.Fprintf(&every, format, key[i])
			if i%3 == 1 {
				fmt.Fprintf(&mixed, format, key[i])
			} else {
				mixed.WriteByte(key[i])
			}
		}
		all = append(all, every.String(), mixed.String())
	}
	return all
}

// isKey reports whether a text may be a key whose masking can be checked: printable ASCII of at least 8 bytes that does
// not overlap with the mask, of which it would otherwise be put together again. A key with characters of escapes is
// ambiguous in some mixtures.
func isKey(key string) bool {
	return len(key) >= 8 && len(key) < 200 && key != "redacted" && !strings.ContainsFunc(key, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`[]\%&`, r)
	})
}

// No spelling of the key survives, whatever stands around it.
func FuzzSecrets(f *testing.F) {
	for _, text := range []string{"", "bad key", `{"a":"\u00e9\\"}`, "%", "&", `\`, "a%2", "&#4", "sk", "https://h/v?a=1&b=%2F"} {
		f.Add(text, "vda_12345678", uint8(len(text)/2))
		f.Add(text, `ab"d/e+f<g>h=`, uint8(0))
		f.Add(text, "aaaaaaaa", uint8(1))
	}
	f.Fuzz(func(t *testing.T, text, key string, at uint8) {
		if !isKey(key) {
			return
		}
		secrets := scrub.NewSecrets(key)
		cut := min(int(at), len(text))
		for _, spelling := range spellings(t, key) {
			// An escape before it may swallow its beginning: what is left is not the key.
			before := strings.TrimRight(text[:cut], `\%&#0123456789abcdefABCDEFxXuU`) + "."
			whole := before + spelling + text[cut:]
			got := secrets.Mask(whole)
			require.Contains(t, got, "[redacted]", spelling)
			require.NotContains(t, got, key)
			require.NotContains(t, got, spelling)
			require.Equal(t, got, secrets.MaskBody(whole, false))
			require.Equal(t, got, secrets.Mask(got))
		}
	})
}

// What a reply costs that has nothing to mask is little beside reading it. It must not run beside other tests, for it
// counts what the process allocates.
func TestSecrets_NothingToMask(t *testing.T) { //nolint:paralleltest // see above
	secrets := scrub.NewSecrets(testkit.Key)
	text := `{"id":"1","url":"https://h/v.mp4?a=%2F\u0026b=c"}`
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		secrets.Mask(text)
		secrets.MaskBody(text, false)
		scrub.Queries("nothing to mask")
	}))
}

func BenchmarkSecrets(b *testing.B) {
	secrets := scrub.NewSecrets("vda_" + strings.Repeat("0123456789", 4))
	for name, text := range map[string]string{
		"plain":   strings.Repeat(`{"id":"91612345678","state":"processing","model":"viduq2-pro","duration":5},`, 10),
		"links":   strings.Repeat(`{"url":"https://cdn.example.com/v.mp4?X-Amz-Algorithm=AWS4\u0026X-Amz-Date=2026\u0026X-Amz-Signature=0123456789%2F"},`, 10),
		"escapes": strings.Repeat(`\&#%25&amp;`, 100),
		"big":     strings.Repeat(`\`, 1<<20),
		"keys":    strings.Repeat("vda_"+strings.Repeat("0123456789", 4), 100),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				secrets.MaskBody(text, false)
			}
		})
	}
}
