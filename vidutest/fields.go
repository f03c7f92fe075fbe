package vidutest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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
		items: func(r *createRequest) int { return len(r.Images) }, span: func(e *endpoint) span { return e.images }, check: checkImages,
	},
	{
		name: "subjects", target: func(r *createRequest) any { return &r.Subjects },
		items: func(r *createRequest) int { return len(r.Subjects) }, span: upTo(1, 7), check: checkNames,
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
	{name: "resolution", target: func(r *createRequest) any { return &r.Resolution }},
	{name: "movement_amplitude", target: func(r *createRequest) any { return &r.MovementAmplitude }},
	{name: "off_peak", target: func(r *createRequest) any { return &r.OffPeak }},
	{name: "auto_subjects", target: func(r *createRequest) any { return &r.AutoSubjects }},
	{name: "audio", target: func(r *createRequest) any { return &r.Audio }},
	{name: "audio_type", target: func(r *createRequest) any { return &r.AudioType }},
	{name: "voice_id", target: func(r *createRequest) any { return &r.VoiceID }},
	{name: "bgm", target: func(r *createRequest) any { return &r.BGM }},
	{name: "is_rec", target: func(r *createRequest) any { return &r.IsRec }},
	{name: "style", target: func(r *createRequest) any { return &r.Style }},
	{name: "aspect_ratio", target: func(r *createRequest) any { return &r.AspectRatio }},
	{name: "payload", target: func(r *createRequest) any { return &r.Payload }, check: checkPayload},
	{name: "watermark", target: func(r *createRequest) any { return &r.Watermark }},
	{name: "wm_position", target: func(r *createRequest) any { return &r.WMPosition }, check: checkPosition},
	{name: "wm_url", target: func(r *createRequest) any { return &r.WMURL }},
	{name: "meta_data", target: func(r *createRequest) any { return &r.MetaData }},
	{name: "callback_url", target: func(r *createRequest) any { return &r.CallbackURL }},
}

func upTo(least, most int) func(*endpoint) span {
	return func(*endpoint) span { return span{least, most} }
}

func known(name string) bool {
	return slices.ContainsFunc(createFields, func(f field) bool { return f.name == name })
}

// decode turns the values of a create into a request, or returns the refusal of the first field that is wrong. A field
// that may be missing has its default.
func (d dialect) decode(e *endpoint, values map[string]json.RawMessage) (*createRequest, *answer) {
	req := &createRequest{Style: "general", Duration: 5, Resolution: "720p", MovementAmplitude: "auto"}
	for _, f := range createFields {
		value, ok := values[f.name]
		need := e.needOf(f.name)
		_, replaced := values[f.unless]
		switch {
		case e.anything && ok:
			f.keep(value, req)
		case need == unwanted && ok:
			return nil, refuseField("FieldUnwanted", e.name+" has no field "+f.name)
		case ok:
			if refused := f.decode(value, e, req); refused != nil {
				return nil, refused
			}
		case d.requires(need) && !replaced:
			return nil, refuseField("FieldLacking", f.name+" is required")
		}
	}
	return req, nil
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
func (f *field) decode(value json.RawMessage, e *endpoint, req *createRequest) *answer {
	target := f.target(req)
	if string(value) == "null" || json.Unmarshal(value, target) != nil {
		return refuseField("FieldInvalid", f.name+" must be "+typeName(target))
	}
	if text, ok := target.(*string); ok && *text == "" && e.needOf(f.name) == byAll {
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
	case *bool:
		return "true or false"
	case *[]string:
		return "an array of strings"
	default:
		return "an array of objects"
	}
}

func checkImages(r *createRequest) string {
	if i := slices.Index(r.Images, ""); i >= 0 {
		return fmt.Sprintf("images[%d] is empty", i)
	}
	return ""
}

func checkNames(r *createRequest) string {
	for i, sub := range r.Subjects {
		if sub.Name == "" && sub.ID == "" {
			return fmt.Sprintf("subjects[%d].name is empty", i)
		}
	}
	return ""
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
