package vidu

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The API and the gateways before it disagree on the shape of a reply: numbers come as strings, ids as numbers, times
// in three forms, whole replies wrapped in "data". encoding/json would give up at the first such field, merge keys
// that differ only in case, and let the last of two ids win. So a reply is checked by json.Valid and then walked field
// by field.

var (
	errBadReply    = errors.New("the reply cannot be used")
	errNoTask      = fmt.Errorf("%w: it names no task", errBadReply)
	errTwoIDs      = fmt.Errorf("%w: it names two tasks", errBadReply)
	errReplyTooBig = fmt.Errorf("%w: it is too large", errBadReply)
)

// maxEcho bounds how much of an echoed "images" or "videos" becomes strings: it may hold the inline media, megabytes
// of base64, that the caller has already.
const maxEcho = 64 << 10

// decodeTask reads a task from the reply of create, query, list or callback. When the reply is not whole, what could be
// read comes back with the error: a task id must not be lost for a missing bracket.
func decodeTask(body []byte) (*Task, error) {
	body = bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF"))
	d := taskDecoder{task: &Task{raw: body}}
	d.decode(value(body))
	if !d.found() && d.wrapped.isObject() {
		d.decode(d.wrapped)
	}
	d.task.Warnings = d.warnings
	switch {
	case d.twoIDs:
		return nil, errTwoIDs
	case !json.Valid(body):
		return d.task, syntaxError(body)
	case d.task.State == "" && d.failed, !d.found():
		return nil, d.whyNoTask(body)
	}
	return d.task, nil
}

func (d *taskDecoder) found() bool { return d.task.ID != "" || d.task.State != "" }

// syntaxError says what is wrong with text that json.Valid refused.
func syntaxError(body []byte) error {
	if looksLikeHTML(body) {
		return fmt.Errorf("%w: it is a web page", errBadReply)
	}
	var discard struct{}
	if err := json.Unmarshal(body, &discard); err != nil {
		return fmt.Errorf("%w: %w", errBadReply, err)
	}
	return errBadReply
}

type taskDecoder struct {
	task     *Task
	wrapped  value // the member "data"
	failed   bool  // the reply says that it is an error
	taskID   bool  // ID came from "task_id", which wins over "id"
	twoIDs   bool
	failNote string // "fail_reason"
	warnings []string
}

func (d *taskDecoder) warn(text string) { d.warnings = append(d.warnings, text) }

func (d *taskDecoder) decode(object value) {
	t := d.task
	status := State("")
	for it := object.items(); it.next(); {
		v := it.value
		ok := true
		switch string(it.key) {
		case "task_id":
			d.setID(v.text(), true)
		case "id":
			d.setID(v.text(), false)
		case "state":
			t.State = parseState(v.text())
		case "status":
			status = parseState(v.str())
		case "type":
			t.Type = v.text()
		case "model":
			t.Model = Model(v.text())
		case "style":
			t.Style = v.text()
		case "prompt":
			t.Prompt = v.text()
		case "images":
			t.Images, ok = v.texts()
		case "videos":
			t.Videos, ok = v.texts()
		case "duration":
			t.Duration, ok = v.integer()
		case "seed":
			t.Seed, ok = v.integer()
		case "aspect_ratio":
			t.AspectRatio = AspectRatio(v.text())
		case "resolution":
			t.Resolution = Resolution(v.text())
		case "movement_amplitude":
			t.MovementAmplitude = MovementAmplitude(v.text())
		case "credits":
			t.Credits, ok = v.integer()
		case "payload":
			t.Payload = v.text()
		case "cus_priority":
			t.Priority, ok = v.integer()
		case "off_peak":
			t.OffPeak, ok = v.boolean()
		case "audio":
			t.Audio, ok = v.boolean()
		case "audio_type":
			t.AudioType = AudioType(v.text())
		case "bgm":
			t.BGM, ok = v.boolean()
		case "is_rec":
			t.IsRec, ok = v.boolean()
		case "watermark":
			t.Watermark, ok = v.boolean()
		case "wm_position":
			t.WatermarkPosition, ok = v.watermarkPosition()
		case "wm_url":
			t.WatermarkURL = v.text()
		case "meta_data":
			t.MetaData = v.text()
		case "client_request_id":
			t.ClientRequestID = v.text()
		case "created_at":
			t.CreatedAt, ok = v.time()
		case "err_code":
			t.ErrCode = ErrorCode(v.text())
		case "err_msg":
			t.ErrMessage = v.text()
		case "progress":
			t.Progress, ok = v.number()
		case "creations":
			t.Creations = v.creations()
		case "fail_reason":
			d.failNote = v.text()
		case "data":
			d.wrapped = v
		case "error":
			d.failed = d.failed || !v.empty()
		case "success":
			d.failed = d.failed || string(v) == "false"
		}
		if !ok {
			d.warn(fmt.Sprintf("%s: cannot read %s", it.key, oneLine(string(v), 40)))
		}
	}
	if t.State == "" {
		t.State = status
	}
	d.useFailNote()
}

// setID keeps the first id; "task_id" is preferred where a gateway's reply has an "id" of its own besides.
func (d *taskDecoder) setID(id string, isTaskID bool) {
	switch {
	case !validID(id):
		if id != "" {
			d.warn("task id " + oneLine(id, 40) + " is not usable")
		}
	case d.task.ID == "" || (isTaskID && !d.taskID):
		d.task.ID, d.taskID = id, isTaskID
	case isTaskID == d.taskID && id != d.task.ID:
		d.twoIDs = true
	}
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
		return fmt.Errorf("%w: it names task %s and an error", errBadReply, d.task.ID)
	}
	if e := parseEnvelope(body); e.saysError() {
		return e.apiError(http.StatusOK)
	}
	return errNoTask
}

// envelope is what the known shapes of an error body have in common.
type envelope struct {
	reason, slug, kind string // "reason", a "code" in words, the nested error's "type"
	number             int    // a numeric "code", also when it came as a string
	message            string
	traceID            string
	metadata           json.RawMessage
	failed             bool // the body says in so many words that it is an error
}

// parseEnvelope reads an error body of any shape; what is not a JSON object gives the zero envelope.
func parseEnvelope(body []byte) envelope {
	var e envelope
	e.read(value(bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF"))))
	return e
}

func (e *envelope) read(object value) {
	for it := object.items(); it.next(); {
		v := it.value
		switch string(it.key) {
		case "reason":
			e.reason = v.str()
		case "code":
			e.setCode(v.text())
		case "type":
			e.kind = v.str()
		case "message", "msg":
			e.message = v.text()
		case "success":
			e.failed = e.failed || string(v) == "false"
		case "error":
			e.failed = e.failed || !v.empty()
			if v.isObject() {
				e.read(v)
			} else if e.message == "" {
				e.message = v.str()
			}
		case "metadata":
			if v.isObject() {
				e.metadata = json.RawMessage(v)
				e.traceID = v.member("trace_id").text()
			}
		}
	}
}

func (e *envelope) setCode(code string) {
	if n, err := strconv.Atoi(code); err == nil {
		e.number = n
		return
	}
	e.slug = code
}

// saysError tells an error envelope with status 200 from a reply that lacks a task for another reason.
func (e *envelope) saysError() bool {
	return e.failed || e.reason != "" || e.number >= 400 ||
		(e.slug != "" && !strings.EqualFold(e.slug, "success") && !strings.EqualFold(e.slug, "ok"))
}

// code classifies by reason, then by a code in words, then by a numeric code, then by the status.
func (e *envelope) code(status int) ErrorCode {
	for _, word := range []string{e.reason, e.slug, e.kindIfNested()} {
		if word != "" {
			return ErrorCode(word)
		}
	}
	if code := codeOfStatus(e.number); code != "" {
		return code
	}
	return codeOfStatus(status)
}

// kindIfNested is the "type" inside a nested error; at the top level "type" is a field of the task.
func (e *envelope) kindIfNested() string {
	if e.failed && e.number == 0 {
		return e.kind
	}
	return ""
}

func (e *envelope) apiError(status int) *APIError {
	trace := e.traceID
	if _, after, found := strings.Cut(e.message, "request id: "); trace == "" && found {
		trace = strings.TrimRight(strings.Fields(after + " ")[0], ").,")
	}
	return &APIError{StatusCode: status, Code: e.code(status), Message: e.message, TraceID: trace, Metadata: e.metadata}
}

// value is one JSON value as received.
type value []byte

// items walks the members of a JSON object or the elements of an array. It ends at the first thing that is not JSON,
// so that a reply that was cut off yields what came before the cut; an object or array that was itself cut is still
// yielded, a cut string or number never.
type items struct {
	rest   []byte
	object bool
	key    []byte // of an object's member
	value  value
}

func (v value) items() items {
	text := trimLeft(v)
	if len(text) == 0 || (text[0] != '{' && text[0] != '[') {
		return items{}
	}
	return items{rest: text[1:], object: text[0] == '{'}
}

func (it *items) next() bool {
	it.rest = trimLeft(it.rest)
	if len(it.rest) > 0 && it.rest[0] == ',' {
		it.rest = trimLeft(it.rest[1:])
	}
	if it.object && !it.nextKey() {
		return false
	}
	n := valueLen(it.rest)
	if n == 0 {
		return false
	}
	it.value, it.rest = value(it.rest[:n]), it.rest[n:]
	return true
}

func (it *items) nextKey() bool {
	n := stringLen(it.rest)
	if n == 0 {
		return false
	}
	it.key = it.rest[1 : n-1]
	if bytes.IndexByte(it.key, '\\') >= 0 {
		it.key = []byte(value(it.rest[:n]).str())
	}
	it.rest = trimLeft(it.rest[n:])
	if len(it.rest) == 0 || it.rest[0] != ':' {
		return false
	}
	it.rest = trimLeft(it.rest[1:])
	return true
}

func trimLeft(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\n' || text[0] == '\t' || text[0] == '\r') {
		text = text[1:]
	}
	return text
}

// stringLen is the length of the JSON string at the start of text, quotes included; 0 when there is none or it is cut.
func stringLen(text []byte) int {
	if len(text) == 0 || text[0] != '"' {
		return 0
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// valueLen is the length of the JSON value at the start of text; 0 when there is none or it is a cut string or number.
func valueLen(text []byte) int {
	if len(text) == 0 {
		return 0
	}
	switch text[0] {
	case '"':
		return stringLen(text)
	case '{', '[':
		return compositeLen(text)
	case '}', ']', ',', ':':
		return 0
	}
	return max(bytes.IndexAny(text, ",]} \n\t\r"), 0)
}

func compositeLen(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			n := stringLen(text[i:])
			if n == 0 {
				return len(text)
			}
			i += n - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

func (v value) isObject() bool { return len(v) > 0 && v[0] == '{' }
func (v value) isString() bool { return len(v) > 1 && v[0] == '"' }
func (v value) isNull() bool   { return len(v) == 0 || string(v) == "null" }

// empty is true for null and for "", {}, [] and false, which some servers send where others send nothing.
func (v value) empty() bool {
	switch string(v) {
	case "", "null", `""`, "{}", "[]", "false":
		return true
	}
	return false
}

// member finds a member of an object by its exact name.
func (v value) member(name string) value {
	for it := v.items(); it.next(); {
		if string(it.key) == name {
			return it.value
		}
	}
	return nil
}

// str is the content of a JSON string, "" for everything else.
func (v value) str() string {
	if !v.isString() {
		return ""
	}
	if inner := v[1 : len(v)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	var s string
	if json.Unmarshal(v, &s) != nil {
		return ""
	}
	return s
}

// text is a JSON string's content or a number digit by digit: ids exceed what float64 holds.
func (v value) text() string {
	switch {
	case v.isString():
		return v.str()
	case v.isNull(), v[0] == '{', v[0] == '[':
		return ""
	}
	return string(v)
}

// texts reads an array of strings. false: it is too long to be what it should, a list of links.
func (v value) texts() ([]string, bool) {
	if len(v) > maxEcho {
		return nil, false
	}
	var list []string
	for it := v.items(); it.next(); {
		list = append(list, it.value.text())
	}
	return list, true
}

// The readers below return true as well for null and "", which mean "nothing said".

func (v value) number() (float64, bool) {
	text := strings.TrimSuffix(v.text(), "%") // one gateway's progress
	if text == "" {
		return 0, v.isNull() || v.isString()
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, false
	}
	return n, true
}

func (v value) integer() (int, bool) {
	if n, err := strconv.Atoi(v.text()); err == nil {
		return n, true
	}
	n, ok := v.number() // 4.0, 1e2
	if !ok || n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
		return 0, false
	}
	return int(n), true
}

func (v value) boolean() (bool, bool) {
	switch v.text() {
	case "true", "1":
		return true, true
	case "false", "0", "":
		return false, v.isNull() || v.text() != "" || v.isString()
	}
	return false, false
}

// time reads RFC 3339 and unix seconds or milliseconds, as numbers or strings.
func (v value) time() (time.Time, bool) {
	text := v.text()
	if text == "" {
		return time.Time{}, v.isNull() || v.isString()
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return time.Time{}, false
	case n > 1e11: // as seconds this would be the year 5138
		return time.UnixMilli(n).UTC(), true
	case n > 0:
		return time.Unix(n, 0).UTC(), true
	}
	return time.Time{}, n == 0
}

// watermarkPosition reads the number that was sent or the name that the seed's gateway makes of it.
func (v value) watermarkPosition() (int, bool) {
	switch v.str() {
	case "top_left":
		return 1, true
	case "top_right":
		return 2, true
	case "bottom_right":
		return 3, true
	case "bottom_left":
		return 4, true
	case "unspecified":
		return 0, true
	}
	return v.integer()
}

func (v value) creations() []Creation {
	var list []Creation
	for it := v.items(); it.next(); {
		list = append(list, it.value.creation())
	}
	return list
}

func (v value) creation() Creation {
	var c Creation
	for it := v.items(); it.next(); {
		switch v := it.value; string(it.key) {
		case "id":
			c.ID = v.text()
		case "url":
			c.URL = v.str()
		case "cover_url":
			c.CoverURL = v.str()
		case "watermarked_url":
			c.WatermarkedURL = v.str()
		case "moderation_url":
			c.ModerationURLs, _ = v.texts()
		case "video":
			c.Video = v.video()
		}
	}
	return c
}

func (v value) video() VideoInfo {
	size := v.member("resolution")
	if !size.isObject() {
		size = v
	}
	var info VideoInfo
	info.Duration, _ = v.member("duration").number()
	info.FPS, _ = v.member("fps").integer()
	info.Width, _ = size.member("width").integer()
	info.Height, _ = size.member("height").integer()
	return info
}
