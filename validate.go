package vidu

import (
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The checks that several requests share. They take values, never a request. They refuse what every known server
// refuses and nothing more: unknown models, new values and limits on which the sources disagree are left to the server.

// problems collects everything that is wrong with one request.
type problems []FieldProblem

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, FieldProblem{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// err returns the problems as one error, nil where there are none.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return &ValidationError{Problems: p}
}

// nilRequest returns the error of a nil request.
func nilRequest() error {
	return &ValidationError{Problems: []FieldProblem{{Field: "req", Reason: "is nil"}}}
}

// Limits of the API on text, in characters. Source: the reference-to-video page of platform.vidu.com, August 2026.
const (
	maxPromptRunes  = 5000 // the newest page says 2000 for requests without subjects; that is left to the server
	maxPayloadRunes = 1 << 20
)

// modelSpec is what every source agrees on about one model of one endpoint. A zero field is unknown and not checked.
type modelSpec struct {
	sizes
	longSizes map[int]sizes // of the durations that have sizes of their own
	durations []int         // seconds
	duration  int           // default
	auto      bool          // takes AutoDuration

	secondHand       bool // known from third parties: of requests only the counts of media are checked
	maxImages        int
	maxSounds        int
	takesVideos      bool
	noSubjects       bool
	maxImageSubjects int
	maxVideoSubjects int
	offPeak          offPeakRule
}

// sizes are the resolutions that a model makes.
type sizes struct {
	resolutions []Resolution
	resolution  Resolution // default
}

// sizesAt returns the sizes of a video of so many seconds; 0 is the default. Of an unknown model nothing is known.
func (s *modelSpec) sizesAt(duration int) sizes {
	if s == nil {
		return sizes{}
	}
	if long, ok := s.longSizes[duration]; ok {
		return long
	}
	return s.sizes
}

// imageKind returns which images the model takes.
func (s *modelSpec) imageKind() *mediaKind {
	if s == nil || s.secondHand {
		return &wideImageKind
	}
	return &imageKind
}

type offPeakRule int

const (
	offPeakAny offPeakRule = iota
	offPeakNever
	offPeakWithAudio
	offPeakWithoutAudio
)

var (
	hd     = sizes{[]Resolution{Resolution720p, Resolution1080p}, Resolution720p}
	sdToHD = sizes{[]Resolution{Resolution540p, Resolution720p, Resolution1080p}, Resolution720p}
	fullHD = sizes{[]Resolution{Resolution1080p}, Resolution1080p}
)

// What vidu2.0 makes of one image or two: more sizes at 4 s than at 8 s.
var (
	sizesOf20     = sizes{[]Resolution{Resolution360p, Resolution720p, Resolution1080p}, Resolution360p}
	longSizesOf20 = map[int]sizes{8: {[]Resolution{Resolution720p}, Resolution720p}}
)

func seconds(from, to int) []int {
	list := make([]int, 0, to-from+1)
	for s := from; s <= to; s++ {
		list = append(list, s)
	}
	return list
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

func (p *problems) checkRequired(field, value string) {
	if value == "" {
		p.add(field, "is required")
	}
}

// checkPrompt allows an empty one: where it is required, checkRequired says so.
func (p *problems) checkPrompt(prompt string) { p.checkText("prompt", prompt, maxPromptRunes) }

func (p *problems) checkPayload(payload string) { p.checkText("payload", payload, maxPayloadRunes) }

// checkText also refuses what is not UTF-8: JSON cannot carry it, so a payload would come back as another one.
func (p *problems) checkText(field, text string, maxRunes int) {
	if !utf8.ValidString(text) {
		p.add(field, "is not valid UTF-8")
	}
	if n := utf8.RuneCountInString(text); n > maxRunes {
		p.add(field, "has %d characters (%d bytes), at most %d characters are allowed", n, len(text), maxRunes)
	}
}

func (p *problems) checkDuration(model Model, spec *modelSpec, duration int) {
	if duration < AutoDuration {
		p.add("duration", "is %d seconds; use 0 for the default or vidu.AutoDuration", duration)
	}
	switch {
	case spec == nil || spec.durations == nil:
	case duration == AutoDuration && !spec.auto:
		p.add("duration", "%s does not support AutoDuration", model)
	case duration > 0 && !slices.Contains(spec.durations, duration):
		p.add("duration", "%d s is not supported by %s (%s)", duration, model, spec.durationText())
	}
}

func (p *problems) checkResolution(model Model, spec *modelSpec, duration int, r Resolution) {
	if known := spec.sizesAt(duration).resolutions; known != nil && r.known() && !slices.Contains(known, r) {
		p.add("resolution", "%s is not supported by %s %v", r, model, known)
	}
}

// known reports whether the value is one that this package checks; newer ones pass.
func (r Resolution) known() bool {
	return r == Resolution360p || r == Resolution540p || r == Resolution720p || r == Resolution1080p
}

func (p *problems) checkCount(field string, n, limit int) {
	switch {
	case n > limit && limit == 1:
		p.add(field, "has %d items, at most 1 is allowed", n)
	case n > limit:
		p.add(field, "has %d items, at most %d are allowed", n, limit)
	}
}

func (p *problems) checkExactly(field string, n, want int) {
	switch {
	case n == want:
	case want == 1:
		p.add(field, "has %d items, exactly 1 is needed", n)
	default:
		p.add(field, "has %d items, exactly %d are needed", n, want)
	}
}

func (p *problems) checkOffPeak(model Model, rule offPeakRule, offPeak bool, audio *bool) {
	switch {
	case !offPeak:
	case rule == offPeakNever:
		p.add("off_peak", "is not supported by %s", model)
	case audio == nil:
	case rule == offPeakWithAudio && !*audio:
		p.add("off_peak", "is supported by %s only with audio", model)
	case rule == offPeakWithoutAudio && *audio:
		p.add("off_peak", "is supported by %s only without audio", model)
	}
}

func (p *problems) checkWatermark(position int, link string) {
	if position < 0 {
		p.add("wm_position", "is %d; 1–4 are the corners, 0 is the default", position)
	}
	if link != "" {
		if err := checkLink(link); err != nil {
			p.add("wm_url", "%v", err)
		}
	}
}

func (p *problems) checkMetaData(text string) {
	if text != "" && !json.Valid([]byte(text)) {
		p.add("meta_data", "is not JSON")
	}
}

func (p *problems) checkCallbackURL(link string) {
	if link == "" {
		return
	}
	u, err := url.Parse(link)
	switch {
	case err != nil || checkLink(link) != nil:
		p.add("callback_url", "must be an absolute http or https URL")
	case u.User != nil:
		p.add("callback_url", "must not contain a user name or password")
	case u.Fragment != "":
		p.add("callback_url", "must not have a fragment")
	}
}

func itemField(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

const maxNesting = 100 // of maps and slices; one that contains itself has no end

var (
	mediaType     = reflect.TypeFor[Media]()
	mediaPointer  = reflect.TypeFor[*Media]()
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// marshals reports whether the form of t in JSON is its own business.
func marshals(t reflect.Type) bool { return t.Implements(jsonMarshaler) || t.Implements(textMarshaler) }

var errNotUTF8 = errors.New("is not valid UTF-8")

// problemIn returns what is wrong with a value that encoding/json would send all the same, and where in it: strings
// that are not UTF-8, which it repairs, and media in structs that cannot be used. A struct may embed itself, which ends
// with the depth.
func problemIn(v reflect.Value, depth int) (place string, problem error) {
	switch {
	case !v.IsValid() || depth == 0:
		return "", nil
	case v.Type() == mediaType && v.CanInterface():
		_, _, problem = v.Interface().(Media).check(&anyKind)
		return "", problem
	case v.Type() != mediaPointer && marshals(v.Type()):
		return "", nil
	}
	switch kind := v.Kind(); {
	case kind == reflect.String && !utf8.ValidString(v.String()):
		return "", errNotUTF8
	case kind == reflect.Interface, kind == reflect.Pointer:
		return problemIn(v.Elem(), depth-1)
	case kind == reflect.Slice, kind == reflect.Array:
		for i := range v.Len() {
			if place, problem = problemIn(v.Index(i), depth-1); problem != nil {
				return itemField("", i) + place, problem
			}
		}
	case kind == reflect.Map:
		for key, value := range v.Seq2() {
			if _, problem = problemIn(key, depth-1); problem != nil {
				return "", problem
			}
			if place, problem = problemIn(value, depth-1); problem != nil {
				return fmt.Sprintf(".%v", key) + place, problem
			}
		}
	case kind == reflect.Struct:
		return problemInStruct(v, depth)
	}
	return "", nil
}

func problemInStruct(v reflect.Value, depth int) (place string, problem error) {
	for field, value := range v.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if (!field.IsExported() && !field.Anonymous) || name == "-" {
			continue
		}
		if place, problem = problemIn(value, depth-1); problem == nil {
			continue
		}
		if field.Anonymous && name == "" { // its fields are those of the struct
			return place, problem
		}
		return "." + cmp.Or(name, field.Name) + place, problem
	}
	return "", nil
}
