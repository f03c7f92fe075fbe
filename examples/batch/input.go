package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"unicode"
	"unicode/utf8"

	"github.com/vidu-go/vidu"
)

// maxLine is the longest line, in bytes: a request with inline media may have 20 MB.
const maxLine = 32 << 20

// phase is where a job stands in this run.
type phase int

const (
	toCreate phase = iota
	toWait
	settled // done, for this run
)

// job is one video.
type job struct {
	hash    string                       // of its line
	key     string                       // of its records: the hash and a number, for lines that are equal
	name    string                       // for output
	request *vidu.Reference2VideoRequest // nil if no longer in the input: it is never created
	phase   phase
	id      string // of its task
	begun   int    // how many tasks had ended when its create was begun
}

// readJobs reads the input and returns all its errors.
func readJobs(path string, defaults *vidu.Reference2VideoRequest) ([]*job, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	var jobs []*job
	var problems []error
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLine)
	for number := 1; lines.Scan(); number++ {
		line := trim(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		request, err := readRequest(line, defaults)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w", path, number, err))
			continue
		}
		hash := sha256.Sum256(line) // and not its number: lines may be moved, added and deleted between runs
		jobs = append(jobs, &job{hash: hex.EncodeToString(hash[:8]), name: fmt.Sprintf("line %d", number), request: request})
	}
	if err := lines.Err(); err != nil {
		problems = append(problems, fmt.Errorf("%s: %w", path, err))
	}
	if len(jobs) == 0 && problems == nil {
		problems = append(problems, fmt.Errorf("%s: no prompts", path))
	}
	return jobs, errors.Join(problems...)
}

// trim returns a line without blanks around it, nor the byte order mark that some editors begin a file with.
func trim(line []byte) []byte {
	return bytes.TrimFunc(line, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' })
}

// readRequest returns the request of a line and the defaults.
func readRequest(line []byte, defaults *vidu.Reference2VideoRequest) (*vidu.Reference2VideoRequest, error) {
	if !utf8.Valid(line) || bytes.ContainsAny(line, "\x00\r") {
		return nil, errors.New("not a line of UTF-8 text; save the file as UTF-8, with the line ends of Unix or Windows")
	}
	request := *defaults
	if line[0] != '{' {
		request.Prompt = string(line)
		return &request, request.Validate()
	}
	request = vidu.Reference2VideoRequest{}
	if err := json.Unmarshal(line, &request); err != nil {
		return nil, err
	}
	if request.Payload != "" {
		return nil, errors.New("payload is set by this program, to find its tasks")
	}
	if request.Model == "" {
		request.Model = defaults.Model
	}
	if request.Duration == 0 {
		request.Duration = defaults.Duration
	}
	if request.Resolution == "" {
		request.Resolution = defaults.Resolution
	}
	if request.Images == nil && request.Subjects == nil {
		request.Images = defaults.Images
	}
	return &request, request.Validate()
}
