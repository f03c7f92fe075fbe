package vidutest

import "io"

// clipLimit is how many bytes of a string in a JSON array get past a clipper: more than any link has, far less than an
// inline image.
const clipLimit = 4 << 10

// clipper passes on a JSON text in which the long strings of arrays, that is the inline images, are cut short. A create
// of 14 MB is so decoded within kilobytes, and the rest of the package need not know that images can be large.
//
// It drops nothing but plain characters, so whatever makes a text wrong as JSON, be it a bad escape or a control
// character, still reaches the decoder.
type clipper struct {
	src io.Reader

	last   byte // outside strings: the last byte that is not white space
	inside bool // within a string
	whole  bool // this string is the value of a field and is not cut
	escape int  // bytes left of the escape sequence under way
	length int  // plain characters of this string so far, in bytes
}

// Read implements [io.Reader].
func (c *clipper) Read(p []byte) (int, error) {
	for {
		n, err := c.src.Read(p)
		kept := c.clip(p[:n])
		if kept > 0 || n == 0 || err != nil {
			return kept, err
		}
	}
}

// clip moves what is kept of p to its front and returns how many bytes that is.
func (c *clipper) clip(p []byte) int {
	kept := 0
	for i := 0; i < len(p); i++ {
		if c.inside && c.escape == 0 && c.length >= clipLimit && !c.whole {
			i += plain(p[i:]) // nearly all of a large body goes here
			if i == len(p) {
				break
			}
		}
		c.note(p[i])
		p[kept] = p[i]
		kept++
	}
	return kept
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

// note takes note of a byte that is passed on.
func (c *clipper) note(b byte) {
	switch {
	case !c.inside:
		c.outside(b)
	case c.escape > 0:
		c.escape--
		if b == 'u' {
			c.escape = 4
		}
	case b == '\\':
		c.escape = 1
	case b == '"':
		c.inside = false
	default:
		c.length++
	}
}

// outside takes note of a byte between strings. A string behind a colon is the value of a field; any other is an item
// of an array or, short as those are, a field's name.
func (c *clipper) outside(b byte) {
	switch b {
	case ' ', '\t', '\r', '\n':
	case '"':
		c.inside, c.whole, c.length = true, c.last == ':', 0
		c.last = b
	default:
		c.last = b
	}
}
