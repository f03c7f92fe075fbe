package scrub

import "strings"

// Queries replaces in text, which may quote links in any form, what may be a signature or a password: every query with
// "?…", the fragment of a link, if it has a "=", with "#…", and the user name of a link with "…@". A query ends with
// the word, in quotes with the quote.
func Queries(text string) string { return maskLinks(text, false) }

// maskLinks masks the links in text; unless linksOnly, also whatever else looks like a query.
func maskLinks(text string, linksOnly bool) string {
	if !strings.ContainsAny(text, "?#@%\\&") {
		return text
	}
	m := linkMasker{text: text, linksOnly: linksOnly}
	for i := 0; i < len(text); {
		i = m.step(i)
	}
	m.endAuthority(len(text))
	if m.kept == 0 {
		return text
	}
	m.out.WriteString(text[m.kept:])
	return m.out.String()
}

// linkMasker reads a text character by character.
type linkMasker struct {
	text      string
	linksOnly bool
	out       strings.Builder
	kept      int  // where the text begins that is not written yet
	quoted    bool // a quote was seen
	word
}

// word is what is known of the word at hand, up to the character at hand.
type word struct {
	scheme    string // as far as it was seen: ":", ":/", "://"
	authority int    // where the authority of a link begins, 0: not in one
	user      int    // where its user name ends
	link      bool   // "://" was seen
	slash     bool
	escaped   bool // a slash was spelled with a percent sign, so that a question mark may be
	noEqual   bool // there is no "=" up to the end of the word
}

// step reads the character at i and returns where the next one begins.
func (m *linkMasker) step(i int) (next int) {
	c, next := m.text[i], i+1
	if beginsEscape(c) {
		c, next = spelled(m.text, i, maxLayers-1)
	}
	if quote := c == '"' && m.text[i] != '&'; quote || isSpace(m.text[i]) {
		m.endAuthority(i)
		m.word = word{}
		m.quoted = m.quoted || quote
		return next
	}
	percent := m.text[i] == '%'
	switch c {
	case '/':
		m.endAuthority(i)
		m.slash, m.escaped = true, m.escaped || percent
	case '@':
		m.user = next // endAuthority looks at it where there is an authority, which begins with none
	case '?':
		m.endAuthority(i)
		if (!percent || m.escaped) && m.isQuery(next) {
			return m.mask(i, "?…")
		}
	case '#':
		m.endAuthority(i)
		if m.link && !percent && m.hasEqual(next) {
			return m.mask(i, "#…")
		}
	}
	m.followScheme(c, next)
	return next
}

// followScheme looks for the "://" of a link.
func (m *linkMasker) followScheme(c byte, next int) {
	switch {
	case c == ':':
		m.scheme = ":"
	case c == '/' && (m.scheme == ":" || m.scheme == ":/"):
		if m.scheme += "/"; m.scheme == "://" {
			m.authority, m.user, m.link = next, 0, true
		}
	default:
		m.scheme = ""
	}
}

// isQuery reports whether the question mark before i begins a query.
func (m *linkMasker) isQuery(i int) bool {
	if m.linksOnly {
		return m.link
	}
	return m.slash || m.quoted || m.hasEqual(i)
}

// hasEqual reports whether the word goes on with an "=" behind its first character, at i.
func (m *linkMasker) hasEqual(i int) bool {
	if m.noEqual {
		return false
	}
	for first := true; i < len(m.text) && !isSpace(m.text[i]) && m.text[i] != '"'; first = false {
		c, next := spelled(m.text, i, maxLayers-1)
		if c == '=' && !first {
			return true
		}
		i = next
	}
	m.noEqual = true
	return false
}

// mask writes with in place of the rest of the word, in quotes of what is quoted, and returns where that ends.
func (m *linkMasker) mask(i int, with string) (end int) {
	for end = i; end < len(m.text) && m.text[end] != '"' && (!isSpace(m.text[end]) || m.quoted && !m.linksOnly); {
		end++
	}
	m.replace(i, end, with)
	return end
}

func (m *linkMasker) replace(from, to int, with string) {
	m.out.WriteString(m.text[m.kept:from])
	m.out.WriteString(with)
	m.kept = to
}

// endAuthority masks the user name of the authority that ends at i. What is no port, whatever punctuation follows, is
// part of a password with a character that should have been escaped.
func (m *linkMasker) endAuthority(i int) {
	if m.authority == 0 {
		return
	}
	host := m.text[m.authority:i]
	port := host[strings.LastIndexByte(host, ':')+1:]
	switch {
	case m.user > 0:
		m.replace(m.authority, m.user, "…@")
	case port != host && !strings.Contains(port, "]") && strings.Trim(port, "0123456789…,.;!')}>`<") != "":
		m.replace(m.authority, i, "…")
	}
	m.authority = 0
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
