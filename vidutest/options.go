package vidutest

import "time"

// APIKey is the key that a [Server] accepts unless [WithAPIKey] names another. It opens nothing but a fake.
const APIKey = "vidutest-key"

// How long a task queues and works unless WithTiming says otherwise.
const (
	defaultQueue = time.Second
	defaultWork  = 2 * time.Second
)

// Option changes one default of [NewServer].
type Option func(*Server)

// InMemory makes a server without a listener: [Server.Client] and [Server.Transport] run its handler in a goroutine of
// their own, and [Server.URL] is a name that exists nowhere. It is the server for a testing/synctest bubble, whose
// clock would stand still while a goroutine waits on a real socket. Call NewServer inside the bubble.
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
// "Authorization: Token KEY", a create needs only model, prompt and images or subjects, and a query needs no
// Content-Type.
//
// The default is the gateway whose contract this module was written against: /vidu/v2, "Authorization: Bearer KEY",
// all eight fields of its published contract, and "Content-Type: application/json" on queries too.
func WithOfficialAPI() Option {
	return func(s *Server) { s.dialect = official }
}

// WithTiming sets how long every task queues and then works. Both may be zero, which ends a task at once; less than
// zero is taken as zero. The defaults are 1 s and 2 s.
func WithTiming(queue, work time.Duration) Option {
	return func(s *Server) {
		s.queue = max(queue, 0)
		s.work = max(work, 0)
	}
}

// dialect is what the two servers that speak this API do differently.
type dialect struct {
	prefix string // what every path begins with
	scheme string // the word before the key
	strict bool   // wants every field of the published contract, and a Content-Type on a GET
}

var (
	gateway  = dialect{prefix: "/vidu/v2", scheme: "Bearer", strict: true}
	official = dialect{prefix: "/ent/v2", scheme: "Token", strict: false}
)
