package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const maxRequest = 20 << 20

// serveHTTP1 serves one connection.
func (l *lane) serveHTTP1(conn net.Conn, r *bufio.Reader) {
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		p := &http1{conn: conn}
		if req.Method == http.MethodGet {
			l.greet(p)
			continue
		}
		if !l.create1(p, req, r) {
			return
		}
	}
}

// create1 serves one create. It reports whether the connection can be reused.
func (l *lane) create1(p *http1, req *http.Request, r *bufio.Reader) bool {
	f := l.next()
	if f.dropsEarly() {
		p.breakOff(f)
		return false
	}
	if req.ContentLength < 1 || req.ContentLength > maxRequest {
		return false
	}
	body := make([]byte, req.ContentLength)
	cut := f.cut(len(body))
	if req.Header.Get("Expect") != "" && cut != 0 {
		p.send("HTTP/1.1 100 Continue\r\n\r\n")
	}
	if f.kind == earlyAnswer && f.form == 2 {
		l.dribble(p, f, r, body)
		return false
	}
	if cut >= 0 {
		if _, err := io.ReadFull(r, body[:cut]); err != nil || !l.atCut(p, f) {
			return false
		}
	}
	if _, err := io.ReadFull(r, body[max(cut, 0):]); err != nil {
		return false
	}
	l.act(p, f, body)
	return true
}

// dribble begins to answer, reads on for a while, acts if the body arrives in full, and ends the answer only then.
func (l *lane) dribble(p *http1, f fault, r *bufio.Reader, body []byte) {
	p.begin(503, 0, len(overloaded))
	p.send(overloaded[:1])
	p.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) //nolint:errcheck // then the read fails
	if _, err := io.ReadFull(r, body); err == nil {
		l.act(p, f, body)
	}
	p.send(overloaded[1:])
}

// http1 is a peer that speaks HTTP/1.1.
type http1 struct {
	conn net.Conn
	form int
}

func (p *http1) send(text string) {
	io.WriteString(p.conn, text) //nolint:errcheck // the next read fails
}

func (p *http1) begin(status, form, length int) {
	p.form = form
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n", status, http.StatusText(status))
	switch form {
	case 1:
		head += "Transfer-Encoding: chunked\r\n"
	case 2:
		head += "Connection: close\r\n" // and the body ends with the connection
	default:
		head += fmt.Sprintf("Content-Length: %d\r\n", length)
	}
	p.send(head + "\r\n")
}

func (p *http1) write(part []byte) {
	switch {
	case len(part) == 0: // as a chunk, that would be the end
	case p.form == 1:
		p.send(fmt.Sprintf("%x\r\n%s\r\n", len(part), part))
	default:
		p.send(string(part))
	}
}

func (p *http1) finish() {
	switch p.form {
	case 1:
		p.send("0\r\n\r\n")
	case 2:
		p.conn.Close() //nolint:errcheck // over either way
	}
}

func (p *http1) breakOff(f fault) {
	if f.kind == lostReply { // some servers send something before they die
		p.send([]string{"", "HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 2OO K\r\n\r\n"}[f.form])
	}
	if f.rst {
		reset(p.conn)
		return
	}
	p.conn.Close() //nolint:errcheck // over either way
}

func (p *http1) abandon(f fault) { p.breakOff(f) }
