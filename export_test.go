package vidu

import (
	"os"
	"slices"

	"github.com/vidu-go/vidu/internal/schedule"
	"github.com/vidu-go/vidu/internal/transport"
)

// Verdict and its values let tests walk the policy for creates.
type Verdict = verdict

const (
	Fail      = fail
	Retry     = retry
	Ambiguous = ambiguous
)

// CreateRule is one row of the policy, for tests.
type CreateRule struct {
	Name     string
	From, To int
	Codes    []ErrorCode
	Verdict  Verdict
}

// CreateRules lists the policy for creates.
func CreateRules() []CreateRule {
	rules := make([]CreateRule, len(createRules))
	for i, r := range createRules {
		rules[i] = CreateRule{Name: r.name, From: r.from, To: r.to, Verdict: r.verdict}
		for _, row := range codeRows {
			if slices.Contains(r.codes, row.verdict) {
				rules[i].Codes = append(rules[i].Codes, row.code)
			}
		}
	}
	return rules
}

// RetryDelay is a seam to a pure function.
var RetryDelay = retryDelay

// MaxErrorReply is the bound of what is read of an error.
const MaxErrorReply = maxErrorReply

// Transports returns what c sends creates, reads and downloads with.
func (c *Client) Transports() (creates, reads, downloads *transport.Route) {
	return &c.routes.Creates, &c.routes.Reads, &c.routes.Downloads
}

// SetJitter gives the client a new schedule with this random source; 0.5 is no jitter.
func (c *Client) SetJitter(random func() float64) { c.pacer = schedule.NewPacer(random) }

// CodeRows lists the codes that have a row.
func CodeRows() []ErrorCode {
	codes := make([]ErrorCode, len(codeRows))
	for i := range codeRows {
		codes[i] = codeRows[i].code
	}
	return codes
}

// CodeOfStatus is the code that a status stands for.
var CodeOfStatus = codeOfStatus

// WithLink replaces os.Link.
func WithLink(link func(from, to string) error) DownloadOption {
	return func(d *downloadConfig) { d.target.Link = link }
}

// WithSync replaces the Sync of files and directories.
func WithSync(sync func(*os.File) error) DownloadOption {
	return func(d *downloadConfig) { d.target.Sync = sync }
}

// Wake is what a verified callback does.
func (c *Client) Wake(id string) { c.waiters.wake(id, true) }

// WakeUnverified is what an unverified callback does.
func (c *Client) WakeUnverified(id string) { c.waiters.wake(id, false) }

// Waiting counts the waits that a callback can wake.
func (c *Client) Waiting() int {
	c.waiters.mu.Lock()
	defer c.waiters.mu.Unlock()
	n := len(c.waiters.multi)
	for _, wakes := range c.waiters.byID {
		n += max(len(wakes), 1)
	}
	return n
}

// TaskFieldNames are the names of taskFields.
func TaskFieldNames() []string {
	names := make([]string, len(taskFields))
	for i := range taskFields {
		names[i] = taskFields[i].name
	}
	return names
}
