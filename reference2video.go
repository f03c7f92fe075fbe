package vidu

import (
	"context"
	"errors"
	"net/http"
)

// AutoDuration as a request's Duration lets the model choose the length. Of the known models only viduq2-pro can.
const AutoDuration = -1

// Reference2VideoRequest asks for a video of what reference images or subjects show. Model, Prompt and either Images
// or Subjects are required; every other zero field means the documented default.
//
// The price depends on Model, Duration, Resolution and OffPeak. For a known model those are sent in full, so that what a
// call costs does not depend on a server's defaults; but where no default is documented, a zero field is not sent and
// the server decides: the Duration of viduq3-drama, Duration and Resolution of viduq3-ad, the Resolution of vidu1.5.
// Source: platform.vidu.com/docs/reference-to-video.
type Reference2VideoRequest struct {
	// Model makes the video. Required.
	Model Model

	// Images are the references of a request without Subjects: 1–7, with Videos 1–4 (vidu1.5: 1–3). Formats png, jpeg,
	// webp; at least 128×128 pixels; sides between 1:4 and 4:1; at most 50 MB each.
	Images []Media

	// Videos are further references, for viduq2-pro only: one of at most 8 s or two of at most 5 s. Formats mp4, avi, mov;
	// at most 100 MB each as a link, 20 MB inline.
	Videos []Media

	// Subjects are named references, used instead of Images: 1–7, for viduq2-pro at most 4 with images and 2 with videos.
	// Not for viduq3-mix and vidu1.5.
	Subjects []Subject

	// AutoSubjects lets the server find further subjects. Default false. Used with Subjects only.
	AutoSubjects *bool

	// Prompt says what happens: 1–5000 characters; newer servers take at most 2000 without Subjects. A subject is
	// called by @name.
	Prompt string

	// Duration is in seconds. 0 is the model's default, [AutoDuration] the model's choice (viduq2-pro). The range by
	// model is in the documentation of the [Model] constants.
	Duration int

	// Seed makes a generation repeatable. 0 is random; [Task.Seed] has the number that was used.
	Seed int

	// Resolution is "" for the model's default. What a model offers is in the documentation of the [Model] constants.
	Resolution Resolution

	// AspectRatio is "" for 16:9, on viduq3-drama 9:16.
	AspectRatio AspectRatio

	// MovementAmplitude is "" for auto. The q2 and q3 models ignore it.
	MovementAmplitude MovementAmplitude

	// OffPeak is cheaper and takes up to 48 hours; a task that is not done by then is cancelled and not charged. Not for
	// viduq3-mix; on viduq3 and viduq3-turbo only with audio, on older models only without.
	OffPeak bool

	// Audio gives the video a sound track. nil is the model's default: true on the q3 models, else false.
	Audio *bool

	// AudioType is "" for all.
	AudioType AudioType

	// BGM adds background music. Default false. Used without Subjects only; ignored by the q3 models.
	BGM *bool

	// Watermark adds a mark. Default false, though viduq3-drama was seen to add one when nothing is said.
	Watermark *bool

	// WatermarkPosition is 1 top left, 2 top right, 3 bottom right, 4 bottom left; 0 is the default, 3.
	WatermarkPosition int

	// WatermarkURL is the image of the mark; "" is the server's own.
	WatermarkURL string

	// MetaData is a JSON text that is written into the video's metadata, with the keys Label, ContentProducer,
	// ContentPropagator, ProduceID, PropagateID, ReservedCode1, ReservedCode2.
	MetaData string

	// Payload comes back with the task, in replies and callbacks: at most 1,048,576 characters. A unique one, stored
	// before the call, is what a task can be found by when the call's outcome is unknown.
	Payload string

	// CallbackURL is told of changes of state: an absolute http or https URL without userinfo or fragment.
	CallbackURL string

	// Extra adds fields that this package does not know. A key that it does know is a [ValidationError].
	Extra map[string]any
}

// Subject is a named reference. The prompt calls it by @Name.
type Subject struct {
	Name     string  // the handle; required unless ID is set
	ID       string  // the same handle for gateways that still call the field "id"
	Images   []Media // with Videos 1–3 together, unless ServerID is set
	Videos   []Media // viduq2-pro only; one of at most 5 s
	VoiceID  string  // "" lets the server choose; no effect on the q3 models
	ServerID string  // of a subject that is stored on the server
}

// Reference2Video creates a task and returns it as the server accepted it. The video is then made within minutes, or
// within 48 hours with OffPeak: [Client.Wait] waits for it.
//
// The call costs credits and is never sent twice unless the first time provably created nothing. A [*ValidationError]
// means that nothing was sent; a [*MaybeCreatedError] that a task may exist; any other error that none does. req may
// be changed or reused once the call has returned.
func (c *Client) Reference2Video(ctx context.Context, req *Reference2VideoRequest) (*Task, error) {
	body, err := req.prepare()
	if err != nil {
		return nil, err
	}
	prompt, callback := req.Prompt, req.CallbackURL != ""
	var task *Task
	err = c.call(ctx, &request{
		method: http.MethodPost, path: "/reference2video", body: body, paid: true, payload: req.Payload, limit: maxCreateReply,
	}, func(reply []byte) (err error) {
		task, err = decodeCreated(reply)
		return err
	})
	if doubt, ok := errors.AsType[*MaybeCreatedError](err); ok {
		if found := c.lookUp(ctx, doubt, prompt); found != nil {
			task, err = found, nil
		}
	}
	if err != nil {
		return nil, err
	}
	maskTask(task, c.redact)
	c.pacer.remember(task, callback)
	return task, nil
}

// decodeCreated reads the reply to a create. An id is a task, however little else of the reply is usable.
func decodeCreated(reply []byte) (*Task, error) {
	task, err := decodeTask(reply)
	switch {
	case task != nil && task.ID != "" && err != nil:
		task.Warnings = append(task.Warnings, err.Error())
		return task, nil
	case err == nil && task.ID == "":
		return nil, errNoTask
	}
	return task, err
}
