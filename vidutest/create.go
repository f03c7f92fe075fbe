package vidutest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// createRequest is the body of a create. What an array holds beyond clipLimit is missing, and every data URI in one
// ends in a verdict.
type createRequest struct {
	Model             string
	Images            []string
	Videos            []string
	Sounds            []string
	Subjects          []subject
	AutoSubjects      bool
	Prompt            string
	Audio             *bool // nil for the model's default
	AudioType         string
	VoiceID           string
	BGM               bool
	IsRec             bool
	Style             string
	Duration          int
	Seed              int
	AspectRatio       string
	Resolution        string
	MovementAmplitude string
	OffPeak           bool
	Payload           string
	Watermark         bool
	WMPosition        int
	WMURL             string
	MetaData          string
	CallbackURL       string
}

// subject is one item of subjects. ID is what Name was called before 2026.
type subject struct {
	Name     string   `json:"name"`
	ID       string   `json:"id"`
	Images   []string `json:"images"`
	Videos   []string `json:"videos"`
	VoiceID  string   `json:"voice_id"`
	ServerID string   `json:"server_id"`
}

// createReply is the body of the answer, with the fields of the published sample in its order.
type createReply struct {
	TaskID            string    `json:"task_id"`
	Type              string    `json:"type"`
	State             string    `json:"state"`
	Model             string    `json:"model"`
	Style             string    `json:"style"`
	Prompt            string    `json:"prompt"`
	Images            []string  `json:"images"`
	Duration          int       `json:"duration"`
	Seed              int       `json:"seed"`
	AspectRatio       string    `json:"aspect_ratio"`
	Resolution        string    `json:"resolution"`
	MovementAmplitude string    `json:"movement_amplitude"`
	CreatedAt         time.Time `json:"created_at"`
	Credits           int       `json:"credits"`
	Payload           string    `json:"payload"`
	CusPriority       int       `json:"cus_priority"`
	OffPeak           bool      `json:"off_peak"`
	Watermark         bool      `json:"watermark"`
	IsRec             bool      `json:"is_rec"`
	WMPosition        string    `json:"wm_position"`
	WMURL             string    `json:"wm_url"`
	MetaData          string    `json:"meta_data"`
}

// wmPositions are the names in a reply for the numbers in a request; 0 is none.
var wmPositions = []string{"unspecified", "top_left", "top_right", "bottom_right", "bottom_left"}

// create answers a POST to an endpoint.
func (s *Server) create(e *endpoint, c *call) answer {
	values, err := readFields(c.body)
	if err != nil {
		drain(c.body) // so that the client has sent everything and reads the answer
		return refuseBody(err)
	}
	c.payload = payloadOf(values)
	req, refused := s.decode(e, values)
	if refused == nil && !e.anything {
		refused = s.refuseMedia(req.items())
	}
	if refused == nil {
		refused = s.refusing.refuse(req.Prompt)
	}
	if refused != nil {
		return *refused
	}
	var known *Request
	if s.scripts.conditional(ofTask) {
		s.ledger.received(c.entry, c.body, c.payload)
		known = new(s.ledger.get(c.entry))
	}
	t := s.tasks.add(e, req, c.late, func() fault {
		f, _ := s.scripts.next(ofTask, c.Request, known)
		return f
	})
	if t == nil {
		return refuse(http.StatusTooManyRequests, "QuotaExceeded", "too many tasks have not ended")
	}
	s.announce(t)
	reply := success(newCreateReply(t))
	reply.accepted = true
	return reply
}

// refuseMedia returns the refusal of the first image, video or sound that is wrong, nil when there is none.
func (s *Server) refuseMedia(items []item) *answer {
	if refused := refuseInline(items); refused != nil {
		return refused
	}
	if !s.dialect.official {
		return nil
	}
	return s.uploads.refuseUnknown(items)
}

// refuseBody returns the answer to a body that could not be read as a JSON object.
func refuseBody(err error) answer {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge()
	}
	return refuse(http.StatusBadRequest, "BadRequest", "the body is not one JSON object: "+err.Error())
}

// readFields reads a body of one JSON object and returns the values of its fields. No object in it may have a field
// twice.
func readFields(body io.Reader) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(newClipper(body))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, notAnObject(err)
	}
	values := make(map[string]json.RawMessage)
	for decoder.More() {
		name, err := nameOf(decoder, values)
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		if value[0] == '{' || value[0] == '[' {
			if err := checkNames(json.NewDecoder(bytes.NewReader(value))); err != nil {
				return nil, err
			}
		}
		values[name] = value
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return nil, err
	}
	return values, atEnd(decoder)
}

// payloadOf returns the payload among the values of a create, "" when there is none.
func payloadOf(values map[string]json.RawMessage) (payload string) {
	_ = json.Unmarshal(values["payload"], &payload) // of another type it is none
	return payload
}

// nameOf reads the name of a field, which must not be among those before it.
func nameOf[V any](decoder *json.Decoder, before map[string]V) (string, error) {
	token, err := decoder.Token()
	if err != nil {
		return "", err
	}
	name := fmt.Sprint(token) // it is a string
	if _, twice := before[name]; twice {
		return "", fmt.Errorf("the field %q is there twice", name)
	}
	return name, nil
}

// checkNames returns an error when an object in a value has a field twice.
func checkNames(decoder *json.Decoder) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		names := map[string]bool{}
		for decoder.More() {
			name, err := nameOf(decoder, names)
			if err != nil {
				return err
			}
			names[name] = true
			if err := checkNames(decoder); err != nil {
				return err
			}
		}
	case json.Delim('['):
		for decoder.More() {
			if err := checkNames(decoder); err != nil {
				return err
			}
		}
	default:
		return nil
	}
	_, err = decoder.Token() // the closing brace or bracket
	return err
}

// atEnd returns an error unless only white space is left.
func atEnd(decoder *json.Decoder) error {
	switch _, err := decoder.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	default:
		return errors.New("data follows the object")
	}
}

func notAnObject(err error) error {
	if err != nil {
		return err
	}
	return errors.New("it does not begin with a brace")
}

func newCreateReply(t *task) createReply {
	req := &t.request
	return createReply{
		TaskID:            t.id,
		Type:              t.endpoint.taskType,
		State:             stateCreated,
		Model:             req.Model,
		Style:             req.Style,
		Prompt:            req.Prompt,
		Images:            req.Images,
		Duration:          req.Duration,
		Seed:              req.Seed,
		AspectRatio:       req.AspectRatio,
		Resolution:        req.Resolution,
		MovementAmplitude: req.MovementAmplitude,
		CreatedAt:         t.createdAt,
		Credits:           t.credits,
		Payload:           req.Payload,
		OffPeak:           req.OffPeak,
		Watermark:         req.Watermark,
		IsRec:             req.IsRec,
		WMPosition:        wmPositions[req.WMPosition],
		WMURL:             req.WMURL,
		MetaData:          req.MetaData,
	}
}

// links returns the images of a request that are not inline, those of subjects too: a reply has one flat list.
func (req *createRequest) links() []string {
	images := slices.Clone(req.Images)
	for _, sub := range req.Subjects {
		images = append(images, sub.Images...)
	}
	links := []string{}
	for _, image := range images {
		if !strings.HasPrefix(image, dataScheme) {
			links = append(links, image)
		}
	}
	return links
}
