package viduworkflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"sync"

	"github.com/vidu-go/vidu"
)

// Generic is a request to an endpoint that package vidu has no method for, see [vidu.Client.CreateTask].
//
// Fields are stored as JSON. Its "payload" is set to the workflow's id, and the workflow is added to a "callback_url".
// [Dir] names every result .mp4; for an endpoint that makes something else write a [Store].
type Generic struct {
	Endpoint string         `json:"endpoint"` // such as "reference2image"
	Fields   map[string]any `json:"fields"`
}

// UnmarshalJSON keeps numbers as they were written: a float64 has no room for every id.
func (g *Generic) UnmarshalJSON(data []byte) error {
	type plain Generic
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode((*plain)(g))
}

// CreateInput is the request of [Activities.Create]: exactly one of the fields, which are those of [Input].
type CreateInput struct {
	Text2Video     *vidu.Text2VideoRequest     `json:"text2video,omitempty"`
	Img2Video      *vidu.Img2VideoRequest      `json:"img2video,omitempty"`
	StartEnd2Video *vidu.StartEnd2VideoRequest `json:"start_end2video,omitempty"`
	Generic        *Generic                    `json:"generic,omitempty"`
}

// errNoRequest is the error of an input without a request. A worker that is older than the request sees none, either.
var errNoRequest = errors.New("exactly one of Request, Text2Video, Img2Video, StartEnd2Video and Generic must be set")

// checkOne returns an error unless exactly one request is set.
func (in *Input) checkOne() error {
	n := 0
	for _, set := range []bool{
		!reflect.ValueOf(&in.Request).Elem().IsZero(), in.Text2Video != nil, in.Img2Video != nil, in.StartEnd2Video != nil,
		in.Generic != nil,
	} {
		if set {
			n++
		}
	}
	if n != 1 {
		return errNoRequest
	}
	return nil
}

// others returns the requests of [Activities.Create].
func (in *Input) others() *CreateInput {
	return &CreateInput{
		Text2Video: in.Text2Video, Img2Video: in.Img2Video, StartEnd2Video: in.StartEnd2Video, Generic: in.Generic,
	}
}

// activity returns the name and the input of the activity that sends the request.
func (in *Input) activity() (name string, request any) {
	if others := in.others(); *others != (CreateInput{}) {
		return createName, others
	}
	return submitName, &in.Request
}

// payload returns the payload of the request, or why there cannot be one.
func (in *Input) payload() (string, error) {
	switch {
	case in.Text2Video != nil:
		return in.Text2Video.Payload, nil
	case in.Img2Video != nil:
		return in.Img2Video.Payload, nil
	case in.StartEnd2Video != nil:
		return in.StartEnd2Video.Payload, nil
	case in.Generic != nil && in.Generic.Fields == nil:
		return "", errors.New("the fields of the generic request are nil")
	case in.Generic != nil:
		value := in.Generic.Fields["payload"]
		payload, ok := value.(string)
		if !ok && value != nil {
			return "", errors.New("the payload is not a string")
		}
		return payload, nil
	}
	return in.Request.Payload, nil
}

// bind makes the request that of workflow id, by its payload and its callback URL. The caller's request stays as it is.
func (in *Input) bind(id string) {
	switch {
	case in.Text2Video != nil:
		req := *in.Text2Video
		req.Payload, req.CallbackURL = id, addWorkflow(req.CallbackURL, id)
		in.Text2Video = &req
	case in.Img2Video != nil:
		req := *in.Img2Video
		req.Payload, req.CallbackURL = id, addWorkflow(req.CallbackURL, id)
		in.Img2Video = &req
	case in.StartEnd2Video != nil:
		req := *in.StartEnd2Video
		req.Payload, req.CallbackURL = id, addWorkflow(req.CallbackURL, id)
		in.StartEnd2Video = &req
	case in.Generic != nil:
		fields := maps.Clone(in.Generic.Fields)
		fields["payload"] = id
		if callbackURL, _ := fields["callback_url"].(string); callbackURL != "" {
			fields["callback_url"] = addWorkflow(callbackURL, id)
		}
		in.Generic = &Generic{Endpoint: in.Generic.Endpoint, Fields: fields}
	default:
		in.Request.Payload, in.Request.CallbackURL = id, addWorkflow(in.Request.CallbackURL, id)
	}
}

// prompt returns the prompt with which the server shows the task, "" when the server may write it.
func (in *Input) prompt() string {
	switch {
	case in.Text2Video != nil:
		return in.Text2Video.Prompt
	case in.Img2Video != nil:
		return promptUnless(in.Img2Video.IsRec, in.Img2Video.Prompt)
	case in.StartEnd2Video != nil:
		return promptUnless(in.StartEnd2Video.IsRec, in.StartEnd2Video.Prompt)
	case in.Generic != nil:
		written, _ := in.Generic.Fields["is_rec"].(bool)
		prompt, _ := in.Generic.Fields["prompt"].(string)
		return promptUnless(&written, prompt)
	}
	return in.Request.Prompt
}

func promptUnless(written *bool, prompt string) string {
	if written != nil && *written {
		return ""
	}
	return prompt
}

// validate returns what is wrong with the request, without sending it.
func (in *Input) validate(ctx context.Context) error {
	switch {
	case in.Text2Video != nil:
		return in.Text2Video.Validate()
	case in.Img2Video != nil:
		return in.Img2Video.Validate()
	case in.StartEnd2Video != nil:
		return in.StartEnd2Video.Validate()
	case in.Generic != nil:
		return in.Generic.validate(ctx)
	}
	return in.Request.Validate()
}

// unconnected returns a client that reaches no server. CreateTask, which has no Validate, checks its fields all the
// same before it tries.
var unconnected = sync.OnceValues(func() (*vidu.Client, error) {
	return vidu.NewClient("https://localhost", "none",
		vidu.WithHTTPClient(&http.Client{Transport: nowhere{}}), vidu.WithMaxAttempts(1))
})

type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("not connected")
}

func (g *Generic) validate(ctx context.Context) error {
	client, err := unconnected()
	if err != nil {
		return err
	}
	_, err = client.CreateTask(ctx, g.Endpoint, g.Fields)
	if invalid, ok := errors.AsType[*vidu.ValidationError](err); ok {
		return invalid
	}
	return nil
}

var errInline = errors.New("a file, bytes or a data URI would become part of the history: use a URL, or upload it first (Client.UploadImage)")

// marshal returns the request, which is valid, as a history has it.
func (in *Input) marshal() ([]byte, error) {
	_, request := in.activity()
	text, err := json.Marshal(request)
	if err != nil && in.Generic != nil { // valid, and yet no JSON: files and bytes
		return nil, fmt.Errorf("%w: %w", errInline, err)
	}
	return text, err
}

// dataURI matches what a data URI of media begins with.
var dataURI = regexp.MustCompile(`(?i)^data:[^,;\s]*/[^,;\s]*[,;]`)

// hasInline reports whether there are media inside a value of JSON.
func hasInline(value any) bool {
	switch value := value.(type) {
	case string:
		return dataURI.MatchString(value)
	case []any:
		return slices.ContainsFunc(value, hasInline)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(value)), hasInline)
	}
	return false
}
