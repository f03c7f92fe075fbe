package vidu

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/vidu-go/vidu/internal/lenientjson"
	"github.com/vidu-go/vidu/internal/scrub"
)

// The API and the gateways before it disagree on the shape of a reply: numbers come as strings, ids as numbers, times
// in three forms, whole replies wrapped in "data". encoding/json would give up at the first such field, merge keys
// that differ only in case, and let the last of two ids win. So a reply is checked by json.Valid and then walked field
// by field.

var (
	errBadReply      = errors.New("the reply cannot be used")
	errNoTask        = fmt.Errorf("%w: it names no task", errBadReply)
	errTaskElsewhere = fmt.Errorf("%w: it names a task, but not in the place of one", errBadReply)
	errTwoIDs        = fmt.Errorf("%w: it names two tasks", errBadReply)
	errReplyTooBig   = fmt.Errorf("%w: it is larger than the limit", errBadReply)
)

// Bounds of what becomes Go values, which can be many times larger than their text.
const (
	maxEcho      = 64 << 10 // of "images" and "videos": they may echo inline media, which the caller has already
	maxCreations = 100      // replies were seen with one
	maxWarnings  = 20
)

// decodeTask reads a task from the reply of create, query, list or callback. When the reply is not whole, what could be
// read comes back with the error: a task id must not be lost for a missing bracket.
func decodeTask(body []byte) (*Task, error) {
	body = bytes.TrimPrefix(body, []byte(lenientjson.ByteOrderMark))
	d := readTask(body)
	switch {
	case d.twoIDs:
		return nil, errTwoIDs
	case !json.Valid(body):
		if !d.taskID { // what is called "id" may be a gateway's own, the task's being lost with the rest
			d.task.ID = ""
		}
		return d.task, syntaxError(body)
	case d.task.State == "" && d.failed, !d.found():
		return nil, d.whyNoTask(body)
	}
	return d.task, nil
}

// syntaxError says what is wrong with text that json.Valid refused.
func syntaxError(body []byte) error {
	if scrub.IsMarkup(body) {
		return fmt.Errorf("%w: it is a web page", errBadReply)
	}
	var discard struct{}
	return fmt.Errorf("%w: %w", errBadReply, json.Unmarshal(body, &discard))
}

// taskDecoder reads the members of a reply into task and keeps those that are not fields of it.
type taskDecoder struct {
	task     *Task
	status   State             // what some gateways say instead of "state"
	wrapped  lenientjson.Value // "data": the task itself, where the gateway wraps it
	failNote string            // "fail_reason"
	failed   bool              // the reply says that it is an error
	taskID   bool              // the id came from "task_id", which wins over "id"
	oddID    bool              // there is a "task_id" that no task can have
	badID    lenientjson.Value // an id that no task can have
	twoIDs   bool
}

// readTask reads what it can of any text.
func readTask(body []byte) taskDecoder {
	d := taskDecoder{task: &Task{raw: body}}
	d.read(lenientjson.Value(body))
	if d.wrapped.IsObject() && !d.taskID {
		d.unwrap()
	}
	if d.oddID {
		d.task.ID = "" // "id" is then something else
	}
	if d.task.State == "" && (d.task.ID != "" || d.status != StateFailed) { // an answer that failed may say so with the same word
		d.task.State = d.status
	}
	d.useFailNote()
	return d
}

// unwrap takes the task in "data", if there is one. What stands around it may have an "id" and a "state" of its own.
func (d *taskDecoder) unwrap() {
	inner := taskDecoder{task: &Task{raw: d.task.raw}, failed: d.failed, twoIDs: d.twoIDs, badID: d.badID}
	inner.read(d.wrapped)
	if inner.taskID || inner.oddID || !d.found() || (inner.task.ID != "" && d.task.State == "") {
		*d = inner
	}
}

func (d *taskDecoder) found() bool { return d.task.ID != "" || d.task.State != "" }

func (d *taskDecoder) read(object lenientjson.Value) {
	for it := object.Items(); it.Next(); {
		if !d.readMember(it.Key, it.Value) && len(d.task.Warnings) < maxWarnings {
			d.task.Warnings = append(d.task.Warnings, string(it.Key)+" cannot be read")
		}
	}
}

// readMember returns false for a value that the member cannot have.
func (d *taskDecoder) readMember(name []byte, v lenientjson.Value) bool {
	switch string(name) {
	case "task_id":
		return d.readID(v, true)
	case "id":
		return d.readID(v, false)
	case "status":
		d.status = parseState(v.Str()) // numbers are the wrapping's
	case "data":
		d.twoIDs = d.twoIDs || (d.wrapped != nil && string(d.wrapped) != string(v))
		d.wrapped = v
	case "error":
		d.failed = d.failed || !v.IsEmpty()
	case "success":
		d.failed = d.failed || string(v) == "false"
	case "fail_reason":
		return readText(v, &d.failNote)
	default:
		return d.task.readField(name, v)
	}
	return true
}

// readID keeps the first id; "task_id" is preferred where a gateway's reply has an "id" of its own besides.
func (d *taskDecoder) readID(v lenientjson.Value, isTaskID bool) bool {
	id := v.Text()
	switch {
	case v.IsEmpty():
	case !validID(id), v.IsNumber() && !isDigits(id):
		d.badID, d.oddID = v, d.oddID || isTaskID
		return false
	case d.task.ID == "", isTaskID && !d.taskID:
		d.task.ID, d.taskID = id, isTaskID
	case isTaskID == d.taskID && id != d.task.ID:
		d.twoIDs = true
	}
	return true
}

func (t *Task) readField(name []byte, v lenientjson.Value) bool {
	switch string(name) {
	case "type":
		return readText(v, &t.Type)
	case "state":
		ok := readText(v, &t.State)
		t.State = parseState(string(t.State))
		return ok
	case "model":
		return readText(v, &t.Model)
	case "style":
		return readText(v, &t.Style)
	case "prompt":
		return readText(v, &t.Prompt)
	case "images":
		return readEcho(v, &t.Images)
	case "videos":
		return readEcho(v, &t.Videos)
	case "duration":
		return v.ReadInt(&t.Duration)
	case "seed":
		return v.ReadInt(&t.Seed)
	case "aspect_ratio":
		return readText(v, &t.AspectRatio)
	case "resolution":
		return readText(v, &t.Resolution)
	case "movement_amplitude":
		return readText(v, &t.MovementAmplitude)
	case "credits":
		return v.ReadInt(&t.Credits)
	case "payload":
		return readText(v, &t.Payload)
	case "cus_priority":
		return v.ReadInt(&t.Priority)
	case "off_peak":
		return v.ReadBool(&t.OffPeak)
	case "audio":
		return v.ReadBool(&t.Audio)
	case "audio_type":
		return readText(v, &t.AudioType)
	case "bgm":
		return v.ReadBool(&t.BGM)
	case "is_rec":
		return v.ReadBool(&t.IsRec)
	case "watermark":
		return v.ReadBool(&t.Watermark)
	case "wm_position":
		return readWatermarkPosition(v, &t.WatermarkPosition)
	case "wm_url":
		return readText(v, &t.WatermarkURL)
	case "meta_data":
		return readText(v, &t.MetaData)
	case "trace_id":
		return readText(v, &t.TraceID)
	case "client_request_id":
		return readText(v, &t.ClientRequestID)
	case "created_at":
		return v.ReadTime(&t.CreatedAt)
	case "err_code":
		return readText(v, &t.ErrCode)
	case "err_msg":
		return readText(v, &t.ErrMessage)
	case "progress":
		return v.ReadNumber(&t.Progress)
	case "creations":
		return readCreations(v, &t.Creations)
	}
	return true
}

// useFailNote reads the field of one family of gateways that holds the reason of a failure or, on success, the link.
func (d *taskDecoder) useFailNote() {
	switch t := d.task; {
	case d.failNote == "":
	case t.State == StateSuccess && len(t.Creations) == 0 && strings.HasPrefix(d.failNote, "https://"):
		t.Creations = []Creation{{URL: d.failNote}}
	case t.State == StateFailed && t.ErrMessage == "":
		t.ErrMessage = d.failNote
	}
}

// whyNoTask turns a valid 2xx reply without a task into its error: the envelope it carries, or what it lacks.
func (d *taskDecoder) whyNoTask(body []byte) error {
	if d.task.ID != "" {
		return fmt.Errorf("%w: it names a task and an error", errBadReply)
	}
	if e := parseEnvelope(body); e.saysError() && !d.oddID {
		return e.apiError(http.StatusOK)
	}
	return d.lacksID()
}

// lacksID says why a reply has no id.
func (d *taskDecoder) lacksID() error {
	if d.badID != nil {
		return fmt.Errorf("%w: no task can have its id %s", errBadReply, scrub.OneLine(string(d.badID), 80))
	}
	return errNoTask
}

// The readers below report whether they could read the value, as those of lenientjson do.

func readText[S ~string](v lenientjson.Value, to *S) bool {
	if word, ok := sharedWord(v); ok {
		*to = S(word)
		return true
	}
	*to = S(v.Text())
	return v.IsString() || v.IsNumber() || v.IsNull()
}

// sharedWord returns the string that all replies share for a word that most of them repeat, so that it costs no memory.
func sharedWord(v lenientjson.Value) (string, bool) {
	if len(v) > len(`""`)+longestSharedWord || !v.IsString() {
		return "", false
	}
	word, ok := sharedWords[string(v[1:len(v)-1])]
	return word, ok
}

// readEcho leaves out what may be an echo of inline media: the caller has those already.
func readEcho(v lenientjson.Value, to *[]string) bool {
	return len(v) <= maxEcho && v.ReadTexts(to)
}

// readWatermarkPosition reads the number that was sent or the name that some gateways make of it.
func readWatermarkPosition(v lenientjson.Value, to *int) bool {
	names := []string{"unspecified", "top_left", "top_right", "bottom_right", "bottom_left"}
	if i := slices.Index(names, v.Str()); i >= 0 {
		*to = i
		return true
	}
	return v.ReadInt(to)
}

func readCreations(v lenientjson.Value, to *[]Creation) bool {
	*to = nil
	it := v.Items()
	for len(*to) < maxCreations && it.Next() {
		*to = append(*to, readCreation(it.Value))
	}
	return v.IsEmpty() || (v.IsArray() && !it.Next())
}

func readCreation(v lenientjson.Value) Creation {
	var c Creation
	for it := v.Items(); it.Next(); {
		switch v := it.Value; string(it.Key) {
		case "id":
			c.ID = v.Text()
		case "url":
			c.URL = v.Str()
		case "cover_url":
			c.CoverURL = v.Str()
		case "watermarked_url":
			c.WatermarkedURL = v.Str()
		case "moderation_url":
			readEcho(v, &c.ModerationURLs)
		case "video":
			c.Video = readVideo(v)
		}
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
	v.Member("fps").ReadInt(&info.FPS)
	size.Member("width").ReadInt(&info.Width)
	size.Member("height").ReadInt(&info.Height)
	return info
}

// checkReply refuses what is not a JSON object, or is one that says it is an error.
func checkReply(reply []byte) error {
	if !json.Valid(reply) {
		return syntaxError(reply)
	}
	if e := parseEnvelope(reply); e.saysError() {
		return e.apiError(http.StatusOK)
	}
	if !lenientjson.Value(lenientjson.TrimLeft(reply)).IsObject() {
		return fmt.Errorf("%w: it is not a JSON object", errBadReply)
	}
	return nil
}

// UnmarshalJSON reads a task in any form that the API or its gateways use, and what [json.Marshal] made of one. As in
// any struct, null changes nothing, and what is missing is zero.
func (t *Task) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if !json.Valid(data) || !lenientjson.Value(lenientjson.TrimLeft(data)).IsObject() {
		return errors.New("vidu: a task must be a JSON object")
	}
	d := readTask(bytes.Clone(data))
	if d.twoIDs {
		return fmt.Errorf("vidu: %w", errTwoIDs)
	}
	*t = *d.task
	return nil
}

// maskTask masks the key in the texts of a task that become errors.
func maskTask(task *Task, mask func(string) string) {
	task.State = State(mask(string(task.State)))
	task.ErrCode = ErrorCode(mask(string(task.ErrCode)))
	task.ErrMessage = mask(task.ErrMessage)
}
