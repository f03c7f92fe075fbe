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

func isWholeMP4(t *testing.T, text string) bool {
	t.Helper()
	var whole wholefile.MP4
	whole.Feed([]byte(text))
	for _, size := range pieceSizes {
		var m wholefile.MP4
		feed(m.Feed, text, size)
		require.Equal(t, whole.Whole(), m.Whole(), "in pieces of %d bytes", size)
	}
	return whole.Whole()
}

func isWholeStill(t *testing.T, text string) bool {
	t.Helper()
	var whole wholefile.Still
	whole.Feed([]byte(text))
	for _, size := range pieceSizes {
		var s wholefile.Still
		feed(s.Feed, text, size)
		require.Equal(t, whole.Whole(), s.Whole(), "in pieces of %d bytes", size)
	}
	return whole.Whole()
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

		"without media":              {box("ftyp", "") + box("moov", "m"), false},
		"without an index":           {box("ftyp", "") + box("mdat", "media"), false},
		"index to the end, no media": {box("ftyp", "") + "\x00\x00\x00\x00moovm", false},
		"seven zeros behind the end": {testkit.MP4File + strings.Repeat("\x00", 7), false},
		"a box that has no content":  {testkit.MP4File + "\x00\x00\x00\x09free", false},
		"cut in a 64-bit size":       {testkit.MP4File + "\x00\x00\x00\x01free\x00", false},

		"empty":                   {"", true},
		"plain text":              {testkit.PlainFile, true},
		"short":                   {"ftyp", true},
		"boxes, not of an MP4":    {box("free", "") + box("ftyp", "") + box("moov", "m"), true},
		"boxes of an MP4 in text": {"12345678" + testkit.MP4File[:600], true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.whole, isWholeMP4(t, tt.content))
		})
	}
}

// TestMP4_EveryCutIsNoticed: also one between two boxes, or in the header of one, but for the first header, by which an
// MP4 is recognized.
func TestMP4_EveryCutIsNoticed(t *testing.T) {
	t.Parallel()
	box, large := testkit.MP4Box, testkit.MP4LargeBox
	for content, header := range map[string]int{
		box("ftyp", "isom0000") + box("moov", "mm") + box("free", "") + large("mdat", "media"): 8,
		large("ftyp", "isom") + large("mdat", "media") + box("moov", "mm"):                     16,
	} {
		for n := range content {
			assert.Equal(t, n < header, isWholeMP4(t, content[:n]), "%d bytes", n)
		}
		assert.True(t, isWholeMP4(t, content))
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
		assert.False(t, isWholeMP4(t, file(size)), "%x", size)
	}
	assert.True(t, isWholeMP4(t, file(15)), "a box that reads as the last one")
	assert.True(t, isWholeMP4(t, testkit.MP4Box("ftyp", "")+testkit.MP4Box("moov", "m")+"\x00\x00\x00\x01mdat"+string(binary.BigEndian.AppendUint64(nil, 16))))
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
				assert.Equal(t, n < map[string]int{"jpeg": 3, "png": 8, "webp": 12}[name], isWholeStill(t, still[:n]), "%d bytes", n)
			}
			assert.True(t, isWholeStill(t, still))
			assert.Equal(t, name == "webp", isWholeStill(t, still+"\x00"), "only a WebP states its length")
			assert.Equal(t, name == "webp", isWholeStill(t, still+strings.Repeat("\x00", 12)))
		})
	}
}

func TestStill_OtherFormatsAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, still := range []string{
		"", "GIF89a, whatever follows", "RIFF\xff\xff\xff\xffAVI and so on", "\xff\xd8 and no marker", "\x89PNG\r\n\x1a and no more",
		testkit.MP4Box("ftyp", "avif") + testkit.MP4Box("meta", "m"),
	} {
		assert.True(t, isWholeStill(t, still), "%q", still)
	}
}

func TestStill_TrailersOfOthersDoNotCount(t *testing.T) {
	t.Parallel()
	jpegEnd, pngEnd := "\xff\xd9", "IEND\xaeB`\x82"
	assert.False(t, isWholeStill(t, "\xff\xd8\xff, and then"+pngEnd))
	assert.False(t, isWholeStill(t, "\x89PNG\r\n\x1a\n, and then"+jpegEnd))
	assert.True(t, isWholeStill(t, "\xff\xd8\xff, and then"+jpegEnd))
	assert.True(t, isWholeStill(t, "\x89PNG\r\n\x1a\n, and then"+pngEnd))
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
