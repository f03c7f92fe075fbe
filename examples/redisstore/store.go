// Package redisstore keeps the claims of [vidu.Client.CallbackHandler] in Redis, so that the processes that receive
// callbacks count as one. It is an example: copy it. It needs Redis 7, and is tested against a real one.
//
// A key of Redis holds the token of the delivery that is being handled, or "done". A claim ends by itself after its
// lease, so that a process which dies blocks nothing for long. Each claim has a token of its own, which Release
// compares before it deletes: a delivery that took longer than its lease does not end the claim that another process
// has made since.
package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vidu-go/vidu"
)

var _ vidu.NonceStore = (*Store)(nil)

// errClaimed is answered with 503, so the callback is delivered again.
var errClaimed = errors.New("redisstore: the key is being handled by another delivery")

const done = "done"

// Store is a [vidu.NonceStore] in Redis, safe for concurrent use. Make it with [New], once per process.
type Store struct {
	rdb redis.UniversalClient

	mu     sync.Mutex
	tokens map[string]string // of the claims that this process has, by key
}

// New returns a Store in the given database. Programs with different API keys should not share one.
func New(rdb redis.UniversalClient) *Store {
	return &Store{rdb: rdb, tokens: map[string]string{}}
}

// Claim implements [vidu.NonceStore]. While a delivery of this process holds key no other can have it here, whatever
// became of its lease: Commit and Release are given the key alone, so there must be one token for it.
func (s *Store) Claim(ctx context.Context, key string, lease time.Duration) (committed bool, err error) {
	token := rand.Text()
	if !s.hold(key, token) {
		return false, errClaimed
	}
	old, err := s.rdb.SetArgs(ctx, key, token, redis.SetArgs{Mode: "NX", Get: true, TTL: lease}).Result()
	switch {
	case errors.Is(err, redis.Nil): // it was free, and is ours now
		return false, nil
	case err == nil && old == token: // the same, but the answer was lost and go-redis sent the command again
		return false, nil
	case err == nil && old != done:
		err = errClaimed
	}
	s.letGo(key)
	return err == nil, err
}

// Commit implements [vidu.NonceStore]. It does not look at the token: what was done is done, even if the lease was over
// and another delivery began the same work.
func (s *Store) Commit(ctx context.Context, key string, ttl time.Duration) error {
	defer s.letGo(key)
	return s.rdb.Set(ctx, key, done, ttl).Err()
}

// release deletes a key that still has the token of its claim. Between a GET and a DEL of the client's own the lease
// could end and another claim begin; a script is one step.
var release = redis.NewScript(`
if redis.call("GET", KEYS[1]) == ARGV[1] then
	redis.call("DEL", KEYS[1])
end
return "OK"`)

// Release implements [vidu.NonceStore].
func (s *Store) Release(ctx context.Context, key string) error {
	defer s.letGo(key)
	return release.Run(ctx, s.rdb, []string{key}, s.token(key)).Err()
}

// hold notes the token of a claim, unless this process has one for key.
func (s *Store) hold(key, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens[key] != "" {
		return false
	}
	s.tokens[key] = token
	return true
}

func (s *Store) letGo(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, key)
}

func (s *Store) token(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens[key]
}
