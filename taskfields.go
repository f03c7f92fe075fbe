package vidu

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/vidu-go/vidu/internal/lenientjson"
	"github.com/vidu-go/vidu/internal/scrub"
)

// What the members of a reply mean: the fields of a Task, and the places where gateways put what belongs into one.

// Bounds of what becomes Go values, which can be many times larger than their text.
const (
	maxEcho       = 64 << 10 // of "images" and "videos": they may echo inline media, which the caller has already
	maxModeration = 8 << 10  // of "moderation_url", in each creation
	maxCreations  = 100      // replies were seen with one
	maxWarnings   = 20
)

// taskFields are the members that are fields of a Task, but for the id and the state, in the order of the API's replies
// to creates. read reports whether the field can have the value.
var taskFields = [...]struct {
	name string
	read func(t *Task, v lenientjson.Value) bool
}{
	{"type", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.Type) }},
	{"model", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.Model) }},
	{"style", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.Style) }},
	{"prompt", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.Prompt) }},
	{"images", func(t *Task, v lenientjson.Value) bool { return readEcho(v, &t.Images, maxEcho) }},
	{"duration", func(t *Task, v lenientjson.Value) bool { return v.ReadInt(&t.Duration) }},
	{"seed", func(t *Task, v lenientjson.Value) bool { return v.ReadInt(&t.Seed) }},
	{"aspect_ratio", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.AspectRatio) }},
	{"resolution", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.Resolution) }},
	{"movement_amplitude", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.MovementAmplitude) }},
	{"created_at", func(t *Task, v lenientjson.Value) bool { return v.ReadTime(&t.CreatedAt) }},
	{"credits", func(t *Task, v lenientjson.Value) bool { return readCredits(v, t) }},
	{"payload", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.Payload) }},
	{"cus_priority", func(t *Task, v lenientjson.Value) bool { return v.ReadInt(&t.Priority) }},
	{"off_peak", func(t *Task, v lenientjson.Value) bool { return v.ReadBool(&t.OffPeak) }},
	{"watermark", func(t *Task, v lenientjson.Value) bool { return v.ReadBool(&t.Watermark) }},
	{"is_rec", func(t *Task, v lenientjson.Value) bool { return v.ReadBool(&t.IsRec) }},
	{"wm_position", func(t *Task, v lenientjson.Value) bool { return readWatermarkPosition(v, &t.WatermarkPosition) }},
	{"wm_url", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.WatermarkURL) }},
	{"meta_data", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.MetaData) }},
	{"videos", func(t *Task, v lenientjson.Value) bool { return readEcho(v, &t.Videos, maxEcho) }},
	{"audio", func(t *Task, v lenientjson.Value) bool { return v.ReadBool(&t.Audio) }},
	{"audio_type", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.AudioType) }},
	{"bgm", func(t *Task, v lenientjson.Value) bool { return v.ReadBool(&t.BGM) }},
	{"trace_id", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.TraceID) }},
	{"client_request_id", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.ClientRequestID) }},
	{"err_code", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.ErrCode) }},
	{"err_msg", func(t *Task, v lenientjson.Value) bool { return readText(v, &t.ErrMessage) }},
	{"progress", func(t *Task, v lenientjson.Value) bool { return v.ReadNumber(&t.Progress) }},
	{"creations", func(t *Task, v lenientjson.Value) bool { return readCreations(v, &t.Creations) }},
}

// places are further members in which gateways put the link to the video or the reason of a failure, the most trusted
// first. Those of an "error" are the same.
var places = [...]struct {
	name string
	use  placeUse
}{
	{"result_url", holdsLink | isResult | isText},
	{"video_url", holdsLink | isText}, // may echo a video that was sent
	{"err_code", holdsCode | isError}, // here and below of an "error"; else these are fields of a Task
	{"err_msg", holdsMessage | isError},
	{"error", holdsMessage | isError},
	{"fail_reason", holdsMessage | holdsLink | isError | isText}, // of older versions the link as well
	{"failure_reason", holdsMessage | isError},
	{"task_status_msg", holdsMessage},
	{"error_code", holdsCode | isError},
	{"error_message", holdsMessage | isError},
	{"error_msg", holdsMessage | isError},
	{"reason", holdsCode | isError},
	{"code", holdsCode | isError},
	{"message", holdsMessage},
	{"msg", holdsMessage},
	{"detail", holdsMessage}, // of RFC 9457, as is the title
	{"title", holdsCode},
	{"type", holdsCode},
}

// placeUse is what a place may hold.
type placeUse uint8

const (
	holdsLink    placeUse = 1 << iota // of a task that has succeeded
	isResult                          // the link is that of a result, in whatever state
	holdsCode                         // or a message, where it is no single word
	holdsMessage                      // or an object with places of its own
	isError                           // the reply says that something is wrong
	isText                            // anything else is worth a warning
)

// fieldIndex and placeIndex find a member by its name, and memberIndex in both: the places are behind the fields, and
// what is both is a field.
var fieldIndex, placeIndex, memberIndex = func() (fields, others, members map[string]int) {
	fields, others, members = map[string]int{}, map[string]int{}, map[string]int{}
	for i := range places {
		others[places[i].name], members[places[i].name] = i, len(taskFields)+i
	}
	for i := range taskFields {
		fields[taskFields[i].name], members[taskFields[i].name] = i, i
	}
	return fields, others, members
}()

// placeValues are the values of places, "" for those that are absent or empty.
type placeValues [len(places)]lenientjson.Value

func (p *placeValues) value(name string) lenientjson.Value { return p[placeIndex[name]] }

// dropNoReasons makes room for what is inside a record that says that all is well.
func (p *placeValues) dropNoReasons() {
	for i, v := range p {
		if len(v) <= maxWord && (v.IsString() || v.IsNumber()) && isNoReason(v.Shared()) {
			p[i] = ""
		}
	}
}

func (p *placeValues) drop(names ...string) {
	for _, name := range names {
		p[placeIndex[name]] = ""
	}
}

// link returns the first link in one of the places with this use.
func (p *placeValues) link(use placeUse) string {
	for i := range places {
		if places[i].use&use == 0 {
			continue
		}
		if link := strings.TrimSpace(p[i].Str()); isLink(link) {
			return link
		}
	}
	return ""
}

func isLink(text string) bool {
	return strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://")
}

// reason returns the code and the message that the places with this use give for a failure. A place that is an object
// is read, those inside it are not: each level would be walked once more.
func (p *placeValues) reason(use placeUse) (code ErrorCode, message string) {
	for i := range places {
		if places[i].use&use == 0 || p[i] == "" {
			continue
		}
		c, m := reasonIn(p[i], places[i].use)
		if code == "" {
			code = c
		}
		if message == "" {
			message = m
		}
	}
	return code, message
}

func reasonIn(v lenientjson.Value, use placeUse) (code ErrorCode, message string) {
	if v.IsObject() {
		var inner placeValues
		for it := v.Items(); it.Next(); {
			if i, ok := placeIndex[it.Key()]; ok && !it.Value().IsObject() && !it.Value().IsEmpty() {
				inner[i] = it.Value()
			}
		}
		return inner.reason(holdsCode | holdsMessage)
	}
	text := strings.TrimSpace(v.Text())
	switch {
	case isNoReason(text) || isLink(text):
	case use&holdsCode != 0 && !strings.ContainsAny(text, " \n"):
		return ErrorCode(text), ""
	case use&(holdsCode|holdsMessage) != 0:
		return "", text
	}
	return "", ""
}

// isNoReason reports whether a code or a message says that nothing is wrong, as those of a wrapper do.
func isNoReason(text string) bool {
	if n, err := strconv.Atoi(text); err == nil {
		return 0 <= n && n < 400
	}
	word := foldWord(text)
	return text == "" || slices.Contains(noReasons, word) || stateSpellings[word] == StateSuccess
}

// saysNothing reports whether a field of its own for a code or a message has none. There any number but 0 is one.
func saysNothing(text string) bool {
	isNumber := strings.Trim(text, "0123456789") == "" // as "" is
	return text == "0" || (!isNumber && isNoReason(text))
}

var noReasons = []string{"ok", "none", "null", "nil", "n/a"}

// meansError reports whether the value of "error" says that something is wrong. Some servers send one whose code is 0.
func meansError(v lenientjson.Value) bool {
	if v.IsString() || v.IsNumber() {
		return !isNoReason(v.Text())
	}
	if !v.IsObject() {
		return v != ""
	}
	if code, message := reasonIn(v, holdsMessage); code != "" || message != "" {
		return true
	}
	hasPlace := false // for a reason, which is empty
	for it := v.Items(); it.Next() && !hasPlace; {
		_, hasPlace = placeIndex[it.Key()]
	}
	return !hasPlace
}

// The readers below report whether they could read the value, as those of lenientjson do. A Task keeps the text of its
// reply, so that its texts need no copies.

func readText[S ~string](v lenientjson.Value, to *S) bool {
	*to = S(v.Shared())
	return v.IsString() || v.IsNumber() || v.IsNull()
}

// readWatermarkPosition reads the number that was sent or the name that some gateways make of it.
func readWatermarkPosition(v lenientjson.Value, to *int) bool {
	names := []string{"unspecified", "top_left", "top_right", "bottom_right", "bottom_left"}
	if i := slices.Index(names, v.Shared()); i >= 0 {
		*to = i
		return true
	}
	return v.ReadInt(to)
}

// readEcho leaves out what may be an echo of inline media: the caller has those already.
func readEcho(v lenientjson.Value, to *[]string, limit int) bool {
	return len(v) <= limit && v.ReadTexts(to)
}

// readCredits rounds up: a price must not look lower than it is.
func readCredits(v lenientjson.Value, t *Task) bool {
	if v.ReadInt(&t.Credits) {
		return true
	}
	if !v.ReadRounded(&t.Credits, math.Ceil) {
		return false
	}
	t.warn("credits are rounded up from " + scrub.OneLine(v.Text(), 40))
	return true
}

func (t *Task) warn(text string) {
	if len(t.Warnings) < maxWarnings {
		t.Warnings = append(t.Warnings, text)
	}
}

// readCreations reads the list, or the one creation that some servers make of it.
func readCreations(v lenientjson.Value, to *[]Creation) bool {
	*to = nil
	if v.IsObject() {
		if c := readCreation(v); c.ID != "" || c.URL != "" {
			*to = []Creation{c}
		}
		return *to != nil || v.IsEmpty()
	}
	it := v.Items()
	for len(*to) < maxCreations && it.Next() {
		*to = append(*to, readCreation(it.Value()))
	}
	return v.IsEmpty() || (v.IsArray() && !it.Next())
}

// readCreation decodes each member once, however often it comes. Its texts are copies: links are often kept alone.
func readCreation(v lenientjson.Value) Creation {
	var id, link, cover, watermarked, moderation, video lenientjson.Value
	for it := v.Items(); it.Next(); {
		switch it.Key() {
		case "id":
			id = it.Value()
		case "url":
			link = it.Value()
		case "cover_url":
			cover = it.Value()
		case "watermarked_url":
			watermarked = it.Value()
		case "moderation_url":
			moderation = it.Value()
		case "video":
			video = it.Value()
		}
	}
	c := Creation{ID: id.Text(), URL: link.Str(), CoverURL: cover.Str(), WatermarkedURL: watermarked.Str(), Video: readVideo(video)}
	readEcho(moderation, &c.ModerationURLs, maxModeration)
	for i, link := range c.ModerationURLs {
		c.ModerationURLs[i] = strings.Clone(link)
	}
	return c
}

func readVideo(v lenientjson.Value) VideoInfo {
	size := v // where there is no "resolution", as in a Task of ours that was marshalled
	if inner := v.Member("resolution"); inner.IsObject() {
		size = inner
	}
	var info VideoInfo
	v.Member("duration").ReadNumber(&info.Duration)
	v.Member("fps").ReadRounded(&info.FPS, math.Round)
	size.Member("width").ReadInt(&info.Width)
	size.Member("height").ReadInt(&info.Height)
	return info
}
