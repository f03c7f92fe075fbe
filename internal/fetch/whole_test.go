package fetch_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/testkit"
)

func TestRun_SilentlyShortMP4(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(body string, header ...string) string{
		"chunks that end": func(body string, header ...string) string { return testkit.RawChunks(body, true, header...) },
		"until the FIN":   func(body string, header ...string) string { return testkit.RawHTTP("200 OK", body, header...) },
		"nothing at all":  func(_ string, header ...string) string { return testkit.RawChunks("", true, header...) },
		"in a box's header": func(_ string, header ...string) string {
			return testkit.RawChunks(testkit.MP4File[:20], true, header...)
		},
		"before the mdat": func(_ string, header ...string) string {
			return testkit.RawChunks(testkit.MP4File[:len(testkit.MP4File)-len(testkit.PlainFile)-4], true, header...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{1, 7, 8, 600, len(testkit.MP4File) - 1} {
				store := newStorage(t, testkit.Always(answer(testkit.MP4File[:n], testkit.ETagHeader)), func(r *http.Request) string {
					from := testkit.RangeStart(r)
					if from == 0 {
						assert.Equal(t, "nothing at all", name)
						return testkit.RawFile(testkit.MP4File, testkit.ETagHeader)
					}
					return testkit.RawRest(testkit.MP4File, from, testkit.ETagHeader)
				})
				got, err := store.fetch(t)
				require.NoError(t, err)
				assert.Equal(t, testkit.MP4File, got, "resumed")

				never := newStorage(t, testkit.Always(answer(testkit.MP4File[:n])))
				_, err = never.fetch(t)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			}
		})
	}
}

func TestRun_UnknownLength(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"MP4":                  testkit.MP4File,
		"zeros behind the end": testkit.MP4File + strings.Repeat("\x00", 9),
		"no MP4":               testkit.PlainFile,
		"short, no MP4":        "\x00welve bytes",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, answer := range []string{testkit.RawChunks(content, true), testkit.RawHTTP("200 OK", content), testkit.RawFile(content)} {
				got, err := newStorage(t, testkit.Always(answer)).fetch(t)
				require.NoError(t, err)
				assert.Equal(t, content, got)
			}
		})
	}
}

// TestRun_ImageThatBeginsLikeAnMP4: AVIF and HEIC begin like an MP4 and have no moov.
func TestRun_ImageThatBeginsLikeAnMP4(t *testing.T) {
	t.Parallel()
	avif := testkit.MP4Box("ftyp", "avif") + testkit.MP4Box("meta", "m") + testkit.MP4Box("mdat", testkit.PlainFile)
	got, err := newStorage(t, testkit.Always(testkit.RawChunks(avif, true))).fetch(t, image)
	require.NoError(t, err)
	assert.Equal(t, avif, got)
}

func TestRun_LengthSmallerThanTheFile(t *testing.T) {
	t.Parallel()
	short := func(body string, n int) string {
		return testkit.RawHTTP("200 OK", body, "Content-Length: "+strconv.Itoa(n))
	}
	got, err := newStorage(t, testkit.Always(short(testkit.PlainFile, 1000))).fetch(t)
	require.NoError(t, err)
	assert.Equal(t, testkit.PlainFile[:1000], got, "exactly what was announced")

	for _, n := range []int{8, 100, 600, len(testkit.MP4File) - 1} {
		store := newStorage(t, testkit.Always(short(testkit.MP4File, n)))
		_, err = store.fetch(t)
		require.ErrorContains(t, err, "incomplete MP4")
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Len(t, store.Seen(), 1, "the server is sure, so asking again is pointless")
	}
}

// stills are images by format.
func stills(t *testing.T) map[string]string {
	t.Helper()
	webp := strings.Repeat("VP8 data", 30)
	return map[string]string{
		"jpeg": string(testkit.JPEG(t, 64, 64)), "png": string(testkit.PNG(t, 64, 64)),
		"webp": "RIFF" + string(binary.LittleEndian.AppendUint32(nil, uint32(4+len(webp)))) + "WEBP" + webp,
	}
}

func TestRun_SilentlyShortImage(t *testing.T) {
	t.Parallel()
	for name, still := range stills(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{1, 2, 3, 7, 8, 11, 12, len(still) / 2, len(still) - 2, len(still) - 1} {
				store := newStorage(t, testkit.Always(testkit.RawChunks(still[:n], true, testkit.ETagHeader)),
					testkit.WantRest(t, n, `"one"`, testkit.CutBody(testkit.RawRest(still, n, testkit.ETagHeader), 1)), // pieces of any size
					func(r *http.Request) string { return testkit.RawRest(still, testkit.RangeStart(r), testkit.ETagHeader) })
				got, err := store.fetch(t, image)
				require.NoError(t, err)
				assert.Equal(t, still, got, "resumed after %d bytes", n)

				_, err = newStorage(t, testkit.Always(testkit.RawChunks(still[:n], true))).fetch(t, image)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", n)

				over := newStorage(t, testkit.Always(testkit.RawChunks(still[:n], true)), testkit.WantWhole(t, testkit.RawChunks(still, true)))
				got, err = over.fetch(t, image)
				require.NoError(t, err)
				assert.Equal(t, still, got, "started over after %d bytes", n)
			}
		})
	}
}

// TestRun_ImageThatIsWhole: bytes behind the end are let through where somebody says that they belong there.
func TestRun_ImageThatIsWhole(t *testing.T) {
	t.Parallel()
	for name, still := range stills(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			longer := still + "\x00"
			confirmed := newStorage(t, testkit.Always(testkit.RawChunks(longer, true, testkit.ETagHeader)),
				testkit.Always(testkit.RawHTTP("416 Range Not Satisfiable", "", fmt.Sprintf("Content-Range: bytes */%d", len(longer)))))
			for _, tt := range []struct {
				store *storage
				want  string
			}{
				{newStorage(t, testkit.Always(testkit.RawChunks(still, true))), still},
				{newStorage(t, testkit.Always(testkit.RawFile(longer))), longer},
				{confirmed, longer},
				{newStorage(t, testkit.Always(testkit.RawFile(still[:50]))), still[:50]}, // the server is sure
			} {
				got, err := tt.store.fetch(t, image)
				require.NoError(t, err)
				assert.Equal(t, tt.want, got)
			}
			_, err := newStorage(t, testkit.Always(testkit.RawChunks(longer, true))).fetch(t, image)
			if strings.HasPrefix(name, "webp") { // which knows its length
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		})
	}
	for _, still := range []string{"GIF89a\x00, whatever follows", "RIFF\xff\xff\x00\xffAVI and so on"} {
		got, err := newStorage(t, testkit.Always(testkit.RawChunks(still, true))).fetch(t, image)
		require.NoError(t, err)
		assert.Equal(t, still, got)
	}
}

// TestRun_ImageChangesItsFormat: what came of the first is forgotten.
func TestRun_ImageChangesItsFormat(t *testing.T) {
	t.Parallel()
	first, second := string(testkit.JPEG(t, 64, 64)), string(testkit.PNG(t, 64, 64))
	got, err := newStorage(t, testkit.Always(testkit.RawChunks(first[:100], true)), testkit.WantWhole(t, testkit.RawChunks(second, true))).fetch(t, image)
	require.NoError(t, err)
	assert.Equal(t, second, got)
}

// TestRun_MP4CutInTheHeaderOfABox: all that came are whole boxes and the beginning of another one.
func TestRun_MP4CutInTheHeaderOfABox(t *testing.T) {
	t.Parallel()
	long := testkit.MP4File + testkit.MP4LargeBox("moof", "fragment")
	for n := 1; n < 16; n++ {
		cut := long[:len(testkit.MP4File)+n]
		store := newStorage(t, testkit.Always(testkit.RawChunks(cut, true, testkit.ETagHeader)), testkit.WantRest(t, len(cut), `"one"`, testkit.RawRest(long, len(cut), testkit.ETagHeader)))
		got, err := store.fetch(t)
		require.NoError(t, err)
		assert.Equal(t, long, got, "resumed")

		got, err = newStorage(t, testkit.Always(testkit.RawFile(cut))).fetch(t)
		if n > 4 { // a part of the name is there
			require.ErrorContains(t, err, "incomplete MP4")
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, cut, got)
	}
}

// digestOf is the header line by which a server promises body.
func digestOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return "Repr-Digest: sha-512=:AA==:, sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func TestRun_Checksums(t *testing.T) {
	t.Parallel()
	crc := func(body string) string {
		return fmt.Sprintf("x-oss-hash-crc64ecma: %d", crc64.Checksum([]byte(body), crc64.MakeTable(crc64.ECMA)))
	}
	for name, tt := range map[string]struct{ header, says string }{
		"OSS":           {crc(testkit.PlainFile), ""},
		"OSS, wrong":    {crc(otherFile), "x-oss-hash-crc64ecma"},
		"digest":        {digestOf(testkit.PlainFile), ""},
		"digest, wrong": {digestOf(otherFile), "Repr-Digest"},
		"OSS, nonsense": {"x-oss-hash-crc64ecma: ?", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Over a cut, and over one after which everything starts over.
			for _, resumed := range []string{testkit.RawRest(testkit.PlainFile, 1000, testkit.ETagHeader), testkit.RawFile(testkit.PlainFile, testkit.ETagHeader, tt.header)} {
				got, err := newStorage(t, testkit.Always(testkit.CutBody(testkit.RawFile(testkit.PlainFile, testkit.ETagHeader, tt.header), 1000)), testkit.Always(resumed)).fetch(t)
				if tt.says != "" {
					require.ErrorContains(t, err, "checksum mismatch: the file is not what the header "+tt.says)
					continue
				}
				require.NoError(t, err)
				assert.Equal(t, testkit.PlainFile, got)
			}
		})
	}
}
