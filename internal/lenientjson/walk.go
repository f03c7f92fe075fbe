// Package lenientjson walks JSON that may be cut off, mistyped or repeated, as the replies of strange servers are. It
// yields each member and element in the order and number in which they came, and of a text that breaks off everything
// before the break, but never a string or a number that is not whole. It copies nothing while it walks but names with
// escapes, and the time it takes grows with the length of the text only.
//
// encoding/json fits none of that: it gives up at the first field of another type, merges keys that differ only in
// their letter case, lets the last of two values win, and takes a number that was cut off for a whole one.
package lenientjson

import "strings"

// ByteOrderMark is what some servers begin their texts with. JSON does not allow it.
const ByteOrderMark = "\uFEFF"

// Value is the text of one JSON value as received, "" where there is none. An object or an array may be cut off. It
// shares the memory of what is walked, which it keeps alive: what outlives that must be a copy, as [Value.Str] is.
type Value string

// Items walks the members of an object or the elements of an array, which [Value.Items] begins:
//
//	for it := v.Items(); it.Next(); {
//		use(it.Key(), it.Value())
//	}
type Items struct {
	text    string // what is walked, from its first item on
	at      int    // where it goes on in text
	key     span
	value   span
	object  bool
	escapes bool // key has one
	begun   bool // there was an item
	comma   bool // one stands before at
	odd     bool // something was stepped over that is not valid
}

// span is a part of a text. Unlike a string it can be kept without a write barrier, of which a walk would have many.
type span struct{ from, to int }

// Items begins a walk. It has no items where v is neither an object nor an array.
func (v Value) Items() Items {
	text := TrimLeft(string(v))
	if len(text) == 0 || (text[0] != '{' && text[0] != '[') {
		return Items{}
	}
	return Items{text: text[1:], object: text[0] == '{'}
}

// Key returns the name of an object's member, unescaped; "" where an escape is none.
func (it *Items) Key() string {
	key := it.text[it.key.from:it.key.to]
	if it.escapes {
		return unescaped(key)
	}
	return key
}

// Value returns the value of the member or element.
func (it *Items) Value() Value { return Value(it.text[it.value.from:it.value.to]) }

// Next moves to the next item and reports whether there is one. It ends at the first thing that is not JSON. An object
// or array that is cut off is still an item; a string, number or word that is cut off never is.
func (it *Items) Next() bool {
	it.skipSpace()
	if it.comma = it.at < len(it.text) && it.text[it.at] == ','; it.comma {
		it.at++
		it.skipSpace()
	}
	if it.object && !it.nextKey() {
		return false
	}
	rest := it.text[it.at:]
	n := validLen(rest, 1)
	if n == 0 {
		n = valueLen(rest)
		it.odd = it.odd || n > 0 || it.object
	}
	if n == 0 {
		return false
	}
	it.odd = it.odd || it.comma != it.begun
	it.begun = true
	it.value = span{it.at, it.at + n}
	it.at += n
	return true
}

// Valid reports, after Next has returned false, whether all of the text is valid JSON.
func (it *Items) Valid() bool {
	end := byte(']')
	if it.object {
		end = '}'
	}
	rest := it.text[it.at:]
	return !it.odd && !it.comma && len(rest) > 0 && rest[0] == end && len(TrimLeft(rest[1:])) == 0
}

func (it *Items) nextKey() bool {
	rest := it.text[it.at:]
	n, escapes := validStringLen(rest)
	if n == 0 {
		if n = stringLen(rest); n == 0 {
			return false
		}
		it.odd, escapes = true, strings.IndexByte(rest[:n], '\\') >= 0
	}
	it.escapes = escapes
	it.key = span{it.at + 1, it.at + n - 1}
	it.at += n
	it.skipSpace()
	if it.at == len(it.text) || it.text[it.at] != ':' {
		it.odd = true
		return false
	}
	it.at++
	it.skipSpace()
	return true
}

func (it *Items) skipSpace() {
	for it.at < len(it.text) && isSpace(it.text[it.at]) {
		it.at++
	}
}

// TrimLeft returns text without JSON's white space at its start.
func TrimLeft(text string) string {
	for len(text) > 0 && isSpace(text[0]) {
		text = text[1:]
	}
	return text
}

func isSpace(c byte) bool { return c <= ' ' && (c == ' ' || c == '\n' || c == '\t' || c == '\r') }

// valueLen returns the length of the JSON value at the start of text; 0 when there is none, or a string, number or word
// that is cut off. What is inside objects and arrays is not checked.
func valueLen(text string) int {
	if len(text) == 0 {
		return 0
	}
	switch text[0] {
	case '"':
		return stringLen(text)
	case '{', '[':
		return compositeLen(text)
	case '}', ']', ',', ':':
		return 0
	}
	return scalarLen(text)
}

// scalarLen returns the length of the number or word at the start of text; 0 when there is none, or nothing behind it
// that shows that it is whole.
func scalarLen(text string) int {
	for n, c := range []byte(text) {
		switch c {
		case ',', ']', '}', ' ', '\n', '\t', '\r':
			if isScalar(text[:n]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// isScalar reports whether text is a number or a word.
func isScalar(text string) bool {
	switch text {
	case "true", "false", "null":
		return true
	}
	text = strings.TrimPrefix(text, "-")
	rest := trimDigits(text)
	if len(rest) == len(text) || (text[0] == '0' && len(text)-len(rest) > 1) { // no digit, or a zero before others
		return false
	}
	if len(rest) > 0 && rest[0] == '.' {
		fraction := rest[1:]
		if rest = trimDigits(fraction); len(rest) == len(fraction) {
			return false
		}
	}
	if len(rest) > 0 && (rest[0] == 'e' || rest[0] == 'E') {
		exponent := rest[1:]
		if len(exponent) > 0 && (exponent[0] == '+' || exponent[0] == '-') {
			exponent = exponent[1:]
		}
		return len(exponent) > 0 && len(trimDigits(exponent)) == 0
	}
	return len(rest) == 0
}

func trimDigits(text string) string {
	for len(text) > 0 && '0' <= text[0] && text[0] <= '9' {
		text = text[1:]
	}
	return text
}

// stringLen returns the length of the JSON string at the start of text, quotes included; 0 when there is none or it is
// cut off.
func stringLen(text string) int {
	if len(text) == 0 || text[0] != '"' {
		return 0
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// compositeLen returns the length of the object or array at the start of text, all of text when it is cut off.
func compositeLen(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			n := stringLen(text[i:])
			if n == 0 {
				return len(text)
			}
			i += n - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}
