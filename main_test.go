package vidu_test

import (
	"io"
	"log"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// quiet is the log of servers that are meant to see errors.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
