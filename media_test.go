package vidu_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

const (
	aviHead = "RIFF\x24\x00\x00\x00AVI LIST"
	webp    = "RIFF\x12\x00\x00\x00WEBPVP8L\x05\x00\x00\x00\x2f\x7f\xc0\x1f\x00" // the header of 128×128 pixels
)

// brokenFS opens and describes its file, but cannot read it.
type brokenFS struct{ fs.FS }

type brokenFile struct{ fs.File }

var errBroken = errors.New("broken disk")

func (b brokenFS) Open(name string) (fs.File, error) {
	file, err := b.FS.Open(name)
	return brokenFile{file}, err
}

func (brokenFile) Read([]byte) (int, error) { return 0, errBroken }

// lockedFS lets nobody open its files.
type lockedFS struct{ fs.FS }

func (l lockedFS) Stat(name string) (fs.FileInfo, error) { return fs.Stat(l.FS, name) }

func (lockedFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

// oddFS says odd things of its file: a size that is not known, as of an HTTP response, or nothing at all.
type oddFS struct {
	fs.FS
	noInfo, noFile bool
	size           int64
}

type oddFile struct {
	fs.File
	odd *oddFS
}

type oddInfo struct {
	fs.FileInfo
	size int64
}

func (i oddInfo) Size() int64 { return i.size }

func (o *oddFS) Open(name string) (fs.File, error) {
	file, err := o.FS.Open(name)
	if o.noFile {
		return nil, err
	}
	return oddFile{file, o}, err
}

func (o *oddFS) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(o.FS, name)
	return oddInfo{info, int64(len(name))}, err
}

func (f oddFile) Stat() (fs.FileInfo, error) {
	info, err := f.File.Stat()
	if f.odd.noInfo {
		return nil, err
	}
	return oddInfo{info, f.odd.size}, err
}

func TestValidate_Media(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	inFolder := func(name string) string { return filepath.Join(folder, name) }
	require.NoError(t, os.Symlink(inFolder("loop2"), inFolder("loop1")))
	require.NoError(t, os.Symlink(inFolder("loop1"), inFolder("loop2")))
	require.NoError(t, os.WriteFile(inFolder("big.png"), testkit.PNG(t, 128, 128), 0o600))
	require.NoError(t, os.Truncate(inFolder("big.png"), 51<<20)) // sparse
	require.NoError(t, os.WriteFile(inFolder("text.png"), []byte("not a picture"), 0o600))
	require.NoError(t, os.WriteFile(inFolder("empty.png"), nil, 0o600))
	require.NoError(t, os.WriteFile(inFolder("good.dat"), testkit.PNG(t, 128, 128), 0o600))
	require.NoError(t, os.Symlink(inFolder("good.dat"), inFolder("link.png")))
	good := fstest.MapFS{"a.png": {Data: testkit.PNG(t, 128, 128)}, "pipe.png": {Mode: fs.ModeNamedPipe}}
	picture := testkit.PNG(t, 128, 128)
	encoded := base64.StdEncoding.EncodeToString(picture)

	tests := map[string]struct {
		image vidu.Media
		video vidu.Media // instead of image
		want  string     // part of the reason; "": accepted
	}{
		"no media":                 {want: "is empty"}, // the zero Media
		"file":                     {image: vidu.File(inFolder("good.dat"))},
		"symlink":                  {image: vidu.File(inFolder("link.png"))},
		"file missing":             {image: vidu.File(inFolder("absent.png")), want: "absent.png"},
		"file without a name":      {image: vidu.File(""), want: "stat"},
		"folder":                   {image: vidu.File(folder), want: "not a regular file"},
		"device":                   {image: vidu.File(os.DevNull), want: "not a regular file"},
		"pipe":                     {image: vidu.FS(good, "pipe.png"), want: "not a regular file"},
		"became a pipe":            {image: vidu.FS(&twoFacedFS{stat: good["a.png"], open: good["pipe.png"]}, "a.png"), want: "not a regular file"},
		"symlink loop":             {image: vidu.File(inFolder("loop1")), want: "loop1"},
		"not allowed":              {image: vidu.FS(lockedFS{good}, "a.png"), want: "permission"},
		"unreadable":               {image: vidu.FS(brokenFS{good}, "a.png"), want: "broken disk"},
		"no file system":           {image: vidu.FS(nil, "a.png"), want: "file system is nil"},
		"file system":              {image: vidu.FS(good, "a.png")},
		"file system, missing":     {image: vidu.FS(good, "b.png"), want: "b.png"},
		"file system, climbing":    {image: vidu.FS(good, "../a.png"), want: "../a.png"},
		"size unknown":             {image: vidu.FS(&oddFS{FS: good, size: -1}, "a.png"), want: "does not say its size"},
		"file without info":        {image: vidu.FS(&oddFS{FS: good, noInfo: true}, "a.png"), want: "neither a file nor an error"},
		"neither file nor error":   {image: vidu.FS(&oddFS{FS: good, noFile: true}, "a.png"), want: "neither a file nor an error"},
		"empty file":               {image: vidu.File(inFolder("empty.png")), want: "is empty"},
		"no bytes":                 {image: vidu.Bytes(nil), want: "is empty"},
		"51 MB":                    {image: vidu.File(inFolder("big.png")), want: "has 53477376 bytes, at most 52428800"},
		"text named .png":          {image: vidu.File(inFolder("text.png")), want: "is text/plain, not one of the image formats png, jpeg, webp"},
		"png":                      {image: vidu.Bytes(picture)},
		"jpeg":                     {image: vidu.Bytes(testkit.JPEG(t, 128, 128))},
		"webp":                     {image: vidu.Bytes([]byte(webp))},
		"gif":                      {image: vidu.Bytes([]byte("GIF89a\x80\x00\x80\x00")), want: "is image/gif"},
		"heic":                     {image: vidu.Bytes(testkit.FtypBox("heic")), want: "is image/heic"},
		"mp4 as an image":          {image: vidu.Bytes(testkit.FtypBox("isom")), want: "is video/mp4, not one of the image"},
		"png header cut":           {image: vidu.Bytes(picture[:20]), want: "unreadable image/png header"},
		"jpeg header cut":          {image: vidu.Bytes(testkit.JPEG(t, 128, 128)[:20]), want: "unreadable image/jpeg header"},
		"webp header cut":          {image: vidu.Bytes([]byte(webp[:20])), want: "unreadable image/webp header"},
		"jpeg of 12 bits":          {image: vidu.Bytes(testkit.JPEGOf12Bits(t))},
		"jpeg without pixels":      {image: vidu.Bytes(testkit.EmptyJPEG(t)), want: "0×0 pixels, at least 128×128"},
		"127×128":                  {image: vidu.Bytes(testkit.PNG(t, 127, 128)), want: "127×128 pixels, at least 128×128"},
		"128×127":                  {image: vidu.Bytes(testkit.JPEG(t, 128, 127)), want: "128×127 pixels, at least 128×128"},
		"5:1":                      {image: vidu.Bytes(testkit.JPEG(t, 640, 128))},
		"1:5":                      {image: vidu.Bytes(testkit.PNG(t, 128, 640))},
		"more than 5:1":            {image: vidu.Bytes(testkit.JPEG(t, 641, 128)), want: "the ratio must be at most 5:1"},
		"more than 1:5":            {image: vidu.Bytes(testkit.PNG(t, 128, 641)), want: "the ratio must be at most 5:1"},
		"4:1 less a pixel":         {image: vidu.Bytes(testkit.PNG(t, 511, 128))},
		"1:4 less a pixel":         {image: vidu.Bytes(testkit.JPEG(t, 128, 511))},
		"3 gigapixels in 70 bytes": {image: vidu.Bytes(testkit.PNGHeader(t, 100000, 30000))},

		"mp4":                    {video: vidu.Bytes(testkit.FtypBox("isom"))},
		"mov":                    {video: vidu.Bytes(testkit.FtypBox("qt  "))},
		"mov that begins empty":  {video: vidu.Bytes([]byte("\x00\x00\x00\x08free\x00\x00\x00\x00mdat"))},
		"avi":                    {video: vidu.Bytes([]byte(aviHead))},
		"webm":                   {video: vidu.Bytes([]byte("\x1a\x45\xdf\xa3\x42\x86\x81\x01")), want: "is video/webm, not one of the video formats mp4, avi, mov"},
		"image as a video":       {video: vidu.Bytes(picture), want: "is image/png, not one of the video"},
		"heic as a video":        {video: vidu.Bytes(testkit.FtypBox("heic")), want: "is image/heic, not one of the video"},
		"video of 20 MB and one": {video: vidu.Bytes(testkit.Padded(testkit.FtypBox("isom"), 20<<20+1)), want: "has 20971521 bytes"},
		"video, data URI":        {video: vidu.DataURI(testkit.DataURI("video/mp4", testkit.FtypBox("isom")))},
		"video, data URI of png": {video: vidu.DataURI(testkit.DataURI("video/mp4", picture)), want: "is image/png"},

		"data URI, capitals":            {image: vidu.DataURI("DATA:image/PNG;BASE64," + encoded)},
		"data URI, charset":             {image: vidu.DataURI("data:image/png;charset=utf-8;base64," + encoded)},
		"data URI, quoted comma":        {image: vidu.DataURI(`data:image/png;name="a,b.png";base64,` + encoded)},
		"data URI, charset behind":      {image: vidu.DataURI("data:image/png;base64;charset=utf-8," + encoded)},
		"data URI, blanks":              {image: vidu.DataURI(" \ndata: image/png ; base64 , " + encoded + "\r\n")},
		"data URI, wrapped":             {image: vidu.DataURI("data:image/png;base64,\r\n" + wrapped(encoded, 76))},
		"data URI, wrapped, a video":    {video: vidu.DataURI("data:Video/MP4;base64," + wrapped(base64.StdEncoding.EncodeToString(testkit.FtypBox("isom")), 7))},
		"data URI, capitals, a gif":     {image: vidu.DataURI("data:image/GIF;base64," + encoded), want: "is image/gif"},
		"data URI, only base64":         {image: vidu.DataURI("data:base64," + encoded), want: "data:image/png;base64,…"},
		"data URI, not base64, wrapped": {image: vidu.DataURI("data:image/png;base64," + wrapped(encoded[1:], 76)), want: "is not base64"},

		"file, link":              {image: vidu.File("https://example.com/a.png?sig=secret"), want: "is not the path of a file; use vidu.URL for links"},
		"file, link, capitals":    {image: vidu.File(" HTTP://example.com/a.png?sig=secret"), want: "use vidu.URL for links"},
		"file, link, file system": {image: vidu.FS(good, "https://example.com/a.png?sig=secret"), want: "use vidu.URL for links"},
		"file, upload":            {image: vidu.File("ssupload:?id=secret"), want: "use vidu.UploadRef for uploads"},
		"file, data URI":          {image: vidu.File("data:image/png;base64," + encoded + "secret"), want: "use vidu.DataURI for data URIs"},

		"link, bad port":             {image: vidu.URL("https://example.com:x/a.png"), want: "absolute http or https URL"},
		"link, bad host":             {image: vidu.URL("https://[::1/a.png"), want: "absolute http or https URL"},
		"link, control character":    {image: vidu.URL("https://example.com/\x7f.png"), want: "absolute http or https URL"},
		"link":                       {image: vidu.URL("HTTPS://Example.com/a b.png?sig=%253A;x")},
		"link, unparsable":           {image: vidu.URL("https://example.com/%zz.png"), want: "absolute http or https URL"},
		"link, relative":             {image: vidu.URL("hero.png"), want: "absolute http or https URL"},
		"link, file":                 {image: vidu.URL("file:///etc/passwd"), want: "absolute http or https URL"},
		"link, no host":              {image: vidu.URL("https:///hero.png"), want: "absolute http or https URL"},
		"link, empty":                {image: vidu.URL(""), want: "absolute http or https URL"},
		"upload":                     {image: vidu.UploadRef("ssupload:?id=1")},
		"upload, bare id":            {image: vidu.UploadRef("1"), want: "ssupload:"},
		"data URI, png":              {image: vidu.DataURI("data:image/png;base64," + encoded)},
		"data URI, jpg":              {image: vidu.DataURI(testkit.DataURI("image/jpg", testkit.JPEG(t, 128, 128)))},
		"data URI, no content type":  {image: vidu.DataURI("data:;base64," + encoded), want: "data:image/png;base64,…"},
		"data URI, not base64":       {image: vidu.DataURI("data:image/png," + encoded), want: "data:image/png;base64,…"},
		"data URI, no scheme":        {image: vidu.DataURI("image/png;base64," + encoded), want: "data:image/png;base64,…"},
		"data URI, wrong type":       {image: vidu.DataURI("data:image/gif;base64," + encoded), want: "is image/gif"},
		"data URI, wrong content":    {image: vidu.DataURI(testkit.DataURI("image/png", []byte("text"))), want: "is text/plain"},
		"data URI, too small":        {image: vidu.DataURI(testkit.DataURI("image/png", testkit.PNG(t, 64, 64))), want: "64×64"},
		"data URI, no data":          {image: vidu.DataURI("data:image/png;base64,"), want: "is empty"},
		"data URI, foreign digit":    {image: vidu.DataURI("data:image/png;base64,_" + encoded[1:]), want: "is not base64"},
		"data URI, newline":          {image: vidu.DataURI("data:image/png;base64," + encoded[:4] + "\n" + encoded[5:]), want: "is not base64"},
		"data URI, quote":            {image: vidu.DataURI("data:image/png;base64," + encoded[:len(encoded)-4] + `",""`), want: "is not base64"},
		"data URI, cut":              {image: vidu.DataURI("data:image/png;base64," + encoded[:len(encoded)-3]), want: "is not base64"},
		"data URI, padding inside":   {image: vidu.DataURI("data:image/png;base64,AA==" + encoded), want: "is not base64"},
		"data URI, padding only":     {image: vidu.DataURI("data:image/png;base64,===="), want: "is not base64"},
		"data URI, decoded is 50 MB": {image: vidu.DataURI("data:image/png;base64," + encoded[:40] + strings.Repeat("A", 70<<20)), want: "at most 52428800"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(name, "device") && runtime.GOOS == "windows" {
				t.Skip("NUL is no file there")
			}
			req := &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{tt.image}}
			field := "images[0]"
			if tt.video.String() != (vidu.Media{}).String() {
				req.Images, req.Videos, field = imageLinks(1), []vidu.Media{tt.video}, "videos[0]"
			}
			err := req.Validate()
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			var invalid *vidu.ValidationError
			require.ErrorAs(t, err, &invalid)
			assert.Equal(t, field, invalid.Problems[0].Field)
			assert.Contains(t, invalid.Problems[0].Reason, tt.want)
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, req.Images, req.Images), "secret")
		})
	}
}

// wrapped returns base64 in lines, as mail has it.
func wrapped(digits string, width int) string {
	var b strings.Builder
	for ; len(digits) > width; digits = digits[width:] {
		b.WriteString(digits[:width] + "\r\n")
	}
	return b.String() + digits + "\n"
}

// Whatever a link consists of, it is accepted if it is an absolute URL of the web.
func TestValidate_Links(t *testing.T) {
	t.Parallel()
	req := smallRequest()
	for c := range 256 {
		for _, around := range [][2]string{
			{"https://h", "st/path"},
			{"https://host", ""},
			{"https://host:8", "0/path"},
			{"https://host/p", "th"},
			{"https://host/path?a=", "b"},
			{"https://", ""},
			{"https://", "/path"},
			{"http://", "host/"},
			{"HTTPS://h", "st"},
			{"https:/", "host"},
			{"", "https://host"},
			{"ftp://h", "st"},
		} {
			link := around[0] + string([]byte{byte(c)}) + around[1]
			u, err := url.Parse(link)
			want := err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
			req.Images = []vidu.Media{vidu.URL(link)}
			err = req.Validate()
			if notUTF8 := c > 0x7f; want && !notUTF8 {
				require.NoError(t, err, "%q", link)
			} else {
				require.Error(t, err, "%q", link)
			}
		}
	}
}

// TestValidate_RatioOfImages: the error of a ratio of exactly 4:1 says that it must be less.
func TestValidate_RatioOfImages(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{512, 128}, {128, 512}} {
		req := smallRequest()
		req.Model, req.Images = vidu.ModelQ2Pro, []vidu.Media{vidu.Bytes(testkit.PNG(t, size[0], size[1]))}
		require.ErrorContains(t, req.Validate(), fmt.Sprintf("has %d×%d pixels; the ratio must be less than 4:1", size[0], size[1]))
	}
}

// TestDataURI_IsSentTidy: the API takes the plain form only.
func TestDataURI_IsSentTidy(t *testing.T) {
	t.Parallel()
	picture := testkit.PNG(t, 128, 128)
	encoded, tidy := base64.StdEncoding.EncodeToString(picture), testkit.DataURI("image/png", picture)
	for name, uri := range map[string]string{
		"tidy": tidy, "capitals": "Data:IMAGE/png;Base64," + encoded, "parameters": "data:image/png;a=b;charset=UTF-8;base64," + encoded,
		"wrapped": "data:image/png;base64," + wrapped(encoded, 76), "blanks": "\tdata:image/png ;base64 ," + encoded + " ",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := smallRequest()
			req.Images = []vidu.Media{vidu.DataURI(uri)}
			assert.Contains(t, sendCreate(t, req), `["`+tidy+`"]`)

			text, err := json.Marshal(map[string]string{"image": uri})
			require.NoError(t, err)
			var stored map[string]vidu.Media
			require.NoError(t, json.Unmarshal(text, &stored))
			assert.Equal(t, vidu.DataURI(tidy), stored["image"])
		})
	}
	assert.Equal(t, "data:,a", mustMarshal(t, vidu.DataURI("data:,a")), "no base64: as it is")
}

func mustMarshal(t *testing.T, m vidu.Media) (text string) {
	t.Helper()
	data, err := json.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &text))
	return text
}

// The whole body counts, base64 included, and the error says what to leave out.
func TestValidate_BodyTooBig(t *testing.T) {
	t.Parallel()
	const limit = 20 << 20
	picture := testkit.PNG(t, 128, 128)
	text := &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.Bytes(picture)}}
	marshalled, err := text.MarshalJSON()
	require.NoError(t, err)
	room := limit - len(marshalled) + base64.StdEncoding.EncodedLen(len(picture)) // for digits
	fits := testkit.Padded(picture, room/4*3)

	tests := map[string]struct {
		images []vidu.Media
		want   []string // parts of the reason; nil: accepted
	}{
		"as much as fits": {images: []vidu.Media{vidu.Bytes(fits)}},
		"three bytes more": {
			images: []vidu.Media{vidu.Bytes(testkit.Padded(picture, len(fits)+3))},
			want:   []string{"at most 20971520 are allowed; use vidu.URL or UploadImage; biggest: images[0] with"},
		},
		"the biggest first": {
			images: []vidu.Media{
				vidu.Bytes(testkit.Padded(picture, 1<<20)), vidu.URL(imageLink), vidu.Bytes(testkit.Padded(picture, 7<<20)),
				vidu.DataURI(testkit.DataURI("image/png", testkit.Padded(picture, 8<<20))), vidu.Bytes(picture),
			},
			want: []string{"; biggest: images[3] with 11184834, images[2] with 9786734, images[0] with 1398126"},
		},
		"text alone": {
			images: []vidu.Media{vidu.URL("https://example.com/" + strings.Repeat("x", limit))},
			want:   []string{"the text is too long"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := (&vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: tt.images}).Validate()
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			var invalid *vidu.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.Len(t, invalid.Problems, 1)
			assert.Equal(t, "body", invalid.Problems[0].Field)
			for _, part := range tt.want {
				assert.Contains(t, invalid.Problems[0].Reason, part)
			}
		})
	}
}

func TestValidate_ReportsAllMedia(t *testing.T) {
	t.Parallel()
	small := vidu.Bytes(testkit.PNG(t, 10, 10))
	huge := vidu.Bytes(testkit.Padded(testkit.PNG(t, 128, 128), 21<<20))
	req := &vidu.Reference2VideoRequest{
		Model: "m", Images: []vidu.Media{small, vidu.URL(imageLink), vidu.File("absent.png"), huge}, Videos: []vidu.Media{small, {}},
	}
	assert.Equal(t, []string{"prompt", "images[0]", "images[2]", "videos[0]", "videos[1]", "body"}, problemFields(t, req.Validate()))
}

// What a header claims is not allocated, nor is the data that is there. It must not run beside other tests, for it
// counts what the process allocates.
func TestValidate_HugeImageIsCheap(t *testing.T) { //nolint:paralleltest // see above
	bomb := testkit.PNGHeader(t, 100000, 30000)
	big := testkit.Padded(bomb, 1<<20)
	req := &vidu.Reference2VideoRequest{
		Model: "m", Prompt: "p", Images: []vidu.Media{vidu.Bytes(bomb), vidu.Bytes(big), vidu.DataURI(testkit.DataURI("image/png", big))},
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := req.Validate()
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<10))
}

func TestMedia_String(t *testing.T) {
	t.Parallel()
	for want, media := range map[string]vidu.Media{
		"no media":                     {},
		"https://example.com/hero.png": vidu.URL("https://user:secret@example.com/hero.png?sig=secret#x"),
		"an unreadable URL":            vidu.URL("https://\x7f"),
		"ssupload:?id=1":               vidu.UploadRef("ssupload:?id=1"),
		"data URI of 26 bytes":         vidu.DataURI("data:image/png;base64,AAAA"),
		"a b.png":                      vidu.File("a\nb.png"),
		"https://example.com/b.png":    vidu.File("https://example.com/b.png?sig=secret"),
		"data:":                        vidu.File("data:image/png;base64,AAAA"),
		"c.png":                        vidu.FS(fstest.MapFS{}, "c.png"),
		"3 bytes":                      vidu.Bytes([]byte("abc")),
	} {
		assert.Equal(t, want, media.String())
	}
}

// The content type is that of the data, whatever the file is called.
func TestMedia_ContentTypes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		data []byte
		want string
	}{
		"png":  {data: testkit.PNG(t, 128, 128), want: "image/png"},
		"jpeg": {data: testkit.JPEG(t, 128, 128), want: "image/jpeg"},
		"webp": {data: []byte(webp), want: "image/webp"},
		"mp4":  {data: testkit.FtypBox("isom"), want: "video/mp4"},
		"mov":  {data: testkit.FtypBox("qt  "), want: "video/quicktime"},
		"avi":  {data: []byte(aviHead), want: "video/avi"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			media := []vidu.Media{vidu.FS(fstest.MapFS{"hero.gif": {Data: tt.data}}, "hero.gif")}
			req := &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: media}
			if strings.HasPrefix(tt.want, "video/") {
				req.Images, req.Videos = imageLinks(1), media
			}
			assert.Contains(t, sendCreate(t, req), `["`+testkit.DataURI(tt.want, tt.data)+`"]`)
		})
	}
}

// Media that are kept outside a request keep what they are, or say that they cannot.
func TestMedia_JSON(t *testing.T) {
	t.Parallel()
	media := []vidu.Media{
		vidu.URL("https://example.com/a.png?x=1&y=<2>"), vidu.UploadRef("ssupload:?id=1"), vidu.DataURI("data:image/png;base64,AAAA"), {},
	}
	subject := vidu.Subject{Name: "hero", Images: media}
	text, err := json.Marshal(subject)
	require.NoError(t, err)
	var back vidu.Subject
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, subject, back)
	for _, m := range []vidu.Media{vidu.File("a.png"), vidu.Bytes([]byte("x"))} {
		_, err := json.Marshal(m)
		require.ErrorContains(t, err, "only with their request")
	}
	require.Error(t, json.Unmarshal([]byte(`[1]`), &media))
	var one vidu.Media
	require.ErrorContains(t, json.Unmarshal([]byte(`"https://example.com/\ud800.png"`), &one), "half a surrogate pair")
	require.ErrorContains(t, one.UnmarshalJSON([]byte("\"https://example.com/\xe9.png\"")), "not valid UTF-8")
}

// A file system may give nothing, and no error, for ever.
func TestMedia_StuckFile(t *testing.T) {
	t.Parallel()
	data := testkit.PNG(t, 128, 128)
	for good := range data {
		_, err := newClient(t, someHost).Reference2Video(t.Context(), &vidu.Reference2VideoRequest{
			Model: "m", Prompt: "p", Images: []vidu.Media{vidu.FS(stuckFS{fstest.MapFS{"a.png": {Data: data}}, good}, "a.png")},
		})
		require.ErrorContains(t, err, "images[0]")
		require.ErrorContains(t, err, "multiple Read calls return no data or error")
	}
}

// stuckFS has files that give nothing behind so many bytes, but do not end.
type stuckFS struct {
	fstest.MapFS

	good int
}

func (s stuckFS) Open(name string) (fs.File, error) {
	file, err := s.MapFS.Open(name)
	return &stuckFile{file, s.good}, err
}

type stuckFile struct {
	fs.File

	left int
}

func (f *stuckFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p[:min(len(p), f.left)])
	f.left -= n
	if n == 0 {
		return 0, nil
	}
	return n, err
}

func TestMedia_PrintsNoData(t *testing.T) {
	t.Parallel()
	req := smallRequest()
	req.Images = []vidu.Media{vidu.URL("https://example.com/a.png?signature=hunter2"), vidu.Bytes([]byte("secret data"))}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		text := fmt.Sprintf(verb, req)
		assert.NotContains(t, text, "hunter2", verb)
		assert.NotContains(t, text, "secret data", verb)
		assert.NotContains(t, text, fmt.Sprintf("%d, ", 's'), verb)
	}
}

// storage is a server with the three steps of an upload and, on another host, the store.
type storage struct {
	api, store *httptest.Server

	mu     sync.Mutex
	steps  []string
	sum    [32]byte
	failed int // answers 503 to so many requests to the store
}

func newStorage(t *testing.T) *storage {
	t.Helper()
	s := &storage{}
	s.store = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.steps = append(s.steps, r.Method+" "+r.RequestURI)
		assert.Empty(t, r.Header["Authorization"], "the key must not go to the store")
		assert.Empty(t, r.Header["Cookie"])
		assert.Equal(t, "image/png", r.Header.Get("Content-Type"))
		if s.failed > 0 || err != nil {
			s.failed--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s.sum = sha256.Sum256(body)
		w.Header().Set("ETag", `"abc"`)
	}))
	s.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Equal(t, "Token "+testkit.Key, r.Header.Get("Authorization"))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.steps = append(s.steps, r.Method+" "+r.URL.Path+" "+string(body))
		if r.Method == http.MethodPost {
			json.NewEncoder(w).Encode(map[string]string{"id": "up_1", "put_url": s.store.URL + "/put?sig=a%253Ab;c"})
			return
		}
		fmt.Fprint(w, `{"uri":"ssupload:?id=up_1"}`)
	}))
	t.Cleanup(s.api.Close)
	t.Cleanup(s.store.Close)
	return s
}

func TestUploadImage(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	s.failed = 1 // storing is free: it is tried again
	client := newClient(t, s.api.URL+"/router", vidu.WithOfficialAPI())
	data := testkit.BigPNG(t, 1<<20)
	path := filepath.Join(t.TempDir(), "hero")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	for name, media := range map[string]vidu.Media{"file": vidu.File(path), "bytes": vidu.Bytes(data)} {
		s.steps = nil
		ref, err := client.UploadImage(t.Context(), media)
		require.NoError(t, err, name)
		assert.Equal(t, "ssupload:?id=up_1", ref.String())
		assert.Equal(t, sha256.Sum256(data), s.sum)
		assert.Equal(t, []string{
			`POST /router/tools/v2/files/uploads {"scene":"vidu"}`,
			`PUT /put?sig=a%253Ab;c`,
			`PUT /router/tools/v2/files/uploads/up_1/finish {"etag":"\"abc\""}`,
		}, dedup(s.steps))
	}
}

// dedup drops repeated steps.
func dedup(steps []string) []string {
	var once []string
	for i, step := range steps {
		if i == 0 || step != steps[i-1] {
			once = append(once, step)
		}
	}
	return once
}

func TestUploadImage_RefusedMedia(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://api.example.com", vidu.WithOfficialAPI(), withTransport(func(*http.Request) (*http.Response, error) {
		t.Error("something was sent")
		return nil, io.EOF
	}))
	for name, tt := range map[string]struct {
		media vidu.Media
		says  string
	}{
		"a link":      {vidu.URL("https://example.com/hero.png"), "no file to upload"},
		"a reference": {vidu.UploadRef("ssupload:?id=1"), "no file to upload"},
		"a data URI":  {vidu.DataURI("data:image/png;base64,AAAA"), "image: "},
		"nothing":     {vidu.Media{}, "is empty"},
		"a text":      {vidu.Bytes([]byte("hello")), "text/plain"},
		"missing":     {vidu.File("missing.png"), "no such file"},
		"10 MB":       {vidu.Bytes(testkit.BigPNG(t, 10<<20)), "at most 10485759"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.UploadImage(t.Context(), tt.media)
			var invalid *vidu.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.ErrorContains(t, err, tt.says)
		})
	}
}

func TestUploadImage_Failures(t *testing.T) {
	t.Parallel()
	image := vidu.Bytes(testkit.BigPNG(t, 1000))
	started := `{"id":"up_1","put_url":"https://store.example.com/put?sig=secret"}`
	for name, tt := range map[string]struct {
		answers map[string]string // by method and host
		status  int
		says    string
		is      error
	}{
		"a gateway without uploads": {map[string]string{"POST api.example.com": "404 {}"}, 404, "does not offer", vidu.ErrNotSupported},
		"no id":                     {map[string]string{"POST api.example.com": `200 {"put_url":"https://store.example.com"}`}, 200, "names no upload", nil},
		"an id that is a path":      {map[string]string{"POST api.example.com": `200 {"id":"../x","put_url":"https://store.example.com"}`}, 200, "names no upload", nil},
		"a plain-http store":        {map[string]string{"POST api.example.com": `200 {"id":"1","put_url":"http://store.example.com/?sig=secret"}`}, 200, "not an https link", nil},
		"a web page":                {map[string]string{"POST api.example.com": `200 <html>`}, 200, "a web page", nil},
		"the store refuses":         {map[string]string{"POST api.example.com": "200 " + started, "PUT store.example.com": "403 <Error/>"}, 403, "HTTP 403", nil},
		"no ETag":                   {map[string]string{"POST api.example.com": "200 " + started, "PUT store.example.com": "200 "}, 200, "no ETag", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, "https://api.example.com", vidu.WithOfficialAPI(), withTransport(func(r *http.Request) (*http.Response, error) {
				text := tt.answers[r.Method+" "+r.URL.Host]
				var status int
				fmt.Sscan(text[:3], &status)
				return testkit.Reply(r, status, text[4:])
			}))
			_, err := client.UploadImage(t.Context(), image)
			require.ErrorContains(t, err, tt.says)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
			assert.NotContains(t, err.Error(), "secret")
			testkit.AssertHarmless(t, err)
		})
	}
}

// TestUploadImage_FileChanges shows that a file which changes on the way is not referred to.
func TestUploadImage_FileChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hero.png")
	require.NoError(t, os.WriteFile(path, testkit.BigPNG(t, 1000), 0o600))
	s := newStorage(t)
	changing := http.DefaultTransport.(*http.Transport).Clone()
	defer changing.CloseIdleConnections()
	client := newClient(t, s.api.URL, vidu.WithOfficialAPI(), withTransport(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			assert.NoError(t, os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0))) //nolint:testifylint // not the test's goroutine
		}
		return changing.RoundTrip(r)
	}))
	_, err := client.UploadImage(t.Context(), vidu.File(path))
	require.ErrorContains(t, err, "image (")
	require.ErrorContains(t, err, "changed since it was checked")
	s.store.Close() // its handler may still be at work
	assert.Zero(t, s.sum, "nothing whole was stored")
	assert.Less(t, len(s.steps), 3, "it was not tried again, and not finished")
}

// TestUploadImage_LinkIsSecret: what a storage says may quote the link, so none of it is passed on.
func TestUploadImage_LinkIsSecret(t *testing.T) {
	t.Parallel()
	const link = "/put?sig=deadbeefsecret"
	image := vidu.Bytes(testkit.BigPNG(t, 1000))
	for name, tt := range map[string]struct{ contentType, body string }{
		"message":     {"application/json", `{"code":403,"reason":"` + link + `","message":"no access to ` + link + `"}`},
		"metadata":    {"application/json", `{"code":"` + link + `","metadata":{"trace_id":"` + link + `"}}`},
		"escaped":     {"application/json", `{"message":"\u0070ut%3fsig%3ddeadbeef\u0073ecret"}`},
		"text":        {"text/plain", "cannot PUT " + link},
		"S3":          {"application/xml", "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>PUT\n" + link + "</StringToSign></Error>"},
		"trace id":    {"text/plain", "refused (request id: " + link + ")"},
		"a web page":  {"text/html", "<html>" + link},
		"nothing":     {"text/plain", ""},
		"no envelope": {"application/json", `["` + link + `"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, status := range []int{403, 307} {
				api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPost {
						json.NewEncoder(w).Encode(map[string]string{"id": "up_1", "put_url": "http://" + r.Host + link})
						return
					}
					assert.Equal(t, link, r.RequestURI)
					w.Header().Set("Content-Type", tt.contentType)
					w.Header().Set("Location", "/moved"+strings.ReplaceAll(r.RequestURI, "?", "%3F"))
					w.Header().Set("Retry-After", "7")
					w.Header().Set("X-Request-Id", "req-1")
					w.WriteHeader(status)
					io.WriteString(w, tt.body)
				}))
				t.Cleanup(api.Close)
				_, err := newClient(t, api.URL, vidu.WithOfficialAPI()).UploadImage(t.Context(), image)
				assertSecretFree(t, err)
				failure, ok := errors.AsType[*vidu.APIError](err)
				require.True(t, ok)
				assert.NotContains(t, strings.ToLower(fmt.Sprintf("%+v %s", *failure, failure.Body)), "secret")
				assert.Equal(t, status, failure.StatusCode)
				assert.Equal(t, "req-1", failure.TraceID)
				assert.Equal(t, 7*time.Second, failure.RetryAfter)
				assert.Empty(t, failure.Message)
				assert.Empty(t, failure.Metadata)
				assert.Empty(t, failure.Body)
				if status == 403 {
					require.ErrorIs(t, err, vidu.ErrForbidden, "the status' own code")
				}
			}
		})
	}
}

// TestUploadImage_OddLinks: what could not be sent as it is, is not sent at all.
func TestUploadImage_OddLinks(t *testing.T) {
	t.Parallel()
	image := vidu.Bytes(testkit.BigPNG(t, 1000))
	for link, says := range map[string]string{
		"https://h/put?sig=\x7fsecret": "the link is not a URL",
		"https://secret:secret@h/put":  "not an https link",
		"http://h/put?sig=secret":      "not an https link",
		"":                             "not an https link",
	} {
		t.Run(link, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, "https://api.example.com", vidu.WithOfficialAPI(), withTransport(func(r *http.Request) (*http.Response, error) {
				assert.Equal(t, http.MethodPost, r.Method, "sent to the storage")
				text, err := json.Marshal(map[string]string{"id": "1", "put_url": link})
				if err != nil {
					return nil, err
				}
				return testkit.Reply(r, 200, string(text))
			}))
			_, err := client.UploadImage(t.Context(), image)
			require.ErrorContains(t, err, says)
			require.ErrorContains(t, err, "put_url")
			assertSecretFree(t, err)
		})
	}
}

// TestUploadImage_StorageStalls has a storage that takes the connection and reads nothing.
func TestUploadImage_StorageStalls(t *testing.T) {
	t.Parallel()
	w := testkit.Serve(t, nil, func(*testkit.Server, net.Conn) { <-t.Context().Done() })
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		assert.NoError(t, err)
		fmt.Fprintf(rw, `{"id":"1","put_url":%q}`, w.URL)
	}))
	t.Cleanup(api.Close)
	client := newClient(t, api.URL, vidu.WithOfficialAPI(), vidu.WithMaxAttempts(1), vidu.WithHTTPClient(&http.Client{Timeout: 300 * time.Millisecond}))
	began := time.Now()
	_, err := client.UploadImage(t.Context(), vidu.Bytes(testkit.BigPNG(t, 8<<20)))
	require.ErrorContains(t, err, "no complete response within 300ms")
	assert.Less(t, time.Since(began), 20*time.Second)
}

// The errors of a transport may quote the presigned link, its query or a value of it.
func TestUploadImage_TransportQuotesLink(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"Put https://store.example.com/x?signature=hunter2%2Bhunter2: refused", "signature=hunter2%2Bhunter2", "hunter2%2Bhunter2", "hunter2+hunter2", `hunter2\u002bhunter2`,
	} {
		client := newClient(t, "https://api.example.com", vidu.WithOfficialAPI(), vidu.WithMaxAttempts(1), withTransport(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				return testkit.Reply(r, 200, `{"id":"1","put_url":"https://store.example.com/x?signature=hunter2%2Bhunter2"}`)
			}
			return nil, fmt.Errorf("%s: %w", text, syscall.ECONNREFUSED)
		}))
		_, err := client.UploadImage(t.Context(), vidu.Bytes(testkit.BigPNG(t, 1000)))
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "hunter2")
		for ; err != nil; err = errors.Unwrap(err) {
			assert.NotContains(t, err.Error(), "hunter2")
		}
	}
}
