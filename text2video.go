package vidu

import (
	"cmp"
	"context"
	"reflect"

	"github.com/vidu-go/vidu/internal/oneshot"
)

// Text2VideoRequest asks for a video of what a text describes. Model and Prompt are required; every other zero field
// means the documented default, which is sent for a known model, so that the price does not depend on a server's
// defaults. Source: platform.vidu.com/docs/text-to-video.
type Text2VideoRequest struct {
	// Model makes the video. Required. Known here: viduq3-turbo, viduq3-pro, viduq2, viduq1.
	Model Model `json:"model"`

	// Prompt says what happens: 1–5000 characters. Required.
	Prompt string `json:"prompt"`

	// Style is "" for general. Used by viduq1 only.
	Style Style `json:"style,omitempty"`

	// Duration is in seconds: 1–16 (default 5) of the q3 models, 1–10 (5) of viduq2, 5 of viduq1. 0 is the model's
	// default.
	Duration int `json:"duration,omitempty"`

	// Seed makes a generation repeatable. 0 is random; [Task.Seed] has the number that was used.
	Seed int `json:"seed"`

	// Resolution is "" for the model's default: 720p, of viduq1 1080p. The q3 and q2 models also make 540p and 1080p.
	Resolution Resolution `json:"resolution,omitempty"`

	// AspectRatio is 16:9, which is the default for "", 9:16 or 1:1; of the q2 and q3 models also 3:4 and 4:3.
	AspectRatio AspectRatio `json:"aspect_ratio,omitempty"`

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

// Text2Video creates a task from a text and returns it as the server accepted it; [Client.Wait] waits for the video.
//
// The call costs credits and is never sent twice unless the first time provably created nothing; its errors are those
// of [Client.Reference2Video].
func (c *Client) Text2Video(ctx context.Context, req *Text2VideoRequest) (*Task, error) {
	e := c.newEncoder()
	body, err := req.prepare(&e)
	if err != nil {
		return nil, err
	}
	return c.create(ctx, createCall{
		path: "/text2video", body: body, payload: cmp.Or(req.Payload, e.payload), prompt: req.Prompt,
		callback: req.CallbackURL != "",
	})
}

// Validate reports everything that is wrong with the request, under the rules of [Reference2VideoRequest.Validate].
func (req *Text2VideoRequest) Validate() error {
	_, err := req.prepare(&encoder{})
	return err
}

// MarshalJSON gives the wire form, defaults included. It does not validate.
func (req Text2VideoRequest) MarshalJSON() ([]byte, error) {
	e := encoder{}
	return e.marshal(req.encode(&e))
}

// UnmarshalJSON reads the wire form, under the rules of [Reference2VideoRequest.UnmarshalJSON].
func (req *Text2VideoRequest) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil // as encoding/json has it
	}
	var plain plainText2Video
	if err := decodeRequest(data, &plain, &plain.Duration, &plain.Extra); err != nil {
		return err
	}
	*req = Text2VideoRequest(plain)
	return nil
}

// plainText2Video is the request without its methods, see [plainReference2Video].
type plainText2Video Text2VideoRequest

// wireText2Video is the request on the wire. Its own fields shadow those of the same name in the request.
type wireText2Video struct {
	plainText2Video
	Duration *int `json:"duration,omitempty"`

	duration int // what Duration points to
}

var text2VideoWires wires[wireText2Video]

func (req *Text2VideoRequest) encode(e *encoder) (*oneshot.Body, error) {
	w := text2VideoWires.borrow()
	defer text2VideoWires.giveBack(w)
	spec := text2VideoModels[req.Model]
	w.plainText2Video = plainText2Video(*req)
	w.Duration = wireDuration(spec, req.Duration, &w.duration)
	w.MovementAmplitude = cmp.Or(w.MovementAmplitude, MovementAuto)
	w.Resolution = cmp.Or(w.Resolution, spec.sizesAt(req.Duration).resolution)
	w.Payload = cmp.Or(w.Payload, e.payload)
	return e.encode(w, req.Extra, reflect.TypeFor[Text2VideoRequest]())
}

// prepare checks the request and encodes it.
func (req *Text2VideoRequest) prepare(e *encoder) (*oneshot.Body, error) {
	if req == nil {
		return nil, nilRequest()
	}
	req.check(&e.problems)
	return e.finish(req.encode(e))
}

func (req *Text2VideoRequest) check(p *problems) {
	spec := text2VideoModels[req.Model]
	p.checkRequired("model", string(req.Model))
	p.checkRequired("prompt", req.Prompt)
	p.checkPrompt(req.Prompt)
	p.checkDuration(req.Model, spec, req.Duration)
	p.checkResolution(req.Model, spec, req.Duration, req.Resolution)
	p.checkWatermark(req.WatermarkPosition, req.WatermarkURL)
	p.checkMetaData(req.MetaData)
	p.checkPayload(req.Payload)
	p.checkCallbackURL(req.CallbackURL)
}

// text2VideoModels is what requests to known models are checked against, and where their defaults come from.
var text2VideoModels = map[Model]*modelSpec{
	ModelQ3Turbo: {sizes: sdToHD, durations: seconds(1, 16), duration: 5},
	ModelQ3Pro:   {sizes: sdToHD, durations: seconds(1, 16), duration: 5},
	ModelQ2:      {sizes: sdToHD, durations: seconds(1, 10), duration: 5},
	ModelQ1:      {sizes: fullHD, durations: []int{5}, duration: 5},
}
