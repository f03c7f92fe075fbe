package vidu

import (
	"cmp"
	"context"
	"reflect"

	"github.com/vidu-go/vidu/internal/oneshot"
)

// Img2VideoRequest asks for a video that begins with an image. Model and Images are required; every other zero field
// means the documented default, which is sent for a known model, so that the price does not depend on a server's
// defaults. Source: platform.vidu.com/docs/image-to-video.
type Img2VideoRequest struct {
	// Model makes the video. Required. Known here: viduq4-preview, viduq3-turbo, viduq3-pro,
	// viduq3-pro-fast, viduq2-pro-fast, viduq2-pro, viduq2-turbo, viduq1, viduq1-classic, vidu2.0.
	Model Model `json:"model"`

	// Images is exactly one image, with which the video begins. Formats png, jpeg, webp; at least 128×128 pixels; sides
	// between 1:4 and 4:1, of viduq4-preview between 1:5 and 5:1; at most 50 MB.
	Images []Media `json:"images,omitempty"`

	// Prompt says what happens: at most 5000 characters. "" is not sent and lets the model decide.
	Prompt string `json:"prompt,omitempty"`

	// IsRec has the server write the prompt, for 10 credits more. Default false.
	IsRec *bool `json:"is_rec,omitempty"`

	// Duration is in seconds: 3–16 (default 5) of viduq4-preview, 1–16 (5) of the q3 models, 1–10 (5) of the q2
	// models, 5 of the q1 models, 4 (default) or 8 of vidu2.0. 0 is the model's default.
	Duration int `json:"duration,omitempty"`

	// Seed makes a generation repeatable. 0 is random; [Task.Seed] has the number that was used.
	Seed int `json:"seed"`

	// Resolution is "" for the model's default: 720p; of the q1 models 1080p; of vidu2.0 360p at 4 s and 720p
	// at 8 s.
	Resolution Resolution `json:"resolution,omitempty"`

	// MovementAmplitude is "" for auto. The q2 and q3 models ignore it.
	MovementAmplitude MovementAmplitude `json:"movement_amplitude"`

	// OffPeak is cheaper and takes up to 48 hours; a task that is not done by then is cancelled and not charged.
	OffPeak bool `json:"off_peak"`

	// Audio gives the video a sound track. nil is the model's default: true on the q3 and q4 models, else false.
	Audio *bool `json:"audio,omitempty"`

	// AudioType is "" for all.
	AudioType AudioType `json:"audio_type,omitempty"`

	// VoiceID is the voice of the sound track; "" lets the server choose. No effect on the q3 models.
	VoiceID string `json:"voice_id,omitempty"`

	// BGM adds background music. Default false. Ignored by the q3 models.
	BGM *bool `json:"bgm,omitempty"`

	// Watermark adds a mark. Default false.
	Watermark *bool `json:"watermark,omitempty"`

	// WatermarkPosition is 1 top left, 2 top right, 3 bottom right, 4 bottom left; 0 is the default, 3.
	WatermarkPosition int `json:"wm_position,omitempty"`

	// WatermarkURL is the image of the mark; "" is the server's own.
	WatermarkURL string `json:"wm_url,omitempty"`

	// MetaData is a JSON text that is written into the video's metadata, see [Reference2VideoRequest].
	MetaData string `json:"meta_data,omitempty"`

	// Payload comes back with the task, in replies and callbacks: at most 1,048,576 characters. A unique one, stored
	// before the call, is what a task can be found by when the call's outcome is unknown.
	Payload string `json:"payload,omitempty"`

	// CallbackURL receives state-change notifications: an absolute http or https URL without userinfo or fragment.
	CallbackURL string `json:"callback_url,omitempty"`

	// Extra adds fields that this package does not know. A key that it does know is a [ValidationError].
	Extra map[string]any `json:"-"`
}

// Img2Video creates a task from an image and returns it as the server accepted it; [Client.Wait] waits for the video.
//
// The call costs credits and is never sent twice unless the first time provably created nothing; its errors are those
// of [Client.Reference2Video].
func (c *Client) Img2Video(ctx context.Context, req *Img2VideoRequest) (*Task, error) {
	e := c.newEncoder()
	body, err := req.prepare(&e)
	if err != nil {
		return nil, err
	}
	return c.create(ctx, createCall{
		path: "/img2video", body: body, payload: cmp.Or(req.Payload, e.payload), prompt: promptOf(req.Prompt, req.IsRec),
		callback: req.CallbackURL != "",
	})
}

// Validate reports everything that is wrong with the request, under the rules of [Reference2VideoRequest.Validate].
func (req *Img2VideoRequest) Validate() error {
	_, err := req.prepare(&encoder{})
	return err
}

// MarshalJSON gives the wire form, defaults and inline media included. It does not validate.
func (req Img2VideoRequest) MarshalJSON() ([]byte, error) {
	e := encoder{}
	return e.marshal(req.encode(&e))
}

// UnmarshalJSON reads the wire form, under the rules of [Reference2VideoRequest.UnmarshalJSON].
func (req *Img2VideoRequest) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil // as encoding/json has it
	}
	var plain plainImg2Video
	if err := decodeRequest(data, &plain, &plain.Duration, &plain.Extra); err != nil {
		return err
	}
	*req = Img2VideoRequest(plain)
	return nil
}

// plainImg2Video is the request without its methods, see [plainReference2Video].
type plainImg2Video Img2VideoRequest

// wireImg2Video is the request on the wire. Its own fields shadow those of the same name in the request.
type wireImg2Video struct {
	plainImg2Video
	Images   []string `json:"images,omitempty"`
	Duration *int     `json:"duration,omitempty"`

	duration int // what Duration points to
}

var img2VideoWires wires[wireImg2Video]

func (req *Img2VideoRequest) encode(e *encoder) (*oneshot.Body, error) {
	w := img2VideoWires.borrow()
	defer img2VideoWires.giveBack(w)
	spec := img2VideoModels[req.Model]
	w.plainImg2Video = plainImg2Video(*req)
	w.Images = e.refs("images", req.Images, spec.imageKind())
	w.Duration = wireDuration(spec, req.Duration, &w.duration)
	w.MovementAmplitude = cmp.Or(w.MovementAmplitude, MovementAuto)
	w.Resolution = cmp.Or(w.Resolution, spec.sizesAt(req.Duration).resolution)
	w.Payload = cmp.Or(w.Payload, e.payload)
	return e.encode(w, req.Extra, reflect.TypeFor[Img2VideoRequest]())
}

// prepare checks the request and encodes it.
func (req *Img2VideoRequest) prepare(e *encoder) (*oneshot.Body, error) {
	if req == nil {
		return nil, nilRequest()
	}
	req.check(&e.problems)
	return e.finish(req.encode(e))
}

func (req *Img2VideoRequest) check(p *problems) {
	spec := img2VideoModels[req.Model]
	p.checkRequired("model", string(req.Model))
	p.checkExactly("images", len(req.Images), 1)
	p.checkPrompt(req.Prompt)
	p.checkDuration(req.Model, spec, req.Duration)
	p.checkResolution(req.Model, spec, req.Duration, req.Resolution)
	p.checkWatermark(req.WatermarkPosition, req.WatermarkURL)
	p.checkMetaData(req.MetaData)
	p.checkPayload(req.Payload)
	p.checkCallbackURL(req.CallbackURL)
}

// img2VideoModels is what requests to known models are checked against, and where their defaults come from.
var img2VideoModels = map[Model]*modelSpec{
	ModelQ4Preview: {sizes: sizes{resolution: Resolution720p}, duration: 5, secondHand: true},
	ModelQ3Turbo:   {sizes: sdToHD, durations: seconds(1, 16), duration: 5},
	ModelQ3Pro:     {sizes: sdToHD, durations: seconds(1, 16), duration: 5},
	ModelQ3ProFast: {sizes: hd, durations: seconds(1, 16), duration: 5},
	ModelQ2ProFast: {sizes: hd, durations: seconds(1, 10), duration: 5},
	ModelQ2Pro:     {sizes: sdToHD, durations: seconds(1, 10), duration: 5},
	ModelQ2Turbo:   {sizes: sdToHD, durations: seconds(1, 10), duration: 5},
	ModelQ1:        {sizes: fullHD, durations: []int{5}, duration: 5},
	ModelQ1Classic: {sizes: fullHD, durations: []int{5}, duration: 5},
	Model20:        {sizes: sizesOf20, longSizes: longSizesOf20, durations: []int{4, 8}, duration: 4},
}
