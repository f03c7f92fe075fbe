package vidu_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// stills are images by format.
func stills(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"jpeg": string(testkit.JPEG(t, 64, 64)), "png": string(testkit.PNG(t, 64, 64)), "webp": string(testkit.ReadTestdata(t, "lossy.webp")),
		"webp, extended": string(testkit.ReadTestdata(t, "extended.webp")),
	}
}

func TestD07_SilentlyShortCover(t *testing.T) {
	t.Parallel()
	for name, still := range stills(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{1, 2, 3, 7, 8, 11, 12, len(still) / 2, len(still) - 2, len(still) - 1} {
				store := newRawStore(t, testkit.Always(testkit.RawChunks(still[:n], true, testkit.ETagHeader)),
					testkit.WantRest(t, n, `"one"`, testkit.CutBody(testkit.RawRest(still, n, testkit.ETagHeader), 1)), // pieces of any size
					func(r *http.Request) string { return testkit.RawRest(still, testkit.RangeStart(r), testkit.ETagHeader) })
				got, err := store.fetch(t, vidu.WithCover())
				require.NoError(t, err)
				assert.Equal(t, still, got, "resumed after %d bytes", n)

				_, err = newRawStore(t, testkit.Always(testkit.RawChunks(still[:n], true))).fetch(t, vidu.WithCover())
				require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", n)

				over := newRawStore(t, testkit.Always(testkit.RawChunks(still[:n], true)), testkit.WantWhole(t, testkit.RawChunks(still, true)))
				got, err = over.fetch(t, vidu.WithCover())
				require.NoError(t, err)
				assert.Equal(t, still, got, "started over after %d bytes", n)
			}
		})
	}
}

// TestD07_CoverThatIsWhole: bytes behind the end are let through where somebody says that they belong there.
func TestD07_CoverThatIsWhole(t *testing.T) {
	t.Parallel()
	for name, still := range stills(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			longer := still + "\x00"
			confirmed := newRawStore(t, testkit.Always(testkit.RawChunks(longer, true, testkit.ETagHeader)),
				testkit.Always(testkit.RawHTTP("416 Range Not Satisfiable", "", fmt.Sprintf("Content-Range: bytes */%d", len(longer)))))
			for _, tt := range []struct {
				store *rawStore
				want  string
			}{
				{newRawStore(t, testkit.Always(testkit.RawChunks(still, true))), still},
				{newRawStore(t, testkit.Always(testkit.RawFile(longer))), longer},
				{confirmed, longer},
				{newRawStore(t, testkit.Always(testkit.RawFile(still[:50]))), still[:50]}, // the server is sure
			} {
				got, err := tt.store.fetch(t, vidu.WithCover())
				require.NoError(t, err)
				assert.Equal(t, tt.want, got)
			}
			_, err := newRawStore(t, testkit.Always(testkit.RawChunks(longer, true))).fetch(t, vidu.WithCover())
			if strings.HasPrefix(name, "webp") { // which knows its length
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		})
	}
	for _, still := range []string{"GIF89a, whatever follows", "RIFF\xff\xff\xff\xffAVI and so on"} {
		got, err := newRawStore(t, testkit.Always(testkit.RawChunks(still, true))).fetch(t, vidu.WithCover())
		require.NoError(t, err)
		assert.Equal(t, still, got)
	}
}

// TestD07_CoverOfAnotherFormat: what came of the first is forgotten.
func TestD07_CoverOfAnotherFormat(t *testing.T) {
	t.Parallel()
	first, second := string(testkit.JPEG(t, 64, 64)), string(testkit.PNG(t, 64, 64))
	got, err := newRawStore(t, testkit.Always(testkit.RawChunks(first[:100], true)), testkit.WantWhole(t, testkit.RawChunks(second, true))).fetch(t, vidu.WithCover())
	require.NoError(t, err)
	assert.Equal(t, second, got)
}

// TestD07_D08_CutInTheHeadOfABox: all that came are whole boxes and the beginning of another one.
func TestD07_D08_CutInTheHeadOfABox(t *testing.T) {
	t.Parallel()
	long := testkit.MP4File + testkit.MP4LargeBox("moof", "fragment")
	for n := 1; n < 16; n++ {
		cut := long[:len(testkit.MP4File)+n]
		store := newRawStore(t, testkit.Always(testkit.RawChunks(cut, true, testkit.ETagHeader)), testkit.WantRest(t, len(cut), `"one"`, testkit.RawRest(long, len(cut), testkit.ETagHeader)))
		got, err := store.fetch(t)
		require.NoError(t, err)
		assert.Equal(t, long, got, "resumed")

		_, err = newRawStore(t, testkit.Always(testkit.RawFile(cut))).fetch(t)
		require.ErrorContains(t, err, "incomplete MP4")
	}
}

// TestD08_ImpossibleBox: 64 bits can state a size that no file has.
func TestD08_ImpossibleBox(t *testing.T) {
	t.Parallel()
	for _, size := range []string{strings.Repeat("\xff", 8), "\x80" + strings.Repeat("\x00", 7), "\x7f" + strings.Repeat("\xff", 7)} {
		file := testkit.MP4Box("ftyp", "") + testkit.MP4Box("moov", "m") + "\x00\x00\x00\x01mdat" + size + testkit.PlainFile
		for _, answer := range []string{testkit.RawFile(file), testkit.RawChunks(file, true)} {
			_, err := newRawStore(t, testkit.Always(answer)).fetch(t)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}
	}
}
