package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

// peer is one request at the server, over either protocol, and the ways to answer it.
type peer interface {
	begin(status, form, length int) // of an answer whose body has length bytes
	write(part []byte)
	finish()
	breakOff(f fault) // ends the exchange without (the rest of) an answer
	abandon(f fault)  // sends goAway, refusedStream or protocolError
}

// lane is a server for one client and one create at a time, so that a request belongs to a known create even if its
// body is never read.
type lane struct {
	url       string
	ledger    *ledger
	listener  net.Listener
	accepting sync.WaitGroup
	running   sync.WaitGroup // connections and late commits

	mu     sync.Mutex
	conns  map[net.Conn]bool  // open
	faults []fault            // of the requests of the present create
	cancel context.CancelFunc // of the context of the present create
}

// openLane starts a server on loopback, with TLS where secure. It speaks HTTP/1.1 and HTTP/2.
func openLane(ctx context.Context, ledger *ledger, secure bool) (*lane, error) {
	trust, err := identity()
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &lane{url: "http://" + listener.Addr().String(), ledger: ledger, listener: listener, conns: map[net.Conn]bool{}}
	var serverTLS *tls.Config
	if secure {
		l.url = "https://" + listener.Addr().String()
		serverTLS = trust.server
	}
	l.accepting.Go(func() { l.accept(serverTLS) })
	return l, nil
}

func (l *lane) accept(serverTLS *tls.Config) {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetReadBuffer(64 << 10) //nolint:errcheck // only makes large bodies stall sooner
		}
		if serverTLS != nil {
			conn = tls.Server(conn, serverTLS)
		}
		l.mu.Lock()
		l.conns[conn] = true
		l.mu.Unlock()
		l.running.Go(func() { l.serve(conn) })
	}
}

// close serves what is still in flight and returns when everything has ended and is in the ledger.
func (l *lane) close() error {
	err := l.listener.Close()
	l.accepting.Wait()
	l.mu.Lock()
	for conn := range l.conns {
		conn.SetReadDeadline(time.Now().Add(time.Second)) //nolint:errcheck // closed already
	}
	l.mu.Unlock()
	l.running.Wait()
	return err
}

// expect prepares the lane for the next create. cancel ends the client's context.
func (l *lane) expect(c *create, cancel context.CancelFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults, l.cancel = c.faults, cancel
}

// next returns the fault of the request that has just arrived.
func (l *lane) next() fault {
	l.mu.Lock()
	f := fault{commits: true}
	if len(l.faults) > 0 {
		f, l.faults = l.faults[0], l.faults[1:]
	}
	l.mu.Unlock()
	l.ledger.note(f.kind)
	return f
}

// endsIdle takes the next fault if it hits a connection between two requests.
func (l *lane) endsIdle() (fault, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) == 0 || l.faults[0].kind != resetReused || l.faults[0].commits {
		return fault{}, false
	}
	f := l.faults[0]
	l.faults = l.faults[1:]
	return f, true
}

// clientCancel returns the cancel function of the present create's context.
func (l *lane) clientCancel() context.CancelFunc {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cancel
}

// later calls do after wait. close waits for it.
func (l *lane) later(wait time.Duration, do func()) {
	l.running.Go(func() {
		<-time.NewTimer(wait).C
		do()
	})
}

func (l *lane) serve(conn net.Conn) {
	defer func() {
		conn.Close() //nolint:errcheck // over either way
		l.mu.Lock()
		delete(l.conns, conn)
		l.mu.Unlock()
	}()
	r := bufio.NewReaderSize(conn, 32<<10)
	if start, err := r.Peek(4); err == nil && string(start) == "PRI " {
		l.serveHTTP2(conn, r)
		return
	}
	l.serveHTTP1(conn, r)
}

// greet answers the GET of a warm client.
func (l *lane) greet(p peer) {
	reply(p, 200, []byte(`{"id":"warm","state":"processing"}`))
	if f, ok := l.endsIdle(); ok {
		l.ledger.note(f.kind)
		f.form = 1 // not only the stream
		p.breakOff(f)
	}
}

// dropsEarly reports whether the fault ends the exchange after the header.
func (f fault) dropsEarly() bool { return f.kind == cutBefore || f.kind == resetReused && !f.commits }

// cut returns the offset of the fault in a body of size bytes, -1 for none.
func (f fault) cut(size int) int {
	switch {
	case f.kind == earlyAnswer && f.form == 0:
		return 0
	case f.kind == earlyAnswer, f.kind == cutInside:
		return int(f.at * float64(size))
	default:
		return -1
	}
}

const overloaded = `{"code":503,"message":"overloaded"}`

// atCut applies the fault at the cut. It reports whether the exchange goes on.
func (l *lane) atCut(p peer, f fault) bool {
	switch {
	case f.kind == earlyAnswer:
		reply(p, 503, []byte(overloaded))
	case f.cancel:
		l.clientCancel()()
	default:
		p.breakOff(f)
		return false
	}
	return true
}

// act answers a request that arrived in full.
func (l *lane) act(p peer, f fault, body []byte) {
	payload := payloadOf(body)
	if f.kind == lateCommit {
		l.later(20*time.Millisecond, func() { l.ledger.charge(payload) })
		p.breakOff(f)
		return
	}
	id := ""
	if f.commits {
		id = l.ledger.charge(payload)
	}
	switch f.kind {
	case earlyAnswer: // was answered
	case hang:
		l.later(100*time.Millisecond, l.clientCancel())
	case cutAfter, lostReply, resetReused:
		p.breakOff(f)
	case goAway, refusedStream, protocolError:
		p.abandon(f)
	case serverError:
		reply(p, f.status, []byte("<html><h1>Bad Gateway</h1></html>"))
	case busy:
		reply(p, 429, []byte(`{"code":429,"reason":"TooManyRequests","message":"slow down"}`))
	case truncated:
		l.truncate(p, f, taskReply(f.shape, id, payload))
	default:
		reply(p, 200, taskReply(f.shape, id, payload))
	}
}

func reply(p peer, status int, body []byte) {
	p.begin(status, 0, len(body))
	p.write(body)
	p.finish()
}

// truncate truncates an answer, or cancels the client in the middle of it. In the form without a length the truncated
// answer looks complete.
func (l *lane) truncate(p peer, f fault, body []byte) {
	n := int(f.at * float64(len(body)))
	p.begin(200, f.form, len(body))
	p.write(body[:n])
	switch {
	case f.cancel:
		l.clientCancel()()
		p.write(body[n:])
		p.finish()
	case f.form == 2:
		p.finish()
	default:
		p.breakOff(f)
	}
}

// taskReply returns the answer to a create in one of the dialects seen in the wild.
func taskReply(shape int, id, payload string) []byte {
	switch shape {
	case 0:
		return fmt.Appendf(nil, `{"task_id":%q,"state":"created","model":"viduq2-pro","credits":4,"payload":%q}`, id, payload)
	case 1: // the id is a number and comes last, so that truncation makes it another number
		return fmt.Appendf(nil, `{"state":"created","credits":"4","payload":%q,"task_id":%s}`, payload, id)
	case 2:
		return fmt.Appendf(nil, `{"code":"success","message":"","data":{"task_id":%q,"state":"created"}}`, id)
	default:
		return fmt.Appendf(nil, `{"id":%s, "state":"created","payload":%q}`, id, payload)
	}
}

// payloadOf returns the payload of a request: the last match, as it follows the media.
func payloadOf(body []byte) string {
	const name = `"payload":"`
	from := bytes.LastIndex(body, []byte(name))
	if from < 0 {
		return ""
	}
	payload, _, _ := bytes.Cut(body[from+len(name):], []byte(`"`))
	return string(payload)
}

// reset closes a connection with RST.
func reset(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0) //nolint:errcheck // on an error it is a FIN
	}
	conn.Close() //nolint:errcheck // over either way
}
