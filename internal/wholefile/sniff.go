package wholefile

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// HeadSize is how many bytes of a file [Sniff] looks at.
const HeadSize = 512

// Sniff judges a file by its first HeadSize bytes, or by all of it when it is shorter; a part of that may mislead.
// media means a known format of videos or images. message names what is never a file to keep: "a web page", "JSON",
// "text", compressed data. Of formats that are not known neither is returned.
func Sniff(head []byte) (media bool, message string) {
	if !isNarrow(head) && isMedia(head) {
		return true, ""
	}
	if name := nameOfText(head); name != "" {
		return false, name
	}
	for _, w := range wrapped {
		if match(w.begin, head) {
			return false, w.name
		}
	}
	if chunk.Match(head) {
		return false, "a chunked body"
	}
	return false, ""
}

// isMedia reports whether head begins like a known format. Words may do so, too.
func isMedia(head []byte) bool {
	return len(head) >= 8 && beginsLikeMP4(head) ||
		slices.ContainsFunc(signatures, func(pattern string) bool { return match(pattern, head) })
}

// signatures are what files of known formats begin with; "?" is any byte. MP4 and MOV are told by their boxes.
var signatures = []string{
	"\xff\xd8\xff",                     // JPEG
	"\x89PNG\r\n\x1a\n",                // PNG
	"RIFF????WEBP",                     // WebP
	"RIFF????AVI ",                     // AVI
	"GIF87a",                           // GIF
	"GIF89a",                           //
	webm,                               // WebM and MKV
	"OggS\x00",                         // Ogg
	"FLV\x01",                          // FLV
	packets(188, 0),                    // MPEG transport stream
	packets(192, 4),                    // the same with a time stamp before each packet
	"\x00\x00\x01\xba",                 // MPEG program stream
	"\x30\x26\xb2\x75\x8e\x66\xcf\x11", // WMV
}

// wrapped are encodings that were not asked for, and that hide what is inside.
var wrapped = []struct{ begin, name string }{{"\x1f\x8b", "gzip data"}, {"\x28\xb5\x2f\xfd", "zstd data"}}

// chunk matches the size before a chunk, also before a signed one of aws-chunked.
var chunk = regexp.MustCompile(`^[0-9a-fA-F]{1,8}(;[ -~]*)?\r\n`)

// packets is the pattern of two packets of a transport stream, each of which begins with "G" behind skip bytes.
func packets(size, skip int) string {
	gap := strings.Repeat("?", size-1)
	return gap[:skip] + "G" + gap + "G"
}

// match reports whether head begins with pattern.
func match(pattern string, head []byte) bool {
	if len(head) < len(pattern) {
		return false
	}
	for i := range len(pattern) {
		if pattern[i] != '?' && pattern[i] != head[i] {
			return false
		}
	}
	return true
}

// texts are names of texts, by what they contain, in lower case, the most specific first. Those that begin with it are
// texts whatever follows.
var texts = []struct{ part, name string }{
	{"#extm3u", "an HLS playlist"},
	{"<mpd", "a DASH manifest"},
	{"<!doctype html", "a web page"},
	{"<html", "a web page"},
	{"<svg", "an SVG image"},
	{"<?xml", "XML"},
	{"<!--", "XML"},
}

// json matches the beginning of JSON.
var json = regexp.MustCompile(`^[\[{][\s\[{]*["\]}]`)

// nameOfText says what head is if it is text, in any encoding, or begins like a text of a kind. It is "" otherwise.
func nameOfText(head []byte) string {
	words := isNarrow(head) || isWide(head, 2, binary.LittleEndian) || isWide(head, 2, binary.BigEndian) ||
		isWide(head, 4, binary.LittleEndian) || isWide(head, 4, binary.BigEndian)
	for _, mark := range []string{"\xef\xbb\xbf", "\xff\xfe", "\x00\x00\xfe\xff", "\xfe\xff"} {
		head = bytes.TrimPrefix(head, []byte(mark))
	}
	head = bytes.TrimLeft(head, "\x00 \t\r\n\v\f")
	if !words && (len(head) == 0 || !strings.Contains("<{[#", string(head[:1]))) {
		return ""
	}
	begin := strings.ToLower(string(bytes.ReplaceAll(head, []byte{0}, nil))) // without the zeros of UTF-16
	for _, t := range texts {
		if strings.HasPrefix(begin, t.part) || words && strings.Contains(begin, t.part) {
			return t.name
		}
	}
	switch {
	case json.MatchString(begin):
		return "JSON"
	case !words:
		return ""
	case strings.HasPrefix(begin, "<"):
		return "XML"
	}
	return "text"
}

// isNarrow reports whether head is text in one of the encodings that leave control characters alone: UTF-8, GBK, Shift
// JIS, Latin-1 and so on. C ends a text with zeros.
func isNarrow(head []byte) bool {
	text := bytes.TrimRight(head, "\x00")
	return len(text) > 0 && !slices.ContainsFunc(text, isControl[byte])
}

// isControl reports whether no text has c. Escape changes the alphabet in ISO 2022.
func isControl[T byte | rune](c T) bool {
	return c < ' ' && !strings.ContainsRune("\b\t\n\v\f\r\x1b", rune(c))
}

// characters are the categories of what stands in texts.
var characters = []*unicode.RangeTable{unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cf}

// eastAsian are the scripts that do without spaces.
var eastAsian = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, {R16: []unicode.Range16{
	{Lo: 0x3000, Hi: 0x303f, Stride: 1}, {Lo: 0xff00, Hi: 0xffef, Stride: 1}, // punctuation
}}}

// isWide reports whether head is text in units of 2 or 4 bytes. Nearly any pair of bytes is a character of some
// script, so more must speak for it: a byte order mark, some ASCII, such as spaces, or nothing but East
// Asian characters whose bytes are not those of ASCII. The last character may be cut.
func isWide(head []byte, width int, order binary.ByteOrder) bool {
	n, ascii, eastern, high, marked := 0, 0, 0, 0, false
	for ; len(head) >= width; n++ {
		c := rune(order.Uint16(head))
		if width == 4 {
			c = rune(order.Uint32(head)) //nolint:gosec // what is too large becomes negative, which is no character
		}
		head = head[width:]
		if width == 2 && utf16.IsSurrogate(c) {
			if len(head) < width {
				break // cut in a pair
			}
			c, head = utf16.DecodeRune(c, rune(order.Uint16(head))), head[width:]
		}
		switch {
		case c < ' ' && isControl(c), c == unicode.ReplacementChar, c >= ' ' && !unicode.In(c, characters...):
			return false
		case c < utf8.RuneSelf:
			ascii++
		case n == 0 && c == '\uFEFF':
			marked = true
		case unicode.In(c, eastAsian...):
			eastern++
		}
		if c&0x80 != 0 || c&0x8000 != 0 {
			high++
		}
	}
	return marked || n > 0 && (ascii > 1 && 8*ascii >= n || ascii+eastern == n && 8*high >= n)
}
