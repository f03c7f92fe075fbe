package vidutest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
)

const contentTypeJSON = "application/json"

// answer is a whole reply.
type answer struct {
	status      int
	contentType string // "" without a body
	etag        string // "" for none
	body        []byte
	accepted    bool // a task was created
}

// success returns the answer 200 with v as JSON.
func success(v any) answer {
	return jsonAnswer(http.StatusOK, v)
}

// envelope is the official form of an error.
type envelope struct {
	Code     int      `json:"code"`
	Reason   string   `json:"reason"`
	Message  string   `json:"message"`
	Metadata metadata `json:"metadata"`
}

type metadata struct {
	TraceID string `json:"trace_id"`
}

// refuse returns an error response in the official envelope.
func refuse(status int, reason, message string) answer {
	return jsonAnswer(status, envelope{
		Code:     status,
		Reason:   reason,
		Message:  message,
		Metadata: metadata{TraceID: randomHex(16)},
	})
}

func tooLarge() answer {
	return refuse(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "the body is over 20 MiB")
}

func jsonAnswer(status int, v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) //nolint:forbidigo // only this package's own plain structs come here
	}
	return answer{status: status, contentType: contentTypeJSON, body: body}
}

// write sends the answer. With cut it promises the whole body, sends half of it and cuts the connection.
func (a answer) write(w http.ResponseWriter, cut bool) {
	setHeader(w, "Content-Type", a.contentType)
	setHeader(w, "ETag", a.etag)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	if !cut {
		_, _ = w.Write(a.body) // the client may have gone
		return
	}
	_, _ = w.Write(a.body[:len(a.body)/2])
	_ = http.NewResponseController(w).Flush() // or the half would be lost with the connection
	panic(http.ErrAbortHandler)               //nolint:forbidigo // net/http's way to cut a connection
}

// setHeader sets a field of the header, unless its value is empty.
func setHeader(w http.ResponseWriter, name, value string) {
	if value != "" {
		w.Header().Set(name, value)
	}
}

// randomHex returns n random bytes in hexadecimal.
func randomHex(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // it never fails
	return hex.EncodeToString(raw)
}
