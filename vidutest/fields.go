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
	maxImages       = 7
	maxVideos       = 2
	maxSubjects     = 7
	maxPromptChars  = 5000
	maxPayloadChars = 1 << 20
	maxSeconds      = 16 // the most of any model; the fake has no table of models
)

// need is which server requires a field.
type need int

const (
	optional  need = iota
	byGateway      // required by the gateway's published contract alone
	byAll          // required by the official API as well
)

// field is one row of the contract. The order of the rows is the order in which a request is checked.
type field struct {
	name   string
	need   need
	unless string                             // a field that may take its place
	target func(*createRequest) any           // where the value goes; its type is the field's type
	count  func(*createRequest) (n, most int) // how many items there are and may be, for an array
	check  func(*createRequest) string        // returns what else is wrong with the value, "" if nothing
}

var createFields = []field{
	{name: "model", need: byAll, target: func(r *createRequest) any { return &r.Model }, check: checkModel},
	{
		name: "images", need: byAll, unless: "subjects", target: func(r *createRequest) any { return &r.Images },
		count: func(r *createRequest) (n, most int) { return len(r.Images), maxImages }, check: checkImages,
	},
	{
		name: "subjects", target: func(r *createRequest) any { return &r.Subjects },
		count: func(r *createRequest) (n, most int) { return len(r.Subjects), maxSubjects }, check: checkNames,
	},
	{
		name: "videos", target: func(r *createRequest) any { return &r.Videos },
		count: func(r *createRequest) (n, most int) { return len(r.Videos), maxVideos },
	},
	{name: "prompt", need: byAll, target: func(r *createRequest) any { return &r.Prompt }, check: checkPrompt},
	{name: "duration", need: byGateway, target: func(r *createRequest) any { return &r.Duration }, check: checkDuration},
	{name: "seed", need: byGateway, target: func(r *createRequest) any { return &r.Seed }},
	{name: "resolution", need: byGateway, target: func(r *createRequest) any { return &r.Resolution }},
	{name: "movement_amplitude", need: byGateway, target: func(r *createRequest) any { return &r.MovementAmplitude }},
	{name: "off_peak", need: byGateway, target: func(r *createRequest) any { return &r.OffPeak }},
	{name: "auto_subjects", target: func(r *createRequest) any { return &r.AutoSubjects }},
	{name: "audio", target: func(r *createRequest) any { return &r.Audio }},
	{name: "audio_type", target: func(r *createRequest) any { return &r.AudioType }},
	{name: "bgm", target: func(r *createRequest) any { return &r.BGM }},
	{name: "aspect_ratio", target: func(r *createRequest) any { return &r.AspectRatio }},
	{name: "payload", target: func(r *createRequest) any { return &r.Payload }, check: checkPayload},
	{name: "watermark", target: func(r *createRequest) any { return &r.Watermark }},
	{name: "wm_position", target: func(r *createRequest) any { return &r.WMPosition }, check: checkPosition},
	{name: "wm_url", target: func(r *createRequest) any { return &r.WMURL }},
	{name: "meta_data", target: func(r *createRequest) any { return &r.MetaData }},
	{name: "callback_url", target: func(r *createRequest) any { return &r.CallbackURL }},
}

func known(name string) bool {
	return slices.ContainsFunc(createFields, func(f field) bool { return f.name == name })
}

// decode turns the values of a create into a request, or returns the refusal of the first field that is wrong. A field
// that may be missing has its default.
func (d dialect) decode(values map[string]json.RawMessage) (*createRequest, *answer) {
	req := &createRequest{Duration: 5, Resolution: "720p", MovementAmplitude: "auto"}
	for _, f := range createFields {
		value, ok := values[f.name]
		if !ok {
			if _, replaced := values[f.unless]; d.requires(f) && !replaced {
				return nil, refuseField("FieldLacking", f.name+" is required")
			}
			continue
		}
		if refused := f.decode(value, req); refused != nil {
			return nil, refused
		}
	}
	return req, nil
}

func (d dialect) requires(f field) bool {
	return f.need == byAll || f.need == byGateway && d.strict
}

// decode stores one value in the request. null is invalid for every type.
func (f *field) decode(value json.RawMessage, req *createRequest) *answer {
	target := f.target(req)
	if string(value) == "null" || json.Unmarshal(value, target) != nil {
		return refuseField("FieldInvalid", f.name+" must be "+typeName(target))
	}
	if f.count != nil {
		if n, most := f.count(req); n < 1 || n > most {
			return refuseField("FieldItemCountOutOfRange", fmt.Sprintf("%s has %d items, 1 to %d are allowed", f.name, n, most))
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

func checkModel(r *createRequest) string {
	if r.Model == "" {
		return "model is empty"
	}
	return ""
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
	switch n := utf8.RuneCountInString(r.Prompt); {
	case n == 0:
		return "prompt is empty"
	case n > maxPromptChars:
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
