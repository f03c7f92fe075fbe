package testkit

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// ReadBy reads r to its end through a buffer of size bytes.
func ReadBy(r io.Reader, size int) ([]byte, error) {
	var all bytes.Buffer
	_, err := io.CopyBuffer(struct{ io.Writer }{&all}, struct{ io.Reader }{r}, make([]byte, size))
	return all.Bytes(), err
}

// Gzip returns text compressed.
func Gzip(tb testing.TB, text string) string {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return b.String()
}

// JSON returns v as JSON.
func JSON(tb testing.TB, v any) string {
	tb.Helper()
	text, err := json.Marshal(v)
	require.NoError(tb, err)
	return string(text)
}

// FailingReader fails every Read with Err.
type FailingReader struct{ Err error }

// Read implements [io.Reader].
func (f FailingReader) Read([]byte) (int, error) { return 0, f.Err }

// StuckReader gives nothing and does not end.
type StuckReader struct{}

// Read implements [io.Reader].
func (StuckReader) Read([]byte) (int, error) { return 0, nil }
