package vidu

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/scrub"
)

// encoder collects the problems of one request while it turns it into the wire form.
type encoder struct {
	problems []FieldProblem
	media    []*oneshot.Source // in the order in which they stand on the wire
	mark     string            // stands for each of them in the encoded text; random, so that no prompt can contain it
}

func (e *encoder) problem(field, format string, args ...any) {
	e.problems = append(e.problems, FieldProblem{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// wireRequest is the request on the wire. Fields without omitempty are always said: the seed's contract requires them.
type wireRequest struct {
	Model             Model             `json:"model"`
	Images            []string          `json:"images,omitempty"`
	Videos            []string          `json:"videos,omitempty"`
	Subjects          []wireSubject     `json:"subjects,omitempty"`
	AutoSubjects      *bool             `json:"auto_subjects,omitempty"`
	Prompt            string            `json:"prompt"`
	Duration          *int              `json:"duration,omitempty"`
	Seed              int               `json:"seed"`
	Resolution        Resolution        `json:"resolution,omitempty"`
	AspectRatio       AspectRatio       `json:"aspect_ratio,omitempty"`
	MovementAmplitude MovementAmplitude `json:"movement_amplitude"`
	OffPeak           bool              `json:"off_peak"`
	Audio             *bool             `json:"audio,omitempty"`
	AudioType         AudioType         `json:"audio_type,omitempty"`
	BGM               *bool             `json:"bgm,omitempty"`
	Watermark         *bool             `json:"watermark,omitempty"`
	WatermarkPosition int               `json:"wm_position,omitempty"`
	WatermarkURL      string            `json:"wm_url,omitempty"`
	MetaData          string            `json:"meta_data,omitempty"`
	Payload           string            `json:"payload,omitempty"`
	CallbackURL       string            `json:"callback_url,omitempty"`

	duration int // what Duration points to
}

type wireSubject struct {
	Name     string   `json:"name,omitempty"`
	ID       string   `json:"id,omitempty"`
	Images   []string `json:"images,omitempty"`
	Videos   []string `json:"videos,omitempty"`
	VoiceID  string   `json:"voice_id,omitempty"`
	ServerID string   `json:"server_id,omitempty"`
}

// wireFields are the names in wireRequest, for telling what is Extra.
var wireFields = []string{
	"model", "images", "videos", "subjects", "auto_subjects", "prompt", "duration", "seed", "resolution", "aspect_ratio",
	"movement_amplitude", "off_peak", "audio", "audio_type", "bgm", "watermark", "wm_position", "wm_url", "meta_data",
	"payload", "callback_url",
}

// isWireField ignores the letter case, as many servers' JSON readers do: "Seed" in Extra would override "seed" there.
func isWireField(name string) bool {
	return slices.ContainsFunc(wireFields, func(f string) bool { return strings.EqualFold(f, name) })
}

// wireRequests lend the structs that are needed while a request is encoded.
var wireRequests = sync.Pool{New: func() any { return new(wireRequest) }}

// encode turns the request into its wire form. What is wrong with media and Extra is added to the problems.
func (e *encoder) encode(req *Reference2VideoRequest) (*oneshot.Body, error) {
	w := wireRequests.Get().(*wireRequest)
	e.fill(w, req)
	text, err := json.Marshal(w)
	*w = wireRequest{} // it must not keep the caller's texts alive
	wireRequests.Put(w)
	if err != nil {
		return nil, fmt.Errorf("vidu: encode request: %w", err)
	}
	text = e.appendExtra(text, req.Extra)
	return oneshot.New(text, []byte(e.mark), e.media), nil
}

// fill turns req into w. The order counts: the media are put where their marks stand, in the order of w's fields.
func (e *encoder) fill(w *wireRequest, req *Reference2VideoRequest) {
	*w = wireRequest{
		Model:             req.Model,
		Images:            e.refs("images", req.Images, &imageKind),
		Videos:            e.refs("videos", req.Videos, &videoKind),
		Subjects:          e.subjects(req.Subjects),
		AutoSubjects:      req.AutoSubjects,
		Prompt:            req.Prompt,
		Seed:              req.Seed,
		Resolution:        req.Resolution,
		AspectRatio:       req.AspectRatio,
		MovementAmplitude: req.MovementAmplitude,
		OffPeak:           req.OffPeak,
		Audio:             req.Audio,
		AudioType:         req.AudioType,
		BGM:               req.BGM,
		Watermark:         req.Watermark,
		WatermarkPosition: req.WatermarkPosition,
		WatermarkURL:      req.WatermarkURL,
		MetaData:          req.MetaData,
		Payload:           req.Payload,
		CallbackURL:       req.CallbackURL,
	}
	if w.MovementAmplitude == "" {
		w.MovementAmplitude = MovementAuto
	}
	spec := models[req.Model]
	if w.Resolution == "" && spec != nil {
		w.Resolution = spec.resolution
	}
	w.Duration = &w.duration
	switch {
	case req.Duration == AutoDuration: // on the wire it is 0
	case req.Duration != 0:
		w.duration = req.Duration
	case spec != nil && spec.duration != 0:
		w.duration = spec.duration
	default:
		w.Duration = nil
	}
}

func (e *encoder) subjects(list []Subject) []wireSubject {
	if len(list) == 0 {
		return nil
	}
	wire := make([]wireSubject, len(list))
	for i, s := range list {
		wire[i] = wireSubject{
			Name: s.Name, ID: s.ID, VoiceID: s.VoiceID, ServerID: s.ServerID,
			Images: e.refs(subjectField(i, "images"), s.Images, &imageKind),
			Videos: e.refs(subjectField(i, "videos"), s.Videos, &videoKind),
		}
	}
	return wire
}

// refs is the list as it goes on the wire, with the mark for every inline medium.
func (e *encoder) refs(field string, list []Media, kind *mediaKind) []string {
	if len(list) == 0 {
		return nil
	}
	refs := make([]string, len(list))
	for i, m := range list {
		ref, in, err := m.check(kind)
		switch {
		case err != nil:
			e.problem(itemField(field, i), "%v", err)
		case in != nil:
			in.Name = itemField(field, i)
			refs[i] = e.add(in)
		default:
			refs[i] = ref
		}
	}
	return refs
}

// add returns the mark.
func (e *encoder) add(in *inline) string {
	if e.mark == "" {
		e.mark = rand.Text()
	}
	e.media = append(e.media, &in.Source)
	return e.mark
}

func itemField(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

func subjectField(i int, name string) string { return itemField("subjects", i) + "." + name }

// appendExtra adds the fields of extra to the encoded object.
func (e *encoder) appendExtra(object []byte, extra map[string]any) []byte {
	if len(extra) == 0 {
		return object
	}
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		if isWireField(name) {
			e.problem("extra", "%q is a field of the request; set it there", scrub.OneLine(name, 40))
		}
	}
	text, err := json.Marshal(extra)
	if err != nil {
		e.problem("extra", "cannot be encoded: %v", err)
		return object
	}
	object[len(object)-1] = ','
	return append(object, text[1:]...)
}

// MarshalJSON gives the wire form, defaults and inline media included. It does not validate.
func (req Reference2VideoRequest) MarshalJSON() ([]byte, error) {
	e := encoder{}
	b, err := e.encode(&req)
	if err != nil {
		return nil, err
	}
	if len(e.problems) > 0 {
		return nil, &ValidationError{Problems: e.problems}
	}
	return b.Bytes()
}

// UnmarshalJSON reads the wire form: a stored job, or the body of a curl command. Fields that this package does not know
// land in Extra, their numbers as [json.Number].
func (req *Reference2VideoRequest) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil // as encoding/json has it
	}
	var w wireRequest
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	extra, err := unknownFields(data)
	if err != nil {
		return err
	}
	*req = Reference2VideoRequest{
		Model:             w.Model,
		Images:            mediaOf(w.Images),
		Videos:            mediaOf(w.Videos),
		Subjects:          subjectsOf(w.Subjects),
		AutoSubjects:      w.AutoSubjects,
		Prompt:            w.Prompt,
		Seed:              w.Seed,
		Resolution:        w.Resolution,
		AspectRatio:       w.AspectRatio,
		MovementAmplitude: w.MovementAmplitude,
		OffPeak:           w.OffPeak,
		Audio:             w.Audio,
		AudioType:         w.AudioType,
		BGM:               w.BGM,
		Watermark:         w.Watermark,
		WatermarkPosition: w.WatermarkPosition,
		WatermarkURL:      w.WatermarkURL,
		MetaData:          w.MetaData,
		Payload:           w.Payload,
		CallbackURL:       w.CallbackURL,
	}
	if len(extra) > 0 {
		req.Extra = extra
	}
	if w.Duration != nil {
		req.Duration = *w.Duration
		if req.Duration == 0 {
			req.Duration = AutoDuration
		}
	}
	return nil
}

func unknownFields(data []byte) (map[string]any, error) {
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		return nil, err
	}
	maps.DeleteFunc(fields, func(name string, _ any) bool { return isWireField(name) })
	return fields, nil
}

func mediaOf(refs []string) []Media {
	if refs == nil {
		return nil
	}
	list := make([]Media, len(refs))
	for i, ref := range refs {
		list[i] = mediumOf(ref)
	}
	return list
}

func mediumOf(ref string) Media {
	switch {
	case strings.HasPrefix(ref, "data:"):
		return DataURI(ref)
	case strings.HasPrefix(ref, uploadScheme):
		return UploadRef(ref)
	}
	return URL(ref)
}

func subjectsOf(wire []wireSubject) []Subject {
	if wire == nil {
		return nil
	}
	list := make([]Subject, len(wire))
	for i, s := range wire {
		list[i] = Subject{
			Name: s.Name, ID: s.ID, VoiceID: s.VoiceID, ServerID: s.ServerID,
			Images: mediaOf(s.Images), Videos: mediaOf(s.Videos),
		}
	}
	return list
}
