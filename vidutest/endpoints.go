package vidutest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// endpoint is one create. A request must have the required fields and may have the optional ones; any other field is
// refused, as the API refuses it.
type endpoint struct {
	name     string // its path below the API's prefix
	taskType string // the type of its tasks in replies
	images   span   // how many of them
	models   map[string]model
	required []string
	inFull   []string // required by the gateway's published contract alone
	optional []string
	anything bool // takes any JSON object
}

// endpoints are the creates that every server has. The types are those of the published samples.
var endpoints = []endpoint{
	{
		name: "reference2video", taskType: "img2video", images: span{1, 15}, models: referenceModels,
		required: []string{"model", "images", "prompt"}, inFull: saidInFull,
		optional: slices.Concat(common, []string{"subjects", "videos", "sounds", "auto_subjects", "audio_type", "aspect_ratio"}),
	},
	{
		name: "text2video", taskType: "text2video", models: textModels,
		required: []string{"model", "prompt"}, inFull: saidInFull,
		optional: slices.Concat(common, []string{"style", "aspect_ratio"}),
	},
	{
		name: "img2video", taskType: "img2video", images: span{1, 1}, models: imageModels,
		required: []string{"model", "images"}, inFull: saidInFull,
		optional: slices.Concat(common, []string{"prompt", "is_rec", "audio_type", "voice_id"}),
	},
	{
		name: "start-end2video", taskType: "headtailimg2video", images: span{2, 2}, models: frameModels,
		required: []string{"model", "images"}, inFull: saidInFull,
		optional: slices.Concat(common, []string{"prompt", "is_rec"}),
	},
}

// Fields that several endpoints have.
var (
	saidInFull = []string{"duration", "seed", "resolution", "movement_amplitude", "off_peak"}
	common     = []string{"audio", "bgm", "payload", "watermark", "wm_position", "wm_url", "meta_data", "callback_url"}
)

// WithEndpoint adds a create at a path below the API's prefix, such as "reference2image" or "lip-sync". It accepts any
// JSON object, of which it looks at nothing but the prompt, for [WithRefusedWord] and [WithFailingWord]. Replies repeat
// the fields that the other endpoints have, as far as their values are of the usual type, and name the endpoint as the
// type of the task, which for the rest is like any other.
//
// It panics when the name is not one or more elements of letters, digits, "-", "_", "." and "~" with "/" between them.
// One of the endpoints that every server has keeps its rules.
func WithEndpoint(name string) Option {
	if !isPlain(name) {
		panic(fmt.Sprintf("vidutest: WithEndpoint: %q is not a plain path", name)) //nolint:forbidigo // a mistake in the test
	}
	return func(s *Server) {
		s.added = append(s.added, endpoint{name: name, taskType: name, anything: true})
	}
}

// isPlain reports whether a path is one or more elements that mean themselves.
func isPlain(path string) bool {
	for element := range strings.SplitSeq(path, "/") {
		if strings.Trim(element, ".") == "" || strings.Trim(element, elementCharacters) != "" {
			return false
		}
	}
	return true
}

const elementCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"

// createRoutes are the routes of endpoints.
func createRoutes(prefix string, endpoints []endpoint) []route {
	routes := make([]route, len(endpoints))
	for i := range endpoints {
		e := &endpoints[i]
		routes[i] = route{path: prefix + "/" + e.name, method: http.MethodPost, creates: e.name, handle: func(s *Server, c *call) answer {
			return s.create(e, c)
		}}
	}
	return routes
}

// need is which server requires a field.
type need int

const (
	unwanted need = iota // the endpoint has no such field: it is refused
	optional
	byGateway // required by the gateway's published contract alone
	byAll     // required by the official API as well
)

func (e *endpoint) needOf(field string) need {
	switch {
	case slices.Contains(e.required, field):
		return byAll
	case slices.Contains(e.inFull, field):
		return byGateway
	case slices.Contains(e.optional, field):
		return optional
	}
	return unwanted
}

// span is how many items an array may have.
type span struct{ least, most int }

func (s span) String() string {
	if s.least == s.most {
		return fmt.Sprintf("exactly %d are needed", s.least)
	}
	return fmt.Sprintf("%d to %d are allowed", s.least, s.most)
}
