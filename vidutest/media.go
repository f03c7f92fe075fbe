package vidutest

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// mediaPrefix is where result links lead. They are no part of the API: they need no key and must not be sent one.
const mediaPrefix = "/media/"

// Two seconds of a test picture, and the frame in its middle:
//
//	ffmpeg -f lavfi -i testsrc=size=320x180:rate=24:duration=2 -c:v libx264 -profile:v baseline -pix_fmt yuv420p \
//		-crf 32 -preset veryslow -g 48 -bsf:v filter_units=remove_types=6 -movflags +faststart video.mp4
//	ffmpeg -ss 1 -i video.mp4 -frames:v 1 -q:v 6 cover.jpg
var (
	//go:embed assets/video.mp4
	videoMP4 []byte
	//go:embed assets/cover.jpg
	coverJPEG []byte
)

// embeddedVideo is the truth about videoMP4, whatever the request asked for.
var embeddedVideo = videoInfo{Duration: 2, FPS: 24, Resolution: resolution{Width: 320, Height: 180}}

// mediaFile is what a result link leads to.
type mediaFile struct {
	contentType string
	content     []byte
}

// mediaFiles has the files of every creation by the last element of their links. The fake paints no watermark.
var mediaFiles = map[string]mediaFile{
	"video.mp4":       {"video/mp4", videoMP4},
	"watermarked.mp4": {"video/mp4", videoMP4},
	"cover.jpg":       {"image/jpeg", coverJPEG},
}

type creation struct {
	ID             string    `json:"id"`
	URL            string    `json:"url"`
	CoverURL       string    `json:"cover_url"`
	WatermarkedURL string    `json:"watermarked_url"`
	Video          videoInfo `json:"video"`
}

type videoInfo struct {
	Duration   float64    `json:"duration"` // seconds
	FPS        int        `json:"fps"`
	Resolution resolution `json:"resolution"`
}

type resolution struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

// newCreation returns the result of a task, its links signed afresh.
func (s *Server) newCreation(t *task) creation {
	c := creation{
		ID:       t.creationID,
		URL:      s.link(t, "video.mp4"),
		CoverURL: s.link(t, "cover.jpg"),
		Video:    embeddedVideo,
	}
	if t.request.Watermark {
		c.WatermarkedURL = s.link(t, "watermarked.mp4")
	}
	return c
}

func (s *Server) link(t *task, file string) string {
	p := mediaPrefix + t.creationID + "/" + file
	return s.URL + p + "?" + s.signer.query(p)
}

// serveMedia answers a request for the file behind a result link.
func (s *Server) serveMedia(w http.ResponseWriter, r *http.Request) {
	file, found := mediaFiles[path.Base(r.URL.Path)]
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuseMedia(w, http.StatusMethodNotAllowed, "MethodNotAllowed")
	case r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "":
		// Real storage refuses a second way to sign in, too; here it shows a key that went where it must not go.
		refuseMedia(w, http.StatusBadRequest, "InvalidArgument")
	case !s.signer.signed(r.URL.EscapedPath(), r.URL.RawQuery):
		refuseMedia(w, http.StatusForbidden, "SignatureDoesNotMatch")
	case !found:
		refuseMedia(w, http.StatusNotFound, "NoSuchKey")
	default:
		file.serve(w, r)
	}
}

// serve answers with the file or the ranges of it that were asked for.
func (f mediaFile) serve(w http.ResponseWriter, r *http.Request) {
	sum := sha256.Sum256(f.content)
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}

// refuseMedia answers as storage does, which knows nothing of the API's envelopes.
func refuseMedia(w http.ResponseWriter, status int, code string) {
	const form = `<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>%s</Code><Message>%s</Message></Error>"
	body := fmt.Appendf(nil, form, code, http.StatusText(status))
	answer{status: status, contentType: "application/xml", body: body}.write(w, false)
}

// signatureMark stands between what is signed and the signature.
const signatureMark = ";signature="

// signer signs result links.
type signer struct {
	key []byte
}

func newSigner() signer {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // it never fails
	return signer{key: key}
}

// query returns a raw query that opens path. Real links are as awkward as this one: they hold an escape that is itself
// escaped ("%253A") and raw semicolons, so whoever parses and rebuilds the query breaks the signature.
func (sg signer) query(path string) string {
	date := url.QueryEscape(url.QueryEscape(time.Now().UTC().Format(time.RFC3339)))
	unsigned := "date=" + date + ";nonce=" + randomHex(8)
	return unsigned + signatureMark + sg.sign(path, unsigned)
}

// signed tells whether rawQuery is, byte for byte, a query that was issued for path.
func (sg signer) signed(path, rawQuery string) bool {
	unsigned, signature, _ := strings.Cut(rawQuery, signatureMark)
	return hmac.Equal([]byte(signature), []byte(sg.sign(path, unsigned)))
}

func (sg signer) sign(path, unsigned string) string {
	mac := hmac.New(sha256.New, sg.key)
	mac.Write([]byte(path + "?" + unsigned))
	return hex.EncodeToString(mac.Sum(nil))
}
