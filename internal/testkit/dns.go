package testkit

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a NameServer answers besides 0, which is an address.
const (
	NoSuchName    = 3 // NXDOMAIN
	ServerFailure = 2 // SERVFAIL
	NoAnswer      = -1
)

// NameServer returns a resolver that resolves every name to 127.0.0.1 when code returns 0, and else fails with the
// code.
func NameServer(tb testing.TB, code func() int) *net.Resolver {
	tb.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(tb, err)
	var running sync.WaitGroup
	running.Go(func() {
		packet := make([]byte, 512)
		for {
			n, peer, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			if code := code(); code != NoAnswer {
				conn.WriteTo(dnsReply(packet[:n], byte(code)), peer) //nolint:errcheck // then it stays without an answer
			}
		}
	})
	tb.Cleanup(func() {
		conn.Close()
		running.Wait()
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if tb.Context().Err() != nil {
			return nil, tb.Context().Err()
		}
		question, err := new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
		if err == nil { // the resolver would wait 5 s for an answer, though nobody waits for the resolver any more
			context.AfterFunc(tb.Context(), func() { question.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck,contextcheck // then it waits; a test's context is the only one
		}
		return question, err
	}}
}

// dnsReply turns a question into its answer.
func dnsReply(question []byte, code byte) []byte {
	const header, address = 12, 1
	end := header
	for question[end] != 0 {
		end += 1 + int(question[end])
	}
	end += 5                                  // the last label's length, type and class
	reply := bytes.Clone(question[:end])      // without the additional records
	reply[2], reply[3] = 0x81, 0x80|code      // an answer, recursion available
	copy(reply[6:], []byte{0, 0, 0, 0, 0, 0}) // no records but the question
	if code == 0 && question[end-3] == address {
		reply[7] = 1
		reply = append(reply, 0xc0, header, 0, address, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return reply
}
