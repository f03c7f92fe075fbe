package testkit

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// AssertSecretFree checks that no error in the tree of err contains the query of a presigned link, which tests spell
// with the word "secret", and that err is masked.
func AssertSecretFree(tb testing.TB, err error) {
	tb.Helper()
	AssertMasked(tb, err)
	for queue := []error{err}; len(queue) > 0; queue = queue[1:] {
		assert.NotContains(tb, queue[0].Error(), "secret")
		switch e := queue[0].(type) { //nolint:errorlint // it walks the tree itself
		case interface{ Unwrap() error }:
			if inner := e.Unwrap(); inner != nil {
				queue = append(queue, inner)
			}
		case interface{ Unwrap() []error }:
			queue = append(queue, e.Unwrap()...)
		}
	}
}

// AssertDirOnly checks that dir contains at most the named file.
func AssertDirOnly(tb testing.TB, dir string, name string) {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(tb, err)
	for _, entry := range entries {
		assert.Equal(tb, name, entry.Name())
	}
}

// AssertHarmless checks what holds for every error that a caller of package vidu gets: it is masked and says "vidu: "
// once, at the beginning.
func AssertHarmless(tb testing.TB, err error) {
	tb.Helper()
	AssertMasked(tb, err)
	assert.True(tb, strings.HasPrefix(err.Error(), "vidu: "), err.Error())
	assert.NotContains(tb, err.Error(), ": vidu: ") // which a code of that name does not give
}

// AssertMasked checks that err fits into one line of a log: no [Key] under any verb, no markup, at most 500 bytes.
func AssertMasked(tb testing.TB, err error) {
	tb.Helper()
	for _, text := range []string{err.Error(), fmt.Sprintf("%v", err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err), fmt.Sprintf("%s", err)} {
		assert.NotContains(tb, text, Key)
	}
	text := err.Error()
	assert.LessOrEqual(tb, len(text), 500)
	assert.NotContains(tb, text, "\n")
	assert.NotContains(tb, text, "<html")
}

// Key is the API key of the tests; no error and no log may contain it.
const Key = "sentinel-key-0123456789"

// AssertFile checks that the file at path contains want.
func AssertFile(tb testing.TB, path string, want []byte) {
	tb.Helper()
	got, err := os.ReadFile(path)
	require.NoError(tb, err)
	assert.True(tb, bytes.Equal(want, got), "%s holds %d bytes", path, len(got))
}

// AssertDirEmpty checks that a download left neither a file nor a part of one in dir.
func AssertDirEmpty(tb testing.TB, dir string) {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(tb, err)
	for _, entry := range entries {
		assert.False(tb, strings.HasSuffix(entry.Name(), ".part") || strings.HasSuffix(entry.Name(), ".mp4"), entry.Name())
	}
}
