package testkit

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
)

const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8

	flagEndStream  = 0x1 // on SETTINGS: an acknowledgement
	flagEndHeaders = 0x4
)

// Error codes of HTTP/2 (RFC 9113, section 7).
const (
	H2NoError         = 0x0
	H2ProtocolError   = 0x1
	H2InternalError   = 0x2
	H2RefusedStream   = 0x7
	H2Cancel          = 0x8
	H2EnhanceYourCalm = 0xb
)

// H2Conn is the server's end of an HTTP/2 connection, frame by frame.
type H2Conn struct{ net.Conn }

// Frame sends one frame.
func (s H2Conn) Frame(kind, flags byte, stream uint32, payload ...byte) {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = binary.BigEndian.AppendUint32(append(head, flags), stream)
	s.Write(append(head, payload...))
}

// Reset sends RST_STREAM.
func (s H2Conn) Reset(stream, code uint32) {
	s.Frame(frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code)...)
}

// GoAway sends GOAWAY, which says that no stream above last was processed, and closes the connection.
func (s H2Conn) GoAway(last uint32) {
	s.Frame(frameGoAway, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), H2NoError)...)
	s.Close()
}

// Reply sends a response with status 200.
func (s H2Conn) Reply(stream uint32, body string) {
	const status200 = 0x88 // in HPACK's static table
	s.Frame(frameHeaders, flagEndHeaders, stream, status200)
	s.Frame(frameData, flagEndStream, stream, []byte(body)...)
}

// H2Fault is called when the header of a request has arrived and after each part of its body; whole is true when that
// was the last.
type H2Fault func(s H2Conn, stream uint32, whole bool)

// AfterRequest is a fault that happens when the whole request has arrived.
func AfterRequest(do func(s H2Conn, stream uint32)) H2Fault {
	return func(s H2Conn, stream uint32, whole bool) {
		if whole {
			do(s, stream)
		}
	}
}

// ServeH2 speaks HTTP/2 on conn, lets do happen to every request and counts the requests in w.
func ServeH2(w *Server, conn net.Conn, do H2Fault) {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	s, in := H2Conn{conn}, bufio.NewReader(conn)
	if _, err := in.Discard(len(preface)); err != nil {
		return
	}
	s.Frame(frameSettings, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff) // no limit to the bodies
	s.Frame(frameWindowUpdate, 0, 0, 0x7f, 0xff, 0, 0)
	for head := make([]byte, 9); ; {
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		length := int(binary.BigEndian.Uint32(head) >> 8)
		if _, err := in.Discard(length); err != nil {
			return
		}
		kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])
		switch {
		case kind == frameSettings && flags == 0:
			s.Frame(frameSettings, flagEndStream, 0)
		case kind == frameHeaders, kind == frameData:
			if kind == frameHeaders {
				w.Requests.Add(1)
			}
			whole := flags&flagEndStream != 0
			if whole {
				w.Complete.Add(1)
			}
			do(s, stream, whole)
		}
	}
}

// H2Refusals are the faults after which net/http sends a request again by itself, if it can.
var H2Refusals = map[string]H2Fault{
	"REFUSED_STREAM":           AfterRequest(func(s H2Conn, stream uint32) { s.Reset(stream, H2RefusedStream) }),
	"PROTOCOL_ERROR":           AfterRequest(func(s H2Conn, stream uint32) { s.Reset(stream, H2ProtocolError) }),
	"GOAWAY before the stream": AfterRequest(func(s H2Conn, stream uint32) { s.GoAway(stream - 1) }),
	"GOAWAY before, connection lives on": AfterRequest(func(s H2Conn, stream uint32) {
		s.Frame(frameGoAway, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, stream-1), H2NoError)...)
	}),
}

// H2Breaks are the faults after which it does not.
var H2Breaks = map[string]H2Fault{
	"INTERNAL_ERROR":          AfterRequest(func(s H2Conn, stream uint32) { s.Reset(stream, H2InternalError) }),
	"CANCEL":                  AfterRequest(func(s H2Conn, stream uint32) { s.Reset(stream, H2Cancel) }),
	"ENHANCE_YOUR_CALM":       AfterRequest(func(s H2Conn, stream uint32) { s.Reset(stream, H2EnhanceYourCalm) }),
	"GOAWAY after the stream": AfterRequest(func(s H2Conn, stream uint32) { s.GoAway(stream) }),
	"connection closed":       AfterRequest(func(s H2Conn, _ uint32) { s.Close() }),
}
