package vidu

import (
	"cmp"
	"context"
	"encoding/json"
	"reflect"

	"github.com/vidu-go/vidu/internal/oneshot"
)

// Reference2VideoRequest asks for a video of what reference images or subjects show. Model, Prompt and either Images or
// Subjects are required; every other zero field means the documented default.
//
// The price depends on Model, Duration, Resolution and OffPeak. For a known model those are sent in full, so that what
// a call costs does not depend on a server's defaults; but where no default is documented, a zero field is not sent and
// the server decides: the Duration of viduq3-drama, Duration and Resolution of viduq3-ad, the Resolution of vidu1.5.
// Source: platform.vidu.com/docs/reference-to-video.
type Reference2VideoRequest struct {
	// Model makes the video. Required.
	Model Model `json:"model"`

	// Images are the references of a request without Subjects: 1–7, with Videos 1–4 (viduq4-preview: 1–15, vidu1.5: 1–3).
	// Formats png, jpeg, webp; at least 128×128 pixels; a ratio of less than 4:1, of viduq4-preview and models that this
	// package does not know up to 5:1; at most 50 MB each.
	Images []Media `json:"images,omitempty"`

	// Videos are further references, for viduq2-pro only: one of at most 8 s or two of at most 5 s. Formats mp4, avi, mov;
	// at most 100 MB each as a link, 20 MB inline.
	Videos []Media `json:"videos,omitempty"`

	// Sounds are 0–3 clips that viduq4-preview lets the video follow, of 3–12 s each, with Audio true. Format mp3; at most
	// 50 MB each.
	Sounds []Media `json:"sounds,omitempty"`

	// Subjects are named references, used instead of Images: 1–7, for viduq2-pro at most 4 with images and 2 with videos.
	// Not for viduq3-mix and vidu1.5.
	Subjects []Subject `json:"subjects,omitempty"`

	// AutoSubjects lets the server find further subjects. Default false. Used with Subjects only.
	AutoSubjects *bool `json:"auto_subjects,omitempty"`

	// Prompt says what happens: 1–5000 characters; newer servers take at most 2000 without Subjects. A subject is
	// called by @name.
	Prompt string `json:"prompt"`

	// Duration is in seconds: 2–15 of viduq3-drama, 3–15 of viduq3-ad, 1–16 (default 5) of viduq3-mix, 3–16 (5) of viduq3
	// and viduq3-turbo, 1–10 (5) of the q2 models, 5 of viduq1, 4 of vidu2.0, 4 (default) or 8 of vidu1.5; the default of
	// viduq4-preview is 5. 0 is the model's default, [AutoDuration] the model's choice (viduq2-pro).
	Duration int `json:"duration,omitempty"`

	// Seed makes a generation repeatable. 0 is random; [Task.Seed] has the number that was used.
	Seed int `json:"seed"`

	// Resolution is "" for the model's default: 720p, of viduq1 1080p, of vidu2.0 360p. The q3 and q2 models also make
	// 1080p and, but for viduq3-drama and viduq3-ad, 540p; vidu2.0 also 720p; vidu1.5, without a default, 360p to 1080p.
	Resolution Resolution `json:"resolution,omitempty"`

	// AspectRatio is "" for 16:9, on viduq3-drama 9:16.
	AspectRatio AspectRatio `json:"aspect_ratio,omitempty"`

	// MovementAmplitude is "" for auto. The q2 and q3 models ignore it.
	MovementAmplitude MovementAmplitude `json:"movement_amplitude"`

	// OffPeak is cheaper and takes up to 48 hours; a task that is not done by then is cancelled and not charged. Not for
	// viduq3-mix; on viduq3 and viduq3-turbo only with audio, on older models only without.
	OffPeak bool `json:"off_peak"`

	// Audio gives the video a sound track. nil is the model's default: true on the q3 models, else false.
	Audio *bool `json:"audio,omitempty"`

	// AudioType is "" for all.
	AudioType AudioType `json:"audio_type,omitempty"`

	// BGM adds background music. Default false. Used without Subjects only; ignored by the q3 models.
	BGM *bool `json:"bgm,omitempty"`

	// Watermark adds a mark. Default false, though viduq3-drama was seen to add one when nothing is said.
	Watermark *bool `json:"watermark,omitempty"`

	// WatermarkPosition is 1 top left, 2 top right, 3 bottom right, 4 bottom left; 0 is the default, 3.
	WatermarkPosition int `json:"wm_position,omitempty"`

	// WatermarkURL is the image of the mark; "" is the server's own.
	WatermarkURL string `json:"wm_url,omitempty"`

	// MetaData is a JSON text that is written into the video's metadata, with the keys Label, ContentProducer,
	// ContentPropagator, ProduceID, PropagateID, ReservedCode1, ReservedCode2.
	MetaData string `json:"meta_data,omitempty"`

	// Payload comes back with the task, in replies and callbacks: at most 1,048,576 characters. A unique one, stored
	// before the call, is what a task can be found by when the call's outcome is unknown.
	Payload string `json:"payload,omitempty"`

	// CallbackURL receives state-change notifications: an absolute http or https URL without userinfo or fragment.
	CallbackURL string `json:"callback_url,omitempty"`

	// Extra adds fields that this package does not know. A key that it does know is a [ValidationError].
	Extra map[string]any `json:"-"`
}

// Subject is a named reference. The prompt calls it by @Name.
type Subject struct {
	Name     string  `json:"name,omitempty"`      // the handle; required unless ID is set
	ID       string  `json:"id,omitempty"`        // the same handle for gateways that still call the field "id"
	Images   []Media `json:"images,omitempty"`    // with Videos 1–3 together, unless ServerID is set
	Videos   []Media `json:"videos,omitempty"`    // viduq2-pro only; one of at most 5 s
	VoiceID  string  `json:"voice_id,omitempty"`  // "" lets the server choose; no effect on the q3 models
	ServerID string  `json:"server_id,omitempty"` // of a subject that is stored on the server

	// Extra adds fields that this package does not know. A key that it does know is a [ValidationError].
	Extra map[string]any `json:"-"`
}

// Reference2Video creates a task and returns it as the server accepted it. The video is then made within minutes, or
// within 48 hours with OffPeak: [Client.Wait] waits for it.
//
// The call costs credits and is never sent twice unless the first time provably created nothing. A [*ValidationError]
// means that nothing was sent; a [*MaybeCreatedError] that a task may exist; any other error that none does. req may
// be changed or reused once the call has returned.
func (c *Client) Reference2Video(ctx context.Context, req *Reference2VideoRequest) (*Task, error) {
	e := c.newEncoder()
	body, err := req.prepare(&e)
	if err != nil {
		return nil, err
	}
	return c.create(ctx, createCall{
		path: "/reference2video", body: body, payload: cmp.Or(req.Payload, e.payload), prompt: req.Prompt,
		callback: req.CallbackURL != "",
	})
}

// Validate reports everything that is wrong with the request, as one [*ValidationError]. It looks at inline media, too,
// and runs before every send. It refuses what every known server refuses and nothing more: unknown models, new values
// and limits on which the sources disagree are left to the server.
func (req *Reference2VideoRequest) Validate() error {
	_, err := req.prepare(&encoder{})
	return err
}

// MarshalJSON gives the wire form, defaults and inline media included. It does not validate.
func (req Reference2VideoRequest) MarshalJSON() ([]byte, error) {
	e := encoder{}
	return e.marshal(req.encode(&e))
}

// UnmarshalJSON reads the wire form: a stored job, or the body of a curl command. Fields that this package does not
// know land in Extra, their numbers as [json.Number]. A field that is given twice, or spelled in another letter case,
// is an error: other readers of the same text would take another of them. So are a negative duration, and texts that
// are not UTF-8 or have half a surrogate pair: they would be changed in silence.
func (req *Reference2VideoRequest) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil // as encoding/json has it
	}
	var plain plainReference2Video
	if err := decodeRequest(data, &plain, &plain.Duration, &plain.Extra); err != nil {
		return err
	}
	*req = Reference2VideoRequest(plain)
	return nil
}

// plainReference2Video is the request without its methods, which would otherwise be those of every struct that embeds
// it.
type plainReference2Video Reference2VideoRequest

// wireReference2Video is the request on the wire. Its own fields shadow those of the same name in the request.
type wireReference2Video struct {
	plainReference2Video
	Images   []string          `json:"images,omitempty"`
	Videos   []string          `json:"videos,omitempty"`
	Sounds   []string          `json:"sounds,omitempty"`
	Subjects []json.RawMessage `json:"subjects,omitempty"`
	Duration *int              `json:"duration,omitempty"`

	duration int // what Duration points to
}

var reference2VideoWires wires[wireReference2Video]

// prepare checks the request and encodes it.
func (req *Reference2VideoRequest) prepare(e *encoder) (*oneshot.Body, error) {
	if req == nil {
		return nil, nilRequest()
	}
	req.check(&e.problems)
	return e.finish(req.encode(e))
}

func (req *Reference2VideoRequest) encode(e *encoder) (*oneshot.Body, error) {
	w := reference2VideoWires.borrow()
	defer reference2VideoWires.giveBack(w)
	spec := reference2VideoModels[req.Model]
	w.plainReference2Video = plainReference2Video(*req)
	w.Images = e.refs("images", req.Images, spec.imageKind())
	w.Videos = e.refs("videos", req.Videos, &videoKind)
	w.Sounds = e.refs("sounds", req.Sounds, &soundKind)
	w.Duration = wireDuration(spec, req.Duration, &w.duration)
	var err error
	if w.Subjects, err = e.subjects(req.Subjects, spec.imageKind()); err != nil {
		return nil, err
	}
	w.MovementAmplitude = cmp.Or(w.MovementAmplitude, MovementAuto)
	w.Resolution = cmp.Or(w.Resolution, spec.sizesAt(req.Duration).resolution)
	w.Payload = cmp.Or(w.Payload, e.payload)
	return e.encode(w, req.Extra, reflect.TypeFor[Reference2VideoRequest]())
}

// MarshalJSON gives the wire form of a subject by itself. Files and bytes are an error, as in [Media.MarshalJSON].
func (s Subject) MarshalJSON() ([]byte, error) {
	e := encoder{}
	text, err := json.Marshal(plainSubject(s))
	if err != nil {
		return nil, err
	}
	text = e.appendExtra("extra", text, s.Extra, reflect.TypeFor[Subject]())
	return text, e.err()
}

// UnmarshalJSON reads the wire form, with the same rules as that of [Reference2VideoRequest].
func (s *Subject) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var plain plainSubject
	extra, err := decodeFields(data, string(data), &plain)
	if err != nil {
		return err
	}
	*s = Subject(plain)
	s.Extra = extra
	return nil
}

type plainSubject Subject

// wireSubject is a subject on the wire, as wireReference2Video is a request.
type wireSubject struct {
	plainSubject
	Images []string `json:"images,omitempty"`
	Videos []string `json:"videos,omitempty"`
}

// subjects encodes each subject by itself, for each may have extra fields.
func (e *encoder) subjects(list []Subject, kind *mediaKind) ([]json.RawMessage, error) {
	if len(list) == 0 {
		return nil, nil
	}
	wire := make([]json.RawMessage, len(list))
	for i := range list {
		text, err := e.subject(itemField("subjects", i), &list[i], kind)
		if err != nil {
			return nil, err
		}
		wire[i] = text
	}
	return wire, nil
}

func (e *encoder) subject(field string, s *Subject, kind *mediaKind) ([]byte, error) {
	wire := wireSubject{
		plainSubject: plainSubject(*s),
		Images:       e.refs(field+".images", s.Images, kind),
		Videos:       e.refs(field+".videos", s.Videos, &videoKind),
	}
	text, err := json.Marshal(&wire)
	if err != nil {
		return nil, err
	}
	text = e.appendExtra(field+".extra", text, s.Extra, reflect.TypeFor[Subject]())
	e.checkRepaired(text, field, &wire, s.Extra)
	return text, nil
}

func subjectField(i int, name string) string { return itemField("subjects", i) + "." + name }

// reference2VideoModels is what requests to known models are checked against, and where their defaults come from. Of
// viduq4-preview, whose facts are second-hand, only the counts are checked.
var reference2VideoModels = map[Model]*modelSpec{
	ModelQ4Preview: {sizes: sizes{resolution: Resolution720p}, duration: 5, maxImages: 15, maxSounds: 3, secondHand: true},
	ModelQ3Drama:   {sizes: hd, durations: seconds(2, 15), maxImages: 7},
	ModelQ3Ad:      {sizes: sizes{resolutions: hd.resolutions}, durations: seconds(3, 15), maxImages: 7},
	ModelQ3Mix:     {sizes: sdToHD, durations: seconds(1, 16), duration: 5, maxImages: 7, noSubjects: true, offPeak: offPeakNever},
	ModelQ3Turbo:   {sizes: sdToHD, durations: seconds(3, 16), duration: 5, maxImages: 7, offPeak: offPeakWithAudio},
	ModelQ3:        {sizes: sdToHD, durations: seconds(3, 16), duration: 5, maxImages: 7, offPeak: offPeakWithAudio},
	ModelQ2Pro: {
		sizes: sdToHD, durations: seconds(1, 10), duration: 5, auto: true, maxImages: 7, takesVideos: true,
		maxImageSubjects: 4, maxVideoSubjects: 2, offPeak: offPeakWithoutAudio,
	},
	ModelQ2: {sizes: sdToHD, durations: seconds(1, 10), duration: 5, maxImages: 7, offPeak: offPeakWithoutAudio},
	ModelQ1: {sizes: fullHD, durations: []int{5}, duration: 5, maxImages: 7, offPeak: offPeakWithoutAudio},
	Model20: {
		sizes: sizes{[]Resolution{Resolution360p, Resolution720p}, Resolution360p}, durations: []int{4}, duration: 4, maxImages: 7,
		offPeak: offPeakWithoutAudio,
	},
	Model15: {
		sizes:     sizes{resolutions: []Resolution{Resolution360p, Resolution720p, Resolution1080p}},
		durations: []int{4, 8}, duration: 4, maxImages: 3, noSubjects: true,
	},
}

const (
	maxSubjects      = 7
	maxSubjectMedia  = 3
	maxImagesOfVideo = 4
	maxVideos        = 2
)

func (req *Reference2VideoRequest) check(p *problems) {
	spec := reference2VideoModels[req.Model]
	p.checkRequired("model", string(req.Model))
	p.checkRequired("prompt", req.Prompt)
	p.checkPrompt(req.Prompt)
	req.checkReferences(p)
	p.checkDuration(req.Model, spec, req.Duration)
	p.checkResolution(req.Model, spec, req.Duration, req.Resolution)
	if spec != nil {
		req.checkModel(p, spec)
	}
	p.checkWatermark(req.WatermarkPosition, req.WatermarkURL)
	p.checkMetaData(req.MetaData)
	p.checkPayload(req.Payload)
	p.checkCallbackURL(req.CallbackURL)
}

// checkReferences checks what holds for every model.
func (req *Reference2VideoRequest) checkReferences(p *problems) {
	switch {
	case len(req.Images) == 0 && len(req.Subjects) == 0:
		p.add("images", "at least one image or subject is required")
	case len(req.Images) > 0 && len(req.Subjects) > 0:
		p.add("subjects", "images and subjects are mutually exclusive")
	}
	for i, s := range req.Subjects {
		if s.Name == "" && s.ID == "" {
			p.add(subjectField(i, "name"), "is required")
		}
		if len(s.Images)+len(s.Videos) == 0 && s.ServerID == "" {
			p.add(subjectField(i, "images"), "at least one image or video, or a server_id, is required")
		}
	}
}

func (req *Reference2VideoRequest) checkModel(p *problems, spec *modelSpec) {
	maxImages := spec.maxImages
	if len(req.Videos) > 0 {
		maxImages = min(maxImages, maxImagesOfVideo)
	}
	p.checkCount("images", len(req.Images), maxImages)
	if spec.secondHand {
		p.checkCount("sounds", len(req.Sounds), spec.maxSounds)
		return
	}
	if len(req.Videos) > 0 && !spec.takesVideos {
		p.add("videos", "are not supported by %s", req.Model)
	} else {
		p.checkCount("videos", len(req.Videos), maxVideos)
	}
	req.checkSubjects(p, spec)
	p.checkOffPeak(req.Model, spec.offPeak, req.OffPeak, req.Audio)
}

func (req *Reference2VideoRequest) checkSubjects(p *problems, spec *modelSpec) {
	if len(req.Subjects) > 0 && spec.noSubjects {
		p.add("subjects", "are not supported by %s", req.Model)
	} else {
		p.checkCount("subjects", len(req.Subjects), maxSubjects)
	}
	withImages, withVideos := 0, 0
	for i, s := range req.Subjects {
		if len(s.Videos) > 0 {
			withVideos++
		} else if len(s.Images) > 0 {
			withImages++
		}
		if len(s.Videos) > 0 && !spec.takesVideos {
			p.add(subjectField(i, "videos"), "are not supported by %s", req.Model)
		} else {
			p.checkCount(subjectField(i, "videos"), len(s.Videos), 1)
		}
		if n := len(s.Images) + len(s.Videos); n > maxSubjectMedia {
			p.add(subjectField(i, "images"), "has %d images and videos, at most %d are allowed", n, maxSubjectMedia)
		}
	}
	if spec.maxImageSubjects > 0 && withImages > spec.maxImageSubjects {
		p.add("subjects", "has %d with images only, at most %d are supported by %s", withImages, spec.maxImageSubjects, req.Model)
	}
	if spec.maxVideoSubjects > 0 && withVideos > spec.maxVideoSubjects {
		p.add("subjects", "has %d with videos, at most %d are supported by %s", withVideos, spec.maxVideoSubjects, req.Model)
	}
}
