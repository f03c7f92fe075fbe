package scrub

import (
	"context"
	"errors"
	"net"
	"net/url"
)

// Error returns err if mask leaves its text as it is. Otherwise it returns one with the masked text, from which the
// causes that quote no secret can be unwrapped. [errors.Is] finds the others, too, for whoever has one has its text.
func Error(err error, mask func(string) string) error {
	text := err.Error()
	masked := mask(text)
	if masked == text {
		return err
	}
	e := &maskedError{text: masked, causes: clean(err, mask), is: func(target error) bool { return errors.Is(err, target) }}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return &maskedTimeoutError{e}
	}
	return e
}

// maskedError hides what it masks in a function, where no fmt verb finds it.
type maskedError struct {
	text   string
	causes []error
	is     func(error) bool
}

func (e *maskedError) Error() string        { return e.text }
func (e *maskedError) Unwrap() []error      { return e.causes }
func (e *maskedError) Is(target error) bool { return e.is(target) }

// maskedTimeoutError is a [net.Error].
type maskedTimeoutError struct{ *maskedError }

func (*maskedTimeoutError) Timeout() bool   { return true }
func (*maskedTimeoutError) Temporary() bool { return true }

// clean returns the causes of err, as near to it as possible, whose text needs no mask. Of net/http's own errors it
// keeps the type, since that is what callers look for.
func clean(err error, mask func(string) string) (causes []error) {
	if text := err.Error(); mask(text) == text {
		return []error{err}
	}
	switch e := err.(type) { //nolint:errorlint // the chain is walked here
	case *url.Error:
		return []error{&url.Error{Op: mask(e.Op), URL: mask(e.URL), Err: Error(e.Err, mask)}}
	case *net.OpError:
		return []error{&net.OpError{Op: mask(e.Op), Net: e.Net, Source: e.Source, Addr: e.Addr, Err: Error(e.Err, mask)}}
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			causes = clean(cause, mask)
		}
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			if cause != nil {
				causes = append(causes, clean(cause, mask)...)
			}
		}
	}
	for _, end := range []error{context.Canceled, context.DeadlineExceeded} { // of errors that only claim to be one
		if len(causes) == 0 && errors.Is(err, end) {
			return []error{end}
		}
	}
	return causes
}
