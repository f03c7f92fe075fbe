package scrub_test

import (
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
		"links":                         {"see https://u:p@h/v?sig=x, why", 40, "see https://…@h/v?… why"},
		"an escaped link":               {`see https:\/\/h\/v?sig=x why`, 40, `see https:\/\/h\/v?… why`},
		"no link":                       {`"what?.png" a/b?c=d`, 40, `"what?.png" a/b?c=d`},
		"a link cut in its port":        {"https://host:8080", 16, "https://host:…"},
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
		assert.Equal(t, want, scrub.IsMarkup(text), "%q", text)
	}
	assert.False(t, scrub.IsMarkup(""))
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
		`really?? yes`:                                        `really?? yes`,
		`no query at all`:                                     `no query at all`,
		`failed: https:\/\/h\/v.mp4?sig=x\u0026e=1`:           `failed: https:\/\/h\/v.mp4?…`,
		`failed: https://h/v.mp4\u003fsig\u003dx`:             `failed: https://h/v.mp4?…`,
		`failed: https://h/v.mp4&#63;sig=x`:                   `failed: https://h/v.mp4?…`,
		`goto=https%3A%2F%2Fh%2Fv.mp4%3Fsig%3Dx next`:         `goto=https%3A%2F%2Fh%2Fv.mp4?… next`,
		`goto=https%253a%252f%252fh%252fv%253fsig%253dx next`: `goto=https%253a%252f%252fh%252fv?… next`,
		`https://h/50%3F and more`:                            `https://h/50%3F and more`,
		`is 50%3F=a`:                                          `is 50%3F=a`,
		`https://h/p#access_token=x next`:                     `https://h/p#… next`,
		`https://h/docs#codes next=1`:                         `https://h/docs#codes next=1`,
		`see #a=b`:                                            `see #a=b`,
		`https://user:pass@h/v failed`:                        `https://…@h/v failed`,
		`https://user@h`:                                      `https://…@h`,
		`https://us@er:p@ss@h:80/a@b?sig=x`:                   `https://…@h:80/a@b?…`,
		`HTTPS://user:pass@h?sig=x`:                           `HTTPS://…@h?…`,
		`https://user:pa/ss@h/v`:                              `https://…/ss@h/v`,
		`https:\/\/user:pass@h\/v`:                            `https:\/\/…@h\/v`,
		`https%3A%2F%2Fuser%3Apass%40h%2Fv`:                   `https%3A%2F%2F…@h%2Fv`,
		`"https://user:pass@h/v" failed`:                      `"https://…@h/v" failed`,
		`connect to http://h:8080, http://[::1]:80: refused`:  `connect to http://h:8080, http://[::1]:80: refused`,
		`http://h:8080/v?sig=x`:                               `http://h:8080/v?…`,
		`http://[::1]/v?sig=x`:                                `http://[::1]/v?…`,
		`https%3A%2F%2Fh/p%3Fsecret`:                          `https%3A%2F%2Fh/p?…`,
		`?a?a ?b=c`:                                           `?a?a ?…`,
		`mail user@example.com: no`:                           `mail user@example.com: no`,
		`a ://user@h b`:                                       `a ://…@h b`,
		`say \"https://h/v?a= sig=x\": no`:                    `say \"https://h/v?…": no`,
		`say &quot;https://h/v?sig=x&quot; no`:                `say &quot;https://h/v?… no`,
		`https://h/a\ b?c`:                                    `https://h/a\ b?c`,
		`a:b//user@h a:/b/user@h`:                             `a:b//user@h a:/b/user@h`,
		`a b=c&d=e`:                                           `a b=c&d=e`,
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

func FuzzScrub(f *testing.F) {
	for _, text := range []string{
		"", "bad key", "a\r\nb\x00\x1b[31m", "\xff\xfe", "<!DOCTYPE html><html>", "世世世世", `Get "https://a/b?sig=x y": refused`,
		`GET /v?sig=x and https://c/d?e=f failed`, "https://user:pass@h/%3F?sig=x#y", "http://[fe80::1%25%3F]/", "\u2028\u200b<HTML",
	} {
		f.Add(text, 10)
		f.Add(text, 0)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		if limit < 0 || limit > 10000 {
			return
		}
		limit += 3 // the length of "…"
		line := scrub.OneLine(text, limit)
		require.LessOrEqual(t, len(line), limit)
		assertOneLine(t, line)
		if !strings.HasSuffix(line, "…") { // a link that was cut is read as another one
			require.Equal(t, line, scrub.OneLine(line, limit))
		}

		link := scrub.URL(text)
		require.LessOrEqual(t, len(link), 120)
		assertOneLine(t, link)
		require.NotContains(t, link, "?")
		require.NotContains(t, link, "#")

		masked := scrub.Queries(text)
		require.NotRegexp(t, `\?([^…\s\v"=\\]|\\+[^\s\v"=\\])[^\s\v"=]*=`, masked) // a name that is only an escaped "=" is none
		require.NotRegexp(t, `://[^…/?#\s\v"\\%&]+@`, masked)
		require.Equal(t, masked, scrub.Queries(masked))
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
