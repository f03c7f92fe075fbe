package vidu

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/vidu-go/vidu/internal/scrub"
)

// Model names a video model. The set is open: a model that this package does not know is sent as it is.
type Model string

// Models, as the official pages and gateways list them in October 2026. Each serves some of the endpoints only. Its
// durations and resolutions are in the documentation of the requests that take it.
const (
	ModelQ4Preview Model = "viduq4-preview" // reference2video, img2video

	ModelQ3Drama   Model = "viduq3-drama"    // reference2video
	ModelQ3Ad      Model = "viduq3-ad"       // reference2video
	ModelQ3Mix     Model = "viduq3-mix"      // reference2video; no subjects, no off-peak
	ModelQ3Turbo   Model = "viduq3-turbo"    // every endpoint
	ModelQ3        Model = "viduq3"          // reference2video
	ModelQ3Pro     Model = "viduq3-pro"      // text2video, img2video, start-end2video
	ModelQ3ProFast Model = "viduq3-pro-fast" // img2video

	ModelQ2Pro     Model = "viduq2-pro"      // reference2video, also with videos; img2video, start-end2video
	ModelQ2ProFast Model = "viduq2-pro-fast" // img2video, start-end2video
	ModelQ2Turbo   Model = "viduq2-turbo"    // img2video, start-end2video
	ModelQ2        Model = "viduq2"          // reference2video, text2video

	ModelQ1        Model = "viduq1"         // every endpoint
	ModelQ1Classic Model = "viduq1-classic" // img2video, start-end2video
	Model20        Model = "vidu2.0"        // reference2video, img2video, start-end2video

	// Model15 serves reference2video.
	//
	// Deprecated: the API's newest pages do not list it any more; use a newer model.
	Model15 Model = "vidu1.5"
)

// AutoDuration as a request's Duration lets the model choose the length. Of the known models only viduq2-pro can.
const AutoDuration = -1

// Resolution is the height class of the video. The set is open.
type Resolution string

// Resolutions that at least one model knows.
const (
	Resolution360p  Resolution = "360p"
	Resolution540p  Resolution = "540p"
	Resolution720p  Resolution = "720p"
	Resolution1080p Resolution = "1080p"
	Resolution2K    Resolution = "2K" // with a capital K; viduq4-preview
	Resolution4K    Resolution = "4K" // as 2K
)

// AspectRatio is the shape of the video, "W:H". The set is open: the q2 and q3 models take any ratio.
type AspectRatio string

// Aspect ratios of several models. What an endpoint takes is in the documentation of its request.
const (
	AspectRatio16x9 AspectRatio = "16:9"
	AspectRatio9x16 AspectRatio = "9:16"
	AspectRatio4x3  AspectRatio = "4:3"
	AspectRatio3x4  AspectRatio = "3:4"
	AspectRatio1x1  AspectRatio = "1:1"
	AspectRatioAuto AspectRatio = "auto"
)

// MovementAmplitude says how much things move. The q2 and q3 models accept and ignore it. The set is open.
type MovementAmplitude string

// Movement amplitudes.
const (
	MovementAuto   MovementAmplitude = "auto"
	MovementSmall  MovementAmplitude = "small"
	MovementMedium MovementAmplitude = "medium"
	MovementLarge  MovementAmplitude = "large"
)

// Style is the look of a video that is made from text alone. The set is open.
type Style string

// Styles, of viduq1.
const (
	StyleGeneral Style = "general"
	StyleAnime   Style = "anime"
)

// AudioType says what the sound track holds. The set is open.
type AudioType string

// Audio types.
const (
	AudioAll         AudioType = "all"
	AudioSpeechOnly  AudioType = "speech_only"
	AudioSoundEffect AudioType = "sound_effect_only"
)

// State is where a task stands. The set is open: gateways have states of their own, and a state that this package does
// not know means "still running", unless the reply has the video. The known ones are spelled here as the API spells
// them, whatever the letter case and the word of the reply.
type State string

// States of a task. success, failed and canceled are terminal; earlier states may be skipped.
const (
	StateCreated    State = "created"
	StateQueueing   State = "queueing"
	StateProcessing State = "processing"
	StateSuccess    State = "success"
	StateFailed     State = "failed"
	StateCanceled   State = "canceled"
)

// Terminal reports whether a task in this state will not change any more: it has succeeded, failed or been canceled, in
// whatever word: gateways also say completed or expired, in any letter case.
func (s State) Terminal() bool {
	state := knownState(string(s))
	return state == StateSuccess || state == StateFailed || state == StateCanceled
}

// stateSpellings are the words for the known states, as [foldWord] returns them. They are read as the state.
var stateSpellings = map[string]State{
	"created": StateCreated, "queueing": StateQueueing, "queuing": StateQueueing, "processing": StateProcessing,

	"success": StateSuccess, "succeeded": StateSuccess, "succeed": StateSuccess, "successful": StateSuccess,
	"completed": StateSuccess, "complete": StateSuccess, "finished": StateSuccess, "finish": StateSuccess, "done": StateSuccess,

	"failed": StateFailed, "failure": StateFailed, "fail": StateFailed, "error": StateFailed, "errored": StateFailed,
	"expired": StateFailed, "timeout": StateFailed, "timedout": StateFailed, "rejected": StateFailed,

	"canceled": StateCanceled, "cancelled": StateCanceled,
}

// runningWords are further words for tasks that have not ended, in the same form. They are kept as they come.
var runningWords = []string{
	"unknown", "notstart", "notstarted", "submitted", "submitting", "accepted", "received", "pending", "waiting", "queued",
	"inqueue", "scheduled", "scheduling", "preparation", "preparing", "initializing", "throttled", "moderating", "reviewing",
	"running", "started", "starting", "inprogress", "working", "active", "generating", "rendering", "uploading",
	"downloading", "encoding", "retrying", "canceling", "cancelling",
}

// firmFailures are the words that speak of the task even as a mere "status". Others may be about the query.
var firmFailures = []string{"failed", "failure"}

// parseState returns the known state that a word means, and a copy of any other word: waits keep that, and nothing else
// of the reply.
func parseState(text string) State {
	if state := knownState(text); state != "" {
		return state
	}
	return State(strings.Clone(text))
}

// knownState returns the known state that a word means, "" for none.
func knownState(word string) State {
	if state, ok := stateSpellings[word]; ok { // as it mostly comes
		return state
	}
	return stateSpellings[foldWord(word)]
}

// isRunning reports whether a word is known to mean a task that has not ended.
func (s State) isRunning() bool {
	return !s.Terminal() && s.isKnown()
}

func (s State) isKnown() bool {
	return knownState(string(s)) != "" || slices.Contains(runningWords, foldWord(string(s)))
}

// foldWord is foldWords for what should be one word.
func foldWord(text string) string {
	if len(text) > maxWord {
		return ""
	}
	return foldWords(text)
}

const maxWord = 64 // bytes; longer ones are in no table

// Task is a generation as the server describes it. Create, query, list and callback each fill a part of the fields;
// what a reply lacks is zero. Fields that this package does not know are in [Task.RawJSON]. Texts other than ID, State
// and those of Creations share the memory of the reply: clone one that is kept for long without its Task.
type Task struct {
	ID                string            `json:"id"`
	Type              string            `json:"type,omitempty"` // varies by gateway; do not rely on it
	State             State             `json:"state"`
	Model             Model             `json:"model,omitempty"`    // may differ from the one that was asked for
	Style             string            `json:"style,omitempty"`    // settable with [Text2VideoRequest] only
	Prompt            string            `json:"prompt,omitempty"`   // as in the request
	Images            []string          `json:"images,omitempty"`   // the reference images, of subjects too; nil when the echo holds inline media
	Videos            []string          `json:"videos,omitempty"`   // the reference videos
	Duration          int               `json:"duration,omitempty"` // seconds
	Seed              int               `json:"seed,omitempty"`     // the number really used
	AspectRatio       AspectRatio       `json:"aspect_ratio,omitempty"`
	Resolution        Resolution        `json:"resolution,omitempty"`
	MovementAmplitude MovementAmplitude `json:"movement_amplitude,omitempty"`
	Credits           int               `json:"credits"`                // the price; 0 is a legal price and also "not said"
	Payload           string            `json:"payload,omitempty"`      // as in the request; missing from lists
	Priority          int               `json:"cus_priority,omitempty"` // no request of this package sets it
	OffPeak           bool              `json:"off_peak,omitempty"`
	Audio             bool              `json:"audio,omitempty"`      // as in the request or by default, as far as it is said
	AudioType         AudioType         `json:"audio_type,omitempty"` // as Audio
	BGM               bool              `json:"bgm,omitempty"`        // as Audio
	IsRec             bool              `json:"is_rec,omitempty"`     // the server wrote the prompt, see [Img2VideoRequest]
	Watermark         bool              `json:"watermark,omitempty"`
	unsure            bool              // either the task has failed or the query; here, among the bools, it takes no room
	WatermarkPosition int               `json:"wm_position,omitempty"`       // as in the request; 0 is unspecified
	WatermarkURL      string            `json:"wm_url,omitempty"`            // as in the request
	MetaData          string            `json:"meta_data,omitempty"`         // as in the request
	ClientRequestID   string            `json:"client_request_id,omitempty"` // no request of this package sets it
	CreatedAt         time.Time         `json:"created_at,omitzero"`         // UTC, by the server's clock; zero in the reply to a query
	ErrCode           ErrorCode         `json:"err_code,omitempty"`          // why the task failed; may be "" even then
	ErrMessage        string            `json:"err_msg,omitempty"`           // the server's words for it; many never say
	Progress          float64           `json:"progress,omitempty"`          // percent, 0–100; many servers never say
	Creations         []Creation        `json:"creations,omitempty"`         // the results, one as a rule; nil until success

	// TraceID is the request id of the reply, from its header: what the vendor's support asks for. "" when it has none.
	TraceID string `json:"trace_id,omitempty"`

	// Warnings says what was odd about the reply: the fields that could not be read, which are zero, or were rounded;
	// another id; a state that had to be guessed; text that is no whole JSON. Everything else is as the server said it.
	Warnings []string `json:"-"`

	raw string // most other texts share its memory
}

// String says which task this is and how it stands, for logs. The links of the results, which need no key, are not in
// it; nor are they in what %v, %+v and %#v print, or a [log/slog] handler. [json.Marshal] keeps them.
func (t Task) String() string {
	text := "task " + scrub.OneLine(t.ID, maxID) + ", " + scrub.OneLine(string(t.State), 40)
	if t.Progress > 0 && !t.Done() {
		text += fmt.Sprintf(", %.0f %%", t.Progress)
	}
	if t.ErrCode != "" {
		text += ": " + t.ErrCode.Error()
	}
	return text
}

// GoString is String, for %#v.
func (t Task) GoString() string { return "vidu.Task(" + t.String() + ")" }

// LogValue is String with its parts apart.
func (t Task) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("id", scrub.OneLine(t.ID, maxID)), slog.String("state", scrub.OneLine(string(t.State), 40))}
	if t.Progress > 0 && !t.Done() {
		attrs = append(attrs, slog.Float64("progress", t.Progress))
	}
	if t.ErrCode != "" {
		attrs = append(attrs, slog.String("err_code", t.ErrCode.Error()))
	}
	return slog.GroupValue(attrs...)
}

// Done reports whether the task has ended, well or not.
func (t *Task) Done() bool { return t.State.Terminal() }

// Video returns the finished video. It is false until the task has succeeded and has a link.
func (t *Task) Video() (Creation, bool) {
	if parseState(string(t.State)) != StateSuccess {
		return Creation{}, false
	}
	for _, c := range t.Creations {
		if c.URL != "" {
			return c, true
		}
	}
	return Creation{}, false
}

// RawJSON returns a copy of the reply that the task was read from, as received. It is nil for a Task made by hand.
func (t *Task) RawJSON() json.RawMessage {
	if t.raw == "" {
		return nil
	}
	return json.RawMessage(t.raw)
}

// Creation is one result of a task. Its links need no key, lie on another host and expire: the video's after 24 hours
// (older pages say one), the cover's after one. Asking for the task again renews them, which [Client.Download] does by
// itself.
type Creation struct {
	ID             string    `json:"id,omitempty"`
	URL            string    `json:"url"`                       // the video
	CoverURL       string    `json:"cover_url,omitempty"`       // a still image
	WatermarkedURL string    `json:"watermarked_url,omitempty"` // "" unless a watermark was asked for
	ModerationURLs []string  `json:"moderation_url,omitempty"`  // what moderation objected to, if anything
	Video          VideoInfo `json:"video,omitzero"`            // zero when the server does not say
}

// String says which result this is, without its links, as [Task.String].
func (c Creation) String() string {
	text := "creation " + scrub.OneLine(c.ID, maxID)
	if c.Video != (VideoInfo{}) {
		text += fmt.Sprintf(", %v s, %d×%d", c.Video.Duration, c.Video.Width, c.Video.Height)
	}
	return text
}

// GoString is String, for %#v.
func (c Creation) GoString() string { return "vidu.Creation(" + c.String() + ")" }

// LogValue is String.
func (c Creation) LogValue() slog.Value { return slog.StringValue(c.String()) }

// VideoInfo describes the file behind a [Creation].
type VideoInfo struct {
	Duration float64 `json:"duration,omitempty"` // seconds
	FPS      int     `json:"fps,omitempty"`      // frames per second
	Width    int     `json:"width,omitempty"`    // pixels
	Height   int     `json:"height,omitempty"`   // pixels
}

// What a task id consists of. Each of these characters stands for itself in the path of a URL, in JSON and in a header.
const (
	idPunctuation = "-_.~:=+@"
	idCharacters  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" + digits + idPunctuation
	maxID         = 256 // bytes
	digits        = "0123456789"
)

// isDigits reports whether text is a row of digits, which a JSON number must be to be an id: 9.1e+17 has lost some.
func isDigits(text string) bool { return text != "" && strings.Trim(text, digits) == "" }

// isMangled reports whether text is such a number, which a gateway has made a string of.
func isMangled(text string) bool {
	mantissa, exponent, found := strings.Cut(text, "+")
	e := len(mantissa) - 1
	return found && isDigits(exponent) && e > 0 && mantissa[e]|0x20 == 'e' && strings.Trim(mantissa[:e], digits+".-") == ""
}

// validID reports whether id can be a task's. It is asked before one goes into a path, where "." and ".." lead
// elsewhere.
func validID(id string) bool {
	return 0 < len(id) && len(id) <= maxID && hasOnlyIDBytes(id) && id != "." && id != ".." && !isMangled(id)
}

func hasOnlyIDBytes(id string) bool {
	for i := range len(id) {
		if !idBytes[id[i]] {
			return false
		}
	}
	return true
}

// idBytes are idCharacters as a set.
var idBytes = func() (set [256]bool) {
	for i := range len(idCharacters) {
		set[idCharacters[i]] = true
	}
	return set
}()
