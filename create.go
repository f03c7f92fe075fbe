package vidu

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/vidu-go/vidu/internal/lenientjson"
	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/scrub"
	"github.com/vidu-go/vidu/internal/transport"
)

// What all paid creates share: a request is checked and encoded, sent, and its task looked for when the outcome is
// unknown.
//
// The struct of a request is its contract: its tags are the names on the wire. Where a field has another form there,
// which is so for media and the duration, a wire struct embeds the request without its methods and shadows that field.

// createCall is a create that is ready to be sent.
type createCall struct {
	path     string // "/" and the endpoint, below the API path
	body     *oneshot.Body
	payload  string
	prompt   string // of its task; "": not known, since the server may write it
	callback bool   // one was asked for
}

// promptOf returns the prompt that the task of a request will have, "" where the server writes it.
func promptOf(prompt string, isRec *bool) string {
	if isRec != nil && *isRec {
		return ""
	}
	return prompt
}

func (c *Client) create(ctx context.Context, cr createCall) (task *Task, err error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	ctx, trace := startTrace(ctx, c.tracer, cr.path[1:])
	defer func() { trace.end(idOf(task, err), createOutcome(err), err) }()
	err = c.call(ctx, &request{
		trace:  trace,
		method: http.MethodPost, path: cr.path, body: cr.body, paid: true, payload: cr.payload, limit: maxCreateReply,
	}, func(a *attempt) (err error) {
		if task, err = decodeCreated(a.reply()); err != nil {
			return err
		}
		task.TraceID = cmp.Or(traceIDOf(a.header, c.redact), task.TraceID)
		if a.guard.Retried() {
			task.Warnings = append(task.Warnings, transport.ErrRetried.Error()+"; there may be a second task")
		}
		if err = c.checkCreated(task, cr); err != nil {
			a.naming = &naming{ids: []string{task.ID}}
		}
		return err
	})
	if maybe, ok := errors.AsType[*MaybeCreatedError](err); ok {
		// Two creates with one payload may find the same task: it is of one of them.
		if found := c.lookUp(ctx, maybe, cr.prompt); found != nil && c.remember(found, cr) {
			task, err = found, nil
		}
	}
	if err != nil {
		return nil, err
	}
	maskTask(task, c.redact)
	return task, nil
}

// checkCreated returns why the reply to a create is about another one: the payload is another, which behind a gateway
// may only be its upstream's, or an earlier create of this client got the same task.
func (c *Client) checkCreated(task *Task, cr createCall) error {
	if task.Payload != "" && task.Payload != cr.payload {
		if c.official {
			return fmt.Errorf("%w: it has another payload, %q", errBadReply, scrub.OneLine(task.Payload, 64))
		}
		task.Warnings = append(task.Warnings, "the reply has another payload")
	}
	if !c.remember(task, cr) {
		return fmt.Errorf("%w: an earlier create got the same task", errBadReply)
	}
	return nil
}

// remember notes that this client has made the task. It returns false if that was known.
func (c *Client) remember(task *Task, cr createCall) bool {
	seen := sightingOf(task)
	seen.Class.Endpoint = c.pacer.Endpoint(cr.path)
	return c.pacer.Remember(seen, cr.callback, task.raw)
}

func idOf(task *Task, err error) string {
	if maybe, ok := errors.AsType[*MaybeCreatedError](err); ok {
		return maybe.TaskID
	}
	if task == nil {
		return ""
	}
	return task.ID
}

// decodeCreated reads the reply to a create. An id is a task, however little else of the reply is usable.
func decodeCreated(reply string) (*Task, error) {
	var d taskDecoder
	d.readTask(reply)
	task, err := d.finish()
	switch {
	case task != nil && task.ID != "" && err != nil:
		task.Warnings = append(task.Warnings, err.Error())
		return task, nil
	case err == nil && task.ID == "":
		return nil, d.lacksID()
	case err == nil && !d.isTaskID:
		task.warnOfOther(namedTasks(reply, ""))
	}
	return task, err
}

// warnOfOther warns of a task that the reply to a create names besides the "id" that was taken for it, which may be the
// request's.
func (t *Task) warnOfOther(n *naming) {
	for _, id := range slices.Concat(n.ids, n.begun) {
		if id != t.ID && !slices.ContainsFunc(t.Warnings, func(known string) bool { return strings.Contains(known, " "+id+", too") }) {
			t.warn("the reply has the id " + scrub.OneLine(id, 100) + ", too")
			return
		}
	}
}

// encoder turns one request into its wire form and collects what is wrong with it. Requests call its methods directly:
// an interface would move the callers' requests to the heap.
type encoder struct {
	problems
	media []*oneshot.Source // in the order in which they stand on the wire
	mark  string            // stands for each of them in the encoded text; random, so that no prompt can contain it

	payload string   // for a request that has none; "": none
	tooDeep bool     // a field of [Client.CreateTask] is
	changed problems // texts that are not UTF-8, which nobody minds in a request that is not sent
}

// newEncoder returns the encoder of one create. With WithRecovery a request without a payload gets one, to be found by.
func (c *Client) newEncoder() encoder {
	if c == nil || c.recovery == 0 {
		return encoder{}
	}
	return encoder{payload: NewMarker()}
}

// finish returns the encoded request, or all that is wrong with it.
func (e *encoder) finish(b *oneshot.Body, err error) (*oneshot.Body, error) {
	if err != nil {
		return nil, err
	}
	for _, p := range e.changed {
		if !slices.ContainsFunc(e.problems, func(known FieldProblem) bool { return known.Field == p.Field }) {
			e.problems = append(e.problems, p)
		}
	}
	if b.Size() > maxBodyBytes {
		e.addSize(b)
	}
	return b, e.err()
}

// marshal returns a request that was encoded but not checked as one text, which has the media in it.
func (e *encoder) marshal(b *oneshot.Body, err error) ([]byte, error) {
	if err = cmp.Or(err, e.err()); err != nil {
		return nil, err
	}
	return b.Bytes()
}

// wires lend the wire structs of one endpoint, which are zero, and needed only while a request is encoded.
type wires[W any] struct{ pool sync.Pool }

func (p *wires[W]) borrow() *W {
	if w, ok := p.pool.Get().(*W); ok {
		return w
	}
	return new(W)
}

// giveBack clears w, which must not keep the caller's texts alive.
func (p *wires[W]) giveBack(w *W) {
	*w = *new(W)
	p.pool.Put(w)
}

// encode encodes the wire form of a request of this type, with extra behind its fields.
func (e *encoder) encode(wire any, extra map[string]any, request reflect.Type) (*oneshot.Body, error) {
	text, err := json.Marshal(wire)
	if err != nil {
		return nil, fmt.Errorf("vidu: encode request: %w", err)
	}
	text = e.appendExtra("extra", text, extra, request)
	e.checkRepaired(text, "", wire, extra)
	return oneshot.New(text, []byte(e.mark), e.media), nil
}

// repaired is what encoding/json writes for bytes that are not UTF-8: Go 1.26 escapes it, Go 1.27 need not.
var repaired = [][]byte{[]byte(`\ufffd`), []byte("\uFFFD")}

// checkRepaired notes a text in a value, or in its extra fields, that encoding/json has changed.
func (e *encoder) checkRepaired(text []byte, field string, value any, extra map[string]any) {
	if bytes.Contains(text, repaired[0]) || bytes.Contains(text, repaired[1]) {
		e.addRepaired(field, reflect.ValueOf(value))
		e.addRepaired(field+".extra", reflect.ValueOf(extra))
	}
}

func (e *encoder) addRepaired(field string, value reflect.Value) {
	if place, problem := problemIn(value, maxNesting); problem != nil {
		e.changed.add(strings.TrimPrefix(field+place, "."), "%v", problem)
	}
}

// appendExtra adds the fields of extra to an encoded object. It refuses those that a request of this type has itself.
func (e *encoder) appendExtra(field string, object []byte, extra map[string]any, request reflect.Type) []byte {
	if len(extra) == 0 {
		return object
	}
	names := namesOf(request)
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		if names.fold(name) != "" {
			e.add(field, "%q is a field of the request; set it there", scrub.OneLine(name, 40))
		}
	}
	text, err := json.Marshal(extra)
	if err != nil {
		e.addUnencodable(field, err)
		return object
	}
	if len(object) == len("{}") {
		return text
	}
	object[len(object)-1] = ','
	return append(object, text[1:]...)
}

// refs returns a list of media as it goes on the wire, with the mark for every inline medium. Lists are encoded in the
// order of the calls, which must be that of the fields in the wire struct.
func (e *encoder) refs(field string, list []Media, kind *mediaKind) []string {
	if len(list) == 0 {
		return nil
	}
	refs := make([]string, len(list))
	for i, m := range list {
		refs[i] = e.ref(m, kind, func() string { return itemField(field, i) })
	}
	return refs
}

// ref returns one medium as it goes on the wire, the mark where it is inline. field names it, which links do not need.
func (e *encoder) ref(m Media, kind *mediaKind, field func() string) string {
	ref, in, err := m.check(kind)
	if err != nil {
		e.add(field(), "%v", err)
		return ""
	}
	if in == nil {
		return ref
	}
	in.Name = field()
	return e.addMedium(&in.Source)
}

// addMedium returns the mark.
func (e *encoder) addMedium(s *oneshot.Source) string {
	if e.mark == "" {
		e.mark = rand.Text()
	}
	e.media = append(e.media, s)
	return e.mark
}

// addUnencodable reports the error of encoding/json, which may quote one of this package.
func (e *encoder) addUnencodable(field string, err error) {
	e.add(field, "cannot be encoded: %s", strings.ReplaceAll(err.Error(), "vidu: ", ""))
}

// addSize names the biggest inline media, since those are what can be left out.
func (e *encoder) addSize(b *oneshot.Body) {
	media := slices.SortedStableFunc(slices.Values(e.media), func(x, y *oneshot.Source) int {
		return cmp.Compare(y.EncodedLen(), x.EncodedLen())
	})
	hint := "the text is too long"
	if len(media) > 0 {
		names := make([]string, 0, 3)
		for _, s := range media[:min(len(media), 3)] {
			names = append(names, fmt.Sprintf("%s with %d", s.Name, s.EncodedLen()))
		}
		hint = "use vidu.URL or UploadImage; biggest: " + strings.Join(names, ", ")
	}
	e.add("body", "has %d bytes, at most %d are allowed; %s", b.Size(), maxBodyBytes, hint)
}

// wireDuration sets *to to the duration as it goes on the wire, where 0 lets the model choose, and returns to; or nil,
// which lets the server choose.
func wireDuration(spec *modelSpec, duration int, to *int) *int {
	switch {
	case duration == AutoDuration:
		*to = 0
	case duration != 0:
		*to = duration
	case spec != nil && spec.duration != 0:
		*to = spec.duration
	default:
		return nil
	}
	return to
}

// fieldNames are the names of a request's fields on the wire.
type fieldNames []string

// namesOf returns those in the tags of a request struct.
func namesOf(request reflect.Type) fieldNames {
	var names fieldNames
	for field := range request.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// fold returns the name that equals name but for the letter case, which many servers' JSON readers ignore: "Seed"
// beside "seed" would override it there.
func (names fieldNames) fold(name string) string {
	for _, known := range names {
		if strings.EqualFold(known, name) {
			return known
		}
	}
	return ""
}

// decodeRequest reads the wire form of a request into plain, which has its fields and none of its methods. duration and
// extra are two of those, which have a rule of their own.
func decodeRequest(data []byte, plain any, duration *int, extra *map[string]any) (err error) {
	text := string(data)
	if *extra, err = decodeFields(data, text, plain); err != nil {
		return err
	}
	switch {
	case *duration < 0: // -1 would become AutoDuration, which is 0 there
		return fmt.Errorf("vidu: the field \"duration\" is %d; 0 lets the model choose", *duration)
	case *duration == 0 && !lenientjson.Value(text).Member("duration").IsNull():
		*duration = AutoDuration
	}
	return nil
}

// decodeFields reads a JSON object into plain and returns the members that it has no field for, their numbers as
// [json.Number]. Names that another reader could take for the same field are an error. text is data.
func decodeFields(data []byte, text string, plain any) (extra map[string]any, err error) {
	if err := lenientjson.CheckCharacters(data); err != nil {
		return nil, fmt.Errorf("vidu: %w", err)
	}
	if err := json.Unmarshal(data, plain); err != nil {
		return nil, err
	}
	names := namesOf(reflect.TypeOf(plain).Elem())
	seen := map[string]bool{}
	for it := lenientjson.Value(text).Items(); it.Next(); {
		name := it.Key()
		known := names.fold(name)
		switch {
		case known != "" && known != name:
			return nil, fmt.Errorf("vidu: the field %q must be spelled %q", scrub.OneLine(name, 40), known)
		case seen[name]:
			return nil, fmt.Errorf("vidu: the field %q is given twice", scrub.OneLine(name, 40))
		}
		seen[name] = true
		if known != "" {
			continue
		}
		if extra == nil {
			extra = map[string]any{}
		}
		if extra[strings.Clone(name)], err = decodeAny(it.Value()); err != nil {
			return nil, err
		}
	}
	return extra, nil
}

func decodeAny(text lenientjson.Value) (v any, err error) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}
