package vidutest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// Verdicts on an inline image, video or sound. A clipper writes one behind verdictMark at the end of each data URI; the
// first three are also the kinds that fields require.
const (
	kindImage   = "image"
	kindVideo   = "video"
	kindAudio   = "audio"
	noType      = "no media type"
	noBase64    = "invalid base64"
	noMedia     = "unknown file format"
	wrongType   = "content of another type"
	verdictMark = "#" // not a base64 digit, so the last one in a string is the clipper's
)

const (
	dataScheme = "data:"
	// beginning is how many bytes of an item are kept: the header of a data URI and enough digits for the magic bytes.
	beginning = 256
	// magicBytes covers every magic, and magicDigits is as much in base64.
	magicBytes  = 12
	magicDigits = magicBytes / 3 * 4
)

// inline checks an item of an array as it streams by. It keeps only the beginning.
type inline struct {
	begin []byte
	rest  digits // what is behind begin
}

func (u *inline) write(p []byte) {
	n := min(len(p), beginning-len(u.begin))
	u.begin = append(u.begin, p[:n]...)
	u.rest.write(p[n:])
}

// verdict returns what is to be written behind the item: nothing, unless it is a data URI.
func (u *inline) verdict() string {
	uri, ok := bytes.CutPrefix(u.begin, []byte(dataScheme))
	if !ok {
		return ""
	}
	header, data, _ := bytes.Cut(uri, []byte(","))
	mediaType, isBase64 := strings.CutSuffix(string(header), ";base64")
	switch first := (&digits{}).write(data); {
	case mediaType == "" || mediaType[0] == ';':
		return verdictMark + noType
	case !isBase64 || !first.then(u.rest).valid():
		return verdictMark + noBase64
	}
	return verdictMark + judge(mediaType, decodeBegin(data))
}

// judge returns the verdict on content of a media type.
func judge(mediaType string, content []byte) string {
	kind := sniff(content)
	switch {
	case kind == "":
		return noMedia
	case !strings.HasPrefix(mediaType, kind+"/"):
		return wrongType
	}
	return kind
}

// decodeBegin decodes as much of valid base64 as the magic bytes need.
func decodeBegin(data []byte) []byte {
	groups := min(len(data), magicDigits) / 4
	content, _ := base64.StdEncoding.AppendDecode(nil, data[:groups*4]) // it is valid
	return content
}

// digits checks a base64 text as it streams by.
type digits struct {
	count int // of digits
	pads  int // of "=" at the end
	wrong bool
}

var isDigit = func() (is [256]bool) {
	for _, b := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		is[b] = true
	}
	return is
}()

func (d *digits) write(p []byte) *digits {
	for _, b := range p {
		switch {
		case isDigit[b]:
			d.count++
			d.wrong = d.wrong || d.pads > 0
		case b == '=':
			d.pads++
		default:
			d.wrong = true
		}
	}
	return d
}

// then joins two parts of a text.
func (d *digits) then(next digits) *digits {
	return &digits{
		count: d.count + next.count,
		pads:  d.pads + next.pads,
		wrong: d.wrong || next.wrong || d.pads > 0 && next.count > 0,
	}
}

func (d *digits) valid() bool {
	return !d.wrong && d.pads <= 2 && (d.count+d.pads)%4 == 0
}

// magic is the file signature of a media format.
type magic struct {
	kind   string
	offset int
	bytes  string
}

var magics = []magic{
	{kindImage, 0, "\x89PNG\r\n\x1a\n"},
	{kindImage, 0, "\xff\xd8\xff"},
	{kindImage, 8, "WEBP"}, // behind "RIFF" and a size
	{kindVideo, 8, "AVI "},
	{kindVideo, 4, "ftyp"}, // MP4 and MOV
	{kindVideo, 4, "moov"},
	{kindVideo, 4, "mdat"},
	{kindVideo, 4, "wide"},
	{kindVideo, 4, "free"},
	{kindAudio, 0, "ID3"},
	{kindAudio, 0, "\xff\xfb"}, // a frame of an MP3 without a tag
	{kindAudio, 0, "\xff\xfa"},
	{kindAudio, 0, "\xff\xf3"},
	{kindAudio, 0, "\xff\xf2"},
	{kindAudio, 0, "\xff\xe3"},
	{kindAudio, 0, "\xff\xe2"},
}

// sniff returns the kind of media that content begins as, "" if it is unknown.
func sniff(content []byte) string {
	for _, m := range magics {
		if len(content) > m.offset && bytes.HasPrefix(content[m.offset:], []byte(m.bytes)) {
			return m.kind
		}
	}
	return ""
}

// item is one image, video or sound of a create.
type item struct {
	path  string // as in "subjects[0].images[1]"
	kind  string
	value string
}

// items returns every image, video and sound of a create.
func (req *createRequest) items() []item {
	items := appendItems(nil, "images", kindImage, req.Images)
	items = appendItems(items, "videos", kindVideo, req.Videos)
	items = appendItems(items, "sounds", kindAudio, req.Sounds)
	for i, sub := range req.Subjects {
		path := fmt.Sprintf("subjects[%d].", i)
		items = appendItems(items, path+"images", kindImage, sub.Images)
		items = appendItems(items, path+"videos", kindVideo, sub.Videos)
	}
	return items
}

func appendItems(items []item, path, kind string, values []string) []item {
	for i, value := range values {
		items = append(items, item{path: fmt.Sprintf("%s[%d]", path, i), kind: kind, value: value})
	}
	return items
}

// refuseInline returns the refusal of the first data URI that does not hold what it should, nil when there is none.
func refuseInline(items []item) *answer {
	reasons := map[string]string{kindImage: "ImageFormatInvalid", kindVideo: "VideoFormatInvalid", kindAudio: "FieldInvalid"}
	for _, it := range items {
		if !strings.HasPrefix(it.value, dataScheme) {
			continue
		}
		found := it.value[strings.LastIndex(it.value, verdictMark)+1:]
		if found != it.kind {
			return new(refuse(http.StatusBadRequest, reasons[it.kind], it.path+": want "+it.kind+", found "+found))
		}
	}
	return nil
}
