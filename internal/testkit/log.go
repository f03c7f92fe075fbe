package testkit

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"sync"
)

// QuietLog returns the log of a server whose errors are expected.
func QuietLog() *log.Logger { return log.New(io.Discard, "", 0) }

// Buffer is a bytes.Buffer for logs that several goroutines write.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns what was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// LogHook is a slog.Handler that calls a function for every record.
type LogHook struct{ Hook func() }

// Enabled implements [slog.Handler].
func (LogHook) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements [slog.Handler].
func (h LogHook) Handle(context.Context, slog.Record) error {
	h.Hook()
	return nil
}

// WithAttrs implements [slog.Handler].
func (h LogHook) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements [slog.Handler].
func (h LogHook) WithGroup(string) slog.Handler { return h }
