package vidutest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// model is what is documented of one model at one endpoint. Nothing is checked against a zero field.
type model struct {
	durations   []int // in seconds
	duration    int   // default
	resolutions []string
	resolution  string   // default
	long        []string // resolutions at 8 s, where they are others; the first is the default
	ratios      []string // nil for any

	audio      bool // default
	offPeak    offPeak
	maxImages  int
	videos     bool // it takes them, in the one mode or the other
	noSubjects bool

	maxImageSubjects, maxVideoSubjects int
}

// offPeak says when a model can be had off-peak.
type offPeak int

const (
	offPeakAlways offPeak = iota
	offPeakNever
	offPeakWithAudio
	offPeakWithoutAudio
)

var (
	allResolutions = []string{"360p", "540p", "720p", "1080p", "2K", "4K"}
	fewRatios      = []string{"16:9", "9:16", "1:1"}
	someRatios     = append([]string{"4:3", "3:4"}, fewRatios...)
	namedRatios    = append([]string{"auto"}, someRatios...)
)

// referenceModels are those of reference2video. Of viduq4-preview little is documented.
var referenceModels = map[string]model{
	"viduq4-preview": {duration: 5, resolution: "720p", audio: true, maxImages: 15},
	"viduq3-drama":   {durations: seconds(2, 15), duration: 5, resolutions: hd, resolution: "720p", audio: true, maxImages: 7},
	"viduq3-ad":      {durations: seconds(3, 15), duration: 5, resolutions: hd, resolution: "720p", audio: true, maxImages: 7},
	"viduq3-mix": {
		durations: seconds(1, 16), duration: 5, resolutions: sdToHD, resolution: "720p", audio: true,
		maxImages: 7, noSubjects: true, offPeak: offPeakNever,
	},
	"viduq3-turbo": referenceQ3,
	"viduq3":       referenceQ3,
	"viduq2-pro": {
		durations: seconds(0, 10), duration: 5, resolutions: sdToHD, resolution: "720p",
		maxImages: 7, videos: true, maxImageSubjects: 4, maxVideoSubjects: 2, offPeak: offPeakWithoutAudio,
	},
	"viduq2": {
		durations: seconds(1, 10), duration: 5, resolutions: sdToHD, resolution: "720p",
		maxImages: 7, offPeak: offPeakWithoutAudio,
	},
	"viduq1": {
		durations: seconds(5, 5), duration: 5, resolutions: []string{"1080p"}, resolution: "1080p", ratios: namedRatios,
		maxImages: 7, offPeak: offPeakWithoutAudio,
	},
	"vidu2.0": {
		durations: seconds(4, 4), duration: 4, resolutions: []string{"360p", "720p"}, resolution: "360p", ratios: namedRatios,
		maxImages: 7, offPeak: offPeakWithoutAudio,
	},
	"vidu1.5": {
		durations: []int{4, 8}, duration: 4, resolutions: []string{"360p", "720p", "1080p"}, resolution: "360p", ratios: namedRatios,
		maxImages: 3, noSubjects: true,
	},
}

var referenceQ3 = model{
	durations: seconds(3, 16), duration: 5, resolutions: sdToHD, resolution: "720p", audio: true,
	maxImages: 7, offPeak: offPeakWithAudio,
}

// textModels are those of text2video.
var textModels = map[string]model{
	"viduq3-turbo": of(16, sdToHD, someRatios),
	"viduq3-pro":   of(16, sdToHD, someRatios),
	"viduq2":       of(10, sdToHD, someRatios),
	"viduq1":       {durations: seconds(5, 5), duration: 5, resolutions: []string{"1080p"}, resolution: "1080p", ratios: fewRatios},
}

// imageModels are those of img2video, frameModels those of start-end2video, whose videos are shorter on q2.
var (
	imageModels = withOlder(map[string]model{
		"viduq4-preview":  {duration: 5, resolution: "720p", audio: true},
		"viduq3-turbo":    of(16, sdToHD, nil),
		"viduq3-pro":      of(16, sdToHD, nil),
		"viduq3-pro-fast": of(16, hd, nil),
		"viduq2-pro-fast": of(10, hd, nil),
		"viduq2-pro":      of(10, sdToHD, nil),
		"viduq2-turbo":    of(10, sdToHD, nil),
	})
	frameModels = withOlder(map[string]model{
		"viduq3-turbo":    of(16, sdToHD, nil),
		"viduq3-pro":      of(16, sdToHD, nil),
		"viduq2-pro-fast": of(8, hd, nil),
		"viduq2-pro":      of(8, sdToHD, nil),
		"viduq2-turbo":    of(8, sdToHD, nil),
	})
)

var (
	hd     = []string{"720p", "1080p"}
	sdToHD = []string{"540p", "720p", "1080p"}
)

// of returns a model that makes 1 to most seconds, by default 5 s in 720p.
func of(most int, resolutions, ratios []string) model {
	return model{durations: seconds(1, most), duration: 5, resolutions: resolutions, resolution: "720p", ratios: ratios}
}

// withOlder adds the models that make a video of one image or two alike.
func withOlder(models map[string]model) map[string]model {
	q1 := model{durations: seconds(5, 5), duration: 5, resolutions: []string{"1080p"}, resolution: "1080p"}
	models["viduq1"], models["viduq1-classic"] = q1, q1
	models["vidu2.0"] = model{
		durations: []int{4, 8}, duration: 4, resolutions: []string{"360p", "720p", "1080p"}, resolution: "360p", long: []string{"720p"},
	}
	return models
}

func seconds(from, to int) []int {
	var list []int
	for s := from; s <= to; s++ {
		list = append(list, s)
	}
	return list
}

// isKnown reports whether any endpoint has a model of this name.
func isKnown(name string) bool {
	return slices.ContainsFunc(endpoints, func(e endpoint) bool { _, ok := e.models[name]; return ok })
}

// complete gives fields that the request lacks their defaults.
func (m *model) complete(req *createRequest, hasDuration bool) {
	if !hasDuration {
		req.Duration = cmp.Or(m.duration, 5)
	}
	if req.Resolution == "" {
		req.Resolution = cmp.Or(m.resolution, "720p")
		if req.Duration == 8 && m.long != nil {
			req.Resolution = m.long[0]
		}
	}
	req.MovementAmplitude = cmp.Or(req.MovementAmplitude, "auto")
	req.Style = cmp.Or(req.Style, "general")
}

// refuse returns the refusal of a request that the model does not take, nil when it takes it.
func (m *model) refuse(req *createRequest) *answer {
	resolutions := m.resolutions
	if req.Duration == 8 && m.long != nil {
		resolutions = m.long
	}
	audio := m.audio
	if req.Audio != nil {
		audio = *req.Audio
	}
	invalid := func(field, form string, args ...any) *answer {
		return refuseField("FieldInvalid", fmt.Sprintf(field+" "+form+" by "+req.Model, args...))
	}
	switch {
	case !allows(m.durations, req.Duration):
		return invalid("duration", "%d is not supported", req.Duration)
	case !allows(resolutions, req.Resolution):
		return invalid("resolution", "%s is not supported", req.Resolution)
	case !allows(m.ratios, req.AspectRatio) && req.AspectRatio != "":
		return invalid("aspect_ratio", "%s is not supported", req.AspectRatio)
	case req.OffPeak && m.offPeak == offPeakNever:
		return invalid("off_peak", "is not supported")
	case req.OffPeak && m.offPeak == offPeakWithAudio && !audio:
		return invalid("off_peak", "without audio is not supported")
	case req.OffPeak && m.offPeak == offPeakWithoutAudio && audio:
		return invalid("off_peak", "with audio is not supported")
	}
	return m.refuseReferences(req)
}

func (m *model) refuseReferences(req *createRequest) *answer {
	videos, withImages, withVideos := len(req.Videos) > 0, 0, 0
	for _, sub := range req.Subjects {
		withImages += min(len(sub.Images), 1)
		withVideos += min(len(sub.Videos), 1)
	}
	count := func(field string, n, most int) *answer {
		return refuseField("FieldItemCountOutOfRange", fmt.Sprintf("%s: %d are too many for %s, which takes %d", field, n, req.Model, most))
	}
	switch {
	case m.maxImages > 0 && len(req.Images) > m.maxImages:
		return count("images", len(req.Images), m.maxImages)
	case m.noSubjects && len(req.Subjects) > 0:
		return refuseField("FieldUnwanted", req.Model+" takes no subjects")
	case m.durations != nil && !m.videos && (videos || withVideos > 0):
		return refuseField("FieldUnwanted", req.Model+" takes no videos")
	case m.maxImageSubjects > 0 && withImages > m.maxImageSubjects:
		return count("subjects with images", withImages, m.maxImageSubjects)
	case m.maxVideoSubjects > 0 && withVideos > m.maxVideoSubjects:
		return count("subjects with videos", withVideos, m.maxVideoSubjects)
	}
	return nil
}

// allows reports whether a list has a value; nil allows everything.
func allows[V comparable](list []V, value V) bool {
	return list == nil || slices.Contains(list, value)
}

// isRatio reports whether text is two whole numbers from 1 to 9999 with a colon between them.
func isRatio(text string) bool {
	w, h, found := strings.Cut(text, ":")
	return found && isSide(w) && isSide(h)
}

func isSide(digits string) bool {
	return digits != "" && len(digits) <= 4 && digits[0] != '0' && strings.Trim(digits, "0123456789") == ""
}
