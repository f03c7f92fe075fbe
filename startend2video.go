package vidu

import (
	"cmp"
	"context"
	"reflect"

	"github.com/vidu-go/vidu/internal/oneshot"
)

// StartEnd2VideoRequest asks for a video between two images, its first frame and its last. Model and Images are
// required; every other zero field means the documented default, which is sent for a known model, so that the price
// does not depend on a server's defaults. Source: platform.vidu.com/docs/start-end-to-video.
type StartEnd2VideoRequest struct {
	// Model makes the video. Required. Known here: viduq3-turbo, viduq3-pro, viduq2-pro-fast,
	// viduq2-pro, viduq2-turbo, viduq1, viduq1-classic, vidu2.0.
	Model Model `json:"model"`

	// Images are exactly two: the first frame of the video and the last. Formats png, jpeg, webp; at least 128×128 pixels;
	// sides between 1:4 and 4:1; at most 50 MB each. The server wants the ratios of the two to be alike, within 0.8–1.25.
	Images []Media `json:"images,omitempty"`

	// Prompt says what happens: at most 5000 characters. "" is not sent and lets the model decide.
	Prompt string `json:"prompt,omitempty"`

	// IsRec has the server write the prompt, for 10 credits more. Default false.
	IsRec *bool `json:"is_rec,omitempty"`

	// Duration is in seconds: 1–16 (default 5) of the q3 models, 1–8 (5) of the q2 models, 5 of the q1 models,
	// 4 (default) or 8 of vidu2.0. 0 is the model's default.
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

	// Audio gives the video a sound track. nil is the model's default: true on the q3 models, else false.
	Audio *bool `json:"audio,omitempty"`

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

// StartEnd2Video creates a task from two images and returns it as the server accepted it; [Client.Wait] waits for the
// video.
//
// The call costs credits and is never sent twice unless the first time provably created nothing; its errors are those
// of [Client.Reference2Video].
func (c *Client) StartEnd2Video(ctx context.Context, req *StartEnd2VideoRequest) (*Task, error) {
	e := c.newEncoder()
	body, err := req.prepare(&e)
	if err != nil {
		return nil, err
	}
	return c.create(ctx, createCall{
		path: "/start-end2video", body: body, payload: cmp.Or(req.Payload, e.payload), prompt: promptOf(req.Prompt, req.IsRec),
		callback: req.CallbackURL != "",
	})
}

// Validate reports everything that is wrong with the request, under the rules of [Reference2VideoRequest.Validate].
func (req *StartEnd2VideoRequest) Validate() error {
	_, err := req.prepare(&encoder{})
	return err
}

// MarshalJSON gives the wire form, defaults and inline media included. It does not validate.
func (req StartEnd2VideoRequest) MarshalJSON() ([]byte, error) {
	e := encoder{}
	return e.marshal(req.encode(&e))
}

// UnmarshalJSON reads the wire form, under the rules of [Reference2VideoRequest.UnmarshalJSON].
func (req *StartEnd2VideoRequest) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil // as encoding/json has it
	}
	var plain plainStartEnd2Video
	if err := decodeRequest(data, &plain, &plain.Duration, &plain.Extra); err != nil {
		return err
	}
	*req = StartEnd2VideoRequest(plain)
	return nil
}

// plainStartEnd2Video is the request without its methods, see [plainReference2Video].
type plainStartEnd2Video StartEnd2VideoRequest

// wireStartEnd2Video is the request on the wire. Its own fields shadow those of the same name in the request.
type wireStartEnd2Video struct {
	plainStartEnd2Video
	Images   []string `json:"images,omitempty"`
	Duration *int     `json:"duration,omitempty"`

	duration int // what Duration points to
}

var startEnd2VideoWires wires[wireStartEnd2Video]

func (req *StartEnd2VideoRequest) encode(e *encoder) (*oneshot.Body, error) {
	w := startEnd2VideoWires.borrow()
	defer startEnd2VideoWires.giveBack(w)
	spec := startEnd2VideoModels[req.Model]
	w.plainStartEnd2Video = plainStartEnd2Video(*req)
	w.Images = e.refs("images", req.Images, spec.imageKind())
	w.Duration = wireDuration(spec, req.Duration, &w.duration)
	w.MovementAmplitude = cmp.Or(w.MovementAmplitude, MovementAuto)
	w.Resolution = cmp.Or(w.Resolution, spec.sizesAt(req.Duration).resolution)
	w.Payload = cmp.Or(w.Payload, e.payload)
	return e.encode(w, req.Extra, reflect.TypeFor[StartEnd2VideoRequest]())
}

// prepare checks the request and encodes it.
func (req *StartEnd2VideoRequest) prepare(e *encoder) (*oneshot.Body, error) {
	if req == nil {
		return nil, nilRequest()
	}
	req.check(&e.problems)
	return e.finish(req.encode(e))
}

func (req *StartEnd2VideoRequest) check(p *problems) {
	spec := startEnd2VideoModels[req.Model]
	p.checkRequired("model", string(req.Model))
	p.checkExactly("images", len(req.Images), 2)
	p.checkPrompt(req.Prompt)
	p.checkDuration(req.Model, spec, req.Duration)
	p.checkResolution(req.Model, spec, req.Duration, req.Resolution)
	p.checkWatermark(req.WatermarkPosition, req.WatermarkURL)
	p.checkMetaData(req.MetaData)
	p.checkPayload(req.Payload)
	p.checkCallbackURL(req.CallbackURL)
}

// startEnd2VideoModels is what requests to known models are checked against, and where their defaults come from.
var startEnd2VideoModels = map[Model]*modelSpec{
	ModelQ3Turbo:   {sizes: sdToHD, durations: seconds(1, 16), duration: 5},
	ModelQ3Pro:     {sizes: sdToHD, durations: seconds(1, 16), duration: 5},
	ModelQ2ProFast: {sizes: hd, durations: seconds(1, 8), duration: 5},
	ModelQ2Pro:     {sizes: sdToHD, durations: seconds(1, 8), duration: 5},
	ModelQ2Turbo:   {sizes: sdToHD, durations: seconds(1, 8), duration: 5},
	ModelQ1:        {sizes: fullHD, durations: []int{5}, duration: 5},
	ModelQ1Classic: {sizes: fullHD, durations: []int{5}, duration: 5},
	Model20:        {sizes: sizesOf20, longSizes: longSizesOf20, durations: []int{4, 8}, duration: 4},
}
