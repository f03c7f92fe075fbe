package lenientjson

import (
	"bytes"
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

// CheckCharacters returns an error for JSON of which encoding/json would change a text in silence: it replaces what is
// no character.
func CheckCharacters(text []byte) error {
	switch {
	case !utf8.Valid(text):
		return errors.New("the text is not valid UTF-8")
	case hasLoneSurrogate(text):
		return errors.New("the text has half a surrogate pair (\\ud800–\\udfff), which is no character")
	}
	return nil
}

// hasLoneSurrogate reports whether text has an escape that is half of a pair without its other half.
func hasLoneSurrogate(text []byte) bool {
	for {
		start := bytes.IndexByte(text, '\\')
		if start < 0 || start+1 == len(text) {
			return false
		}
		unit, _ := unicodeEscape(string(text[start:min(start+6, len(text))]))
		text = text[start+len(`\\`):]
		if !utf16.IsSurrogate(unit) {
			continue
		}
		text = text[len("d800"):]
		if low, _ := unicodeEscape(string(text[:min(6, len(text))])); utf16.DecodeRune(unit, low) == utf8.RuneError {
			return true
		}
		text = text[len(`\udc00`):]
	}
}
