package lenientjson

import (
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// CheckCharacters returns an error for JSON of which encoding/json would change a text in silence: it replaces what is
// no character.
func CheckCharacters(text string) error {
	switch {
	case !utf8.ValidString(text):
		return errors.New("the text is not valid UTF-8")
	case hasLoneSurrogate(text):
		return errors.New("the text has half a surrogate pair (\\ud800–\\udfff), which is no character")
	}
	return nil
}

// hasLoneSurrogate reports whether text has an escape that is half of a pair without its other half.
func hasLoneSurrogate(text string) bool {
	for {
		start := strings.IndexByte(text, '\\')
		if start < 0 || start+1 == len(text) {
			return false
		}
		unit, _ := unicodeEscape(text[start:])
		text = text[start+len(`\\`):]
		if !utf16.IsSurrogate(unit) {
			continue
		}
		text = text[len("d800"):]
		if low, _ := unicodeEscape(text); utf16.DecodeRune(unit, low) == utf8.RuneError {
			return true
		}
		text = text[len(`\udc00`):]
	}
}
