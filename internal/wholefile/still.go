package wholefile

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// Still keeps both ends of a still image, so that one that was cut is noticed although nobody said how long it is. An
// image that does not begin like a JPEG, PNG or WebP is taken as it is.
type Still struct {
	head, tail []byte // at most MinSize bytes
	size       int64
}

// Feed takes the next bytes of the file.
func (s *Still) Feed(p []byte) {
	s.size += int64(len(p))
	s.head = append(s.head, p[:min(MinSize-len(s.head), len(p))]...)
	s.tail = append(s.tail, p[max(len(p)-MinSize, 0):]...)
	s.tail = slices.Delete(s.tail, 0, max(len(s.tail)-MinSize, 0))
}

// Whole reports whether the image may end here: with its end mark or, for a WebP, with as many bytes as it states.
func (s *Still) Whole() bool {
	head := string(s.head)
	switch {
	case strings.HasPrefix(head, "\xff\xd8\xff"):
		return bytes.HasSuffix(s.tail, []byte("\xff\xd9"))
	case strings.HasPrefix(head, "\x89PNG\r\n\x1a\n"):
		return bytes.HasSuffix(s.tail, []byte("IEND\xaeB`\x82"))
	case strings.HasPrefix(head, "RIFF") && strings.HasSuffix(head, "WEBP"):
		return s.size >= 8+int64(binary.LittleEndian.Uint32(s.head[4:]))
	}
	return true
}
