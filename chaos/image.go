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

// request is the create as a caller writes it. trip is called when the image has been read up to cancelAt.
func (c *create) request(trip func()) *vidu.Reference2VideoRequest {
	req := &vidu.Reference2VideoRequest{
		Model:   vidu.ModelQ2Pro,
		Images:  []vidu.Media{vidu.URL("https://example.com/hero.png")},
		Prompt:  "The astronaut waved and the camera moved up.",
		Payload: c.marker(),
	}
	if c.imageBytes > 0 {
		file := wired{size: c.imageBytes, at: int(c.cancelAt * float64(c.imageBytes)), trip: trip}
		req.Images = []vidu.Media{vidu.FS(file, "hero.png")}
	}
	return req
}

// wired is a file system with one image and a tripwire in it.
type wired struct {
	size int
	at   int // 0: no wire
	trip func()
}

func (w wired) Open(string) (fs.File, error) {
	return &wiredFile{wired: w, Reader: bytes.NewReader(pixels()[:w.size])}, nil
}

type wiredFile struct {
	wired
	*bytes.Reader
}

func (f *wiredFile) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if f.at > 0 && f.size-f.Len() >= f.at {
		f.trip()
	}
	return n, err
}

func (f *wiredFile) Stat() (fs.FileInfo, error) {
	return (&tar.Header{Name: "hero.png", Typeflag: tar.TypeReg, Size: int64(f.size)}).FileInfo(), nil
}

func (f *wiredFile) Close() error { return nil }

// pixels is a PNG with padding behind it, to be cut to size.
var pixels = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	png.Encode(&b, image.NewGray(image.Rect(0, 0, 256, 256))) //nolint:errcheck // into memory
	return append(b.Bytes(), make([]byte, 4<<20)...)
})
