package lenientjson

import (
	"strings"
	"unicode/utf8"
)

// What a walk steps over is measured and checked in one pass: encoding/json's check is a second one, and the dearest
// part of reading a short reply. The functions below return the length of what text begins with, 0 when that is not
// valid.

const maxDepth = 10_000 // of values inside values, as in encoding/json

// Valid reports whether v is valid JSON.
func (v Value) Valid() bool {
	text := TrimLeft(string(v))
	if n := validLen(text, 0); n > 0 {
		return TrimLeft(text[n:]) == ""
	}
	return isScalar(strings.TrimRight(text, " \n\t\r"))
}

func validLen(text string, depth int) int {
	if len(text) == 0 {
		return 0
	}
	switch text[0] {
	case '"':
		n, _ := validStringLen(text)
		return n
	case '{', '[':
		return validCompositeLen(text, depth)
	}
	return scalarLen(text)
}

func validCompositeLen(text string, depth int) int {
	if depth == maxDepth {
		return 0
	}
	end := text[0] + 2 // in ASCII, for both kinds
	rest := TrimLeft(text[1:])
	if len(rest) > 0 && rest[0] == end {
		return len(text) - len(rest) + 1
	}
	for {
		if end == '}' {
			n, _ := validStringLen(rest)
			if rest = TrimLeft(rest[n:]); n == 0 || len(rest) == 0 || rest[0] != ':' {
				return 0
			}
			rest = TrimLeft(rest[1:])
		}
		n := validLen(rest, depth+1)
		rest = TrimLeft(rest[n:])
		switch {
		case n == 0 || len(rest) == 0:
			return 0
		case rest[0] == end:
			return len(text) - len(rest) + 1
		case rest[0] != ',':
			return 0
		}
		rest = TrimLeft(rest[1:])
	}
}

// validStringLen also reports whether the string has an escape.
func validStringLen(text string) (n int, escapes bool) {
	if len(text) == 0 || text[0] != '"' {
		return 0, false
	}
	for i := 1 + plainLen(text[1:]); i < len(text); i += plainLen(text[i:]) {
		switch c := text[i]; {
		case c == '"':
			return i + 1, escapes
		case c == '\\':
			if _, n = escaped(text[i:]); n == 0 {
				return 0, escapes
			}
			i += n
			escapes = true
		case c < ' ':
			return 0, escapes
		}
		for i < len(text) && text[i] >= utf8.RuneSelf {
			i++
		}
	}
	return 0, escapes
}
