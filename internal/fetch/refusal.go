package fetch

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/vidu-go/vidu/internal/backoff"
	"github.com/vidu-go/vidu/internal/scrub"
	"github.com/vidu-go/vidu/internal/wholefile"
)

// AnswerError is an answer that is not the file.
type AnswerError struct {
	Status int
	Code   string // that the store gives, such as "NoSuchKey"; "" when it gives none
	Host   string // that answered
	Err    error  // what is wrong or what to do, and why there is no new link; nil when only the status says it

	refused bool          // the link was refused: a new one may not be, and nor may this one later
	pause   time.Duration // that the server asked for
}

func (r *AnswerError) Error() string {
	text := fmt.Sprintf("%s answered HTTP %d", r.Host, r.Status)
	if r.Code != "" {
		text += " " + r.Code
	}
	if r.Err != nil {
		text += ": " + r.Err.Error()
	}
	return text
}

func (r *AnswerError) Unwrap() error { return r.Err }

const (
	maxMessage = 4 << 10  // bytes read of an error for what it says
	maxDrain   = 64 << 10 // bytes read of a body that is not the file, to keep its connection
)

// drain reads a body that is not the file and closes it, so that its connection can be used again. It returns how the
// body begins.
func drain(resp *http.Response) []byte {
	r := bufio.NewReaderSize(resp.Body, maxMessage)
	head, err := r.Peek(maxMessage)
	head = slices.Clone(head)
	if err == nil {
		r.Discard(maxDrain) //nolint:errcheck // only for the connection; bufio gives up on empty reads
	}
	resp.Body.Close()
	return head
}

// refuse makes the error of a status that is not that of a file. A store that is busy is asked again, and a link that
// was refused is renewed: stores answer so when a signature is over, and also for a file that is not there yet.
func (d *download) refuse(resp *http.Response) error {
	message := drain(resp)
	r := &AnswerError{Status: resp.StatusCode, Host: d.policy.Redact(resp.Request.URL.Host), Code: d.policy.Redact(codeIn(message))}
	r.pause = min(backoff.RetryAfter(resp.Header.Get("Retry-After"), time.Now()), backoff.MaxRetryAfter)
	kind, known := kinds[r.Status]
	if !known && r.Status >= 500 {
		kind = busy
	}
	r.refused = kind != "" && kind != busy
	if advice := adviceFor(r.Code, kind, string(message), resp.Request.URL); advice != "" {
		r.Err = errors.New(advice)
	}
	if kind == busy {
		return &retryableError{err: r, pause: r.pause}
	}
	return r
}

// What to do about a refusal.
const (
	expired   = "the link has expired"
	busy      = "the store is busy or has a fault; try again later"
	notReady  = "the file is not ready; try again later"
	notThere  = "the file is not there: it was deleted, or it is not there yet; try again later if the task has just ended"
	denied    = "the store does not accept the link; check whether it opens elsewhere"
	malformed = "the store does not accept the request; try again later, and check whether the link opens elsewhere"
	altered   = "the signature does not fit what was sent: the link was altered, or the HTTP client adds to the request, " +
		"such as an Authorization header"
	twice = "the store refuses what was sent beside the signed link; the HTTP client may add an Authorization header"
	clock = "the clock of this machine or of the one that signed the link is wrong"
)

// kinds are the statuses after which another try may succeed, and what they mean without a code. All of them but those
// of a busy store mean that the link was refused. 400 is what S3 answers when the session that signed ended before the
// link, and what some stores answer before a file is ready.
var kinds = map[int]string{
	http.StatusAccepted: notReady, http.StatusNoContent: notReady, http.StatusConflict: notReady, http.StatusLocked: notReady,
	http.StatusBadRequest: malformed, http.StatusUnauthorized: denied, http.StatusForbidden: denied,
	http.StatusNotFound: notThere, http.StatusGone: notThere,
	http.StatusRequestTimeout: busy, http.StatusTooEarly: busy, http.StatusTooManyRequests: busy,
	http.StatusNotImplemented: "", // not even later
}

// codes are what the codes of stores mean, in lower case. A code that says less than its message is not here.
var codes = map[string]string{
	"expiredtoken": expired, "requestexpired": expired, "tokenexpired": expired,
	"signaturedoesnotmatch": altered, "invalidsignature": altered, "signaturenotmatch": altered,
	"invalidargument": twice, "invalidrequest": twice,
	"nosuchkey": notThere, "nosuchbucket": notThere, "blobnotfound": notThere, "containernotfound": notThere,
	"requesttimetooskewed": clock,
}

// sayExpired matches what stores say of a link that is over, whose code is AccessDenied or another that means more.
var sayExpired = regexp.MustCompile(`(?i)expired|not valid in the specified time frame`)

// adviceFor returns what to do. The link is called expired only where the store or the link itself says so, and not
// when the store names another reason.
func adviceFor(code, kind, message string, link *url.URL) string {
	switch advice := codes[strings.ToLower(code)]; {
	case advice != "":
		return advice
	case kind == "" || kind == busy:
		return kind
	case !isPage(message) && sayExpired.MatchString(message), pastExpiry(link, time.Now()):
		return expired
	}
	return kind
}

func isPage(message string) bool {
	return strings.Contains(strings.ToLower(message), "<html")
}

// anyCode matches the code in the XML of a store and in the JSON of another, if it is one and nothing longer.
var anyCode = regexp.MustCompile(`(?i)<code>\s*([\w.-]{1,64})\s*</code>|"(?:code|error_code|error|reason)"\s*:\s*"([\w.-]{1,64})"`)

// codeIn returns the code in an error of a store, "" when there is none.
func codeIn(message []byte) string {
	if isPage(string(message)) {
		return ""
	}
	found := anyCode.FindSubmatch(message)
	if found == nil {
		return ""
	}
	return string(slices.Concat(found[1], found[2]))
}

// codings are what encodes a body (the IANA registry of content codings). Any other word in Content-Encoding, such as
// "utf-8" or "aws-chunked", is a mistake of somebody who stored the file.
var codings = regexp.MustCompile(`(?i)(?:^|[\s,])(aes128gcm|br|compress|dcb|dcz|deflate|exi|gzip|pack200-gzip|x-compress|x-gzip|zstd)(?:$|[\s,])`)

// codingOf returns the coding of a body, "" when it is none.
func codingOf(header http.Header) string {
	found := codings.FindStringSubmatch(strings.Join(header.Values("Content-Encoding"), ","))
	if found == nil {
		return ""
	}
	return strings.ToLower(found[1])
}

// mediaType returns the Content-Type in lower case, without parameters.
func mediaType(header http.Header) string {
	text := strings.ToLower(header.Get("Content-Type"))
	return strings.TrimSpace(text[:strings.IndexAny(text+";", ",;")]) // ",": a proxy joined two headers
}

// messageType matches the media types of answers to people and programs, such as a login page.
var messageType = regexp.MustCompile(`^text/|[/+](json|xml)$`)

// judge decides whether the file that begins with head is one to keep: known media are, whatever the header says,
// a message never is, and anything else goes by the header. A message is a refusal of the link.
func (d *download) judge(head []byte, header http.Header, host string) error {
	media, what := wholefile.Sniff(head)
	coding, contentType := codingOf(header), mediaType(header)
	refuse := func(format string, args ...any) error {
		code := d.policy.Redact(codeIn(head))
		return &AnswerError{Status: http.StatusOK, Host: host, Code: code, Err: fmt.Errorf(format, args...), refused: true}
	}
	switch {
	case media:
		return nil
	case coding != "":
		return refuse("the file is encoded as %s, which was not asked for", coding)
	case what != "":
		return refuse("it is %s, not a %s", what, d.job.Name)
	case messageType.MatchString(contentType):
		return refuse("it is %s, not a %s", scrub.OneLine(contentType, 40), d.job.Name)
	}
	return nil
}
