package mediatype_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"regexp"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/mediatype"
	"github.com/vidu-go/vidu/internal/testkit"
)

// An image is recognized by its bytes, a video by its container.
func TestSniff(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		head string
		want string
	}{
		"png":             {string(testkit.PNG(t, 8, 8)), "image/png"},
		"jpeg":            {string(testkit.JPEG(t, 8, 8)), "image/jpeg"},
		"webp, lossy":     {string(testkit.ReadTestdata(t, "lossy.webp")), "image/webp"},
		"webp, lossless":  {string(testkit.ReadTestdata(t, "lossless.webp")), "image/webp"},
		"webp, extended":  {string(testkit.ReadTestdata(t, "extended.webp")), "image/webp"},
		"gif":             {"GIF89a\x80\x00\x80\x00", "image/gif"},
		"mp4, isom":       {string(testkit.FtypBox("isom")), "video/mp4"},
		"mp4, new brand":  {string(testkit.FtypBox("zzzz")), "video/mp4"},
		"mp4, long box":   {"\x00\x00\x01\x00ftypavc1", "video/mp4"},
		"mov":             {string(testkit.FtypBox("qt  ")), "video/quicktime"},
		"heic":            {string(testkit.FtypBox("heic")), "image/heic"},
		"heix":            {string(testkit.FtypBox("heix")), "image/heix"},
		"heim":            {string(testkit.FtypBox("heim")), "image/heim"},
		"heis":            {string(testkit.FtypBox("heis")), "image/heis"},
		"hevc":            {string(testkit.FtypBox("hevc")), "image/hevc"},
		"hevx":            {string(testkit.FtypBox("hevx")), "image/hevx"},
		"mif1":            {string(testkit.FtypBox("mif1")), "image/mif1"},
		"msf1":            {string(testkit.FtypBox("msf1")), "image/msf1"},
		"avif":            {string(testkit.FtypBox("avif")), "image/avif"},
		"avis":            {string(testkit.FtypBox("avis")), "image/avis"},
		"old mov, moov":   {"\x00\x00\x00\x08moov", "video/quicktime"},
		"old mov, mdat":   {"\x00\x00\x00\x08mdat", "video/quicktime"},
		"old mov, wide":   {"\x00\x00\x00\x08wide\x00\x00\x00\x00mdat", "video/quicktime"},
		"old mov, free":   {"\x00\x00\x00\x08free\x00\x00\x00\x00mdat", "video/quicktime"},
		"old mov, skip":   {"\x00\x00\x00\x08skip", "video/quicktime"},
		"old mov, pnot":   {"\x00\x00\x00\x08pnot", "video/quicktime"},
		"avi":             {"RIFF\x24\x00\x00\x00AVI LIST", "video/avi"},
		"webm":            {"\x1a\x45\xdf\xa3\x42\x86\x81\x01", "video/webm"},
		"m4a":             {string(testkit.FtypBox("M4A ")), "audio/mp4"},
		"m4b":             {string(testkit.FtypBox("M4B ")), "audio/mp4"},
		"wav":             {"RIFF\x24\x00\x00\x00WAVEfmt ", "audio/wav"},
		"mp3, tagged":     {"ID3\x04\x00\x00", "audio/mpeg"},
		"mp3, MPEG-1":     {"\xff\xfb\x90\x00", "audio/mpeg"},
		"mp3, MPEG-2":     {"\xff\xf3\x40\x00", "audio/mpeg"},
		"mp3, MPEG-2.5":   {"\xff\xe3\x40\x00", "audio/mpeg"},
		"mp3, with CRC":   {"\xff\xfa\x90\x00", "audio/mpeg"},
		"AAC, no MP3":     {"\xff\xf1\x50\x80", "text/plain"},
		"layer II":        {"\xff\xfd\x90\x00", "application/octet-stream"},
		"reserved":        {"\xff\xeb\x90\x00", "application/octet-stream"},
		"no bit rate":     {"\xff\xfb\xf0\x00", "application/octet-stream"},
		"no sample rate":  {"\xff\xfb\x9c\x00", "application/octet-stream"},
		"mp3, half":       {"\xff\xfb\x90", "text/plain"},
		"text":            {"hello", "text/plain"},
		"html":            {"<html>", "text/html"},
		"nothing":         {"", "text/plain"},
		"ftyp, no brand":  {"\x00\x00\x00\x18ftypiso", "application/octet-stream"},
		"moov, half":      {"\x00\x00\x00\x08moo", "application/octet-stream"},
		"moov, elsewhere": {"moov\x00\x00\x00\x08", "application/octet-stream"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, mediatype.Sniff([]byte(tt.head)))
		})
	}
}

func TestDimensions(t *testing.T) {
	t.Parallel()
	landscape := testkit.ReadTestdata(t, "lossy.webp")
	landscape[28] = 99 // of 16 bits behind the width
	tests := map[string]struct {
		contentType   string
		data          []byte
		width, height int
	}{
		"png":                      {"image/png", testkit.PNG(t, 300, 20), 300, 20},
		"jpeg":                     {"image/jpeg", testkit.JPEG(t, 17, 123), 17, 123},
		"webp, lossy":              {"image/webp", testkit.ReadTestdata(t, "lossy.webp"), 128, 128},
		"webp, lossless":           {"image/webp", testkit.ReadTestdata(t, "lossless.webp"), 128, 128},
		"webp, extended":           {"image/webp", testkit.ReadTestdata(t, "extended.webp"), 128, 128},
		"webp, landscape":          {"image/webp", landscape, 128, 99},
		"header only":              {"image/png", testkit.PNG(t, 128, 129)[:33], 128, 129},
		"3 gigapixels in 70 bytes": {"image/png", testkit.PNGHeader(t, 100_000, 30_000), 100_000, 30_000},
		"none at all":              {"image/jpeg", testkit.EmptyJPEG(t), 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			width, height, err := mediatype.Dimensions(tt.contentType, iotest.OneByteReader(bytes.NewReader(tt.data)))
			require.NoError(t, err)
			assert.Equal(t, []int{tt.width, tt.height}, []int{width, height})
		})
	}
}

// What Go cannot decode is not called broken: whoever gets the file may be able to.
func TestDimensions_Unknown(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		contentType string
		data        []byte
	}{
		"video":                      {"video/mp4", testkit.FtypBox("isom")},
		"gif":                        {"image/gif", []byte("GIF89a\x80\x00\x80\x00")},
		"no type":                    {"", testkit.PNG(t, 128, 128)},
		"jpeg of 12 bits":            {"image/jpeg", testkit.JPEGOf12Bits(t)},
		"png of another compression": {"image/png", testkit.PNGWith(t, anotherCompression)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := mediatype.Dimensions(tt.contentType, bytes.NewReader(tt.data))
			require.ErrorIs(t, err, mediatype.ErrUnknown)
		})
	}
}

func TestDimensions_BrokenHeader(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		contentType string
		data        []byte
	}{
		"png, cut":          {"image/png", testkit.PNG(t, 128, 128)[:20]},
		"png, checksum":     {"image/png", bytes.Replace(testkit.PNG(t, 128, 128), []byte{128}, []byte{127}, 1)},
		"jpeg, cut":         {"image/jpeg", testkit.JPEG(t, 128, 128)[:20]},
		"webp, cut":         {"image/webp", testkit.ReadTestdata(t, "lossy.webp")[:20]},
		"webp, another one": {"image/webp", testkit.PNG(t, 128, 128)},
		"nothing":           {"image/png", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := mediatype.Dimensions(tt.contentType, bytes.NewReader(tt.data))
			require.Error(t, err)
			require.NotErrorIs(t, err, mediatype.ErrUnknown)
		})
	}
}

func TestDimensions_ReadError(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{"image/png", "image/jpeg", "image/webp"} {
		_, _, err := mediatype.Dimensions(contentType, iotest.ErrReader(io.ErrClosedPipe))
		assert.ErrorIs(t, err, io.ErrClosedPipe, contentType)
	}
}

// What a header claims is not allocated. It must not run beside other tests, for it counts what the process allocates.
func TestDimensions_HugeImageIsCheap(t *testing.T) { //nolint:paralleltest // see above
	file := testkit.PNGHeader(t, 100_000, 30_000)
	allocated := testkit.Allocations(func() {
		_, _, err := mediatype.Dimensions("image/png", bytes.NewReader(file))
		require.NoError(t, err)
	})
	assert.Less(t, allocated, int64(16<<10))
}

// anotherCompression is a method that is not defined yet.
func anotherCompression(ihdr []byte) { ihdr[10] = 1 }

var contentType = regexp.MustCompile(`^[a-z]+/[a-z0-9.+-]+$`)

// FuzzDimensions holds the headers against whole decoders.
func FuzzDimensions(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("hello"))
	f.Add(testkit.PNG(f, 3, 4))
	f.Add(testkit.JPEG(f, 3, 4))
	f.Add(testkit.JPEGOf12Bits(f))
	f.Add(testkit.EmptyJPEG(f))
	f.Add(testkit.PNGHeader(f, 100_000, 30_000))
	f.Add(testkit.PNGWith(f, anotherCompression))
	for _, name := range []string{"lossy.webp", "lossless.webp", "extended.webp"} {
		f.Add(testkit.ReadTestdata(f, name))
	}
	for _, brand := range []string{"isom", "qt  ", "heic", "avif"} {
		f.Add(testkit.FtypBox(brand))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sniffed := mediatype.Sniff(data)
		require.Regexp(t, contentType, sniffed)
		require.Equal(t, sniffed, mediatype.Sniff(data[:min(len(data), mediatype.HeadSize)]), "only the head counts")
		width, height, err := mediatype.Dimensions(sniffed, bytes.NewReader(data))
		if err != nil {
			require.Zero(t, width)
			require.Zero(t, height)
			return
		}
		require.GreaterOrEqual(t, width, 0)
		require.GreaterOrEqual(t, height, 0)
		if width > 256 || height > 256 {
			return
		}
		decode := map[string]func(io.Reader) (image.Image, error){"image/png": png.Decode, "image/jpeg": jpeg.Decode}[sniffed]
		if decode == nil {
			return
		}
		if whole, err := decode(bytes.NewReader(data)); err == nil && !whole.Bounds().Empty() { // 48×0 has the bounds 0×0
			require.Equal(t, whole.Bounds().Size(), image.Pt(width, height))
		}
	})
}
