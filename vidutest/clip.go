package vidutest

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

const (
	// clipLimit is how many bytes of a string in a JSON array get past a clipper: more than any link has, far less than
	// an inline image.
	clipLimit = 4 << 10
	// clipBuffer is how many bytes a clipper reads at once.
	clipBuffer = 4 << 10
)

// clipper passes on a JSON text in which the long strings of arrays, that is the inline images, are cut short. So a
// create of 14 MB is decoded within kilobytes. Data URIs in arrays are checked on the way: each comes out with a
// verdict at its end.
//
// It drops only plain characters, so what makes a text invalid JSON, such as a bad escape or a control character, still
// reaches the decoder. What a decoder would change in silence is an error of the clipper: text that is not UTF-8, and
// an escape for half a surrogate pair.
type clipper struct {
	src io.Reader
	in  []byte
	out bytes.Buffer
	err error // of src

	rune   []byte  // the beginning of one whose end is still to be read
	half   bool    // the last escape was the first half of a surrogate pair
	open   []byte  // the braces and brackets that are open
	last   byte    // outside strings: the last byte that is not white space
	inside bool    // within a string
	whole  bool    // this string is the value of a field and is not cut
	escape []byte  // the escape sequence under way, without its backslash; nil when there is none
	length int     // plain characters of this string so far, in bytes
	item   *inline // the check of this string, nil unless it is an item of an array
}

func newClipper(src io.Reader) *clipper {
	return &clipper{src: src, in: make([]byte, clipBuffer)}
}

// Read implements [io.Reader].
func (c *clipper) Read(p []byte) (int, error) {
	for c.out.Len() == 0 && c.err == nil {
		n, err := c.src.Read(c.in)
		c.err = err
		c.checkText(c.in[:n])
		c.clip(c.in[:n])
	}
	if c.out.Len() == 0 {
		return 0, c.err
	}
	return c.out.Read(p)
}

var errNotText = errors.New("the text is not valid Unicode")

// checkText notes text that is not UTF-8.
func (c *clipper) checkText(p []byte) {
	if len(c.rune) > 0 {
		p = append(c.rune, p...)
		c.rune = nil
	}
	for i := max(len(p)-utf8.UTFMax, 0); i < len(p); i++ {
		if utf8.RuneStart(p[i]) && !utf8.FullRune(p[i:]) {
			c.rune = bytes.Clone(p[i:])
			p = p[:i]
		}
	}
	if !utf8.Valid(p) {
		c.err = errNotText
	}
}

func (c *clipper) clip(p []byte) {
	for len(p) > 0 {
		if n := c.run(p); n > 0 {
			p = p[n:]
			continue
		}
		c.note(p[0])
		p = p[1:]
	}
}

// run takes the plain characters that p begins with, within a string. Nearly all of a large body goes this way.
func (c *clipper) run(p []byte) int {
	if !c.inside || c.escape != nil {
		return 0
	}
	n := plain(p)
	if n > 0 && c.half {
		c.err = errNotText
	}
	kept := n
	if !c.whole {
		kept = min(n, max(clipLimit-c.length, 0))
	}
	c.out.Write(p[:kept])
	c.length += n
	if c.item != nil {
		c.item.write(p[:n])
	}
	return n
}

// plain returns how many plain characters p begins with, in bytes.
func plain(p []byte) int {
	for i, b := range p {
		if b == '"' || b == '\\' || b < ' ' {
			return i
		}
	}
	return len(p)
}

// note handles any other byte, which is always passed on.
func (c *clipper) note(b byte) {
	switch {
	case !c.inside:
		c.outside(b)
	case c.escape != nil:
		c.escaped(b)
	case b == '\\':
		c.escape = make([]byte, 0, 5)
	case b == '"':
		if c.half {
			c.err = errNotText
		}
		c.close()
	}
	c.out.WriteByte(b)
}

// outside handles a byte between strings. A string behind a colon is the value of a field; any other is an item of an
// array or, short as those are, a field's name.
func (c *clipper) outside(b byte) {
	switch b {
	case ' ', '\t', '\r', '\n':
		return
	case '{', '[':
		c.open = append(c.open, b)
	case '}', ']':
		c.open = c.open[:max(len(c.open)-1, 0)]
	case '"':
		c.inside, c.whole, c.length, c.item = true, c.last == ':', 0, nil
		if len(c.open) > 0 && c.open[len(c.open)-1] == '[' {
			c.item = &inline{}
		}
	}
	c.last = b
}

// escaped handles a byte of an escape sequence. The check of an item gets the decoded character: encoders may write
// "\/" and "\u002b".
func (c *clipper) escaped(b byte) {
	c.escape = append(c.escape, b)
	if c.escape[0] == 'u' && len(c.escape) < 5 {
		return
	}
	if c.item != nil {
		c.item.write([]byte{unescape(c.escape)})
	}
	c.checkPair()
	c.escape = nil
}

// checkPair notes an escape that is half a surrogate pair without its other half beside it.
func (c *clipper) checkPair() {
	code, err := strconv.ParseUint(string(c.escape[1:]), 16, 16)
	second := err == nil && code >= 0xdc00 && code < 0xe000
	if c.half != second {
		c.err = errNotText
	}
	c.half = err == nil && code >= 0xd800 && code < 0xdc00
}

// unescape returns the character of an escape sequence, 0 for those that no data URI contains.
func unescape(sequence []byte) byte {
	if sequence[0] == '/' {
		return '/'
	}
	code, err := strconv.ParseUint(string(sequence[1:]), 16, 7)
	if err != nil {
		return 0
	}
	return byte(code)
}

// close ends a string.
func (c *clipper) close() {
	c.inside = false
	if c.item != nil {
		c.out.WriteString(c.item.verdict())
	}
}
