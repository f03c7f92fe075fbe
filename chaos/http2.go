package main

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// session is a connection that speaks HTTP/2, served frame by frame.
type session struct {
	*lane

	conn    net.Conn
	framer  *http2.Framer
	streams map[uint32]*stream // whose body is still arriving
}

// stream is a peer of a session.
type stream struct {
	*session

	id    uint32
	fault fault
	size  int // of the body, from the header
	cut   int
	body  []byte
}

func (l *lane) serveHTTP2(conn net.Conn, r *bufio.Reader) {
	if _, err := r.Discard(len(http2.ClientPreface)); err != nil {
		return
	}
	s := &session{lane: l, conn: conn, framer: http2.NewFramer(conn, r), streams: map[uint32]*stream{}}
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for err := s.framer.WriteSettings(); err == nil; {
		var frame http2.Frame
		if frame, err = s.framer.ReadFrame(); err == nil {
			err = s.handle(frame)
		}
	}
}

// handle returns an error when the connection is to be closed. If an answer cannot be written, the next read fails.
func (s *session) handle(frame http2.Frame) error {
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			return s.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !frame.IsAck() {
			return s.framer.WritePing(true, frame.Data)
		}
	case *http2.MetaHeadersFrame:
		return s.handleHeaders(frame)
	case *http2.DataFrame:
		return s.handleData(frame)
	case *http2.RSTStreamFrame:
		delete(s.streams, frame.StreamID)
	}
	return nil
}

func (s *session) handleHeaders(frame *http2.MetaHeadersFrame) error {
	st := &stream{session: s, id: frame.StreamID}
	if frame.PseudoValue("method") == http.MethodGet {
		s.greet(st)
		return nil
	}
	fields := map[string]string{}
	for _, field := range frame.RegularFields() {
		fields[field.Name] = field.Value
	}
	st.fault = s.next()
	var err error
	if st.size, err = strconv.Atoi(fields["content-length"]); err != nil || st.size < 1 || st.size > maxRequest {
		return http2.StreamError{StreamID: st.id, Code: http2.ErrCodeProtocol}
	}
	st.cut = st.fault.cut(st.size)
	if st.fault.dropsEarly() {
		st.breakOff(st.fault)
		return nil
	}
	if fields["expect"] != "" && st.cut != 0 {
		st.headers("100")
	}
	s.streams[st.id] = st
	st.passCut(0)
	return nil
}

func (s *session) handleData(frame *http2.DataFrame) error {
	if err := s.giveWindow(frame); err != nil {
		return err
	}
	st := s.streams[frame.StreamID]
	if st == nil { // over already
		return nil
	}
	before := len(st.body)
	st.body = append(st.body, frame.Data()...)
	if !st.passCut(before + 1) {
		return nil
	}
	if frame.StreamEnded() {
		delete(s.streams, st.id)
		// Some servers ignore the length: the body is complete when the JSON object is.
		if bytes.HasSuffix(st.body, []byte("}")) {
			s.act(st, st.fault, st.body)
		}
	}
	return nil
}

// passCut applies the fault if the bytes from the given offset on include the cut. It reports whether the exchange goes
// on.
func (st *stream) passCut(from int) bool {
	if st.cut < from || st.cut > len(st.body) || st.atCut(st, st.fault) {
		return true
	}
	delete(st.streams, st.id)
	return false
}

func (s *session) giveWindow(frame *http2.DataFrame) error {
	if frame.Length == 0 {
		return nil
	}
	if err := s.framer.WriteWindowUpdate(0, frame.Length); err != nil || frame.StreamEnded() || s.streams[frame.StreamID] == nil {
		return err
	}
	return s.framer.WriteWindowUpdate(frame.StreamID, frame.Length)
}

func (st *stream) headers(status string, fields ...hpack.HeaderField) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	encoder.WriteField(hpack.HeaderField{Name: ":status", Value: status}) //nolint:errcheck // into memory
	for _, field := range fields {
		encoder.WriteField(field) //nolint:errcheck // into memory
	}
	st.framer.WriteHeaders(http2.HeadersFrameParam{ //nolint:errcheck // the next read fails
		StreamID: st.id, BlockFragment: block.Bytes(), EndHeaders: true,
	})
}

func (st *stream) begin(status, form, length int) {
	fields := []hpack.HeaderField{{Name: "content-type", Value: "application/json"}}
	if form == 0 {
		fields = append(fields, hpack.HeaderField{Name: "content-length", Value: strconv.Itoa(length)})
	}
	st.headers(strconv.Itoa(status), fields...)
}

func (st *stream) write(part []byte) {
	st.framer.WriteData(st.id, false, part) //nolint:errcheck // the next read fails
}

func (st *stream) finish() {
	st.framer.WriteData(st.id, true, nil) //nolint:errcheck // the next read fails
}

// breakOff ends the stream with an error that permits no retry, or the whole connection.
func (st *stream) breakOff(f fault) {
	switch {
	case f.form == 0:
		code := http2.ErrCodeInternal
		if f.rst {
			code = http2.ErrCodeCancel
		}
		st.framer.WriteRSTStream(st.id, code) //nolint:errcheck // the next read fails
	case f.rst:
		reset(st.conn)
	default:
		st.conn.Close() //nolint:errcheck // over either way
	}
}

func (st *stream) abandon(f fault) {
	switch f.kind {
	case refusedStream:
		st.framer.WriteRSTStream(st.id, http2.ErrCodeRefusedStream) //nolint:errcheck // the next read fails
	case protocolError:
		st.framer.WriteRSTStream(st.id, http2.ErrCodeProtocol) //nolint:errcheck // the next read fails
	default:
		last := st.id
		if !f.commits {
			last-- // the stream was not processed
		}
		st.framer.WriteGoAway(last, http2.ErrCodeNo, nil) //nolint:errcheck // the next read fails
		st.conn.Close()                                   //nolint:errcheck // over either way
	}
}
