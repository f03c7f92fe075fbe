package vidutest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a create. Characters are counted, not bytes.
const (
	maxPromptChars  = 5000
	maxPayloadChars = 1 << 20
	maxSeconds      = 16 // the most of any model; the fake has no table of models
)

// field is one row of the contract. Which endpoints have it, and which server requires it, is in the table of
// endpoints. The order of the rows is the order in which a request is checked.
type field struct {
	name   string
	unless string                      // a field that may take its place
	target func(*createRequest) any    // where the value goes; its type is the field's type
	items  func(*createRequest) int    // how many there are, for an array
	span   func(*endpoint) span        // how many there may be
	check  func(*createRequest) string // returns what else is wrong with the value, "" if nothing
}

var createFields = []field{
	{name: "model", target: func(r *createRequest) any { return &r.Model }},
	{
		name: "images", unless: "subjects", target: func(r *createRequest) any { return &r.Images },
		items: func(r *createRequest) int { return len(r.Images) }, span: func(e *endpoint) span { return e.images },
	},
	{
		name: "subjects", target: func(r *createRequest) any { return &r.Subjects },
		items: func(r *createRequest) int { return len(r.Subjects) }, span: upTo(1, 7),
	},
	{
		name: "videos", target: func(r *createRequest) any { return &r.Videos },
		items: func(r *createRequest) int { return len(r.Videos) }, span: upTo(1, 2),
	},
	{
		name: "sounds", target: func(r *createRequest) any { return &r.Sounds },
		items: func(r *createRequest) int { return len(r.Sounds) }, span: upTo(0, 3),
	},
	{name: "prompt", target: func(r *createRequest) any { return &r.Prompt }, check: checkPrompt},
	{name: "duration", target: func(r *createRequest) any { return &r.Duration }, check: checkDuration},
	{name: "seed", target: func(r *createRequest) any { return &r.Seed }},
	oneOf("resolution", func(r *createRequest) *string { return &r.Resolution }, allResolutions...),
	oneOf("movement_amplitude", func(r *createRequest) *string { return &r.MovementAmplitude }, "auto", "small", "medium", "large"),
	{name: "off_peak", target: func(r *createRequest) any { return &r.OffPeak }},
	{name: "auto_subjects", target: func(r *createRequest) any { return &r.AutoSubjects }},
	{name: "audio", target: func(r *createRequest) any { return &r.Audio }},
	oneOf("audio_type", func(r *createRequest) *string { return &r.AudioType }, "all", "speech_only", "sound_effect_only"),
	{name: "voice_id", target: func(r *createRequest) any { return &r.VoiceID }},
	{name: "bgm", target: func(r *createRequest) any { return &r.BGM }},
	{name: "is_rec", target: func(r *createRequest) any { return &r.IsRec }},
	oneOf("style", func(r *createRequest) *string { return &r.Style }, "general", "anime"),
	{name: "aspect_ratio", target: func(r *createRequest) any { return &r.AspectRatio }, check: checkRatio},
	{name: "payload", target: func(r *createRequest) any { return &r.Payload }, check: checkPayload},
	{name: "watermark", target: func(r *createRequest) any { return &r.Watermark }},
	{name: "wm_position", target: func(r *createRequest) any { return &r.WMPosition }, check: checkPosition},
	link("wm_url", func(r *createRequest) *string { return &r.WMURL }),
	{name: "meta_data", target: func(r *createRequest) any { return &r.MetaData }, check: checkMetaData},
	link("callback_url", func(r *createRequest) *string { return &r.CallbackURL }),
}

// oneOf is a field that has one of the values; an empty one is as good as none.
func oneOf(name string, target func(*createRequest) *string, values ...string) field {
	return field{name: name, target: func(r *createRequest) any { return target(r) }, check: func(r *createRequest) string {
		if value := *target(r); value != "" && !slices.Contains(values, value) {
			return fmt.Sprintf("%s is %q, not one of %s", name, value, strings.Join(values, ", "))
		}
		return ""
	}}
}

// link is a field that holds a link; an empty one is as good as none.
func link(name string, target func(*createRequest) *string) field {
	return field{name: name, target: func(r *createRequest) any { return target(r) }, check: func(r *createRequest) string {
		if value := *target(r); value != "" && !isLink(value) {
			return name + " must be an absolute http or https URL"
		}
		return ""
	}}
}

// isLink reports whether text is an absolute http or https URL.
func isLink(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

func upTo(least, most int) func(*endpoint) span {
	return func(*endpoint) span { return span{least, most} }
}

// decode turns the values of a create into a request, or returns the refusal of the first field that is wrong. A field
// that may be missing has its default.
func (s *Server) decode(e *endpoint, values map[string]json.RawMessage) (*createRequest, *answer) {
	req := &createRequest{}
	if refused := s.refuseUnwanted(e, values); refused != nil {
		return nil, refused
	}
	for _, f := range createFields {
		value, ok := values[f.name]
		need := e.needOf(f.name)
		_, replaced := values[f.unless]
		required := s.dialect.requires(need)
		switch {
		case e.anything && ok:
			f.keep(value, req)
		case ok && need != unwanted:
			if refused := f.decode(value, e, required, req); refused != nil {
				return nil, refused
			}
		case required && !replaced:
			return nil, refuseField("FieldLacking", f.name+" is required")
		}
	}
	m, found := e.models[req.Model]
	_, hasDuration := values["duration"]
	m.complete(req, hasDuration)
	if e.anything {
		return req, nil
	}
	if !found && s.dialect.official && isKnown(req.Model) {
		return nil, refuseField("FieldInvalid", "model "+req.Model+" is not one of "+e.name)
	}
	if refused := req.refuseReferences(); refused != nil {
		return nil, refused
	}
	return req, m.refuse(req)
}

// refuseUnwanted returns the refusal of a field that the endpoint does not document, nil when there is none, or when
// [WithUnknownFields] allows them.
func (s *Server) refuseUnwanted(e *endpoint, values map[string]json.RawMessage) *answer {
	if e.anything {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if e.needOf(name) == unwanted && !s.unknownFields {
			return refuseField("FieldUnwanted", e.name+" has no field "+name)
		}
	}
	return s.refuseSubjectKeys(values["subjects"])
}

// subjectKeys are the fields of a subject.
var subjectKeys = []string{"name", "id", "images", "videos", "voice_id", "server_id"}

// refuseSubjectKeys does the same for subjects. Those that are no objects are refused elsewhere.
func (s *Server) refuseSubjectKeys(value json.RawMessage) *answer {
	var subjects []map[string]json.RawMessage
	if json.Unmarshal(value, &subjects) != nil {
		return nil
	}
	for i, sub := range subjects {
		for _, key := range slices.Sorted(maps.Keys(sub)) {
			known := slices.Contains(subjectKeys, key)
			switch {
			case !known && !s.unknownFields:
				return refuseField("FieldUnwanted", fmt.Sprintf("subjects[%d] has no field %s", i, key))
			case known && string(sub[key]) == "null":
				return refuseField("FieldInvalid", fmt.Sprintf("subjects[%d].%s is null", i, key))
			}
		}
	}
	return nil
}

// refuseReferences returns the refusal of references that no model takes, nil when there is nothing wrong.
func (req *createRequest) refuseReferences() *answer {
	switch {
	case len(req.Images) > 0 && len(req.Subjects) > 0:
		return refuseField("FieldUnwanted", "images and subjects exclude each other")
	case len(req.Videos) > 0 && len(req.Subjects) > 0:
		return refuseField("FieldUnwanted", "videos and subjects exclude each other")
	case len(req.Videos) > 0 && len(req.Images) > 4:
		return refuseField("FieldItemCountOutOfRange", fmt.Sprintf("images has %d items, beside videos 1 to 4 are allowed", len(req.Images)))
	case len(req.Sounds) > 0 && req.Audio != nil && !*req.Audio:
		return refuseField("FieldInvalid", "sounds need audio")
	}
	for i := range req.Subjects {
		if refused := req.Subjects[i].refuse(fmt.Sprintf("subjects[%d]", i)); refused != nil {
			return refused
		}
	}
	for _, it := range req.items() {
		if !strings.HasPrefix(it.value, dataScheme) && !strings.HasPrefix(it.value, uploadScheme) && !isLink(it.value) {
			return refuseField("FieldInvalid", it.path+" must be an absolute http or https URL, a data URI or a reference to an upload")
		}
	}
	return nil
}

func (sub *subject) refuse(path string) *answer {
	media := len(sub.Images) + len(sub.Videos)
	switch {
	case sub.Name == "" && sub.ID == "":
		return refuseField("FieldInvalid", path+".name is empty")
	case media == 0 && sub.ServerID == "":
		return refuseField("FieldLacking", path+".images is required")
	case media > 3:
		return refuseField("FieldItemCountOutOfRange", fmt.Sprintf("%s has %d images and videos, 1 to 3 are allowed", path, media))
	case len(sub.Videos) > 1:
		return refuseField("FieldItemCountOutOfRange", fmt.Sprintf("%s.videos has %d items, at most 1 is allowed", path, len(sub.Videos)))
	}
	return nil
}

func (d dialect) requires(n need) bool {
	return n == byAll || n == byGateway && d.strict
}

// keep stores one value in the request, if it is valid.
func (f *field) keep(value json.RawMessage, req *createRequest) {
	scratch := *req
	if json.Unmarshal(value, f.target(&scratch)) == nil && (f.check == nil || f.check(&scratch) == "") {
		*req = scratch
	}
}

// decode stores one value in the request. null is invalid for every type.
func (f *field) decode(value json.RawMessage, e *endpoint, required bool, req *createRequest) *answer {
	target := f.target(req)
	if string(value) == "null" || json.Unmarshal(value, target) != nil {
		return refuseField("FieldInvalid", f.name+" must be "+typeName(target))
	}
	if text, ok := target.(*string); ok && *text == "" && required {
		return refuseField("FieldInvalid", f.name+" is empty")
	}
	if f.items != nil {
		if n, span := f.items(req), f.span(e); n < span.least || n > span.most {
			return refuseField("FieldItemCountOutOfRange", fmt.Sprintf("%s has %d items, %v", f.name, n, span))
		}
	}
	if f.check != nil {
		if wrong := f.check(req); wrong != "" {
			return refuseField("FieldInvalid", wrong)
		}
	}
	return nil
}

func refuseField(reason, message string) *answer {
	return new(refuse(http.StatusBadRequest, reason, message))
}

func typeName(target any) string {
	switch target.(type) {
	case *string:
		return "a string"
	case *int:
		return "an integer"
	case *bool, **bool:
		return "true or false"
	case *[]string:
		return "an array of strings"
	default:
		return "an array of objects"
	}
}

func checkPrompt(r *createRequest) string {
	if n := utf8.RuneCountInString(r.Prompt); n > maxPromptChars {
		return fmt.Sprintf("prompt has %d characters, at most %d are allowed", n, maxPromptChars)
	}
	return ""
}

func checkDuration(r *createRequest) string {
	if r.Duration < 0 || r.Duration > maxSeconds {
		return fmt.Sprintf("duration is %d, 0 to %d are allowed", r.Duration, maxSeconds)
	}
	return ""
}

func checkPayload(r *createRequest) string {
	if n := utf8.RuneCountInString(r.Payload); n > maxPayloadChars {
		return fmt.Sprintf("payload has %d characters, at most %d are allowed", n, maxPayloadChars)
	}
	return ""
}

func checkPosition(r *createRequest) string {
	if r.WMPosition < 1 || r.WMPosition >= len(wmPositions) {
		return fmt.Sprintf("wm_position is %d, 1 to %d are allowed", r.WMPosition, len(wmPositions)-1)
	}
	return ""
}

func checkRatio(r *createRequest) string {
	if r.AspectRatio != "" && r.AspectRatio != "auto" && !isRatio(r.AspectRatio) {
		return fmt.Sprintf("aspect_ratio is %q, not a ratio such as 16:9", r.AspectRatio)
	}
	return ""
}

func checkMetaData(r *createRequest) string {
	var keys map[string]any
	if r.MetaData != "" && (json.Unmarshal([]byte(r.MetaData), &keys) != nil || keys == nil) {
		return "meta_data must be the text of a JSON object"
	}
	return ""
}
