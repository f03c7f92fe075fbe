package callbacksig

import (
	"fmt"
	"net/http"
	"time"
)

// checkDate accepts the one form of dates that HTTP allows to send. time.Parse alone is more generous.
func checkDate(text string, tolerance time.Duration) error {
	date, err := time.Parse(http.TimeFormat, text)
	if err != nil || !looksLike(text, http.TimeFormat) {
		return badHeader("Date is not in the form of %q", http.TimeFormat)
	}
	if off := time.Since(date); off.Abs() > tolerance {
		return fmt.Errorf("%w: Date is off by %v", ErrStale, off.Round(time.Second))
	}
	return nil
}

// looksLike compares kinds of characters: digits, capitals, small letters; all others must be the same.
func looksLike(text, model string) bool {
	if len(text) != len(model) {
		return false
	}
	for i := range len(text) {
		if charKind(text[i]) != charKind(model[i]) {
			return false
		}
	}
	return true
}

func charKind(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return '0'
	case 'A' <= c && c <= 'Z':
		return 'A'
	case 'a' <= c && c <= 'z':
		return 'a'
	}
	return c
}
