package vidutest

import (
	_ "embed"
	"time"
)

// mediaPrefix begins the path of result links. They are not part of the API: they need no key and must not be sent one.
const mediaPrefix = "/media/"

// How long result links are valid, unless WithLinkLifetime sets it.
const (
	videoLife = 24 * time.Hour
	coverLife = time.Hour
)

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

// embeddedVideo describes videoMP4, whatever the request asked for.
var embeddedVideo = videoInfo{Duration: 2, FPS: 24, Resolution: resolution{Width: 320, Height: 180}}

// The files of a creation: the last element of its links. The fake paints no watermark.
const (
	videoFile       = "video.mp4"
	watermarkedFile = "watermarked.mp4"
	coverFile       = "cover.jpg"
)

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

// creations returns the results of a task in a state: one, when it is a success.
func (s *Server) creations(t *task, state string) []creation {
	if state != stateSuccess {
		return []creation{}
	}
	return []creation{s.newCreation(t)}
}

// newCreation returns the result of a task, its links signed afresh.
func (s *Server) newCreation(t *task) creation {
	c := creation{
		ID:       t.creationID,
		URL:      s.link(t, videoFile),
		CoverURL: s.link(t, coverFile),
		Video:    embeddedVideo,
	}
	if t.request.Watermark {
		c.WatermarkedURL = s.link(t, watermarkedFile)
	}
	return c
}

// link signs a link to a file of a task.
func (s *Server) link(t *task, file string) string {
	p := mediaPrefix + t.creationID + "/" + file
	lifetime := s.downloads.videoLife
	if file == coverFile {
		lifetime = s.downloads.coverLife
	}
	return s.linkBase() + p + "?" + s.signer.query(p, lifetime)
}
