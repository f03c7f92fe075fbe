package vidu

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"
)

// NonceStore remembers which callbacks were handled and which are being handled. It is shared by all processes that
// receive them. Keys are plain text of at most 160 bytes.
//
// A delivery claims its nonce, and later its task, before anything is done, and then commits the claim, or releases it
// when something failed, so that the next delivery gets its turn. With Redis 7:
//
//	func (s Store) Claim(ctx context.Context, key string, lease time.Duration) (bool, error) {
//		old, err := s.rdb.SetArgs(ctx, key, "claimed", redis.SetArgs{Mode: "NX", Get: true, TTL: lease}).Result()
//		switch {
//		case errors.Is(err, redis.Nil):
//			return false, nil // it was free, and is ours now
//		case err == nil && old == "claimed":
//			return false, errors.New("being handled elsewhere")
//		}
//		return old == "done", err
//	}
//
//	func (s Store) Commit(ctx context.Context, key string, ttl time.Duration) error {
//		return s.rdb.Set(ctx, key, "done", ttl).Err()
//	}
//
//	func (s Store) Release(ctx context.Context, key string) error { return s.rdb.Del(ctx, key).Err() }
type NonceStore interface {
	// Claim takes key, in one atomic step. It returns true if key was committed before: then nothing is left to do. It
	// returns an error if another delivery holds key, or if the store cannot tell: then the sender is told to come
	// again. It may wait for that other delivery, for as long as ctx lasts. A claim that is neither committed nor
	// released, because its process died, should end after lease, which is one minute.
	Claim(ctx context.Context, key string, lease time.Duration) (done bool, err error)
	// Commit remembers for ttl that what key stands for is done.
	Commit(ctx context.Context, key string, ttl time.Duration) error
	// Release gives key back. Its error changes nothing but the log: the claim then ends after its lease.
	Release(ctx context.Context, key string) error
}

// nonceMemory is the NonceStore of one process. It forgets the oldest when it is full.
type nonceMemory struct {
	mu      sync.Mutex
	claimed map[string]chan struct{} // closed when the claim ends
	done    map[string]time.Time     // until when
	order   []string                 // of done; every key has the same ttl, so the first ends first
}

func newNonceMemory() *nonceMemory {
	return &nonceMemory{claimed: map[string]chan struct{}{}, done: map[string]time.Time{}}
}

// Claim waits while another delivery holds key. It needs no lease: claims die with the process.
func (m *nonceMemory) Claim(ctx context.Context, key string, _ time.Duration) (bool, error) {
	for {
		done, other := m.try(key)
		if other == nil {
			return done, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// try returns the claim of another delivery, if there is one.
func (m *nonceMemory) try(key string) (done bool, other chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.done[key]) {
		return true, nil
	}
	if other := m.claimed[key]; other != nil {
		return false, other
	}
	m.claimed[key] = make(chan struct{})
	return false, nil
}

// Commit also drops what has ended.
func (m *nonceMemory) Commit(_ context.Context, key string, ttl time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for len(m.order) > 0 && (len(m.order) == maxRemembered || !now.Before(m.done[m.order[0]])) {
		delete(m.done, m.order[0])
		m.order = m.order[1:]
	}
	m.done[key], m.order = now.Add(ttl), append(m.order, key)
	m.free(key)
	return nil
}

// Release lets one of those who wait have key.
func (m *nonceMemory) Release(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free(key)
	return nil
}

func (m *nonceMemory) free(key string) {
	close(m.claimed[key])
	delete(m.claimed, key)
}

// nonceKey is short and plain whatever the nonce is.
func nonceKey(nonce string) string {
	sum := sha256.Sum256([]byte(nonce))
	return "vidu:nonce:" + hex.EncodeToString(sum[:16])
}
