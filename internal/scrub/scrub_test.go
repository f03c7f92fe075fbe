package scrub_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/scrub"
)

func TestOneLine(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text  string
		limit int
		want  string
	}{
		"plain":                         {"bad key", 20, "bad key"},
		"empty":                         {"", 20, ""},
		"line ends":                     {"\n a\r\nb\n\n\tc \u2028d\u00a0e ", 20, "a b c d e"},
		"control characters":            {"a\x00b\x1b[31mc\x7fd", 20, "a b [31mc d"},
		"invisible characters":          {"a\u200bb\ufeffc\u202ed\ue000e", 20, "a b c d e"},
		"nothing printable":             {"\x00\n\u200b", 20, ""},
		"other scripts":                 {"é世界\U0001F600", 20, "é世界\U0001F600"},
		"invalid UTF-8":                 {"a\xff\xfeb\xc3", 20, "a\uFFFDb\uFFFD"},
		"as long as the limit":          {"0123456789", 10, "0123456789"},
		"longer than the limit":         {"0123456789a", 10, "0123456…"},
		"much longer than the limit":    {strings.Repeat("0123456789", 1000), 10, "0123456…"},
		"cut between runes":             {"世世世世", 9, "世世…"},
		"cut inside a rune of 3 bytes":  {"a世世世", 9, "a世…"},
		"cut inside a rune of 4 bytes":  {"aaa\U0001F600\U0001F600", 9, "aaa…"},
		"rune of the limit's length":    {"世", 3, "世"},
		"nothing but the ellipsis fits": {"世界", 3, "…"},
		"web page":                      {"<html><body>no", 20, "…"},
		"web page behind text":          {"502: <!DOCTYPE html><html>", 30, "502: …"},
		"web page in capitals":          {"a <HTML lang=en>", 20, "a …"},
		"web page behind the limit":     {"0123456789abc<html>", 10, "0123456…"},
		"web page ends at the limit":    {"01234567<html>", 10, "0123456…"},
		"web page fits":                 {"0123456<html>", 10, "0123456…"},
		"other tags":                    {"<b>no</b>", 20, "<b>no</b>"},
		"a page's start broken by NUL":  {"a <ht\x00ml>", 20, "a <ht ml>"},
		"only 4 times the limit counts": {strings.Repeat(" ", 39) + "ab", 10, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, scrub.OneLine(tt.text, tt.limit))
		})
	}
}

func TestIsMarkup(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"<html>": true, "<?xml version='1.0'?>": true, "<": true, " \t\r\n<p>": true, "\uFEFF<p>": true, "\uFEFF\r\n <p>": true,
		"": false, " ": false, "{}": false, `{"a":"<html>"}`: false, "a<b": false, "\v<p>": false,
	} {
		assert.Equal(t, want, scrub.IsMarkup([]byte(text)), "%q", text)
	}
	assert.False(t, scrub.IsMarkup(nil))
}

// Quoted queries are masked up to the quote, others up to the end of the word.
func TestQueries(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`Get "https://a/b?sig=x y": refused`:                  `Get "https://a/b?…": refused`,
		`Get https://a/b?sig=x: refused`:                      `Get https://a/b?… refused`,
		`failed to parse Location header "?sig=x": bad`:       `failed to parse Location header "?…": bad`,
		`parse "//h/p?a=%zz&sig=x": invalid URL escape "%zz"`: `parse "//h/p?…": invalid URL escape "%zz"`,
		`Get host.example.com?sig=x failed`:                   `Get host.example.com?… failed`,
		`redirect ?sig=x`:                                     `redirect ?…`,
		`GET /v?sig=x and https://c/d?e=f failed`:             `GET /v?… and https://c/d?… failed`,
		`GET /v?sig failed`:                                   `GET /v?… failed`,
		`"a" and "b?c=d" and "e"`:                             `"a" and "b?…" and "e"`,
		`"never closed?sig=x y`:                               `"never closed?…`,
		`two ?a=1&b=2?c=3 end`:                                `two ?… end`,
		`?sig=x"y`:                                            `?…"y`,
		"/a?sig=x\nnext":                                      "/a?…\nnext",
		`why? because`:                                        `why? because`,
		`what?! a=b`:                                          `what?! a=b`,
		`no query at all`:                                     `no query at all`,
		``:                                                    ``,
	} {
		got := scrub.Queries(text)
		assert.Equal(t, want, got)
		assert.Equal(t, got, scrub.Queries(got))
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	for link, want := range map[string]string{
		"https://h/a/b.mp4":                        "https://h/a/b.mp4",
		"https://h:8443/a?sig=x":                   "https://h:8443/a",
		"https://user:pass@h/a?sig=x#sig":          "https://h/a",
		"https://h/a%20b%3Fc":                      "https://h/a%20b%3Fc",
		"https://h/世":                              "https://h/%E4%B8%96",
		"/a?sig=x":                                 "/a",
		"?sig=x":                                   "",
		"mailto:user:pass@h?sig=x":                 "mailto:",
		"https://h/%zz?sig=x":                      "an unreadable URL",
		"https://h:port/?sig=x":                    "an unreadable URL",
		"http://h/\x7f":                            "an unreadable URL",
		"https://h/" + strings.Repeat("a", 110):    "https://h/" + strings.Repeat("a", 110),
		"https://h/" + strings.Repeat("a", 111):    "https://h/" + strings.Repeat("a", 107) + "…",
		"https://h/" + strings.Repeat("a", 100000): "https://h/" + strings.Repeat("a", 107) + "…",
		"": "",
	} {
		assert.Equal(t, want, scrub.URL(link), "%.200q", link)
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ key, text, want string }{
		"plain":                  {"vda_12345678", "bad key vda_12345678", "bad key [redacted]"},
		"alone":                  {"vda_12345678", "vda_12345678", "[redacted]"},
		"everywhere":             {"vda_12345678", "vda_12345678vda_12345678, Token vda_12345678", "[redacted][redacted], Token [redacted]"},
		"in a word":              {"vda_12345678", "xvda_12345678x", "x[redacted]x"},
		"a part of it":           {"vda_12345678", "vda_1234567", "vda_1234567"},
		"nothing to mask":        {"vda_12345678", "no", "no"},
		"8 bytes":                {"12345678", "a 12345678 b", "a [redacted] b"},
		"7 bytes":                {"1234567", "a 1234567 b", "a 1234567 b"},
		"no key":                 {"", "a b", "a b"},
		"slash, plain":           {"abc/def/ghi", "abc/def/ghi", "[redacted]"},
		"slash, PHP":             {"abc/def/ghi", `abc\/def\/ghi`, "[redacted]"},
		"quote and backslash":    {`abc"def\ghi`, `abc\"def\\ghi`, "[redacted]"},
		"quote and slash, PHP":   {`abc"def/ghi`, `abc\"def\/ghi`, "[redacted]"},
		"brackets and &, Go":     {"abc<def>&ghi", `abc\u003cdef\u003e\u0026ghi`, "[redacted]"},
		"brackets and &, .NET":   {"abc<def>&+ghi", `abc\u003Cdef\u003E\u0026\u002Bghi`, "[redacted]"},
		"plus, small":            {"abc+def+ghi", `abc\u002bdef\u002bghi`, "[redacted]"},
		"plus, capital":          {"abc+def+ghi", `abc\u002Bdef\u002Bghi`, "[redacted]"},
		"all spellings together": {"abc/d+ef", `abc/d+ef abc\/d+ef abc/d\u002bef abc/d\u002Bef`, "[redacted] [redacted] [redacted] [redacted]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, scrub.Key(tt.key)(tt.text))
		})
	}
}

// spellings are those that Key masks besides the key itself.
func spellings(tb testing.TB, key string) []string {
	tb.Helper()
	var plain strings.Builder
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	require.NoError(tb, encoder.Encode(key))
	quoted := strings.Trim(plain.String(), "\n")
	quoted = quoted[1 : len(quoted)-1]
	return []string{
		quoted,
		strings.ReplaceAll(quoted, "/", `\/`),
		strings.NewReplacer("+", `\u002b`, "<", `\u003c`, ">", `\u003e`, "&", `\u0026`).Replace(quoted),
		strings.NewReplacer("+", `\u002B`, "<", `\u003C`, ">", `\u003E`, "&", `\u0026`).Replace(quoted),
	}
}

// isKey reports whether FuzzScrub checks that key is masked: printable ASCII of at least 8 bytes that does not overlap
// with the mask, of which it would otherwise be put together again.
func isKey(key string) bool {
	return len(key) >= 8 && key != "redacted" && !strings.ContainsFunc(key, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '[' || r == ']'
	})
}

func FuzzScrub(f *testing.F) {
	for _, text := range []string{
		"", "bad key", "a\r\nb\x00\x1b[31m", "\xff\xfe", "<!DOCTYPE html><html>", "世世世世", `Get "https://a/b?sig=x y": refused`,
		`GET /v?sig=x and https://c/d?e=f failed`, "https://user:pass@h/%3F?sig=x#y", "http://[fe80::1%25%3F]/", "\u2028\u200b<HTML",
	} {
		f.Add(text, 10, `abc"d/e+f\<g>&h`, uint8(len(text)/2))
		f.Add(text, 0, "vda_12345678", uint8(0))
	}
	f.Fuzz(func(t *testing.T, text string, limit int, key string, at uint8) {
		if limit < 0 || limit > 10000 {
			return
		}
		limit += 3 // the length of "…"
		line := scrub.OneLine(text, limit)
		require.LessOrEqual(t, len(line), limit)
		assertOneLine(t, line)
		require.Equal(t, line, scrub.OneLine(line, limit))

		link := scrub.URL(text)
		require.LessOrEqual(t, len(link), 120)
		assertOneLine(t, link)
		require.NotContains(t, link, "?")
		require.NotContains(t, link, "#")

		masked := scrub.Queries(text)
		require.NotRegexp(t, `\?[^\s"=]+=`, masked)
		require.Equal(t, masked, scrub.Queries(masked))

		if !isKey(key) {
			return
		}
		cut := min(int(at), len(text))
		mask := scrub.Key(key)
		for _, spelling := range append(spellings(t, key), key) {
			got := mask(text[:cut] + spelling + text[cut:])
			require.Contains(t, got, "[redacted]")
			for _, left := range append(spellings(t, key), key) {
				require.NotContains(t, got, left)
			}
		}
	})
}

func assertOneLine(t *testing.T, line string) {
	t.Helper()
	require.True(t, utf8.ValidString(line), "%q", line)
	require.NotContains(t, strings.ToLower(line), "<html")
	for _, r := range line {
		require.True(t, r == ' ' || (r > ' ' && r != 0x7f && r != '\u2028' && r != '\u2029'), "%q", line)
	}
}
