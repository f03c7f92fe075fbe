package main

import (
	"archive/tar"
	"bytes"
	"image"
	"image/png"
	"io/fs"
	"sync"

	"github.com/vidu-go/vidu"
)

// request returns the request of the create. cancel is called when the image has been read up to cancelAt.
func (c *create) request(cancel func()) *vidu.Reference2VideoRequest {
	req := &vidu.Reference2VideoRequest{
		Model:   vidu.ModelQ2Pro,
		Images:  []vidu.Media{vidu.URL("https://example.com/hero.png")},
		Prompt:  "The astronaut waved and the camera moved up.",
		Payload: c.payload(),
	}
	if c.imageBytes > 0 {
		file := imageFS{size: c.imageBytes, at: int(c.cancelAt * float64(c.imageBytes)), cancel: cancel}
		req.Images = []vidu.Media{vidu.FS(file, "hero.png")}
	}
	return req
}

// imageFS is a file system with one image. cancel is called when it has been read up to at.
type imageFS struct {
	size   int
	at     int // 0: never
	cancel func()
}

func (w imageFS) Open(string) (fs.File, error) {
	return &imageFile{imageFS: w, Reader: bytes.NewReader(pixels()[:w.size])}, nil
}

type imageFile struct {
	imageFS
	*bytes.Reader
}

func (f *imageFile) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if f.at > 0 && f.size-f.Len() >= f.at {
		f.cancel()
	}
	return n, err
}

func (f *imageFile) Stat() (fs.FileInfo, error) {
	return (&tar.Header{Name: "hero.png", Typeflag: tar.TypeReg, Size: int64(f.size)}).FileInfo(), nil
}

func (f *imageFile) Close() error { return nil }

// pixels returns a PNG with padding, to be cut to size.
var pixels = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	png.Encode(&b, image.NewGray(image.Rect(0, 0, 256, 256))) //nolint:errcheck // into memory
	return append(b.Bytes(), make([]byte, 4<<20)...)
})
