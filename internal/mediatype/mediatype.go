// Package mediatype looks at the first bytes of a file: which content type it has, whatever its name says, and how many
// pixels an image has. No pixel is decoded and nothing is allocated by what a header claims, so files of strangers cost
// no more than their headers. What it does not know is reported as unknown and never as wrong.
package mediatype

import (
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"strings"

	"golang.org/x/image/webp"
)

// HeadSize is how many bytes of a file [Sniff] looks at, at most.
const HeadSize = 512

// Sniff returns the content type of a file that begins with head. It is [http.DetectContentType] without parameters,
// plus the video and audio files that it does not know.
func Sniff(head []byte) string {
	if len(head) >= 12 && string(head[4:8]) == "ftyp" {
		switch brand := string(head[8:12]); brand {
		case "qt  ":
			return "video/quicktime"
		case "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1", "avif", "avis": // images in the same container
			return "image/" + brand
		case "M4A ", "M4B ":
			return "audio/mp4"
		default:
			return "video/mp4"
		}
	}
	if len(head) >= 8 {
		switch string(head[4:8]) {
		case "moov", "mdat", "wide", "free", "skip", "pnot": // QuickTime before the "ftyp" box existed
			return "video/quicktime"
		}
	}
	if isMP3Frame(head) {
		return "audio/mpeg"
	}
	contentType, _, _ := strings.Cut(http.DetectContentType(head), ";")
	if contentType == "audio/wave" {
		return "audio/wav" // as everybody else calls it
	}
	return contentType
}

// isMP3Frame reports whether head begins with a frame of MPEG audio, as an MP3 without a tag does: eleven bits of sync,
// a version and layer III. Source: ISO/IEC 11172-3, 2.4.1.3.
func isMP3Frame(head []byte) bool {
	const version, layer3 = 0x18, 0x02
	return len(head) >= 4 && head[0] == 0xff && head[1]&0xe0 == 0xe0 && head[1]&version != 0x08 && head[1]&0x06 == layer3 &&
		head[2]>>4 != 0x0f && head[2]&0x0c != 0x0c // a bit rate and a sampling rate that exist
}

// ErrUnknown means that the dimensions cannot be read here, which is no fault of the file: it is a video, or an image
// of a kind that Go's decoders do not support.
var ErrUnknown = errors.New("mediatype: dimensions unknown")

// Dimensions reads the width and height of an image in pixels from its header. Any error but [ErrUnknown] means that
// the header is broken or could not be read.
func Dimensions(contentType string, r io.Reader) (width, height int, err error) {
	var config image.Config
	switch contentType {
	case "image/png":
		config, err = png.DecodeConfig(r)
	case "image/jpeg":
		config, err = jpeg.DecodeConfig(r)
	case "image/webp":
		config, err = webp.DecodeConfig(r)
	default:
		return 0, 0, ErrUnknown
	}
	if isUnsupported(err) {
		return 0, 0, ErrUnknown
	}
	if err != nil {
		return 0, 0, err
	}
	return config.Width, config.Height, nil
}

// isUnsupported reports whether err is about a valid image that the decoder does not support, such as a JPEG of 12
// bits.
func isUnsupported(err error) bool {
	_, isJPEG := errors.AsType[jpeg.UnsupportedError](err)
	_, isPNG := errors.AsType[png.UnsupportedError](err)
	return isJPEG || isPNG
}
