package vidu

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/vidu-go/vidu/internal/lenientjson"
	"github.com/vidu-go/vidu/internal/scrub"
)

// The API and the gateways before it disagree on the shape of a reply: numbers come as strings, ids as numbers, times
// in three forms, whole replies wrapped in "data". encoding/json would give up at the first such field, merge keys
// that differ only in case, and let the last of two ids win. So a reply is walked member by member.

var (
	errBadReply    = errors.New("the reply cannot be used")
	errNoTask      = fmt.Errorf("%w: it names no task", errBadReply)
	errElsewhere   = fmt.Errorf("%w: it names a task, but not in the place of one", errBadReply)
	errTwoIDs      = fmt.Errorf("%w: it names two tasks", errBadReply)
	errReplyTooBig = fmt.Errorf("%w: it is larger than the limit", errBadReply)
)

// maxNested is how many bodies inside the record of a task are read, each in the other: as many gateways in a row.
const maxNested = 3

// decodeTask reads a task from the reply to a create, or from a callback. When the reply is not whole, what could be
// read comes back with the error: a task id must not be lost for a missing bracket.
func decodeTask(body string) (*Task, error) {
	var d taskDecoder
	d.readTask(body)
	return d.finish()
}

// decodeQuery reads the reply to the query for the task with this id.
func decodeQuery(ctx context.Context, body, id string) (*Task, error) {
	if err := stillWanted(ctx, body); err != nil {
		return nil, err
	}
	d := taskDecoder{asked: id}
	d.readTask(body)
	if err := stillWanted(ctx, body); err != nil {
		return nil, err
	}
	return d.finish()
}

// stillWanted returns the error of a context that has ended between the steps of reading a large reply. A small one is
// read to its end all the same, and so is the reply to a create, which was paid for.
func stillWanted(ctx context.Context, body string) error {
	if len(body) < largeReply {
		return nil
	}
	return ctx.Err()
}

const largeReply = 1 << 20

// syntaxError says what is wrong with text that is not valid JSON.
func syntaxError(body string) error {
	if scrub.IsMarkup(body) {
		return fmt.Errorf("%w: it is a web page", errBadReply)
	}
	var discard struct{}
	return fmt.Errorf("%w: %w", errBadReply, json.Unmarshal([]byte(body), &discard))
}

// taskDecoder collects the members of a reply, the last of each, and makes a Task of them at the end: a hostile reply
// repeats them by the million.
//
// A reply is the record of a task, or wraps one in "data". What has the id of the task and a state is its record; the
// "data" of a record adds to it, for that is the upstream's whole reply.
type taskDecoder struct {
	body  string
	asked string // id that the reply should be about; "": not known

	id       string
	isTaskID bool              // the id came from "task_id", which wins over "id"
	badID    lenientjson.Value // an id that no task can have; "": none
	oddID    bool              // badID is a "task_id", so an "id" is something else
	twoIDs   bool
	otherID  string // of what is around the record or inside it

	state  lenientjson.Value
	status lenientjson.Value // what some gateways say instead of "state"
	data   lenientjson.Value // not read yet
	fields [len(taskFields)]lenientjson.Value
	places placeValues
	next   int // the field that comes next in the API's replies

	cut      bool // the reply is not whole
	refused  bool // "success" is false
	inside   bool // what is being read is inside the record
	warnings []string
}

// readTask reads what it can of any text.
func (d *taskDecoder) readTask(body string) {
	d.body = strings.TrimPrefix(body, lenientjson.ByteOrderMark)
	whole := lenientjson.Value(d.body)
	d.cut = !d.read(whole) && !whole.Valid() // which decides where there is no object to walk
	if d.data.IsObject() && !d.isRecord() {
		d.unwrap()
	}
	if d.data != "" && d.id != "" && !d.isTaskID && d.state.IsEmpty() && d.asked == "" {
		d.warn("the id " + d.id + " may be that of the request")
	}
	d.inside = true
	for n := 0; n < maxNested && d.data.IsObject(); n++ {
		d.places.dropNoReasons()
		object := d.data
		d.data = ""
		d.read(object)
	}
}

// isRecord reports whether what was read has both the id of a task and a state. An "id" may be the gateway's own,
// unless it is the one that was asked for; and a "status" may be that of the request.
func (d *taskDecoder) isRecord() bool {
	named := d.isTaskID || d.oddID || (d.asked != "" && d.id == d.asked)
	return named && (!d.state.IsEmpty() || State(d.status.Str()).isKnown())
}

// unwrap goes on to the task in "data", if there is one. What the wrapper says of a failure counts where the task
// itself does not say it.
func (d *taskDecoder) unwrap() {
	inner := taskDecoder{
		body: d.body, cut: d.cut, asked: d.asked, places: d.places, refused: d.refused, twoIDs: d.twoIDs, warnings: d.warnings,
	}
	if code := d.places.value("code"); code != "" && isNoReason(code.Text()) {
		inner.places.drop("message", "msg")
	}
	inner.read(d.data)
	hasID := inner.id != "" || inner.oddID
	switch {
	case !hasID && inner.state.IsEmpty() && inner.status.Str() == "":
		return // no task
	case !hasID && (d.isTaskID || d.oddID):
		inner.id, inner.isTaskID, inner.badID, inner.oddID = d.id, d.isTaskID, d.badID, d.oddID
	case !hasID && d.id != "" && d.asked == "": // for want of a better one
		inner.id = d.id
		inner.warn("the id " + d.id + " may be that of the request")
	case d.id != inner.id:
		inner.otherID = d.id
	}
	if inner.asked != "" && inner.state.IsEmpty() && inner.status.Str() == "" { // so the wrapper's speaks of the task
		inner.state = d.state
	}
	*d = inner
}

// read reads the members of an object and reports whether it is valid JSON.
func (d *taskDecoder) read(object lenientjson.Value) bool {
	it := object.Items()
	for it.Next() {
		switch key, v := it.Key(), it.Value(); key {
		case "task_id":
			d.readID(v, true)
		case "id":
			d.readID(v, false)
		case "state":
			d.readState(&d.state, v)
		case "status":
			d.readState(&d.status, v)
		case "success":
			d.refused = d.refused || (!d.inside && v == "false")
		case "data":
			d.twoIDs = d.twoIDs || (!d.inside && d.data != "" && d.data != v)
			d.data = v
		default:
			d.keep(key, v)
		}
	}
	return it.Valid()
}

// keep keeps the value of a member that a Task is made of. An empty one takes no value away from the record around it.
func (d *taskDecoder) keep(name string, v lenientjson.Value) {
	i, ok := d.indexOf(name)
	if ok && i < len(taskFields) {
		if !d.inside || !v.IsEmpty() {
			d.fields[i] = v
		}
		return
	}
	i -= len(taskFields)
	switch {
	case !ok:
	case places[i].use&isText != 0 && !v.IsString() && !v.IsNumber() && !v.IsNull():
		d.warn(places[i].name + " cannot be read")
	case !v.IsEmpty() && (!d.inside || d.places[i] == ""):
		d.places[i] = v
	}
}

// indexOf finds a member in memberIndex. Most come in the order of taskFields, and need no search.
func (d *taskDecoder) indexOf(name string) (i int, ok bool) {
	i, ok = d.next, true
	if i >= len(taskFields) || name != taskFields[i].name {
		i, ok = memberIndex[name]
	}
	if ok && i < len(taskFields) {
		d.next = i + 1
	}
	return i, ok
}

// readID keeps the first id; "task_id" is preferred where a gateway's reply has an "id" of its own besides.
func (d *taskDecoder) readID(v lenientjson.Value, isTaskID bool) {
	id := v.Shared()
	valid := validID(id) && (v.IsString() || isDigits(id))
	switch {
	case d.inside:
		if valid && id != d.id && d.otherID == "" {
			d.otherID = id
		}
	case valid && isTaskID && isNoID(id):
	case !valid:
		d.keepBadID(v, isTaskID)
	case d.id == "", isTaskID && !d.isTaskID:
		d.id, d.isTaskID = id, isTaskID
	case isTaskID == d.isTaskID && id != d.id:
		d.twoIDs = true
	}
}

// keepBadID keeps what is called an id and is none, for the error.
func (d *taskDecoder) keepBadID(v lenientjson.Value, isTaskID bool) {
	switch {
	case v.IsEmpty():
	case isTaskID:
		d.badID, d.oddID = v, true
		d.warn("task_id cannot be read")
	default:
		d.badID = v
		d.warn("id cannot be read")
	}
}

// readState keeps a word. What is inside the record may be older than the record.
func (d *taskDecoder) readState(to *lenientjson.Value, v lenientjson.Value) {
	if !d.inside {
		*to = v
	}
}

func (d *taskDecoder) warn(text string) {
	if len(d.warnings) < maxWarnings {
		d.warnings = append(d.warnings, text)
	}
}

// finish returns the task in a reply, or why there is none.
func (d *taskDecoder) finish() (*Task, error) {
	if d.twoIDs {
		return nil, errTwoIDs
	}
	task := d.task()
	switch {
	case d.cut:
		if !d.isTaskID { // what is called "id" may be a gateway's own, the task's being lost with the rest
			task.ID = ""
		}
		return task, syntaxError(d.body)
	case task.State == "" && d.saysError(), task.State == "" && task.ID == "":
		return nil, d.whyNoTask()
	}
	return task, nil
}

// task makes a Task of what was read.
func (d *taskDecoder) task() *Task {
	t := &Task{ID: d.taskID(), Warnings: d.warnings, raw: d.body}
	if d.oddID {
		t.ID = ""
	}
	if d.otherID != "" && d.otherID != d.asked {
		t.warn("the reply has the id " + d.otherID + ", too")
	}
	for i := range taskFields {
		if v := d.fields[i]; v != "" && !taskFields[i].read(t, v) {
			t.warn(taskFields[i].name + " cannot be read")
		}
	}
	if saysNothing(string(t.ErrCode)) {
		t.ErrCode = ""
	}
	if saysNothing(t.ErrMessage) {
		t.ErrMessage = ""
	}
	d.setState(t)
	return t
}

// taskID returns the id in memory of its own: it is often kept for long, and alone.
func (d *taskDecoder) taskID() string {
	if d.id == d.asked {
		return d.asked
	}
	return strings.Clone(d.id)
}

// setState sets the state, and what comes with the end of a task: the link, or the reason of the failure.
func (d *taskDecoder) setState(t *Task) {
	if !readText(d.state, &t.State) {
		t.warn("state cannot be read")
	}
	t.State = parseState(string(t.State))
	fromStatus := false
	// An answer that failed may say so with the same word.
	if status := State(d.status.Str()); t.State == "" && (t.ID != "" || parseState(string(status)) != StateFailed) {
		t.State, fromStatus = parseState(string(status)), true
	}
	if !t.State.isKnown() && d.hasResult(t) {
		t.warn("success is guessed from the link: the state is " + strconv.Quote(scrub.OneLine(string(t.State), 40)))
		t.State = StateSuccess
	}
	if t.State == StateSuccess {
		d.setLink(t)
	}
	if t.State == StateFailed || t.State == StateCanceled {
		d.setReason(t)
		if t.unsure = fromStatus && t.State == StateFailed && !d.isFirm(t); t.unsure {
			t.warn("the status " + quoted(d.status) + " may be about the query")
		}
	}
}

// hasResult reports whether a task in an unknown state must have ended, for its reply has a link to the result. While a
// video is being made there may be a preview.
func (d *taskDecoder) hasResult(t *Task) bool {
	if d.places.link(isResult) == "" && !slices.ContainsFunc(t.Creations, func(c Creation) bool { return isLink(c.URL) }) {
		return false
	}
	isPreview := t.Progress < 100 && !d.fields[fieldIndex["progress"]].IsEmpty()
	hasReason := t.ErrCode != "" || t.ErrMessage != ""
	code, message := d.places.reason(isError)
	if !isPreview && !hasReason && code == "" && message == "" && !d.saysError() && !d.cut {
		return true
	}
	if !hasReason && (t.Progress == 0 || t.Progress >= 100) { // the Task does not show why it is none
		t.Creations = nil
	}
	return false
}

// setLink takes the link from where gateways put it, unless there is a creation with one.
func (d *taskDecoder) setLink(t *Task) {
	if slices.ContainsFunc(t.Creations, func(c Creation) bool { return c.URL != "" }) {
		return
	}
	link := d.places.link(holdsLink)
	switch {
	case link == "":
	case len(t.Creations) == 0:
		t.Creations = []Creation{{URL: link}}
	default:
		t.Creations[0].URL = link
	}
}

// setReason takes the reason of a failure from where gateways put it, as far as the task does not say it itself.
func (d *taskDecoder) setReason(t *Task) {
	if t.ErrCode != "" && t.ErrMessage != "" {
		return
	}
	code, message := d.places.reason(holdsCode | holdsMessage)
	if t.ErrCode == "" {
		t.ErrCode = code
	}
	if t.ErrMessage == "" {
		t.ErrMessage = message
	}
}

// isFirm reports whether a "status" that says that something failed must be about the task: the word is one that speaks
// of tasks, or a code in words says why.
func (d *taskDecoder) isFirm(t *Task) bool {
	_, err := strconv.Atoi(string(t.ErrCode))
	return slices.Contains(firmFailures, foldWord(d.status.Str())) || (t.ErrCode != "" && err != nil)
}

// saysError reports whether the reply says that it is an error.
func (d *taskDecoder) saysError() bool { return d.refused || meansError(d.places.value("error")) }

// whyNoTask turns a valid 2xx reply without a task into its error: the envelope it carries, or what it lacks.
func (d *taskDecoder) whyNoTask() error {
	e := parseEnvelope(d.body)
	switch {
	case d.oddID:
		return d.lacksID()
	case d.id != "":
		return fmt.Errorf("%w: it names a task and an error", errBadReply)
	case e.saysError():
		return e.apiError(http.StatusOK)
	}
	return d.lacksID()
}

// lacksID says why a reply has no id.
func (d *taskDecoder) lacksID() error {
	if d.badID != "" {
		return fmt.Errorf("%w: no task can have its id %s", errBadReply, scrub.OneLine(string(d.badID[:min(len(d.badID), 200)]), 80))
	}
	return errNoTask
}

// quoted returns a value of a reply for an error or a warning.
func quoted(v lenientjson.Value) string {
	return strconv.Quote(scrub.OneLine(cmp.Or(v.Text(), string(v[:min(len(v), 40)])), 40))
}

// checkReply refuses what is not a JSON object, or is one that says it is an error.
func checkReply(reply string) error {
	if !lenientjson.Value(reply).Valid() {
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
	text := string(data)
	if v := lenientjson.Value(lenientjson.TrimLeft(text)); !v.IsObject() || !v.Valid() {
		return errors.New("vidu: a task must be a JSON object")
	}
	var d taskDecoder
	d.readTask(text)
	if d.twoIDs {
		return fmt.Errorf("vidu: %w", errTwoIDs)
	}
	*t = *d.task()
	return nil
}
