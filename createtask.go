package vidu

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/scrub"
)

// CreateTask creates a task at an endpoint that this package has no method for, such as "reference2image": it posts
// fields to that path below the API path. The promises are those of [Client.Reference2Video]: one POST, a
// [*MaybeCreatedError] with the payload (fields["payload"], if that is a string) when the outcome is unknown, and
// [WithRecovery] if there is a payload. It never adds a field and knows no limits of the endpoint. [Client.Wait] waits
// for the task.
//
// [Media] and *Media anywhere in maps and slices, and []Media, are checked (images with sides up to 5:1, videos, and
// sounds in mp3, wav or m4a) and streamed. Everything else goes out as encoding/json has it; strings must be UTF-8.
//
// The endpoint is one or more elements of letters, digits, "-", "_", "." and "~", with "/" between them. Anything else
// is a [*ValidationError], as are nil fields, media that cannot be used and values that cannot be encoded.
func (c *Client) CreateTask(ctx context.Context, endpoint string, fields map[string]any) (*Task, error) {
	e := encoder{}
	body, err := e.finish(e.encodeFields(endpoint, fields))
	if err != nil {
		return nil, err
	}
	return c.create(ctx, createCall{
		path: "/" + endpoint, body: body, payload: textOf(fields["payload"]), prompt: textOf(fields["prompt"]),
		callback: textOf(fields["callback_url"]) != "",
	})
}

// textOf returns a string, of whatever string type, and "" for anything else.
func textOf(value any) string {
	if v := reflect.ValueOf(value); v.Kind() == reflect.String {
		return v.String()
	}
	return ""
}

func (e *encoder) encodeFields(endpoint string, fields map[string]any) (*oneshot.Body, error) {
	if !isPlainPath(endpoint) {
		e.add("endpoint", "%q is not a plain path such as \"reference2image\"", scrub.OneLine(endpoint, 80))
	}
	if fields == nil {
		e.add("fields", "is nil")
	}
	text, err := json.Marshal(e.wireForm("", reflect.ValueOf(fields), maxNesting))
	return oneshot.New(text, []byte(e.mark), e.media), err
}

// isPlainPath reports whether path is one or more plain elements.
func isPlainPath(path string) bool {
	for element := range strings.SplitSeq(path, "/") {
		if element == "" || element == "." || element == ".." || strings.Trim(element, plainCharacters) != "" {
			return false
		}
	}
	return len(path) <= maxEndpoint
}

const (
	maxEndpoint     = 200 // bytes
	plainCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
)

// wireForm returns what of a field's value json.Marshal is given. Of maps and slices that may hold media it is a copy
// with the media as they go on the wire. It walks maps in the order in which encoding/json writes them, since that is
// the order of the media.
func (e *encoder) wireForm(field string, v reflect.Value, depth int) any {
	if depth == 0 && !e.tooDeep {
		e.add(firstOf(field), "is nested too deeply, or contains itself")
		e.tooDeep = true
	}
	if !v.IsValid() || e.tooDeep {
		return nil
	}
	if m, ok := reflect.TypeAssert[Media](v); ok {
		return e.ref(m, &anyKind, func() string { return field })
	}
	switch kind := v.Kind(); {
	case kind == reflect.Interface:
		return e.wireForm(field, v.Elem(), depth)
	case !holdsMedia(v.Type(), maxNesting):
		return e.plain(field, v)
	case kind == reflect.Array:
		return e.wireList(field, v, depth)
	case v.IsNil() && v.Type() == mediaPointer:
		e.add(field, "is a nil *Media")
		return nil
	case v.IsNil():
		return nil
	case kind == reflect.Pointer:
		return e.wireForm(field, v.Elem(), depth-1)
	case kind == reflect.Slice:
		return e.wireList(field, v, depth)
	}
	return e.wireMap(field, v, depth)
}

func (e *encoder) wireList(field string, v reflect.Value, depth int) []any {
	list := make([]any, v.Len())
	for i := range list {
		list[i] = e.wireForm(itemField(field, i), v.Index(i), depth-1)
	}
	return list
}

func (e *encoder) wireMap(field string, v reflect.Value, depth int) map[string]any {
	members := map[string]reflect.Value{}
	for key, value := range v.Seq2() {
		members[key.String()] = value
	}
	wire := make(map[string]any, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		inner := strings.TrimPrefix(field+"."+name, ".")
		if !utf8.ValidString(name) {
			e.add(fmt.Sprintf("%q", inner), "is not a valid UTF-8 name")
		}
		wire[name] = e.wireForm(inner, members[name], depth-1)
	}
	return wire
}

// plain returns a value without media as encoding/json has it.
func (e *encoder) plain(field string, v reflect.Value) any {
	text, err := json.Marshal(v.Interface())
	if err != nil {
		e.addUnencodable(field, err)
		return nil
	}
	place, problem := problemIn(v, maxNesting)
	if problem == nil && !utf8.Valid(text) {
		problem = errNotUTF8
	}
	if problem != nil {
		e.add(field+place, "%v", problem)
	}
	return json.RawMessage(text)
}

// holdsMedia reports whether values of type t are media, or may hold some in a form that wireForm walks. Types that
// contain themselves end with the depth.
func holdsMedia(t reflect.Type, depth int) bool {
	switch kind := t.Kind(); {
	case t == mediaType, t == mediaPointer, kind == reflect.Interface, depth == 0:
		return true
	case marshals(t), kind == reflect.Map && t.Key().Kind() != reflect.String:
		return false
	case kind == reflect.Pointer, kind == reflect.Map, kind == reflect.Slice, kind == reflect.Array:
		return holdsMedia(t.Elem(), depth-1)
	}
	return false
}

// firstOf returns the first name of a field's path.
func firstOf(field string) string { return field[:strings.IndexAny(field+".", ".[")] }
