package lenientjson

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// isVerbatim reports whether the content of a string is the text that it means: it has no escapes and is valid UTF-8.
func isVerbatim(text string) bool {
	rest := text[plainLen(text):]
	return strings.IndexByte(rest, '\\') < 0 && utf8.ValidString(rest)
}

// unescaped returns the content of a string as encoding/json reads it: U+FFFD for each byte that is not UTF-8 and for
// half a surrogate pair. It returns "" where an escape is none.
func unescaped(text string) string {
	var w strings.Builder
	w.Grow(len(text) + growth(text))
	plain := 0 // bytes at the start of text
	for plain < len(text) {
		var r rune
		var n int // bytes that r takes
		switch c := text[plain]; {
		case c == '\\':
			if r, n = escaped(text[plain:]); n == 0 {
				return ""
			}
		case c < utf8.RuneSelf:
			plain++
			continue
		default:
			if r, n = utf8.DecodeRuneInString(text[plain:]); r != utf8.RuneError || n > 1 {
				plain += n
				continue
			}
		}
		w.WriteString(text[:plain])
		w.WriteRune(r)
		text, plain = text[plain+n:], 0
	}
	w.WriteString(text)
	return w.String()
}

// growth returns how many bytes longer the content of a string may become, for what is not UTF-8.
func growth(text string) (n int) {
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && size == 1 {
			n += utf8.RuneLen(utf8.RuneError) - 1
		}
		text = text[size:]
	}
	return n
}

var escapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escaped decodes the escape that text begins with and returns its length, 0 if it is none.
func escaped(text string) (r rune, n int) {
	if len(text) < 2 {
		return 0, 0
	}
	if r, ok := escapes[text[1]]; ok {
		return r, 2
	}
	r, ok := unicodeEscape(text)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if low, ok := unicodeEscape(text[6:]); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

// unicodeEscape decodes the \u and four digits that text begins with; 0 and false if there is none.
func unicodeEscape(text string) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(text[2:6]) {
		digit := hexDigit(c)
		if digit < 0 {
			return 0, false
		}
		r = r<<4 | digit
	}
	return r, true
}

// hexDigit returns the value of a digit, -1 if it is none.
func hexDigit(c byte) rune {
	switch {
	case '0' <= c && c <= '9':
		return rune(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10
	}
	return -1
}
