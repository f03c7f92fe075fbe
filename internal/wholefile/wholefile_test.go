package wholefile_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/internal/wholefile"
)

// feed calls a Feed with text in pieces of size bytes.
func feed(to func([]byte), text string, size int) {
	for ; len(text) > size; text = text[size:] {
		to([]byte(text[:size]))
	}
	to([]byte(text))
}

// pieceSizes are ways to cut a file into pieces.
var pieceSizes = []int{1, 2, 3, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17, 1000, math.MaxInt}

// verdicts returns what File says of text, in pieces of any size.
func verdicts(t *testing.T, text string) (whole, cut bool) {
	t.Helper()
	var all wholefile.File
	all.Feed([]byte(text))
	for _, size := range pieceSizes {
		var f wholefile.File
		feed(f.Feed, text, size)
		require.Equal(t, all.Whole(), f.Whole(), "in pieces of %d bytes", size)
		require.Equal(t, all.Cut(), f.Cut(), "in pieces of %d bytes", size)
	}
	return all.Whole(), all.Cut()
}

func isWhole(t *testing.T, text string) bool {
	t.Helper()
	whole, _ := verdicts(t, text)
	return whole
}

func TestMP4_Whole(t *testing.T) {
	t.Parallel()
	box, large := testkit.MP4Box, testkit.MP4LargeBox
	for name, tt := range map[string]struct {
		content string
		whole   bool
	}{
		"index before media":      {testkit.MP4File, true},
		"media before index":      {box("ftyp", "") + box("mdat", "media") + box("moov", "m"), true},
		"64-bit sizes":            {large("ftyp", "isom") + large("mdat", "media") + large("moov", "m"), true},
		"media to the end":        {box("ftyp", "") + box("moov", "m") + "\x00\x00\x00\x00mdat" + "media", true},
		"fragments":               {box("ftyp", "") + box("moov", "m") + box("moof", "x") + box("mdat", "y") + box("moof", "x") + box("mdat", "y"), true},
		"zeros behind the end":    {testkit.MP4File + strings.Repeat("\x00", 9), true},
		"an impossible box there": {testkit.MP4File + "\x00\x00\x00\x07junkjunk", true},
		"empty boxes":             {box("ftyp", "") + box("moov", "") + box("mdat", ""), true},

		"a movie before ftyp existed":    {box("wide", "") + box("mdat", "media") + box("moov", "m"), true},
		"a movie that begins with media": {"\x7f\x00\x00\x00mdat", false},
		"a movie without its index":      {box("free", "") + box("mdat", "media"), false},
		"boxes of another format":        {box("jP  ", "\r\n\x87\n") + box("ftyp", "jp2 "), true},
		"a fragment without its media":   {testkit.MP4File + box("moof", "x"), false},
		"a fragment and an index":        {testkit.MP4File + box("moof", "x") + box("free", ""), false},

		"without media":              {box("ftyp", "") + box("moov", "m"), false},
		"without an index":           {box("ftyp", "") + box("mdat", "media"), false},
		"index to the end, no media": {box("ftyp", "") + "\x00\x00\x00\x00moovm", false},
		"seven zeros behind the end": {testkit.MP4File + strings.Repeat("\x00", 7), false},
		"a box that has no content":  {testkit.MP4File + "\x00\x00\x00\x09free", false},
		"cut in a 64-bit size":       {testkit.MP4File + "\x00\x00\x00\x01free\x00", false},

		"empty":                   {"", true},
		"plain text":              {testkit.PlainFile, true},
		"short":                   {"ftyp", true},
		"boxes of an MP4 in text": {"12345678" + testkit.MP4File[:600], true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, cut := verdicts(t, tt.content)
			assert.Equal(t, tt.whole, whole)
			assert.False(t, whole && cut)
		})
	}
}

// TestMP4_EveryCutIsNoticed: also one between two boxes, or in the header of one, but for the first header, by which
// an MP4 is recognized.
func TestMP4_EveryCutIsNoticed(t *testing.T) {
	t.Parallel()
	box, large := testkit.MP4Box, testkit.MP4LargeBox
	for _, content := range []string{
		box("ftyp", "isom0000") + box("moov", "mm") + box("free", "") + large("mdat", "media"),
		large("ftyp", "isom") + large("mdat", "media") + box("moov", "mm"),
		large("mdat", "media") + box("moov", "mm"),
	} {
		for n := range content {
			whole, cut := verdicts(t, content[:n])
			assert.Equal(t, n < 8, whole, "%d bytes", n)
			assert.NotEqual(t, whole, cut, "%d bytes", n)
		}
		assert.True(t, isWhole(t, content))
	}
}

// TestMP4_ImpossibleSize: 64 bits can state a size that no file has, and one that is smaller than its own header.
func TestMP4_ImpossibleSize(t *testing.T) {
	t.Parallel()
	file := func(size uint64) string {
		return testkit.MP4Box("ftyp", "") + testkit.MP4Box("moov", "m") +
			"\x00\x00\x00\x01mdat" + string(binary.BigEndian.AppendUint64(nil, size)) + testkit.PlainFile
	}
	for _, size := range []uint64{math.MaxUint64, math.MaxInt64 + 1, math.MaxInt64, math.MaxInt64 + 17, 1 << 32} {
		assert.False(t, isWhole(t, file(size)), "%x", size)
	}
	assert.True(t, isWhole(t, file(15)), "a box that reads as the last one")
	assert.True(t, isWhole(t, testkit.MP4Box("ftyp", "")+testkit.MP4Box("moov", "m")+"\x00\x00\x00\x01mdat"+string(binary.BigEndian.AppendUint64(nil, 16))))
}

// TestMP4_BytesBehindTheLastBox: somebody who states the length, or a checksum, says that they belong there, unless
// they are a box that was cut.
func TestMP4_BytesBehindTheLastBox(t *testing.T) {
	t.Parallel()
	moof, jpeg := testkit.MP4LargeBox("moof", "fragment"), string(testkit.JPEG(t, 64, 64))
	for name, tt := range map[string]struct {
		behind string
		cut    bool
	}{
		"nothing":               {"", false},
		"a line end":            {"\r\n", false},
		"a byte":                {"\n", false},
		"zeros":                 {strings.Repeat("\x00", 100), false},
		"few zeros":             {"\x00\x00\x00", false},
		"a size":                {"\x00\x00\x00\x10", false},
		"a JPEG":                {jpeg, false},
		"a PNG":                 {string(testkit.PNG(t, 64, 64)), false},
		"JSON":                  {`{"message":"ok"}`, false},
		"words":                 {"the end of it", false},
		"an unknown box, cut":   {"\x00\x00\x10\x00junkjunk", false},
		"a box":                 {testkit.MP4Box("free", "xx"), false},
		"a box and a JPEG":      {testkit.MP4Box("free", "xx") + jpeg, false},
		"an unknown box, whole": {testkit.MP4Box("junk", "xx") + "\r\n", false},

		"a name that begins": {moof[:5], true},
		"half a name":        {moof[:6], true},
		"a name":             {moof[:8], true},
		"half a large size":  {moof[:12], true},
		"a large header":     {moof[:16], true},
		"half a box":         {moof[:20], true},
		"a small header":     {"\x00\x00\x00\x09free", true},
		"half media":         {testkit.MP4Box("mdat", "media")[:10], true},
		"behind another box": {testkit.MP4Box("junk", "xx") + moof[:9], true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, cut := verdicts(t, testkit.MP4File+tt.behind)
			assert.Equal(t, tt.cut, cut)
			for _, part := range []string{testkit.MP4Box("ftyp", "isom"), testkit.MP4Box("ftyp", "isom") + testkit.MP4Box("moov", "m")} {
				_, cut = verdicts(t, part+tt.behind)
				assert.True(t, cut, "no index or no media")
			}
		})
	}
}

// webmOf is a WebM whose segment states its length in size bytes; of 0 bytes, it does not state it.
func webmOf(size int, content string) string {
	stated := "\x01\xff\xff\xff\xff\xff\xff\xff"
	if size > 0 {
		stated = string(binary.BigEndian.AppendUint64(nil, uint64(len(content))|1<<(7*size))[8-size:])
	}
	return "\x1a\x45\xdf\xa3\x84\x42\x82\x81w\x18\x53\x80\x67" + stated + content
}

func TestWebM_EveryCutIsNoticed(t *testing.T) {
	t.Parallel()
	for _, size := range []int{2, 4, 8} {
		whole := webmOf(size, strings.Repeat("cluster!", 50))
		for n := 4; n < len(whole); n++ {
			assert.False(t, isWhole(t, whole[:n]), "%d bytes", n)
		}
		assert.True(t, isWhole(t, whole))
		assert.True(t, isWhole(t, whole+"\x00"))
	}
}

func TestWebM_LengthIsNotStated(t *testing.T) {
	t.Parallel()
	header := "\x1a\x45\xdf\xa3"
	for name, tt := range map[string]struct {
		content string
		whole   bool
	}{
		"a live stream":               {webmOf(0, "some clusters"), true},
		"a size of one byte":          {header + "\x80\x18\x53\x80\x67\x82xx", true},
		"a size of one byte, cut":     {header + "\x80\x18\x53\x80\x67\x82x", false},
		"unknown in one byte":         {header + "\x80\x18\x53\x80\x67\xff", true},
		"no such size":                {header + "\x00" + strings.Repeat("x", 200), true},
		"something between":           {header + "\x80\xec\x81x\x18\x53\x80\x67\x8ax", true},
		"something of four bytes":     {header + "\x80junk", true},
		"something of three bytes":    {header + "\x80jun", false},
		"a header of a gigabyte":      {header + "\x10\x40\x00\x00\x00" + strings.Repeat("x", 200), true},
		"a long header":               {header + "\x10\x40\x00\x00\x00" + strings.Repeat("x", 128-9), true},
		"a long header, cut":          {header + "\x10\x40\x00\x00\x00" + strings.Repeat("x", 127-9), false},
		"an empty segment":            {header + "\x80\x18\x53\x80\x67\x80", false},
		"a header as long as is kept": {header + "\xf7" + strings.Repeat("x", 119) + "\x18\x53\x80\x67\x81x", true},
		"a size that is kept in part": {header + "\xf3" + strings.Repeat("x", 115) + "\x18\x53\x80\x67\x08\x00\x00\x00\xff", true},
		"a size behind what is kept":  {header + "\xf3" + strings.Repeat("x", 115) + "\x18\x53\x80\x67\x10\x00\x00\x00\xff", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, cut := verdicts(t, tt.content)
			assert.Equal(t, tt.whole, whole)
			assert.False(t, cut, "only an MP4 is")
		})
	}
}

// TestStill_InAnMP4sContainer: such an image has no moov, and is taken as it comes.
func TestStill_InAnMP4sContainer(t *testing.T) {
	t.Parallel()
	box := testkit.MP4Box
	for _, brands := range []string{"avif\x00\x00\x00\x00", "heic", "mif1", "MA1B\x00\x00\x00\x00mif1miaf"} {
		still := box("ftyp", brands) + box("meta", "m") + box("mdat", testkit.PlainFile)
		for n := 12 + len(brands) - 4; n < len(still); n += 100 {
			whole, cut := verdicts(t, still[:n])
			assert.True(t, whole, "%q, %d bytes", brands, n)
			assert.False(t, cut)
		}
	}
	for _, film := range []string{
		box("ftyp", "isom\x00\x00\x00\x00") + box("avif", "avif"), box("ftyp", "isomxmif1"), box("ftyp", "isom") + "avif", "\x00\x00\x00\x08ftypisommif1",
		box("free", "avif"),
	} {
		whole, cut := verdicts(t, film+box("mdat", "avif"))
		assert.False(t, whole, "%q", film)
		assert.True(t, cut)
	}
}

// webp is an image that states its own length.
func webp(content string) string {
	return "RIFF" + string(binary.LittleEndian.AppendUint32(nil, uint32(4+len(content)))) + "WEBP" + content
}

func stills(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"jpeg": string(testkit.JPEG(t, 64, 64)), "png": string(testkit.PNG(t, 64, 64)), "webp": webp(strings.Repeat("VP8 data", 9)),
	}
}

func TestStill_EveryCutIsNoticed(t *testing.T) {
	t.Parallel()
	for name, still := range stills(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := range still {
				assert.Equal(t, n < map[string]int{"jpeg": 3, "png": 8, "webp": 12}[name], isWhole(t, still[:n]), "%d bytes", n)
			}
			assert.True(t, isWhole(t, still))
			assert.Equal(t, name == "webp", isWhole(t, still+"\x00"), "only a WebP states its length")
			assert.Equal(t, name == "webp", isWhole(t, still+strings.Repeat("\x00", 12)))
		})
	}
}

func TestStill_OtherFormatsAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, still := range []string{
		"", "GIF89a, whatever follows", "RIFF\xff\xff\xff\xffAVI and so on", "\xff\xd8 and no marker", "\x89PNG\r\n\x1a and no more",
		testkit.MP4Box("ftyp", "avif") + testkit.MP4Box("meta", "m"),
	} {
		assert.True(t, isWhole(t, still), "%q", still)
	}
}

func TestStill_TrailersOfOthersDoNotCount(t *testing.T) {
	t.Parallel()
	jpegEnd, pngEnd := "\xff\xd9", "IEND\xaeB`\x82"
	assert.False(t, isWhole(t, "\xff\xd8\xff, and then"+pngEnd))
	assert.False(t, isWhole(t, "\x89PNG\r\n\x1a\n, and then"+jpegEnd))
	assert.True(t, isWhole(t, "\xff\xd8\xff, and then"+jpegEnd))
	assert.True(t, isWhole(t, "\x89PNG\r\n\x1a\n, and then"+pngEnd))
}

// promised returns the checksum that headers promise, fed with text.
func promised(text string, header ...string) *wholefile.Checksum {
	h := http.Header{}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	sum := wholefile.Promised(h)
	feed(sum.Feed, text, 1000)
	return &sum
}

func TestChecksum(t *testing.T) {
	t.Parallel()
	in64 := base64.StdEncoding.EncodeToString
	crcOf := func(text string) string {
		return strconv.FormatUint(crc64.Checksum([]byte(text), crc64.MakeTable(crc64.ECMA)), 10)
	}
	sha256Of := func(text string) string { sum := sha256.Sum256([]byte(text)); return in64(sum[:]) }
	md5Of := func(text string) string { sum := md5.Sum([]byte(text)); return in64(sum[:]) }
	for name, header := range map[string]func(text string) string{
		"x-oss-hash-crc64ecma":  crcOf,
		"x-cos-hash-crc64ecma":  crcOf,
		"x-tos-hash-crc64ecma":  crcOf,
		"x-amz-checksum-sha256": sha256Of,
		"Repr-Digest":           func(text string) string { return "sha-512=:AA==:, sha-256=:" + sha256Of(text) + ":" },
		"Content-Digest":        func(text string) string { return "sha-256=:" + sha256Of(text) + ":" },
		"Content-MD5":           md5Of,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, text := range []string{"", testkit.PlainFile} {
				sum := promised(text, name+": "+header(text))
				assert.Equal(t, name, sum.Name)
				assert.True(t, sum.Match())
				assert.True(t, sum.Match(), "asking changes nothing")
				sum.Feed([]byte("x"))
				assert.False(t, sum.Match())
			}
		})
	}
}

func TestChecksum_NonsenseIsNoPromise(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256(nil)
	for _, header := range []string{
		"Content-Length: 1", "x-oss-hash-crc64ecma: ?", "x-oss-hash-crc64ecma: -1", "x-oss-hash-crc64ecma: 18446744073709551616",
		"Repr-Digest: sha-512=:AA==:", "Repr-Digest: sha-256=:!!:, sha-256", "Repr-Digest: sha-256=:AA==:", "Content-MD5: AA==", "Content-MD5: !",
		"x-amz-checksum-sha256: " + base64.StdEncoding.EncodeToString(sum[:]) + "-2", // of the parts' checksums
	} {
		sum := promised(testkit.PlainFile, header)
		assert.Empty(t, sum.Name, header)
		assert.True(t, sum.Match(), header)
	}
}

// TestChecksum_FirstThatCanBeComputed: what cannot be read does not hide what can.
func TestChecksum_FirstThatCanBeComputed(t *testing.T) {
	t.Parallel()
	crc := fmt.Sprintf("x-cos-hash-crc64ecma: %d", crc64.Checksum([]byte("x"), crc64.MakeTable(crc64.ECMA)))
	sum := promised("x", "Content-MD5: nonsense", "x-oss-hash-crc64ecma: nonsense", crc)
	assert.Equal(t, "x-cos-hash-crc64ecma", sum.Name)
	assert.True(t, sum.Match())
}
