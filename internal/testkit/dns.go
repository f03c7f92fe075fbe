package testkit

import (
	"bytes"
	"context"
	"net"
	"strings"
	"time"
)

// What a name server can answer.
const (
	Loopback      = 0  // 127.0.0.1
	ServerFailure = 2  // SERVFAIL
	NoSuchName    = 3  // NXDOMAIN
	NoAnswer      = -1 // nothing
	NobodyListens = -2 // 127.0.0.2
)

// NameServer starts a name server on the loopback interface, for the rest of the process, and returns a resolver that
// asks only it. lookup returns one of the answers above. A question without answer is given up after 100 ms, not after
// the resolver's 5 s.
func NameServer(lookup func(name string) int) (*net.Resolver, error) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		packet := make([]byte, 512)
		for {
			n, peer, err := server.ReadFrom(packet)
			if err != nil {
				return
			}
			if answer := dnsReply(packet[:n], lookup); answer != nil {
				server.WriteTo(answer, peer) //nolint:errcheck // then it stays without an answer
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
		if err != nil {
			return nil, err
		}
		udp, ok := conn.(*net.UDPConn)
		if !ok {
			return conn, nil
		}
		return shortConn{udp}, nil
	}}, nil
}

// shortConn is a connection whose deadlines are near.
type shortConn struct{ *net.UDPConn }

// SetDeadline sets a deadline of 100 ms at most.
func (c shortConn) SetDeadline(deadline time.Time) error {
	if limit := time.Now().Add(100 * time.Millisecond); deadline.After(limit) {
		deadline = limit
	}
	return c.UDPConn.SetDeadline(deadline)
}

// dnsReply returns the answer to a question, nil for none.
func dnsReply(question []byte, lookup func(name string) int) []byte {
	const header, address = 12, 1
	var labels []string
	end := header
	for question[end] != 0 {
		size := int(question[end])
		labels = append(labels, string(question[end+1:end+1+size]))
		end += 1 + size
	}
	end += 5 // the last label's length, type and class
	answer := lookup(strings.Join(labels, "."))
	if answer == NoAnswer {
		return nil
	}
	reply := bytes.Clone(question[:end])                 // without the additional records
	reply[2], reply[3] = 0x81, 0x80|byte(max(answer, 0)) // an answer, recursion available
	copy(reply[6:], []byte{0, 0, 0, 0, 0, 0})            // no records but the question
	if answer <= 0 && question[end-3] == address {
		host := byte(1)
		if answer == NobodyListens {
			host = 2
		}
		reply[7] = 1
		reply = append(reply, 0xc0, header, 0, address, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, host)
	}
	return reply
}
