package wholefile_test

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/internal/wholefile"
)

// FuzzFeed checks that no file and no header panics, that the pieces in which a file comes make no difference, and that
// the verdict on an MP4 is that of a reader that has all of it in memory.
func FuzzFeed(f *testing.F) {
	small := testkit.MP4Box("ftyp", "") + testkit.MP4Box("moov", "m") + testkit.MP4LargeBox("mdat", "media")
	f.Add(small, "", []byte{1})
	f.Add(small+"\x00\x00\x00\x00", "x-oss-hash-crc64ecma: 1", []byte{7, 9})
	f.Add(small[:len(small)-3], "Repr-Digest: sha-256=:AA==:", []byte{3, 0, 200})
	f.Add("\x00\x00\x00\x01ftyp\xff\xff\xff\xff\xff\xff\xff\xff", "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==", []byte{16})
	f.Add(webp("VP8 data"), "", []byte{12})
	f.Add("\xff\xd8\xff\xe0....\xff\xd9", "", []byte{2})
	f.Fuzz(func(t *testing.T, text, header string, sizes []byte) {
		name, value, _ := strings.Cut(header, ": ")
		promise := http.Header{}
		promise.Set(name, value)
		once, pieces := wholefile.Promised(promise), wholefile.Promised(promise)
		var mp4, mp4Pieces wholefile.MP4
		var still, stillPieces wholefile.Still
		for _, to := range []func([]byte){once.Feed, mp4.Feed, still.Feed} {
			to([]byte(text))
		}
		rest := []byte(text)
		for _, size := range sizes {
			piece := rest[:min(int(size), len(rest))]
			for _, to := range []func([]byte){pieces.Feed, mp4Pieces.Feed, stillPieces.Feed} {
				to(piece)
			}
			rest = rest[len(piece):]
		}
		for _, to := range []func([]byte){pieces.Feed, mp4Pieces.Feed, stillPieces.Feed} {
			to(rest)
		}
		require.Equal(t, once.Match(), pieces.Match())
		require.Equal(t, mp4.Whole(), mp4Pieces.Whole())
		require.Equal(t, still.Whole(), stillPieces.Whole())
		require.Equal(t, wholeInMemory([]byte(text)), mp4.Whole())
	})
}

// wholeInMemory is what MP4 does, for a file that is in memory.
func wholeInMemory(file []byte) bool {
	if len(file) < 8 || !bytes.Equal(file[4:8], []byte("ftyp")) || (binary.BigEndian.Uint32(file) == 1 && len(file) < 16) {
		return true
	}
	seen := map[string]bool{}
	for len(file) > 0 {
		if len(file) < 8 {
			return false
		}
		size, header, name := uint64(binary.BigEndian.Uint32(file)), uint64(8), string(file[4:8])
		if size == 1 {
			if len(file) < 16 {
				return false
			}
			size, header = binary.BigEndian.Uint64(file[8:]), 16
		}
		seen[name] = true
		if size < header {
			break
		}
		if size > uint64(len(file)) {
			return false
		}
		file = file[size:]
	}
	return seen["moov"] && seen["mdat"]
}
