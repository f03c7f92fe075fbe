package scrub_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/scrub"
	"github.com/vidu-go/vidu/internal/testkit"
)

// quoting is an error of a caller's transport.
type quoting struct {
	text    string
	cause   error
	timeout bool
}

func (e *quoting) Error() string   { return e.text }
func (e *quoting) Unwrap() error   { return e.cause }
func (e *quoting) Timeout() bool   { return e.timeout }
func (e *quoting) Temporary() bool { return false }

// claiming is an error that matches another without having it in its chain.
type claiming struct {
	text string
	is   error
}

func (e claiming) Error() string        { return e.text }
func (e claiming) Is(target error) bool { return target == e.is }

// Of an error that quotes a secret the causes stay in the chain that do not.
func TestError(t *testing.T) {
	t.Parallel()
	errTheirs := errors.New("theirs")
	mask := func(text string) string { return strings.ReplaceAll(text, "secret", "…") }
	for name, tt := range map[string]struct {
		err  error
		want string
		is   []error
		not  []error
	}{
		"clean":            {errTheirs, "theirs", []error{errTheirs}, []error{context.Canceled}},
		"wrapped":          {fmt.Errorf("secret: %w", errTheirs), "…: theirs", []error{errTheirs}, []error{context.Canceled}},
		"deep":             {fmt.Errorf("secret: %w", fmt.Errorf("secret too: %w", errTheirs)), "…: … too: theirs", []error{errTheirs}, nil},
		"alone":            {errors.New("a secret"), "a …", nil, []error{errTheirs}},
		"of a type":        {&quoting{text: "secret", cause: syscall.ECONNRESET}, "…", []error{syscall.ECONNRESET}, nil},
		"a type alone":     {&quoting{text: "secret"}, "…", nil, []error{io.EOF}},
		"a timeout":        {&quoting{text: "secret", timeout: true}, "…", nil, nil},
		"joined":           {fmt.Errorf("%w, %w, %w", errors.New("secret"), errTheirs, io.EOF), "…, theirs, EOF", []error{errTheirs, io.EOF}, nil},
		"two":              {fmt.Errorf("secret %w %w", io.EOF, fmt.Errorf("secret %w", errTheirs)), "… EOF … theirs", []error{errTheirs, io.EOF}, nil},
		"the context":      {claiming{"secret", context.Canceled}, "…", []error{context.Canceled}, []error{context.DeadlineExceeded}},
		"the deadline":     {claiming{"secret", context.DeadlineExceeded}, "…", []error{context.DeadlineExceeded}, []error{context.Canceled}},
		"net/http's":       {&url.Error{Op: "Get", URL: "https://h/?secret", Err: errTheirs}, `Get "https://h/?…": theirs`, []error{errTheirs}, nil},
		"net/http's, both": {&url.Error{Op: "Get", URL: "https://h/?secret", Err: fmt.Errorf("secret %w", errTheirs)}, `Get "https://h/?…": … theirs`, []error{errTheirs}, nil},
		"net's": {
			&net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("secret %w", syscall.ECONNREFUSED)}, "dial tcp: … connection refused",
			[]error{syscall.ECONNREFUSED},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := scrub.Error(tt.err, mask)
			require.EqualError(t, err, tt.want)
			testkit.AssertSecretFree(t, err)
			for _, target := range tt.is {
				require.ErrorIs(t, err, target)
			}
			for _, target := range tt.not {
				require.NotErrorIs(t, err, target)
			}
			require.ErrorIs(t, err, tt.err, "whoever has it has its text")
			for _, verb := range []string{"%v", "%+v", "%#v"} {
				assert.NotContains(t, fmt.Sprintf(verb, err), "secret")
			}
			var before, after net.Error
			wasTimeout := errors.As(tt.err, &before) && before.Timeout()
			isTimeout := errors.As(err, &after) && after.Timeout()
			assert.Equal(t, wasTimeout || name == "the deadline", isTimeout)
		})
	}
	clean := fmt.Errorf("clean: %w", errTheirs)
	assert.Same(t, clean, scrub.Error(clean, mask))

	err := scrub.Error(&url.Error{Op: "Get", URL: "/?secret", Err: &net.OpError{Op: "read secret", Net: "tcp", Err: syscall.ECONNRESET}}, mask)
	link, ok := errors.AsType[*url.Error](err)
	require.True(t, ok)
	assert.Equal(t, "/?…", link.URL)
	op, ok := errors.AsType[*net.OpError](err)
	require.True(t, ok, "of net's errors callers ask for the type")
	assert.Equal(t, "read …", op.Op)
	timeout, ok := errors.AsType[net.Error](scrub.Error(&quoting{text: "secret", timeout: true}, mask))
	require.True(t, ok)
	assert.True(t, timeout.Temporary()) //nolint:staticcheck // callers still ask
}
