package callbacksig

import (
	"fmt"
	"net/http"
	"time"
)

// checkDate accepts the one form of dates that HTTP allows to send. time.Parse alone is more generous: it takes small
// letters, one digit for the hour, a fraction of a second, more spaces, and the name of another day.
func checkDate(text string, tolerance time.Duration) error {
	date, err := time.Parse(http.TimeFormat, text)
	var form [len(http.TimeFormat)]byte
	if err != nil || string(date.AppendFormat(form[:0], http.TimeFormat)) != text {
		return badHeader("Date is not in the form of %q", http.TimeFormat)
	}
	if off := time.Since(date); off.Abs() > tolerance {
		return fmt.Errorf("%w: Date is off by %v", ErrStale, off.Round(time.Second))
	}
	return nil
}
