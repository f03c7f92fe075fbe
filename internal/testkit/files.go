package testkit

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// PNG returns a gray picture.
func PNG(tb testing.TB, width, height int) []byte {
	tb.Helper()
	var file bytes.Buffer
	require.NoError(tb, png.Encode(&file, image.NewGray(image.Rect(0, 0, width, height))))
	return file.Bytes()
}

// JPEG returns a gray picture.
func JPEG(tb testing.TB, width, height int) []byte {
	tb.Helper()
	var file bytes.Buffer
	require.NoError(tb, jpeg.Encode(&file, image.NewGray(image.Rect(0, 0, width, height)), nil))
	return file.Bytes()
}

// PNGHeader returns a PNG that claims dimensions for which it has no pixels.
func PNGHeader(tb testing.TB, width, height uint32) []byte {
	tb.Helper()
	return PNGWith(tb, func(ihdr []byte) {
		binary.BigEndian.PutUint32(ihdr, width)
		binary.BigEndian.PutUint32(ihdr[4:], height)
	})
}

// PNGWith returns a PNG of 128×128 pixels whose IHDR was edited: width, height, depth, color, compression.
func PNGWith(tb testing.TB, edit func(ihdr []byte)) []byte {
	tb.Helper()
	file := PNG(tb, 128, 128)
	edit(file[16:29])
	binary.BigEndian.PutUint32(file[29:], crc32.ChecksumIEEE(file[12:29]))
	return file
}

// JPEGWith returns a JPEG of 128×128 pixels whose SOF0 was edited: marker, length, precision, height, width.
func JPEGWith(tb testing.TB, edit func(sof []byte)) []byte {
	tb.Helper()
	file := JPEG(tb, 128, 128)
	sof := bytes.Index(file, []byte{0xff, 0xc0})
	require.Positive(tb, sof)
	edit(file[sof:])
	return file
}

// JPEGOf12Bits returns a kind of JPEG that Go cannot read, and others can.
func JPEGOf12Bits(tb testing.TB) []byte {
	tb.Helper()
	return JPEGWith(tb, func(sof []byte) { sof[1], sof[4] = 0xc1, 12 })
}

// EmptyJPEG returns a JPEG without pixels.
func EmptyJPEG(tb testing.TB) []byte {
	tb.Helper()
	return JPEGWith(tb, func(sof []byte) { clear(sof[5:9]) })
}

// Padded returns file with noise behind its end, which readers of images ignore, size bytes in all.
func Padded(file []byte, size int) []byte {
	noise := make([]byte, size-len(file))
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // never fails
	return append(slices.Clone(file), noise...)
}

// DataURI returns data as a base64 data URI.
func DataURI(contentType string, data []byte) string {
	return "data:" + contentType + ";base64," + base64.StdEncoding.EncodeToString(data)
}

// FtypBox returns the first box of an ISO media file of the brand.
func FtypBox(brand string) []byte {
	return []byte("\x00\x00\x00\x18ftyp" + brand + "\x00\x00\x00\x00mp42isom")
}

// WriteFile writes a file into a fresh directory and returns its path.
func WriteFile(tb testing.TB, name string, data []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	require.NoError(tb, os.WriteFile(path, data, 0o600))
	return path
}

// ReadTestdata returns a file of the package's testdata.
func ReadTestdata(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(tb, err)
	return data
}

// BigPNG returns a picture of 256×256 pixels that is padded with zeros to size bytes.
func BigPNG(tb testing.TB, size int) []byte {
	tb.Helper()
	var b bytes.Buffer
	require.NoError(tb, png.Encode(&b, image.NewGray(image.Rect(0, 0, 256, 256))))
	return append(b.Bytes(), make([]byte, size-b.Len())...)
}

// Files to download.
var (
	// PlainFile is of no known format, and no text.
	PlainFile = "\x00" + strings.Repeat("0123456789abcdef", 1<<10)[1:]
	// MP4File is one: ftyp, moov, free, mdat.
	MP4File = MP4Box("ftyp", "isom0000") + MP4Box("moov", strings.Repeat("m", 500)) + MP4Box("free", "") + MP4Box("mdat", PlainFile)
)

// MP4Box returns a box with a size of 32 bits.
func MP4Box(name, content string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(8+len(content)))) + name + content
}

// MP4LargeBox returns a box with a size of 64 bits.
func MP4LargeBox(name, content string) string {
	size := binary.BigEndian.AppendUint64(nil, uint64(16+len(content)))
	return "\x00\x00\x00\x01" + name + string(size) + content
}

// WriteOldFile writes a file to where a download will be. It may be called from a server's goroutine.
func WriteOldFile(tb testing.TB, path, content string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Error(err)
	}
}

// ChangingFS is a file system whose file changes: each Stat and Open together get the next one of Files, and in the end
// the last one.
type ChangingFS struct {
	Files  []*fstest.MapFile
	opened int
}

// Open implements [fs.FS].
func (c *ChangingFS) Open(name string) (fs.File, error) {
	file := c.Files[min(c.opened/2, len(c.Files)-1)]
	c.opened++
	return fstest.MapFS{name: file}.Open(name)
}
