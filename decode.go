package vidu

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vidu-go/vidu/internal/scrub"
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

// Bounds of what becomes Go values, which can be many times larger than their text.
const (
	maxEcho      = 64 << 10 // of "images" and "videos": they may echo inline media, which the caller has already
	maxCreations = 100      // replies were seen with one
	maxWarnings  = 20
)

// byteOrderMark begins the texts of some servers. JSON does not allow it.
const byteOrderMark = "\uFEFF"

// decodeTask reads a task from the reply of create, query, list or callback. When the reply is not whole, what could be
// read comes back with the error: a task id must not be lost for a missing bracket.
func decodeTask(body []byte) (*Task, error) {
	body = bytes.TrimPrefix(body, []byte(byteOrderMark))
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
	status   State  // what some gateways say instead of "state"
	wrapped  value  // "data": the task itself, where the gateway wraps it
	failNote string // "fail_reason"
	failed   bool   // the reply says that it is an error
	taskID   bool   // the id came from "task_id", which wins over "id"
	oddID    bool   // there is a "task_id" that no task can have
	twoIDs   bool
}

// readTask reads what it can of any text.
func readTask(body []byte) taskDecoder {
	d := taskDecoder{task: &Task{raw: body}}
	d.read(value(body))
	if d.wrapped.isObject() && !d.taskID {
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
	inner := taskDecoder{task: &Task{raw: d.task.raw}, failed: d.failed, twoIDs: d.twoIDs}
	inner.read(d.wrapped)
	if inner.taskID || inner.oddID || !d.found() || (inner.task.ID != "" && d.task.State == "") {
		*d = inner
	}
}

func (d *taskDecoder) found() bool { return d.task.ID != "" || d.task.State != "" }

func (d *taskDecoder) read(object value) {
	for it := object.items(); it.next(); {
		if !d.readMember(it.key, it.value) && len(d.task.Warnings) < maxWarnings {
			d.task.Warnings = append(d.task.Warnings, string(it.key)+" cannot be read")
		}
	}
}

// readMember returns false for a value that the member cannot have.
func (d *taskDecoder) readMember(name []byte, v value) bool {
	switch string(name) {
	case "task_id":
		return d.readID(v, true)
	case "id":
		return d.readID(v, false)
	case "status":
		d.status = parseState(v.str()) // numbers are the wrapping's
	case "data":
		d.twoIDs = d.twoIDs || (d.wrapped != nil && string(d.wrapped) != string(v))
		d.wrapped = v
	case "error":
		d.failed = d.failed || !v.isEmpty()
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
func (d *taskDecoder) readID(v value, isTaskID bool) bool {
	id := v.text()
	switch {
	case !validID(id):
		d.oddID = d.oddID || (isTaskID && !v.isEmpty())
		return v.isEmpty()
	case d.task.ID == "", isTaskID && !d.taskID:
		d.task.ID, d.taskID = id, isTaskID
	case isTaskID == d.taskID && id != d.task.ID:
		d.twoIDs = true
	}
	return true
}

func (t *Task) readField(name []byte, v value) bool {
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
		return v.readTexts(&t.Images)
	case "videos":
		return v.readTexts(&t.Videos)
	case "duration":
		return v.readInt(&t.Duration)
	case "seed":
		return v.readInt(&t.Seed)
	case "aspect_ratio":
		return readText(v, &t.AspectRatio)
	case "resolution":
		return readText(v, &t.Resolution)
	case "movement_amplitude":
		return readText(v, &t.MovementAmplitude)
	case "credits":
		return v.readInt(&t.Credits)
	case "payload":
		return readText(v, &t.Payload)
	case "cus_priority":
		return v.readInt(&t.Priority)
	case "off_peak":
		return v.readBool(&t.OffPeak)
	case "audio":
		return v.readBool(&t.Audio)
	case "audio_type":
		return readText(v, &t.AudioType)
	case "bgm":
		return v.readBool(&t.BGM)
	case "is_rec":
		return v.readBool(&t.IsRec)
	case "watermark":
		return v.readBool(&t.Watermark)
	case "wm_position":
		return v.readWatermarkPosition(&t.WatermarkPosition)
	case "wm_url":
		return readText(v, &t.WatermarkURL)
	case "meta_data":
		return readText(v, &t.MetaData)
	case "client_request_id":
		return readText(v, &t.ClientRequestID)
	case "created_at":
		return v.readTime(&t.CreatedAt)
	case "err_code":
		return readText(v, &t.ErrCode)
	case "err_msg":
		return readText(v, &t.ErrMessage)
	case "progress":
		return v.readNumber(&t.Progress)
	case "creations":
		return v.readCreations(&t.Creations)
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
	if d.task.ID != "" || d.oddID {
		return fmt.Errorf("%w: it names a task and an error", errBadReply)
	}
	if e := parseEnvelope(body); e.saysError() {
		return e.apiError(http.StatusOK)
	}
	return errNoTask
}

// envelope is what the known shapes of an error body have in common.
type envelope struct {
	reason   string
	code     string // in words, or a number, which some servers write as a string
	kind     string // the nested error's "type"
	message  string
	traceID  string
	metadata json.RawMessage
	nested   value // "error" where it is an object
	failed   bool  // the body says in so many words that it is an error
}

// parseEnvelope reads the beginning of an error body of any shape; what is not a JSON object gives the zero envelope.
func parseEnvelope(body []byte) envelope {
	var e envelope
	body = bytes.TrimPrefix(body, []byte(byteOrderMark))
	e.read(value(body[:min(len(body), maxErrorReply)]))
	if nested := e.nested; nested != nil { // only one deep: every level is read once more
		e.kind = nested.member("type").str()
		e.read(nested)
	}
	return e
}

func (e *envelope) read(object value) {
	for it := object.items(); it.next(); {
		v := it.value
		switch string(it.key) {
		case "reason":
			e.reason = cmp.Or(v.str(), e.reason)
		case "code":
			e.code = cmp.Or(v.text(), e.code)
		case "message", "msg":
			e.message = cmp.Or(v.text(), e.message)
		case "success":
			e.failed = e.failed || string(v) == "false"
		case "error":
			e.failed = e.failed || !v.isEmpty()
			e.message = cmp.Or(e.message, v.str())
			if v.isObject() {
				e.nested = v
			}
		case "metadata":
			if v.isObject() && json.Valid(v) {
				e.metadata = json.RawMessage(v)
				e.traceID = v.member("trace_id").text()
			}
		}
	}
}

// saysError tells an error envelope with status 200 from a reply that lacks a task for another reason.
func (e *envelope) saysError() bool {
	number, word := e.splitCode()
	return e.failed || e.reason != "" || number >= 400 ||
		(word != "" && !strings.EqualFold(word, "success") && !strings.EqualFold(word, "ok"))
}

func (e *envelope) splitCode() (number int, word string) {
	if number, err := strconv.Atoi(e.code); err == nil {
		return number, ""
	}
	return 0, e.code
}

// errorCode classifies by reason, then by a code in words, then by a numeric code, then by the status. The nested
// error's type is the last resort, except for money: some servers say 429 and insufficient_quota.
func (e *envelope) errorCode(status int) ErrorCode {
	number, _ := e.splitCode()
	kind := ErrorCode(e.kind)
	switch word := e.word(); {
	case word != "":
		return word
	case kind.outOfMoney():
		return kind
	}
	return cmp.Or(codeOfStatus(number), codeOfStatus(status), kind)
}

// word is the code that the body itself gives in words.
func (e *envelope) word() ErrorCode {
	_, word := e.splitCode()
	return ErrorCode(cmp.Or(e.reason, word))
}

func (e *envelope) apiError(status int) *APIError {
	return &APIError{
		StatusCode: status, Code: e.errorCode(status), Message: e.message,
		TraceID: cmp.Or(e.traceID, traceIDIn(e.message)), Metadata: e.metadata,
	}
}

// traceIDIn finds the id in a message such as "no such model (request id: 20260801…)".
func traceIDIn(message string) string {
	_, after, _ := strings.Cut(message, "request id: ")
	id, _, _ := strings.Cut(after, " ")
	return strings.TrimRight(id, ").,")
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
// What is inside objects and arrays is not checked.
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
	n := max(bytes.IndexAny(text, ",]} \n\t\r"), 0)
	if !json.Valid(text[:n]) {
		return 0
	}
	return n
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
func (v value) isArray() bool  { return len(v) > 0 && v[0] == '[' }
func (v value) isString() bool { return len(v) > 1 && v[0] == '"' }
func (v value) isNumber() bool { return len(v) > 0 && (v[0] == '-' || ('0' <= v[0] && v[0] <= '9')) }
func (v value) isNull() bool   { return len(v) == 0 || string(v) == "null" }

// isEmpty is true for null and for "", {}, [] and false, which some servers send where others send nothing.
func (v value) isEmpty() bool {
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

// commonWords are what most replies say again. Their strings are shared, so they cost no memory of their own.
var commonWords = func() map[string]string {
	words := map[string]string{}
	for _, word := range []string{
		string(StateCreated), string(StateQueueing), string(StateProcessing), string(StateSuccess), string(StateFailed),
		string(Resolution540p), string(Resolution720p), string(Resolution1080p), string(MovementAuto),
	} {
		words[word] = word
	}
	for model := range models {
		words[string(model)] = string(model)
	}
	return words
}()

const longestCommonWord = 16

// str is the content of a JSON string, "" for everything else.
func (v value) str() string {
	if !v.isString() {
		return ""
	}
	inner := v[1 : len(v)-1]
	if len(inner) <= longestCommonWord {
		if word, ok := commonWords[string(inner)]; ok {
			return word
		}
	}
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
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
	if v.isNumber() {
		return string(v)
	}
	return v.str()
}

// The readers below return false for what they cannot read. null and "" say nothing, which is no fault.

func readText[S ~string](v value, to *S) bool {
	*to = S(v.text())
	return v.isString() || v.isNumber() || v.isNull()
}

func (v value) readTexts(to *[]string) bool {
	if len(v) > maxEcho {
		return false
	}
	*to = nil
	for it := v.items(); it.next(); {
		*to = append(*to, it.value.text())
	}
	return v.isArray() || v.isEmpty()
}

func (v value) readNumber(to *float64) bool {
	text := strings.TrimSuffix(v.text(), "%") // one gateway's progress
	if text == "" {
		return v.isString() || v.isNull()
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return false
	}
	*to = n
	return true
}

func (v value) readInt(to *int) bool {
	if n, err := strconv.Atoi(string(bytes.Trim(v, `"`))); err == nil {
		*to = n
		return true
	}
	var n float64 // 4.0, 1e2
	if !v.readNumber(&n) || n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
		return false
	}
	*to = int(n)
	return true
}

func (v value) readBool(to *bool) bool {
	switch string(v) {
	case "true", `"true"`, "1", `"1"`:
		*to = true
		return true
	case "false", `"false"`, "0", `"0"`, `""`, "null":
		*to = false
		return true
	}
	return false
}

// readTime reads RFC 3339 and unix seconds or milliseconds, as numbers or strings.
func (v value) readTime(to *time.Time) bool {
	if v.isEmpty() || string(bytes.Trim(v, `"`)) == "0" {
		return v.isString() || v.isNumber() || v.isNull()
	}
	var t time.Time
	if t.UnmarshalJSON(v) != nil {
		n, err := strconv.ParseInt(v.text(), 10, 64)
		if err != nil || n < 0 {
			return false
		}
		t = time.Unix(n, 0)
		if n > 1e11 { // as seconds this would be the year 5138
			t = time.UnixMilli(n)
		}
	}
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return false // a task with such a time could not be marshalled
	}
	*to = t
	return true
}

// readWatermarkPosition reads the number that was sent or the name that the seed's gateway makes of it.
func (v value) readWatermarkPosition(to *int) bool {
	names := []string{"unspecified", "top_left", "top_right", "bottom_right", "bottom_left"}
	if i := slices.Index(names, v.str()); i >= 0 {
		*to = i
		return true
	}
	return v.readInt(to)
}

func (v value) readCreations(to *[]Creation) bool {
	*to = nil
	it := v.items()
	for len(*to) < maxCreations && it.next() {
		*to = append(*to, it.value.creation())
	}
	return v.isEmpty() || (v.isArray() && !it.next())
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
			v.readTexts(&c.ModerationURLs)
		case "video":
			c.Video = v.video()
		}
	}
	return c
}

func (v value) video() VideoInfo {
	size := v // where there is no "resolution", as in a Task of ours that was marshalled
	if inner := v.member("resolution"); inner.isObject() {
		size = inner
	}
	var info VideoInfo
	v.member("duration").readNumber(&info.Duration)
	v.member("fps").readInt(&info.FPS)
	size.member("width").readInt(&info.Width)
	size.member("height").readInt(&info.Height)
	return info
}
