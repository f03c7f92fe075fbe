// Package scrub makes text that others wrote (servers, proxies, transports) fit for error messages and logs. What comes
// out is one bounded line of valid UTF-8 without web pages, without the API key in any spelling that is known, and
// without the query of a link, where signatures stand. It never fails: what cannot be read is replaced.
package scrub

import (
	"bytes"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// webPage matches the start of an HTML page, also behind other text.
var webPage = regexp.MustCompile(`(?i)<(!doctype|html)`)

// OneLine returns s as one line of printable, valid UTF-8 of at most limit bytes, which must be 3 or more. A longer
// line ends with "…", and so does one that is cut where a web page begins. Of s only the first 4×limit bytes are read.
func OneLine(s string, limit int) string {
	clean := strings.ToValidUTF8(s[:min(len(s), 4*limit)], "\uFFFD")
	clean = strings.Join(strings.FieldsFunc(clean, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if page := webPage.FindStringIndex(clean); page != nil {
		clean = clean[:page[0]] + "…"
	}
	if len(clean) <= limit {
		return clean
	}
	cut := limit - len("…")
	for cut > 0 && !utf8.RuneStart(clean[cut]) {
		cut--
	}
	return clean[:cut] + "…"
}

// IsMarkup reports whether text begins like HTML or XML, neither of which belongs in an error message.
func IsMarkup(text []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(text, "\uFEFF \t\r\n"), []byte("<"))
}

// anyQuery matches the query of a quoted text, of a link or a path, and whatever else looks like a query: net/http
// quotes a Location that it cannot parse, and a caller's transport may quote anything.
var anyQuery = regexp.MustCompile(`("[^"?]*)\?[^"]*|(/[^\s"?]*)\?[^\s"]*|\?[^\s"=]+=[^\s"]*`)

// Queries replaces every query in text, which may hold a signature, with "?…".
func Queries(text string) string { return anyQuery.ReplaceAllString(text, "$1$2?…") }

// URL returns link without user name, query and fragment, in at most 120 bytes.
func URL(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return "an unreadable URL"
	}
	return OneLine((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), 120)
}

// Key returns a function that masks key wherever a text echoes it, in its JSON spellings, too. A key of fewer than 8
// bytes is left alone: masking it would make messages unreadable.
func Key(key string) func(string) string {
	if len(key) < 8 {
		return func(s string) string { return s }
	}
	quoted := strconv.Quote(key) // what JSON has to escape of printable ASCII
	quoted = quoted[1 : len(quoted)-1]
	spellings := slices.Compact([]string{
		key,
		quoted,
		strings.ReplaceAll(quoted, "/", `\/`), // PHP's
		strings.NewReplacer("+", `\u002b`, "<", `\u003c`, ">", `\u003e`, "&", `\u0026`).Replace(quoted), // Go's
		strings.NewReplacer("+", `\u002B`, "<", `\u003C`, ">", `\u003E`, "&", `\u0026`).Replace(quoted), // .NET's
	})
	return func(s string) string {
		for _, spelling := range spellings {
			s = strings.ReplaceAll(s, spelling, "[redacted]")
		}
		return s
	}
}
