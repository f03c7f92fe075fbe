package vidu

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vidu-go/vidu/internal/oneshot"
)

// Validate reports everything that is wrong with the request, as one [*ValidationError]. It looks at inline media, too,
// and runs before every send. It refuses what every known server refuses and nothing more: unknown models, new values
// and limits on which the sources disagree are left to the server.
func (req *Reference2VideoRequest) Validate() error {
	_, err := req.prepare()
	return err
}

// prepare checks the request and encodes it.
func (req *Reference2VideoRequest) prepare() (*oneshot.Body, error) {
	if req == nil {
		return nil, &ValidationError{Problems: []FieldProblem{{Field: "req", Reason: "is nil"}}}
	}
	e := encoder{}
	e.checkFields(req)
	body, err := e.encode(req)
	if err != nil {
		return nil, err
	}
	if body.Size() > maxBodyBytes {
		e.problemOfSize(body)
	}
	if len(e.problems) > 0 {
		return nil, &ValidationError{Problems: e.problems}
	}
	return body, nil
}

// Limits of the API on text, in characters. Source: the reference-to-video page of platform.vidu.com, August 2026.
const (
	maxPromptRunes  = 5000 // the newest page says 2000 for requests without subjects; that is left to the server
	maxPayloadRunes = 1 << 20
)

// modelSpec is what every source agrees on about one model. A zero field is unknown and not checked.
type modelSpec struct {
	durations        []int // seconds
	duration         int   // default
	auto             bool  // takes AutoDuration
	resolutions      []Resolution
	resolution       Resolution // default
	maxImages        int
	takesVideos      bool
	noSubjects       bool
	maxImageSubjects int
	maxVideoSubjects int
	offPeak          offPeakRule
}

type offPeakRule int

const (
	offPeakAny offPeakRule = iota
	offPeakNever
	offPeakWithAudio
	offPeakWithoutAudio
)

var (
	hd     = []Resolution{Resolution720p, Resolution1080p}
	sdToHD = []Resolution{Resolution540p, Resolution720p, Resolution1080p}
)

// models is the table that requests to known models are checked against, and where their defaults come from.
var models = map[Model]*modelSpec{
	ModelQ3Drama: {durations: seconds(2, 15), resolutions: hd, resolution: Resolution720p, maxImages: 7},
	ModelQ3Ad:    {durations: seconds(3, 15), resolutions: hd, maxImages: 7},
	ModelQ3Mix:   {durations: seconds(1, 16), duration: 5, resolutions: sdToHD, resolution: Resolution720p, maxImages: 7, noSubjects: true, offPeak: offPeakNever},
	ModelQ3Turbo: {durations: seconds(3, 16), duration: 5, resolutions: sdToHD, resolution: Resolution720p, maxImages: 7, offPeak: offPeakWithAudio},
	ModelQ3:      {durations: seconds(3, 16), duration: 5, resolutions: sdToHD, resolution: Resolution720p, maxImages: 7, offPeak: offPeakWithAudio},
	ModelQ2Pro:   {durations: seconds(1, 10), duration: 5, auto: true, resolutions: sdToHD, resolution: Resolution720p, maxImages: 7, takesVideos: true, maxImageSubjects: 4, maxVideoSubjects: 2, offPeak: offPeakWithoutAudio},
	ModelQ2:      {durations: seconds(1, 10), duration: 5, resolutions: sdToHD, resolution: Resolution720p, maxImages: 7, offPeak: offPeakWithoutAudio},
	ModelQ1:      {durations: []int{5}, duration: 5, resolutions: []Resolution{Resolution1080p}, resolution: Resolution1080p, maxImages: 7, offPeak: offPeakWithoutAudio},
	Model20:      {durations: []int{4}, duration: 4, resolutions: []Resolution{Resolution360p, Resolution720p}, resolution: Resolution360p, maxImages: 7, offPeak: offPeakWithoutAudio},
	Model15:      {durations: []int{4, 8}, duration: 4, resolutions: []Resolution{Resolution360p, Resolution720p, Resolution1080p}, maxImages: 3, noSubjects: true},
}

func seconds(from, to int) []int {
	list := make([]int, 0, to-from+1)
	for s := from; s <= to; s++ {
		list = append(list, s)
	}
	return list
}

const (
	maxSubjects      = 7
	maxSubjectMedia  = 3
	maxImagesOfVideo = 4
	maxVideos        = 2
)

func (e *encoder) checkFields(req *Reference2VideoRequest) {
	if req.Model == "" {
		e.problem("model", "is required")
	}
	if req.Prompt == "" {
		e.problem("prompt", "is required")
	}
	e.checkText("prompt", req.Prompt, maxPromptRunes)
	e.checkReferences(req)
	if spec := models[req.Model]; spec != nil {
		e.checkModel(req, spec)
	}
	if req.Duration < AutoDuration {
		e.problem("duration", "is %d seconds; use 0 for the default or vidu.AutoDuration", req.Duration)
	}
	if req.WatermarkPosition < 0 {
		e.problem("wm_position", "is %d; 1–4 are the corners, 0 is the default", req.WatermarkPosition)
	}
	if req.WatermarkURL != "" {
		if err := checkLink(req.WatermarkURL); err != nil {
			e.problem("wm_url", "%v", err)
		}
	}
	if req.MetaData != "" && !json.Valid([]byte(req.MetaData)) {
		e.problem("meta_data", "is not JSON")
	}
	e.checkText("payload", req.Payload, maxPayloadRunes)
	if req.CallbackURL != "" {
		e.checkCallbackURL(req.CallbackURL)
	}
}

// checkText also refuses what is not UTF-8: JSON cannot carry it, so a payload would come back as another one.
func (e *encoder) checkText(field, text string, maxRunes int) {
	if !utf8.ValidString(text) {
		e.problem(field, "is not valid UTF-8")
	}
	if n := utf8.RuneCountInString(text); n > maxRunes {
		e.problem(field, "has %d characters (%d bytes), at most %d characters are allowed", n, len(text), maxRunes)
	}
}

// checkReferences checks what holds for every model.
func (e *encoder) checkReferences(req *Reference2VideoRequest) {
	switch {
	case len(req.Images) == 0 && len(req.Subjects) == 0:
		e.problem("images", "at least one image or subject is required")
	case len(req.Images) > 0 && len(req.Subjects) > 0:
		e.problem("subjects", "images and subjects exclude each other")
	}
	for i, s := range req.Subjects {
		if s.Name == "" && s.ID == "" {
			e.problem(subjectField(i, "name"), "is required")
		}
		if len(s.Images)+len(s.Videos) == 0 && s.ServerID == "" {
			e.problem(subjectField(i, "images"), "at least one image or video, or a server_id, is required")
		}
	}
}

func (e *encoder) checkModel(req *Reference2VideoRequest, spec *modelSpec) {
	switch d := req.Duration; {
	case d == AutoDuration && !spec.auto:
		e.problem("duration", "%s has no automatic duration", req.Model)
	case d > 0 && !slices.Contains(spec.durations, d):
		e.problem("duration", "is %d seconds, %s makes %s", d, req.Model, spec.durationText())
	}
	if r := req.Resolution; r.known() && !slices.Contains(spec.resolutions, r) {
		e.problem("resolution", "is %s, %s makes %v", r, req.Model, spec.resolutions)
	}
	maxImages := spec.maxImages
	if len(req.Videos) > 0 {
		maxImages = min(maxImages, maxImagesOfVideo)
	}
	if n := len(req.Images); n > maxImages {
		e.problem("images", "has %d items, at most %d are allowed", n, maxImages)
	}
	switch n := len(req.Videos); {
	case n > 0 && !spec.takesVideos:
		e.problem("videos", "%s takes no videos", req.Model)
	case n > maxVideos:
		e.problem("videos", "has %d items, at most %d are allowed", n, maxVideos)
	}
	e.checkSubjects(req, spec)
	e.checkOffPeak(req, spec.offPeak)
}

func (e *encoder) checkSubjects(req *Reference2VideoRequest, spec *modelSpec) {
	switch n := len(req.Subjects); {
	case n > 0 && spec.noSubjects:
		e.problem("subjects", "%s takes no subjects", req.Model)
	case n > maxSubjects:
		e.problem("subjects", "has %d items, at most %d are allowed", n, maxSubjects)
	}
	withImages, withVideos := 0, 0
	for i, s := range req.Subjects {
		if len(s.Videos) > 0 {
			withVideos++
		} else if len(s.Images) > 0 {
			withImages++
		}
		switch {
		case len(s.Videos) > 0 && !spec.takesVideos:
			e.problem(subjectField(i, "videos"), "%s takes no videos", req.Model)
		case len(s.Videos) > 1:
			e.problem(subjectField(i, "videos"), "has %d items, at most 1 is allowed", len(s.Videos))
		}
		if n := len(s.Images) + len(s.Videos); n > maxSubjectMedia {
			e.problem(subjectField(i, "images"), "has %d images and videos, at most %d are allowed", n, maxSubjectMedia)
		}
	}
	if spec.maxImageSubjects > 0 && withImages > spec.maxImageSubjects {
		e.problem("subjects", "has %d with images only, %s takes %d", withImages, req.Model, spec.maxImageSubjects)
	}
	if spec.maxVideoSubjects > 0 && withVideos > spec.maxVideoSubjects {
		e.problem("subjects", "has %d with videos, %s takes %d", withVideos, req.Model, spec.maxVideoSubjects)
	}
}

func (e *encoder) checkOffPeak(req *Reference2VideoRequest, rule offPeakRule) {
	switch {
	case !req.OffPeak:
	case rule == offPeakNever:
		e.problem("off_peak", "%s does not run off-peak", req.Model)
	case req.Audio == nil:
	case rule == offPeakWithAudio && !*req.Audio:
		e.problem("off_peak", "%s runs off-peak with audio only", req.Model)
	case rule == offPeakWithoutAudio && *req.Audio:
		e.problem("off_peak", "%s runs off-peak without audio only", req.Model)
	}
}

func (e *encoder) checkCallbackURL(link string) {
	u, err := url.Parse(link)
	switch {
	case err != nil || checkLink(link) != nil:
		e.problem("callback_url", "must be an absolute http or https URL")
	case u.User != nil:
		e.problem("callback_url", "must not contain a user name or password")
	case u.Fragment != "":
		e.problem("callback_url", "must not have a fragment")
	}
}

// problemOfSize names the biggest inline media, since those are what can be left out.
func (e *encoder) problemOfSize(b *oneshot.Body) {
	media := slices.SortedStableFunc(slices.Values(e.media), func(x, y *oneshot.Source) int {
		return cmp.Compare(y.EncodedLen(), x.EncodedLen())
	})
	hint := "the text is too long"
	if len(media) > 0 {
		names := make([]string, 0, 3)
		for _, s := range media[:min(len(media), 3)] {
			names = append(names, fmt.Sprintf("%s with %d", s.Name, s.EncodedLen()))
		}
		hint = "use vidu.URL or UploadImage; biggest: " + strings.Join(names, ", ")
	}
	e.problem("body", "has %d bytes, at most %d are allowed; %s", b.Size(), maxBodyBytes, hint)
}

func (s *modelSpec) durationText() string {
	first, last := s.durations[0], s.durations[len(s.durations)-1]
	switch {
	case first == last:
		return fmt.Sprintf("%d s", first)
	case len(s.durations) == 2:
		return fmt.Sprintf("%d s or %d s", first, last)
	}
	return fmt.Sprintf("%d–%d s", first, last)
}

// known is false for values that are newer than this package.
func (r Resolution) known() bool {
	return r == Resolution360p || r == Resolution540p || r == Resolution720p || r == Resolution1080p
}
