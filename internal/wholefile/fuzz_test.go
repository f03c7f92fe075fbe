package wholefile_test

import (
	"encoding/binary"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/internal/wholefile"
)

// still matches what may be a still image in an MP4's container.
var still = regexp.MustCompile(`hei[cxms]|hev[cx]|m[is]f1|miaf|avi[fs]`)

// FuzzFeed checks that no file and no header panics, that the pieces in which a file comes make no difference, and that
// the verdict on an MP4 is that of a reader that has all of it in memory.
func FuzzFeed(f *testing.F) {
	small := testkit.MP4Box("ftyp", "") + testkit.MP4Box("moov", "m") + testkit.MP4LargeBox("mdat", "media")
	f.Add(small, "", []byte{1})
	f.Add(small+"\x00\x00\x00\x00", "x-oss-hash-crc64ecma: 1", []byte{7, 9})
	f.Add(small[:len(small)-3], "Repr-Digest: sha-256=:AA==:", []byte{3, 0, 200})
	f.Add("\x00\x00\x00\x01ftyp\xff\xff\xff\xff\xff\xff\xff\xff", "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==", []byte{16})
	f.Add(small+testkit.MP4Box("moof", "f")+testkit.MP4Box("mdat", "x"), "", []byte{30, 40, 1})
	f.Add(webp("VP8 data"), "", []byte{12})
	f.Add(webmOf(3, "data"), "", []byte{5, 1})
	f.Add("\xff\xd8\xff\xe0....\xff\xd9", "", []byte{2})
	f.Fuzz(func(t *testing.T, text, header string, sizes []byte) {
		name, value, _ := strings.Cut(header, ": ")
		promise := http.Header{}
		promise.Set(name, value)
		once, pieces := wholefile.Promised(promise), wholefile.Promised(promise)
		var file, filePieces wholefile.File
		once.Feed([]byte(text))
		file.Feed([]byte(text))
		rest := []byte(text)
		for _, size := range append(sizes, 255) {
			piece := rest[:min(int(size), len(rest))]
			if size == 255 {
				piece = rest
			}
			pieces.Feed(piece)
			filePieces.Feed(piece)
			rest = rest[len(piece):]
		}
		pieces.Feed(rest)
		filePieces.Feed(rest)
		require.Equal(t, once.Match(), pieces.Match())
		require.Equal(t, file.Whole(), filePieces.Whole())
		require.Equal(t, file.Cut(), filePieces.Cut())
		media, message := wholefile.Sniff([]byte(text)[:min(len(text), wholefile.HeadSize)])
		require.False(t, media && message != "")
		if len(text) >= 8 && text[0] == 0 && text[4:8] == "ftyp" && !still.MatchString(text) {
			require.Equal(t, wholeInMemory([]byte(text)), file.Whole())
		}
		require.False(t, file.Whole() && file.Cut(), "whole without a length is whole with it")
	})
}

// wholeInMemory is what File does, for an MP4 that is in memory.
func wholeInMemory(file []byte) bool {
	seen := map[string]bool{}
	fragment := false
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
		switch name {
		case "moof":
			fragment = true
		case "mdat":
			fragment = false
		}
		if size < header {
			break
		}
		if size > uint64(len(file)) {
			return false
		}
		file = file[size:]
	}
	return seen["moov"] && seen["mdat"] && !fragment
}
