package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// What every contestant sends and gets. Nothing here is secret, and nothing leaves this machine.
const (
	dummyKey = "sentinel-key-0123456789abcdef"
	taskID   = "885482446060003328"
	model    = "viduq2-pro"
	prompt   = "The astronaut waved and the camera moved up."
	picLink  = "https://example.com/a/rather/long/path/such/as/those/of/object/stores/template/image2video.png"
)

// createRequest and task are the types of the code by hand. The peers that take any type get these.
type createRequest struct {
	Model             string   `json:"model"`
	Images            []string `json:"images"`
	Prompt            string   `json:"prompt"`
	Duration          int      `json:"duration"`
	Seed              int      `json:"seed"`
	Resolution        string   `json:"resolution"`
	MovementAmplitude string   `json:"movement_amplitude"`
	OffPeak           bool     `json:"off_peak"`
}

type task struct {
	TaskID            string    `json:"task_id"`
	ID                string    `json:"id"`
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
	Priority          int       `json:"cus_priority"`
	OffPeak           bool      `json:"off_peak"`
	Watermark         bool      `json:"watermark"`
	IsRec             bool      `json:"is_rec"`
	WMPosition        string    `json:"wm_position"`
	WMURL             string    `json:"wm_url"`
	MetaData          string    `json:"meta_data"`
	ErrCode           string    `json:"err_code"`
	Progress          float64   `json:"progress"`
	Creations         []struct {
		ID             string `json:"id"`
		URL            string `json:"url"`
		CoverURL       string `json:"cover_url"`
		WatermarkedURL string `json:"watermarked_url"`
	} `json:"creations"`
}

// order is a video to be made of pictures: of a link, or of files inside the request.
type order struct {
	link  string
	files []string
}

// images returns the images for the requests of all but vidu.
func (o order) images() ([]string, error) {
	if len(o.files) == 0 {
		return []string{o.link}, nil
	}
	uris := make([]string, len(o.files))
	for i, path := range o.files {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		uris[i] = "data:image/png;base64," + base64.StdEncoding.EncodeToString(data)
	}
	return uris, nil
}

func (o order) request() (*createRequest, error) {
	images, err := o.images()
	if err != nil {
		return nil, err
	}
	return &createRequest{Model: model, Images: images, Prompt: prompt, Duration: 5, Resolution: "720p", MovementAmplitude: "auto"}, nil
}

// answers are the replies by endpoint. Those in a peer's own form are as long as the API's.
var answers = func() map[string][]byte {
	created := `{"task_id":"` + taskID + `","type":"img2video","state":"created","model":"` + model + `","style":"general",` +
		`"prompt":"` + prompt + `","images":["` + picLink + `"],"duration":5,"seed":1283649749,"aspect_ratio":"",` +
		`"resolution":"720p","movement_amplitude":"auto","created_at":"2025-11-10T15:03:01.749836088Z","credits":55,` +
		`"payload":"","cus_priority":0,"off_peak":false,"watermark":false,"is_rec":false,"wm_position":"unspecified",` +
		`"wm_url":"","meta_data":""}`
	polled := `{"id":"` + taskID + `","state":"processing","err_code":"","credits":55,"payload":"","bgm":false,"off_peak":false,"creations":[]}`
	fill := func(reply, like string) []byte {
		return []byte(strings.Replace(reply, "…", strings.Repeat("x", max(0, len(like)-len(reply)+len("…"))), 1))
	}
	return map[string][]byte{
		"POST": []byte(created),
		"GET":  []byte(polled),
		"POST completions": fill(`{"id":"`+taskID+`","object":"chat.completion","created":1762786981,"model":"`+model+`",`+
			`"choices":[{"index":0,"message":{"role":"assistant","content":"…"},"finish_reason":"stop"}],`+
			`"usage":{"prompt_tokens":55,"completion_tokens":5,"total_tokens":60}}`, created),
		"GET runs": fill(`{"id":"`+taskID+`","object":"thread.run","status":"in_progress","model":"…"}`, polled),
		"POST predictions": fill(`{"id":"`+taskID+`","status":"starting","model":"`+model+`","version":"`+model+`",`+
			`"input":{"prompt":"`+prompt+`","images":["`+picLink+`"]},"source":"api","created_at":"2025-11-10T15:03:01.749836088Z",`+
			`"logs":"…"}`, created),
		"GET predictions": fill(`{"id":"`+taskID+`","status":"processing","version":"`+model+`","logs":"…"}`, polled),
	}
}()

// creates are the replies to creates: no two creates have one task. A client remembers half as many.
var creates = func() [][]byte {
	replies := make([][]byte, 2048)
	for i := range replies {
		id := fmt.Sprintf("%s%04d", taskID[:len(taskID)-4], i)
		replies[i] = bytes.Replace(answers["POST"], []byte(taskID), []byte(id), 1)
	}
	return replies
}()

// answer returns the reply to a request, which is the nth one of its client.
func answer(r *http.Request, n int64) []byte {
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/completions"):
		return answers["POST completions"]
	case strings.Contains(path, "/runs/"):
		return answers["GET runs"]
	case strings.Contains(path, "/predictions"):
		return answers[r.Method+" predictions"]
	case r.Method == http.MethodPost:
		return creates[n%int64(len(creates))]
	}
	return answers[r.Method]
}

// errIdle is returned for a contestant that returned neither an error nor the task.
var errIdle = errors.New("it did not return the task")

func gotTask(id string, err error) error {
	if err == nil && (len(id) != len(taskID) || id[:len(id)-4] != taskID[:len(taskID)-4]) {
		return errIdle
	}
	return err
}

// memory is a transport that drains a request and answers it, without a network. It checks the first create: a
// contestant that does not send the order fails.
type memory struct {
	requests atomic.Int64
	creates  atomic.Int64
}

func (m *memory) RoundTrip(r *http.Request) (*http.Response, error) {
	number := m.requests.Add(1)
	if r.Body != nil && r.Body != http.NoBody {
		n, err := m.drain(r)
		if err != nil {
			return nil, err
		}
		if r.Method == http.MethodPost && n < int64(len(prompt)+len(picLink)) {
			return nil, fmt.Errorf("a create of %d bytes is incomplete", n)
		}
	}
	return reply(r, answer(r, number)), nil
}

func (m *memory) drain(r *http.Request) (n int64, err error) {
	defer r.Body.Close()
	if m.creates.Add(1) > 1 {
		return io.Copy(io.Discard, r.Body)
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err
	}
	if !json.Valid(text) || !bytes.Contains(text, []byte(prompt)) || !bytes.Contains(text, []byte(picLink)) {
		return 0, fmt.Errorf("this is not the order: %s", text)
	}
	return int64(len(text)), nil
}

func reply(r *http.Request, text []byte) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(bytes.NewReader(text)), ContentLength: int64(len(text)),
	}
}

const pictures = 7

// picture returns picture n of size bytes: a small image with padding that image readers ignore.
func picture(n, size int) ([]byte, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 128+n, 128))); err != nil {
		return nil, err
	}
	var seed [32]byte // the same bytes in every process
	copy(seed[:], strconv.Itoa(n))
	rest := make([]byte, max(0, size-b.Len()))
	rand.NewChaCha8(seed).Read(rest) //nolint:errcheck // it cannot fail
	b.Write(rest)
	return b.Bytes(), nil
}

// writePictures writes the pictures into a new directory below dir and returns the order for them.
func writePictures(dir string, size int) (order, error) {
	if err := os.MkdirAll(filepath.Join(dir, strconv.Itoa(size)), 0o700); err != nil {
		return order{}, err
	}
	o := ordered(dir, size)
	for n, path := range o.files {
		data, err := picture(n, size)
		if err != nil {
			return order{}, err
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return order{}, err
		}
	}
	return o, nil
}

// ordered returns the order for pictures that exist already.
func ordered(dir string, size int) (o order) {
	for n := range pictures {
		o.files = append(o.files, filepath.Join(dir, strconv.Itoa(size), strconv.Itoa(n)+".png"))
	}
	return o
}

// loopback returns the http.Client that all contestants share: net/http's own defaults.
func loopback() *http.Client {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return &http.Client{Transport: &http.Transport{}}
	}
	return &http.Client{Transport: standard.Clone()}
}

// client is one contestant that has dialled.
type client struct {
	create func(ctx context.Context, o order) (id string, err error)
	poll   func(ctx context.Context, id string) (same string, err error)
}
