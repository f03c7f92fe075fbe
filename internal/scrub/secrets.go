package scrub

import (
	"net/url"
	"slices"
	"strings"
)

const (
	mask       = "[redacted]"
	minSecret  = 8       // bytes; to mask what is shorter would make messages unreadable
	longEscape = 12      // bytes of most
	bigText    = 1 << 20 // bytes, from which on one layer of escapes is looked for: a hostile reply must not cost seconds
)

// Secrets masks texts of printable ASCII wherever a text has them, in every spelling: as they are or, for the whole or
// any of their characters, as JSON, a URL or HTML may escape them, also one within another. Nothing is decoded for
// that.
type Secrets struct{ secrets []secret }

type secret struct {
	text   string
	rare   string    // the rest of text from the byte on that the fewest replies have, half of minSecret or more
	begins [256]bool // which bytes a spelling of it can begin with
}

// NewSecrets leaves out texts of fewer than 8 bytes.
func NewSecrets(texts ...string) Secrets {
	var s Secrets
	for _, text := range texts {
		if len(text) < minSecret {
			continue
		}
		one := secret{text: text, rare: text[rarest(text[:len(text)-minSecret/2]):]}
		for _, c := range []byte{text[0], '\\', '%', '&'} {
			one.begins[c] = true
		}
		s.secrets = append(s.secrets, one)
	}
	return s
}

// commonBytes are those that replies are full of, the most common first.
const commonBytes = `etaoirnsdlc0123456789u-_"ph:,.m/gbfvwyk`

// rarest returns where in text the least common byte stands.
func rarest(text string) int {
	at, rank := 0, -1
	for i := range len(text) {
		r := strings.IndexByte(commonBytes, text[i])
		if r < 0 {
			return i
		}
		if r > rank {
			at, rank = i, r
		}
	}
	return at
}

// QuerySecrets masks the query of a signed link, and each value in it.
func QuerySecrets(query string) Secrets {
	texts := []string{query}
	for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
		_, value, found := strings.Cut(pair, "=")
		if !found {
			value = pair
		}
		if plain, err := url.PathUnescape(value); err == nil { // every spelling of it is found
			value = plain
		}
		texts = append(texts, value)
	}
	slices.SortStableFunc(texts, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	return NewSecrets(texts...)
}

// Mask returns text with "[redacted]" in place of every secret.
func (s Secrets) Mask(text string) string { return s.MaskBody(text, false) }

// MaskBody is Mask for the body of a reply. cut means that the end of the body is missing: a secret that begins there
// is masked, too.
func (s Secrets) MaskBody(body string, cut bool) string {
	if len(body) < minSecret {
		return body
	}
	escapes := cut || strings.IndexByte(body, '\\') >= 0 || strings.IndexByte(body, '%') >= 0 || strings.IndexByte(body, '&') >= 0
	for i := range s.secrets {
		if escapes || strings.Contains(body, s.secrets[i].rare) { // not in most bodies
			body = maskOne(&s.secrets[i], body, cut)
		}
	}
	return body
}

// maskOne returns text with every occurrence of one secret masked.
func maskOne(s *secret, text string, cut bool) string {
	var masked strings.Builder
	kept, layers := 0, maxLayers
	if len(text) >= bigText {
		layers = 1
	}
	for i := 0; i < len(text); i++ {
		if !s.begins[text[i]] || !canBegin(s.text[0], text, i, layers) {
			continue
		}
		end := matchAt(s.text, text, i, layers, cut)
		if end < 0 {
			continue
		}
		for text[i] == '\\' && i > kept && text[i-1] == '\\' { // half an escape would be left
			i--
		}
		if kept == 0 {
			masked.Grow(len(text) + len(mask))
		}
		masked.WriteString(text[kept:i])
		masked.WriteString(mask)
		kept, i = end, end-1
	}
	if kept == 0 {
		return text
	}
	masked.WriteString(text[kept:])
	return masked.String()
}

// canBegin reports whether text spells c at i.
func canBegin(c byte, text string, i, layers int) bool {
	for layer := range layers + 1 {
		got, _ := spelled(text, i, layer)
		if got == c {
			return true
		}
		if !beginsEscape(got) {
			return false
		}
	}
	return false
}

// matchAt returns where a spelling of secret that begins at i ends, -1 if none does.
func matchAt(secret, text string, i, layers int, cut bool) int {
	ends, n := [8]int{i}, 1 // where the part that was compared may end: an escape may stand for itself
	for at := range len(secret) {
		var next [len(ends)]int
		found := 0
		for _, end := range ends[:n] {
			if cut && at >= minSecret && (end == len(text) || beginsEscape(text[end]) && len(text)-end < longEscape) {
				return len(text)
			}
			for layer := range layers + 1 {
				c, after := spelled(text, end, layer)
				if c == secret[at] && found < len(next) && !slices.Contains(next[:found], after) {
					next[found], found = after, found+1
				}
				if after < 0 || !beginsEscape(c) {
					break
				}
			}
		}
		if ends, n = next, found; n == 0 {
			return -1
		}
	}
	return slices.Max(ends[:n])
}
