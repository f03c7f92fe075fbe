package lenientjson

import (
	"bytes"
	"errors"
	"strconv"
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
		unit := escapedUnit(text[start:])
		text = text[start+len(`\\`):]
		if !utf16.IsSurrogate(unit) {
			continue
		}
		text = text[len("d800"):]
		if utf16.DecodeRune(unit, escapedUnit(text)) == utf8.RuneError {
			return true
		}
		text = text[len(`\udc00`):]
	}
}

// escapedUnit returns the number in the \u escape that text begins with, 0 if there is none.
func escapedUnit(text []byte) rune {
	if len(text) < len(`\u0000`) || text[0] != '\\' || text[1] != 'u' {
		return 0
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(unit)
}
