// Package scrub makes text that others wrote (servers, proxies, transports) fit for error messages and logs. What comes
// out is one bounded line of valid UTF-8 without web pages, without the API key in any spelling that is known, and
// without the query and the user name of a link, where signatures and passwords stand. It never fails: what cannot be
// read is replaced.
package scrub

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// webPage matches the start of an HTML page, also behind other text.
var webPage = regexp.MustCompile(`(?i)<(!doctype|html)`)

// OneLine returns s as one line of printable, valid UTF-8 of at most limit bytes, which must be 3 or more. A longer
// line ends with "…", and so does one that is cut where a web page begins. Links lose what [Queries] masks. Of s only
// the first 4×limit bytes are read.
func OneLine(s string, limit int) string {
	clean := strings.ToValidUTF8(s[:min(len(s), 4*limit)], "\uFFFD")
	clean = strings.Join(strings.FieldsFunc(clean, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if page := webPage.FindStringIndex(clean); page != nil {
		clean = clean[:page[0]] + "…"
	}
	if clean = maskLinks(clean, true); len(clean) <= limit {
		return clean
	}
	cut := limit - len("…")
	for cut > 0 && !utf8.RuneStart(clean[cut]) {
		cut--
	}
	return strings.TrimRight(clean[:cut], "…") + "…"
}

// IsMarkup reports whether text begins like HTML or XML, neither of which belongs in an error message.
func IsMarkup(text string) bool {
	return strings.HasPrefix(strings.TrimLeft(text, "\uFEFF \t\r\n"), "<")
}

// URL returns link without user name, query and fragment, in at most 120 bytes.
func URL(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return "an unreadable URL"
	}
	return OneLine((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), 120)
}
