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
	payload, _ := fields["payload"].(string)
	prompt, _ := fields["prompt"].(string)
	callback, _ := fields["callback_url"].(string)
	return c.create(ctx, createCall{path: "/" + endpoint, body: body, payload: payload, prompt: prompt, callback: callback != ""})
}

func (e *encoder) encodeFields(endpoint string, fields map[string]any) (*oneshot.Body, error) {
	if !isPlainPath(endpoint) {
		e.add("endpoint", "%q is not a plain path such as \"reference2image\"", endpoint)
	}
	if fields == nil {
		e.add("fields", "is nil")
	}
	text, err := json.Marshal(e.wireForm("", reflect.ValueOf(fields), maxNesting))
	if err != nil {
		e.add("fields", "cannot be encoded: %v", err)
	}
	return oneshot.New(text, []byte(e.mark), e.media), nil
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
	maxNesting      = 100 // of maps and slices; one that contains itself has no end
	plainCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
)

// wireForm returns a copy of a field's value in which media are as they go on the wire. It walks maps in the order in
// which encoding/json writes them, since that is the order of the media.
func (e *encoder) wireForm(field string, v reflect.Value, depth int) any {
	switch {
	case !v.IsValid():
		return nil
	case depth == 0:
		e.add("fields", "are nested too deeply")
		return nil
	}
	switch value := v.Interface().(type) {
	case Media:
		return e.ref(field, value, &anyKind)
	case *Media:
		if value == nil {
			e.add(field, "is a nil *Media")
			return nil
		}
		return e.ref(field, *value, &anyKind)
	}
	switch v.Kind() {
	case reflect.Interface:
		return e.wireForm(field, v.Elem(), depth)
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			e.add(field, "is not valid UTF-8")
		}
	case reflect.Map:
		if v.Type().Key().Kind() == reflect.String && !v.IsNil() {
			return e.wireMap(field, v, depth)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() != reflect.Uint8 && (v.Kind() == reflect.Array || !v.IsNil()) {
			list := make([]any, v.Len())
			for i := range list {
				list[i] = e.wireForm(itemField(field, i), v.Index(i), depth-1)
			}
			return list
		}
	}
	return v.Interface()
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
