package vidutest

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// APIKey is the key that a [Server] accepts unless [WithAPIKey] names another. It is valid for fakes only.
const APIKey = "vidutest-key"

// How long a task queues and works unless WithTiming sets it.
const (
	defaultQueue = time.Second
	defaultWork  = 2 * time.Second
)

// Option changes one default of [NewServer].
type Option func(*Server)

// InMemory makes a server without a socket: [Server.Client] and [Server.Transport] connect to it by pipes, and
// [Server.URL] is a host name that does not resolve. It is the server for a testing/synctest bubble, whose clock would
// stand still while a goroutine waits on a real socket. Call [New] or [NewServer] inside the bubble, and close every
// response body: one that is not keeps goroutines of net/http, as on a network.
//
// The default is a listener on the loopback address.
func InMemory() Option {
	return func(s *Server) { s.inMemory = true }
}

// WithAPIKey sets the one key that the server accepts. The default is [APIKey].
func WithAPIKey(key string) Option {
	return func(s *Server) { s.key = key }
}

// WithOfficialAPI makes the server speak as the official API does: paths begin with /ent/v2, the key comes as
// "Authorization: Token KEY", a create needs only model and, as its endpoint has them, images or subjects and prompt,
// and a query needs no Content-Type. It adds the endpoints that most gateways lack: cancel, list, credits and uploads,
// with the rule that a create may refer to an upload only if it was finished here.
//
// A task can be canceled as long as it queues, and ends as failed with UserCancelled. The list has the newest task
// first. The account holds 1 000 000 credits at first and never runs out.
//
// The default is a gateway that resells the API: paths begin with /vidu/v2, the key comes as "Authorization: Bearer
// KEY", a create also needs the other fields of the gateway's published contract (duration, seed, resolution,
// movement_amplitude and off_peak), and a query needs "Content-Type: application/json" too.
func WithOfficialAPI() Option {
	return func(s *Server) { s.dialect = official }
}

// WithUnknownFields has creates accept and ignore fields that their endpoint does not document, which a gateway may
// have and the next model will. By default one is refused with FieldUnwanted, be it new, misspelt or of another
// endpoint, in a subject, too.
func WithUnknownFields() Option {
	return func(s *Server) { s.unknownFields = true }
}

// WithTiming sets how long every task queues and then works. Both may be zero, which ends a task at once; negative
// values count as zero. The defaults are 1 s and 2 s.
func WithTiming(queue, work time.Duration) Option {
	return func(s *Server) {
		s.tasks.queue = max(queue, 0)
		s.tasks.work = max(work, 0)
	}
}

// WithListDelay has every task appear in the list of tasks only d after its creation, as a list does that is read from
// a lagging replica. A query finds the task at once. The default is 0.
func WithListDelay(d time.Duration) Option {
	return func(s *Server) { s.tasks.listDelay = d }
}

// WithCallbacks has the server send callbacks through client: for a task with a callback_url one when the work begins
// and one when the task has ended, each signed with the API key. The second is repeated byte for byte, one second after
// each answer that is not 2xx, up to three attempts. A state that is over at once has no callback.
//
// By default, and with a nil client, the server sends none, and tests make them with [Server.NewCallback]. In a
// testing/synctest bubble client must not use sockets either.
func WithCallbacks(client *http.Client) Option {
	return func(s *Server) { s.callbacks = client }
}

// WithTaskLimit has a create refused with 429 QuotaExceeded while n tasks have not ended; a task that is accepted
// starts in its time and waits for no other. The tasks of [Server.LateCommit] count from the moment when they are
// accepted. GET credits reports n. The default, and any n below 1, is no limit; GET credits then reports 5, the
// documented number, or the number of running tasks if that is more.
func WithTaskLimit(n int) Option {
	return func(s *Server) { s.tasks.limit = max(n, 0) }
}

// WithRefusedWord has a create refused with 400 and code as its reason, such as "TaskPromptPolicyViolation", when its
// prompt contains word, case-sensitively. It may be given for several words, of which the first match counts; so may
// [WithFailingWord]. The default is that no prompt is refused.
func WithRefusedWord(word, code string) Option {
	return func(s *Server) { s.refusing = append(s.refusing, rule{word, code}) }
}

// WithFailingWord has a task fail with code as its err_code, such as "CreationPolicyViolation", when its prompt
// contains word, case-sensitively. A script of [Server.FailTask] takes precedence. The default is that every task
// succeeds.
func WithFailingWord(word, code string) Option {
	return func(s *Server) { s.tasks.failing = append(s.tasks.failing, rule{word, code}) }
}

// WithLinkLifetime sets how long every result link is valid; a new query gives new links. An expired one is refused
// with 403 as storage does, with a body of XML. With d of 0 or less, links have expired before they are read. The
// default is that of real links: 24 h for videos and 1 h for covers.
func WithLinkLifetime(d time.Duration) Option {
	return func(s *Server) { s.downloads.videoLife, s.downloads.coverLife = d, d }
}

// WithVideoSize makes every video an MP4 of exactly so many bytes: the embedded clip and behind it a "free" box, which
// players skip. Its bytes are generated as they are sent. The default, and the least, is the clip alone: 9096 bytes.
// Since no box has fewer than 8 bytes, 9097 to 9103 give 9104.
func WithVideoSize(bytes int64) Option {
	return func(s *Server) { s.downloads.videos = newVideo(bytes, 0) }
}

// WithoutRanges has downloads ignore Range, so that every answer is the whole file. By default they support it.
func WithoutRanges() Option {
	return func(s *Server) { s.downloads.whole = true }
}

// WithoutContentLength omits the length of downloads, which then end with their connection: a truncated one looks
// complete. By default they have a Content-Length.
func WithoutContentLength() Option {
	return func(s *Server) { s.downloads.unsized = true }
}

// WithAPIPath sets what the paths of the API begin with, uploads apart, such as "/vidu/ent/v2"; "" is nothing. The
// default is that of the dialect: /vidu/v2, or /ent/v2 with [WithOfficialAPI]. It panics when path is not empty and is
// no plain path that begins with a slash.
func WithAPIPath(path string) Option {
	if path != "" && (path[0] != '/' || !isPlain(path[1:])) {
		panic(fmt.Sprintf("vidutest: WithAPIPath: %q is not a plain path", path)) //nolint:forbidigo // a mistake in the test
	}
	return func(s *Server) { s.path = &path }
}

// WithPublicURL sets what result links and upload links begin with, for a server that clients reach through TLS, a
// proxy or a port of a container. Whatever is there must pass the paths of links on as they are, without the path of
// url if it has one. [Server.URL] stays the address of the server itself, and [Server.Transport] reaches it by both.
// The default is [Server.URL]. It panics when url is not an absolute http or https URL.
func WithPublicURL(url string) Option {
	if !isLink(url) || strings.ContainsAny(url, "?#") {
		panic(fmt.Sprintf("vidutest: WithPublicURL: %q is not a base URL", url)) //nolint:forbidigo // a mistake in the test
	}
	return func(s *Server) { s.publicURL = strings.TrimRight(url, "/") }
}

// dialect is what differs between a gateway and the official API.
type dialect struct {
	prefix   string // what every path begins with
	scheme   string // the word before the key
	strict   bool   // requires every field of the published contract, and a Content-Type on a GET
	official bool   // has the vendor's endpoints, and refuses a model of another endpoint, which gateways may sell
}

var (
	gateway  = dialect{prefix: "/vidu/v2", scheme: "Bearer", strict: true}
	official = dialect{prefix: "/ent/v2", scheme: "Token", official: true}
)

// routes returns the endpoints of a server, with those that were added to it.
func (d dialect) routes(added []endpoint) []route {
	routes := taskRoutes(d.prefix)
	if d.official {
		routes = append(routes, officialRoutes(d.prefix)...)
	}
	return append(routes, createRoutes(d.prefix, added)...)
}
