package wholefile_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"

	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/internal/wholefile"
)

// sniff looks at the beginning of text, as a download does.
func sniff(text string) (media bool, message string) {
	return wholefile.Sniff([]byte(text[:min(len(text), wholefile.HeadSize)]))
}

func TestSniff_Media(t *testing.T) {
	t.Parallel()
	packet := func(size, skip int) string {
		return strings.Repeat(strings.Repeat("\x00", skip)+"G"+strings.Repeat("\x00", size-skip-1), 3)
	}
	for name, head := range map[string]string{
		"MP4":                         testkit.MP4File,
		"MP4, fragmented":             testkit.MP4Box("ftyp", "iso5dash") + testkit.MP4Box("moov", "m"),
		"MP4, a large first box":      testkit.MP4LargeBox("ftyp", "isom") + testkit.MP4Box("moov", "m"),
		"MP4, media first":            "\x00\x00\x00\x00mdat" + strings.Repeat("\x01", 100),
		"MP4, a gigabyte first":       "\x7f\x00\x00\x00mdat" + strings.Repeat("\x01", 100),
		"MOV":                         string(testkit.FtypBox("qt  ")),
		"MOV, before ftyp existed":    testkit.MP4Box("wide", "") + testkit.MP4Box("mdat", "x"),
		"AVIF":                        string(testkit.FtypBox("avif")),
		"WebM":                        webmOf(8, "data"),
		"GIF":                         "GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00",
		"transport stream":            packet(188, 0),
		"transport stream, time":      packet(192, 4),
		"program stream":              "\x00\x00\x01\xba\x44\x00\x04",
		"AVI":                         "RIFF\x24\x00\x00\x00AVI LIST",
		"Ogg":                         "OggS\x00\x02" + strings.Repeat("\x00", 20),
		"FLV":                         "FLV\x01\x05\x00\x00\x00\x09",
		"WMV":                         "\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa",
		"JPEG":                        string(testkit.JPEG(t, 64, 64)),
		"PNG":                         string(testkit.PNG(t, 64, 64)),
		"WebP":                        webp("VP8 \x00\x00"),
		"JPEG with words behind":      "\xff\xd8\xff\xe0\x00\x10JFIF\x00" + strings.Repeat("a comment ", 60),
		"MP4 with a page in its head": testkit.MP4Box("ftyp", "isom") + testkit.MP4Box("free", "<html>"+strings.Repeat("x", 500)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			media, message := sniff(head)
			assert.True(t, media)
			assert.Empty(t, message)
		})
	}
}

// TestSniff_Unknown: neither media nor a message.
func TestSniff_Unknown(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"empty":               "",
		"zeros":               strings.Repeat("\x00", 512),
		"unknown":             testkit.PlainFile,
		"half a signature":    "\x89PNG\r\n\x1a",
		"a riff of sounds":    "RIFF\x24\x00\x00\x00WAVEfmt ",
		"one packet":          "G\x00" + strings.Repeat("\xff", 200),
		"another box":         testkit.MP4Box("junk", "xx"),
		"box in a long one":   "\x01\x00\x00\x00ftypisom",
		"words, and a zero":   "The free tier has ended.\x00\x01",
		"surrogates alone":    strings.Repeat("\xd8\x00", 20),
		"half a pair at last": wide("Not ready", 2, binary.BigEndian) + "\xd8\x00\x00x",
		"surrogates reversed": strings.Repeat("\xdc\x00\xd8\x00", 20),
		"random":              "\x9c\x01\xfe\x12\x88\x1f\x00\x13\x00\x00\xd9\x99\x07\xaa",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			media, message := sniff(head)
			assert.False(t, media)
			assert.Empty(t, message)
		})
	}
}

// wide returns text in UTF-16 or, with 4 bytes a character, in UTF-32.
func wide(text string, width int, order binary.AppendByteOrder) string {
	var b []byte
	if width == 4 {
		for _, r := range text {
			b = order.AppendUint32(b, uint32(r))
		}
		return string(b)
	}
	for _, unit := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

// encodings are ways to write a text down.
var encodings = map[string]func(text string) string{
	"UTF-8":          func(text string) string { return text },
	"UTF-8, mark":    func(text string) string { return "\uFEFF" + text },
	"UTF-16LE":       func(text string) string { return wide(text, 2, binary.LittleEndian) },
	"UTF-16BE":       func(text string) string { return wide(text, 2, binary.BigEndian) },
	"UTF-16LE, mark": func(text string) string { return wide("\uFEFF"+text, 2, binary.LittleEndian) },
	"UTF-16BE, mark": func(text string) string { return wide("\uFEFF"+text, 2, binary.BigEndian) },
	"UTF-32LE":       func(text string) string { return wide(text, 4, binary.LittleEndian) },
	"UTF-32BE, mark": func(text string) string { return wide("\uFEFF"+text, 4, binary.BigEndian) },
}

func TestSniff_Messages(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("视频尚未生成。Please wait 😀 ", 60) // pairs of surrogates, and cut anywhere
	for text, want := range map[string]string{
		"<!DOCTYPE html><html><head>":                  "a web page",
		"\r\n\t <HTML lang=en>":                        "a web page",
		"<!-- " + strings.Repeat("x", 600):             "XML",
		"<!doctype HTML>" + long:                       "a web page",
		"<h1>Login</h1>":                               "XML",
		"<?xml version='1.0'?><Error><Code>NoSuchKey":  "XML",
		"<?xml version='1.0'?><MPD type=\"static\">":   "a DASH manifest",
		"<?xml version='1.0'?>\n<!-- a --><svg xmlns=": "an SVG image",
		"<svg width='1'>":                              "an SVG image",
		"#EXTM3U\n#EXT-X-VERSION:3\n":                  "an HLS playlist",
		`{"code":"video_not_ready"}`:                   "JSON",
		" \n[{\"error\":1}]":                           "JSON",
		"{ }":                                          "JSON",
		"Not found":                                    "text",
		"OK":                                           "text",
		"The free tier has ended.":                     "text",
		"The ftyp box is missing.":                     "text",
		"0000mdat and so on, which is no movie":        "text",
		"GIF89a is the name of a format":               "text",
		"GET /v.mp4 HTTP/1.1\r\n\r\n" + long:           "text",
		"\x1b[31mred\x1b[0m":                           "text",
		long:                                           "text",
		strings.Repeat(" \r\n", 200) + "<html>":        "text",
		"<html>" + long:                                "a web page",
	} {
		for name, encode := range encodings {
			media, message := sniff(encode(text))
			assert.False(t, media)
			assert.Equal(t, want, message, "%s: %.40q", name, text)
		}
	}
}

// TestSniff_WordsWithoutASCII: nearly any two bytes are a character of UTF-16, also those of a film.
func TestSniff_WordsWithoutASCII(t *testing.T) {
	t.Parallel()
	for name, encode := range encodings {
		for _, text := range []string{"一个视频正在生成", "登录超时，请重新登录。", "请等待、再试一次！", "動画の準備ができていません", "동영상이준비되지않았습니다", "Видео ещё не готово"} {
			_, message := sniff(encode(text))
			assert.Equal(t, "text", message, "%s: %s", name, text)
		}
	}
	for _, film := range []string{
		"\x00few bytes", "\x00welve bytes", "\x00film", "\x00" + strings.Repeat("film", 200), "\x01" + strings.Repeat("film", 200), "\x00" + strings.Repeat("0123456789abcdef", 40),
		"\x00\x01" + strings.Repeat("一個影片", 100), wide(strings.Repeat("ĀŁ", 100), 2, binary.BigEndian),
	} {
		_, message := sniff(film)
		assert.Empty(t, message, "%.20q", film)
	}
}

// TestSniff_BytesOfMessages have encodings that are no Unicode, or bytes that no text has.
func TestSniff_BytesOfMessages(t *testing.T) {
	t.Parallel()
	gbk := strings.Repeat("\xca\xd3\xc6\xb5\xc9\xd0\xce\xb4\xc9\xfa\xb3\xc9\xa1\xa3", 60)
	for head, want := range map[string]string{
		gbk:                                "text",
		"x" + gbk:                          "text",
		"<html><body>" + gbk:               "a web page",
		`{"msg":"` + gbk + `"}`:            "JSON",
		"Pas trouv\xe9":                    "text",
		"\x1b$B%S%G%*\x1b(B":               "text", // ISO-2022-JP
		"Not found\x00":                    "text", // as C has it
		"<html>\x00\x01\x02":               "a web page",
		"\xef\xbb\xbf <!DOCTYPE HTML>\x01": "a web page",
		"<?xml version='1.0'?>\x00\x01":    "XML",
		"<!-- \x01":                        "XML",
		"{\"a\":\"\x01\"}":                 "JSON",
		"[{\"a\":\"\x01\"}]":               "JSON",
		"\x1f\x8b\x08\x00\x00\x00":         "gzip data",
		"\x28\xb5\x2f\xfd\x04\x00":         "zstd data",
		"10000;chunk-signature=0a1b2c\r\n" + testkit.MP4File: "a chunked body",
		"2000\r\n" + testkit.MP4File:                         "a chunked body",
		wide("<html>登录", 2, binary.LittleEndian)[:11]:        "a web page", // cut in a unit
		wide("x😀", 2, binary.BigEndian)[:4]:                  "text",       // cut in a pair
	} {
		media, message := sniff(head)
		assert.False(t, media)
		assert.Equal(t, want, message, "%.40q", head)
	}
}
